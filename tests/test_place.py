"""What becomes of a text at a place. In the buffers ¦ is the cursor."""

import pytest

from flash_ls.document import Snapshot
from flash_ls.place import Fitted, Place


def place(marked: str, path: str = "a.py") -> Place:
    before, after = marked.split("¦")
    return Place(Snapshot(f"file:///{path}", "", 0, before + after, len(before)))


FITTED = {
    "whole": ("a.py", "x = ¦\n", "f(1)\ny", Fitted("f(1)", 0, "")),
    "nothing new": ("a.py", "x = 1\n¦\nreturn total\n", "return total\n", Fitted("", 0, "empty")),
    "closers that are there": ("a.py", "f(x¦)\n", ")\n", Fitted("", 0, "done")),
    "closers are replaced": ("a.py", "f(¦)\n", "g(x))\n", Fitted("g(x)", 0, "")),
    "a comment nobody asked for": ("a.py", "x = 1\n¦\n", "# then y\ny = 2\n", Fitted("", 0, "comment")),
    "a docstring nobody asked for": ("a.py", "x = 1\n¦\n", '"""Then y."""\n', Fitted("", 0, "comment")),
    "the next line of a comment": ("a.py", "# x is one\n¦\n", "# y is two\n", Fitted("# y is two", 0, "")),
    "the end of a comment": ("a.py", "# x is ¦\n", "one\n", Fitted("one", 0, "")),
    "a comment behind code": ("a.py", "x = ¦\n", "1  # one\n", Fitted("1  # one", 0, "")),
    "a comment in a body": (
        "a.go",
        "func f() {\n\t¦\n}\n",
        "// done\n\treturn\n}\n",
        Fitted("// done\n\treturn", 0, ""),
    ),
    "another language's comment": ("a.js", "x()\n¦\n", "// then y\ny()\n", Fitted("", 0, "comment")),
    "what does not parse": ("a.py", "for a in b:\n    ¦\n        f(a)\n", "return a\n", Fitted("", 0, "unsound")),
    "tabs where the buffer has them": (
        "a.py",
        "def f():\n\tx = 1\n\t¦\n",
        "if x:\n        return 1\n",
        Fitted("if x:\n\t\treturn 1", 0, ""),
    ),
    "what parses of it": ("a.py", "x = ¦\ny = 1\n", "f(1) else\n", Fitted("f(1)", 0, "unsound")),
}


@pytest.mark.parametrize("name", FITTED)
def test_a_text_is_fitted_to_its_place(name: str) -> None:
    path, marked, text, expected = FITTED[name]
    assert place(marked, path).fit(text, finished=True) == expected


def test_line_ends_are_those_of_the_buffer() -> None:
    assert place("def f():\r\n    ¦\r\n").fit("x = 1\n    return x\n", True).text == "x = 1\r\n    return x"


@pytest.mark.parametrize(
    ("text", "telling"),
    [("x = 1\ny = 2", 5), ("\n  x = 1\ny", 8), ("x = 1", 6), ("# no\nx", 1), ("  # no\nx", 3), ("", 1)],
)
def test_another_suggestion_differs_early(text: str, telling: int) -> None:
    assert place("a = 0\n¦\n").telling(text) == telling


def test_brackets_that_the_editor_closed_are_not_told() -> None:
    assert place("f(x¦)\ny").after == "\ny"
    assert place("f(x¦, z)\ny").after == ", z)\ny"
