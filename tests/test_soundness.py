"""How much of a text fits at a cursor. In the buffers ¦ is the cursor."""

import time
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_ls.grammar import parse
from flash_ls.language import LANGUAGES
from flash_ls.soundness import sound_part, with_indentation_of


def shown(buffer: str, text: str, language: str) -> str:
    before, after = buffer.split("¦")
    return sound_part(text, before, after, language)


FITTING = {
    "python": [
        ("x = ¦\n", "f(a)[0]"),
        ("def f():\n    ¦\n\nx = 1\n", "if a:"),
        ("def f():\n    ¦\n\nx = 1\n", "try:"),
        ("def f():\n    ¦\n\nx = 1\n", "match a:"),
        ("def f():\n    ¦\n\nx = 1\n", "foo("),
        ("def f():\n    ¦\n\nx = 1\n", "return {"),
        ("class A:\n    ¦\n", "@property"),
        ("def f(¦\n    return a\n", "a, b):"),
        ("def f():\n    ¦\n    return 1\n", '"""What it does.'),
        ("def f():\n    ¦\n", "# a ) of b"),
        ('def f():\n    """What\n    ¦\n', "it does (or not"),
        ("f(a)¦\n", ".b()"),
        ("def f():¦\n", "\n    if a:\n        b\n    return c"),
        ("def f():\n    if a:\n        b\n    ¦\n", "else:"),
        ("foo(ba\n\ndef f():\n    ¦\n", "return 1"),
        ("x = f(\n    a,\n  ¦\n)\n", "b,"),
        ("x = a + \\\n        ¦\n", "b"),
        ("@a\ndef f(a,\n      b):\n    ¦\n", "return a"),
    ],
    "javascript": [
        ("if (a) {\n  ¦\n}\n", "for (const b of c) {"),
        ("¦\n", "it('does', () => {"),
        ("it('does ¦\n", "so', (done) => {"),
        ("f(¦)\n", "() => {"),
        ("const f = (¦) => {\n", "a"),
        ("function f() {\n  a(¦\n", "b)"),
        ("const a = ¦;\n", "b ? c : d"),
        ("¦\nfunction f() {}\n", "/**"),
        ("const a = ¦\n", "`"),
    ],
    "typescript": [("class A {\n  ¦\n}\n", "private a: B<C[]>"), ("export const f = (¦\n", "a: number): string => {")],
    "tsx": [("const a = <p>¦</p>\n", "{b}"), ("const a = <p>¦</p>\n", "don't")],
    "go": [
        ("func f() {\n\t¦\n}\n", "if err != nil {"),
        ("func f() {\n\tif a ¦\n", "{"),
        ("func f(¦) {\n", "t *testing.T"),
    ],
    "rust": [
        ("fn f() {\n    ¦\n}\n", "match a {"),
        ("¦\n", "#[derive(Debug)]"),
        ("fn f<'a>(¦\n", "b: &'a str) {"),
        ("fn f() {\n    ¦\n}\n", "let a = |b| {"),
    ],
    "java": [
        ("class A {\n  ¦\n}\n", "@Override"),
        ("class A {\n  void f() {\n    ¦\n  }\n}\n", "try {"),
        ("class A {\n  ¦\n}\n", "public void f(int a)"),
    ],
    "c": [
        ("int f()\n{\n    ¦\n}\n", "if (a)"),
        ("int f()\n{\n    ¦\n}\n", "do {"),
        ("¦\n", "#ifdef A"),
        ("int f() {\n  ¦\n}\n", "A_MACRO(int, b) c;"),
    ],
    "cpp": [("class A {\n ¦\n};\n", "public:"), ("¦\n", "std::vector<int> a{1, 2};")],
    "csharp": [("class A\n{\n    void F()\n    {\n        ¦\n    }\n}\n", "foreach (var a in b)")],
    "lua": [("local a = 1\n¦\n", "for i = 1, 3 do"), ("function f(\n\n¦\n", "if a then")],
    "bash": [("a=1\n¦\n", "if [ -f b ]; then"), ("¦\n", "while read -r a; do")],
    "json": [("{\n  ¦\n}\n", '"a": {')],
    "yaml": [("a:\n  ¦\n", "- b: c")],
    "text": [("¦", "1) one :)"), ("{¦", "a}")],
}


@pytest.mark.parametrize(
    ("language", "buffer", "text"), [(key, *case) for key, cases in FITTING.items() for case in cases]
)
def test_what_fits_or_may_be_continued_is_shown_whole(language: str, buffer: str, text: str) -> None:
    assert shown(buffer, text, language) == text


CUT = {
    "python": [
        ("x = ¦\ny = 2\n", "f(a))", "f(a)"),
        ("x = ¦\ny = 2\n", "foo(a", "foo"),
        ("x = ¦\ny = 2\n", "ab +", "ab"),
        ("x = ¦\ny = 2\n", "ab.", "ab"),
        ("x = ¦\ny = 2\n", '"abc', ""),
        ("x = ¦\ny = 2\n", 'foo("abc', "foo"),
        ("x = f(¦)\n", "a)", ""),
        ("def f():¦\n", "\n    a()\n    b(c", "\n    a()"),
        ("def f():¦\n", "\n    a()\n    b()\n    c)\n    d()\n    e()", "\n    a()\n    b()"),
        ("x = 1\n¦\n", ") + f(a", ""),
        # levels of indentation
        ("def f():\n    a\n¦\n", "        b", ""),
        ("def f():\n    a\n  ¦\n", "b", ""),
        ("def f():\n    ¦\n", "if a:\n    bc", "if a:"),
        ("def f():\n    ¦\n", "ab\n      c", "ab"),
        ("def f():\n    ¦\n", "ab\ndef g():\n    c", "ab"),
        ("def f():¦\n", "\n    if a:\n        b\n      c", "\n    if a:\n        b"),
        ("def f():\n    # if a:\n    b\n    ¦\n", "    cd", ""),
        ("class A:\n    def f():\n        ¦\n", "ab\n    cd", "ab"),
    ],
    "javascript": [
        ("function f() {\n  ¦\n}\n", "a();\n}\n", "a();"),
        ("function f() {\n  ¦\n}\n", "return a(b, c", "return a"),
        ("if (a(¦)) {\n}\n", "b) {", ""),
        ("const a = {\n  ¦\n    b: 1,\n  },\n};\n", "cd: 2,", ""),
        ("function f() {\n  a = ¦\n  b();\n}\n", "cd +", "cd"),
        ("function f() {\n  a = ¦\n  b();\n}\n", "cd.", "cd"),
    ],
    "go": [("func f() {\n\t¦\n}\n", "return a}", "return a")],
    "rust": [("fn f() {\n    ¦\n}\n", "let a = b();)", "let a = b();")],
    "java": [("class A {\n  void f() {\n    ¦\n  }\n}\n", "int a = b(c)));", "")],
    "c": [("int f() {\n  ¦\n}\n", "A_MACRO(int, b)) c;", "A_MACRO(int, b)")],
    "text": [("{a}¦", " b}", ""), ("¦", "[ab]]", "[ab]")],
}


@pytest.mark.parametrize(
    ("language", "buffer", "text", "expected"), [(key, *case) for key, cases in CUT.items() for case in cases]
)
def test_what_does_not_fit_is_cut(language: str, buffer: str, text: str, expected: str) -> None:
    assert shown(buffer, text, language) == expected


@pytest.mark.parametrize("after", ["", "\n", "\n}\n", "\n\nfunction g() {\n"])
def test_a_buffer_with_blocks_still_open_is_judged_by_what_stands_before(after: str) -> None:
    before = "function f() {\n  if (a) {\n    b("
    assert sound_part("c, d);", before, after, "javascript") == "c, d);"
    assert sound_part("c, d));", before, after, "javascript") == "c, d)"


def test_errors_of_the_buffer_itself_are_nobody_elses() -> None:
    broken = "x = = 1\n\n<<<<<<< ours\na = 1\n=======\nb = 2\n>>>>>>> theirs\n\n"
    assert sound_part("f(a)", f"{broken}y = ", "\n", "python") == "f(a)"
    assert sound_part("f(a))", f"{broken}y = ", "\n", "python") == "f(a)"


METHOD = dedent("""
    public int method(int a) {
      if (a > 1) {
        return call(a, "b");
      }
      return a;
    }
    """)
FAR = {
    "java": ("class A {\n", METHOD.replace("\n", "\n  "), "}\n", "  int x = ¦;\n"),
    "python": ("class A:\n", "    def f(self, a):\n        if a:\n            return [a]\n\n", "", "    x = ¦\n"),
    "javascript": (
        "describe('a', () => {\n",
        "  it('b', () => {\n    c({ d: 1 });\n  });\n\n",
        "});\n",
        "  const x = ¦\n",
    ),
}


@pytest.mark.parametrize("language", FAR)
def test_in_a_large_file_the_headers_around_the_cursor_count(language: str) -> None:
    opener, member, closer, line = FAR[language]
    buffer = opener + 2000 * member + line + 2000 * member + closer
    assert len(buffer) > 100_000
    assert shown(buffer, "f(a)", language) == "f(a)"
    assert shown(buffer, "f(a)]", language) == "f(a)"


def test_a_file_that_is_text_near_the_cursor_is_parsed_whole() -> None:
    strings = 'a = """\n' + "it's (a\n" * 1_100 + '"""\n'
    buffer = f"{strings}\nx = ¦\n{strings}"
    assert shown(buffer, "f(a)", "python") == "f(a)"


@pytest.mark.parametrize("language", ["javascript", "json", "python"])
def test_a_line_nobody_writes_by_hand_is_not_parsed(language: str) -> None:
    line = '{"a": [1, 2, 3]},' * 6_000
    start = time.perf_counter()
    assert shown(f"[{line}¦{line}]", '{"b": 1}, {', language) == '{"b": 1}, {'
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("text", ["f(a)", "f(a))", "if x:\n    ((("])
def test_judging_takes_bounded_time_however_broken_the_file_is(text: str) -> None:
    table = '    (70512, "x", [1, "y", {"z": (\n' * 3_000
    start = time.perf_counter()
    sound_part(text, f"x = [\n{table}", f"\n{table}", "python")
    sound_part(text, "(" * 9_000, ")" * 5, "python")
    assert time.perf_counter() - start < 2


TEXTS = st.lists(
    st.sampled_from(
        ["a", " ", "\n", "\n  ", "\n\t", "(", ")", "[", "}", "{", '"', "'", "`", ",", ".", "+", ":", "/*", "#"]
    )
    | st.text(st.characters(), max_size=2),
    max_size=12,
).map("".join)


@settings(max_examples=120, deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.sampled_from([*LANGUAGES, "text"]))
def test_what_is_shown_is_a_beginning_and_fits_itself(text: str, before: str, after: str, language: str) -> None:
    part = sound_part(text, before, after, language)
    assert text.startswith(part)
    assert part == text or part == part.rstrip()
    assert part in ("", text) or sum(map(str.isalnum, part)) + part.count("_") >= 1
    assert sound_part(part, before, after, language) == part


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from(["python", "javascript", "go", "rust", "java"]))
def test_a_shortened_text_leaves_a_clean_file_clean(text: str, language: str) -> None:
    before, after = ("x = ", "\n") if language == "python" else ("x = ", ";\n")
    part = sound_part(text, before, after, language)
    if part not in ("", text):
        without = parse(f"{before}x{after}", language).has_error
        assert without or not parse(before + part + after, language).has_error


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


@given(TEXTS, TEXTS)
def test_indentation_changes_nothing_else(text: str, before: str) -> None:
    def code(lines: str) -> list[str]:
        return [line.lstrip(" \t") for line in lines.split("\n")]

    converted = with_indentation_of(text, before)
    assert code(converted) == code(text)
    assert with_indentation_of(converted, before) == converted
