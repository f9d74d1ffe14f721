"""A text takes over the indentation of the buffer it goes into."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.indentation import is_indented, with_indentation_of


@pytest.mark.parametrize(
    ("buffer", "text", "expected"),
    [
        ("if a:\n    b\nif c:", "\n\td\n\t\te", "\n    d\n        e"),
        ("if a:\n  b\nif c:", "\n\td\n\t\te", "\n  d\n    e"),
        ("if a:\n  b\n", "\tc\n\td", "  c\n  d"),
        ("if a:\n  b\n  c = ", "\t1", "\t1"),
        ("{\n\tb\n\tif c {", "\n        d\n        e\n    }", "\n\t\td\n\t\te\n\t}"),
        ("{\n\tb\n\tif c {", "\n  d\n    e", "\n\td\n\t\te"),
        ("{\n\tb\n}\n/*", "\n * c\n */", "\n * c\n */"),
        ("{\n\tb\n", "\n\t\td", "\n\t\td"),
        ("{\n\tb\n        c\n", "\n    d\n\te", "\n    d\n\te"),
        ("a\n", "\n\tb", "\n\tb"),
    ],
)
def test_indentation_becomes_that_of_the_buffer(buffer: str, text: str, expected: str) -> None:
    assert with_indentation_of(text, buffer) == expected


TEXTS = st.lists(
    st.sampled_from(["a", " ", "\n", "\n  ", "\n\t", "{"]) | st.text(st.characters(), max_size=2), max_size=12
).map("".join)


@given(TEXTS, TEXTS)
def test_indentation_changes_nothing_else(text: str, before: str) -> None:
    def code(lines: str) -> list[str]:
        return [line.lstrip(" \t") for line in lines.split("\n")]

    converted = with_indentation_of(text, before)
    assert code(converted) == code(text)
    assert with_indentation_of(converted, before) == converted


@pytest.mark.parametrize(
    ("text", "after", "fits"),
    [
        ("return b", "\n        c()\n", False),
        ("if b:", "\n        c()\n", True),
        ("if b:", "\n    c()\n", False),
        ("if b:\n        d()", "\n    c()\n", True),
        ("if b:", "\n\nc()\n", True),
        ("return b", "\n    c()\n", True),
        ("return b", "\n        # why\n    c()\n", True),
        ("return f(b,", "\n        c)\n", True),
        ('return """b', '\n        c"""\n', True),
        ("return b", "", True),
    ],
)
def test_the_line_below_needs_its_header(text: str, after: str, fits: bool) -> None:
    assert is_indented(text, "def f(b):\n    ", after) == fits
