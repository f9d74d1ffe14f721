"""What becomes of a text at a place. In the buffers ¦ is the cursor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.document import Snapshot
from flash_ls.place import ClosingRule, Fitted, Place
from flash_ls.postprocess import StatementRule


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
    "the lines that close a bracket before the end of the line": (
        "a.js",
        "a = b.¦;\n",
        "c({\n  d: 1,\n});\ne();\n",
        Fitted("c({\n  d: 1,\n})", 0, ""),
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


CLOSED = {
    "a call": ("a.js", "  ¦\n}\n", "foo(a, {\n    b: 1,\n  });\n  c();\n", "foo(a, {\n    b: 1,\n  });"),
    "a list": ("a.py", "    ¦\n", "return [\n        a,\n    ]\n    b\n", "return [\n        a,\n    ]"),
    "one that the cursor's line has opened": ("a.py", "x = f(¦\ny = 1\n", "a,\n  b)\ny\n", "a,\n  b)"),
    "at the end of the line": ("a.py", "x = f(¦\ny = 1\n", "\n    a,\n)\ny\n", "\n    a,\n)"),
    "an arrow": ("a.js", "¦\n", "a.map((b) =>\n  b + 1,\n);\nc", "a.map((b) =>\n  b + 1,\n);"),
    "what goes on behind a block": ("a.js", "¦\n", "f({\n  a,\n}, b,\n  c);\nd", "f({\n  a,\n}, b,\n  c);"),
    "a signature": ("a.go", "¦\n", "func f(a int,\n\tb int) {\n\tc()\n}\nd", "func f(a int,\n\tb int) {\n\tc()\n}"),
    "before the end of the line": ("a.js", "a = b(¦);\n", "{\n  c: 1,\n});\nd", "{\n  c: 1,\n});"),
    "before a closer that the editor typed": ("a.js", "a(¦)\n", "{\n  b: 1,\n})\nc", "{\n  b: 1,\n})"),
    "behind a block": ("a.js", "¦\n", "f({\n  a,\n}, b);\nd", "f({\n  a,\n}, b);"),
    "between brackets that the editor typed": ("a.js", "a(¦)\n", "b,\n  c)\nd", "b,\n  c)"),
    "but none that the line closes": ("a.js", "a(¦);\n", "b\n  c);\nd", "b"),
    "but none that is closed far below": (
        "a.js",
        "¦\n" + 600 * "  b: 1,\n" + "});\n",
        "foo(a, {\n  c: 2,\n});\n",
        "foo(a, {",
    ),
    "but none that is closed below a directive": (
        "a.c",
        "  f(¦\n    a,\n#if B\n    b,\n#endif\n  );\n",
        "c,\n    d);\n",
        "c,",
    ),
    "with a string of many lines": ("a.py", "¦\n", 'f("""(\nb\n""")\nc', 'f("""(\nb\n""")'),
    "but none in a string": ("a.py", "x = ¦\n", "'('\ny\n", "'('"),
    "but none in a comment": ("a.js", "x = ¦\n", "y; // (\nz\n", "y; // ("),
    "but none that is closed below": ("a.js", "¦\n  b: 1,\n});\n", "foo(a, {\n  c: 2,\n});\n", "foo(a, {"),
    "but none that the column below closes": ("a.py", "  x = ¦\n  )\n", "f(\n    a,\n", "f("),
    "but not those of the head of what is there": (
        "a.js",
        "  return ¦\n    a,\n    b\n  )\n",
        "f(() => {\n    a;\n  });\n",
        "f(() => {",
    ),
    "before the end of what is around": (
        "a.js",
        "f(a,\n  b.¦);\n",
        "c({\n    d: 1,\n  }));\ne\n",
        "c({\n    d: 1,\n  }));",
    ),
    "one more than is closed below": (
        "a.js",
        "f(a, ¦\n  c,\n);\n",
        "{\n    b: 1,\n  },\n  d\n",
        "{\n    b: 1,\n  },",
    ),
    "but none before the rest of a line": ("a.js", "x = f(¦ + b)\n", "{\n  a\n}\n", "{"),
    "but none where something else begins": ("a.py", "  ¦\n", "foo(a,\n  b = 1\n  c)\n", "foo(a,"),
    "but none in data": ("a.json", "{\n  ¦\n}\n", '"a": [\n    1\n  ]\n', '"a": ['),
    "but none in a language nobody knows": ("a.nim", "¦\n", "f(\n  a)\n", "f("),
}


@pytest.mark.parametrize("name", CLOSED)
def test_a_line_comes_with_the_lines_that_close_its_brackets(name: str) -> None:
    path, marked, says, expected = CLOSED[name]
    rule = place(marked, path).rule
    assert rule.cut(says, finished=False) == expected
    ends = [end for end in range(len(says) + 1) if rule.complete(says[:end])]
    assert rule.cut(says[: ends[0]], finished=False) == expected
    assert ends[0] <= max(len(expected), says.find("\n", len(expected)) + 1) + len("  b")


UNFINISHED = {
    "a call": ("a.js", "  ¦\n", "foo(a, {\n    b: 1,\n    c: 2,", "foo(a, {\n    b: 1,\n  })"),
    "a body": ("a.js", "¦\n", "if (a) {\n  for (;;) {\n    b();\n    c", "if (a) {\n  for (;;) {\n    b();\n  }\n}"),
    "what follows closes": ("a.js", "f(a, ¦\n);\n", "{\n    b: 1,\n    c", "{\n    b: 1,\n}"),
    "not even a line": ("a.js", "¦\n", "foo(a, {", ""),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_what_is_cut_off_is_closed(name: str) -> None:
    path, marked, says, expected = UNFINISHED[name]
    here = place(marked, path)
    assert not here.rule.complete(says)
    assert here.rule.cut(says, finished=False) == expected
    assert here.fit(says, finished=False).text == expected


def test_brackets_that_match_nothing_are_not_closed() -> None:
    assert place("¦\n", "a.js").rule.cut("f([a), {\n  b,\n  c", finished=False) == "f([a), {\n  b,\n}"


def test_a_bracket_that_the_model_leaves_open_is_not_shown() -> None:
    assert place("x = ¦\ny = 1\n").fit("foo(", finished=True) == Fitted("foo", 0, "unsound")
    assert place("x = ¦\ny = 1\n").fit("foo(\n    a,\nb = 2\n", finished=False) == Fitted("foo", 0, "unsound")


@given(
    st.text("a(){}[];'`/ \n\n", max_size=30),
    st.sampled_from(["python", "javascript", "lua"]),
    st.sampled_from(["", "  f("]),
    st.sampled_from(["", "\n  )\n", "\n    b,\n  })"]),
)
def test_closed_lines_that_are_complete_stay_as_they_are(text: str, language: str, prefix: str, after: str) -> None:
    rule = ClosingRule(StatementRule(prefix, language, after), prefix, language, after)
    complete = [rule.complete(text[:end]) for end in range(len(text) + 1)]
    assert complete == sorted(complete)
    assert text.startswith(rule.cut(text, finished=True))
    if complete[-1]:
        early = rule.cut(text[: complete.index(True)], finished=False)
        assert {rule.cut(text, finished) for finished in (True, False)} == {early}
