"""How much of a text fits at a cursor. In the buffers ¦ is the cursor."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_ls import soundness
from flash_ls.grammar import Node, parse
from flash_ls.language import LANGUAGES
from flash_ls.soundness import sound_part


def shown(buffer: str, text: str, language: str) -> str:
    before, after = buffer.split("¦")
    return sound_part(text, before, after, language)


FITTING = {
    "python": [
        ("x = ¦\n", "f(a)[0]"),
        ("def f():\n    ¦\n\nx = 1\n", "if a:"),
        ("def f():\n    ¦\n\nx = 1\n", "try:"),
        ("def f():\n    ¦\n\nx = 1\n", "match a:"),
        ("class A:\n    ¦\n", "@property"),
        ("def f(¦\n    return a\n", "a, b):"),
        ("def f():\n    ¦\n    return 1\n", '"""What it does.'),
        ("def f():\n    ¦\n", "# a ) of b"),
        ('def f():\n    """What\n    ¦\n', "it does (or not"),
        ("f(a)¦\n", ".b()"),
        ("def f():¦\n", "\n    if a:\n        b\n    return c"),
        ("def f():\n    if a:\n        b\n    ¦\n", "else:"),
        ("foo(ba\n\ndef f():\n    ¦\n", "return 1"),
        ("¦\n", 'x = """abc'),
        ("if a:  # why\n¦\n", "    bc"),
        ("x = f(\n    a,\n  ¦\n)\n", "b,"),
        ("x = a + \\\n        ¦\n", "b"),
        ("@a\ndef f(a,\n      b):\n    ¦\n", "return a"),
    ],
    "javascript": [
        ("if (a) {\n  ¦\n", "for (const b of c) {"),
        ("const f = (¦) => {\n", "a"),
        ("function f() {\n  a(¦\n", "b)"),
        ("const a = ¦;\n", "b ? c : d"),
        ("¦\nfunction f() {}\n", "/**"),
        ("¦\n", "const a = `select"),
        ("x = (¦ + 1;\ny();\n", "a"),
        ("if (\n  a\n  ¦\n  c\n) {\n}\n", "&& b &&"),
        ("const a = ¦\n  b\n", "c +"),
        ("a = ¦\n'c';\n", "'b' +"),
        ("const a = ¦\n", "`"),
    ],
    "typescript": [("class A {\n  ¦\n}\n", "private a: B<C[]>"), ("export const f = (¦\n", "a: number): string => {}")],
    "tsx": [
        ("const a = <p>¦</p>\n", "{b}"),
        ("const a = <p>¦</p>\n", "don't"),
        ("const a = (\n  <p>\n    ¦\n    more\n  </p>\n)\n", "Some text."),
        ("function a() {\n  return <p>\n    ¦\n    more\n  </p>\n}\n", "Some text."),
    ],
    "go": [
        ("func f() {\n\t¦\n", "if err != nil {"),
        ("func f() {\n\tif a ¦\n", "{"),
        ("func f(¦) {\n", "t *testing.T"),
    ],
    "rust": [
        ("fn f() {\n    ¦\n", "match a {"),
        ("¦\n", "#[derive(Debug)]"),
        ("fn f<'a>(¦\n", "b: &'a str) {}"),
        ("fn f() {\n    ¦\n", "let a = |b| {"),
    ],
    "java": [
        ("class A {\n  ¦\n}\n", "@Override"),
        ("class A {\n  void f() {\n    ¦\n", "try {"),
        ("class A {\n  ¦\n}\n", "public void f(int a)"),
        ("class A {\n  abstract void f(¦)\n\n  int a;\n}\n", "B c"),
    ],
    "c": [
        ("int f()\n{\n    ¦\n}\n", "if (a)"),
        ("int f()\n{\n    ¦\n", "do {"),
        ("¦\n", "#ifdef A"),
        ("int f() {\n  ¦\n}\n", "A_MACRO(int, b) c;"),
    ],
    "cpp": [
        ("class A {\n ¦\n};\n", "public:"),
        ("¦\n", "std::vector<int> a{1, 2};"),
        ("convert(signed char, int);\n¦\n", "convert(unsigned char, int);"),
    ],
    "csharp": [("class A\n{\n    void F()\n    {\n        ¦\n    }\n}\n", "foreach (var a in b)")],
    "lua": [
        ("local a = 1\n¦\n", "for i = 1, 3 do"),
        ("end\n\nfunction f()\n  if a then\n    ¦", "return {}"),
    ],
    "bash": [("a=1\n¦\n", "if [ -f b ]; then"), ("¦\n", "while read -r a; do")],
    "json": [("{\n  ¦\n}\n", '"a": {')],
    "sql": [("¦\n\nselect 1;\n", '\\echo Use "a" to')],
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
        ("x = f(¦)\n", "a))", "a)"),
        ("x = ¦\n", "[] ]", ""),
        ("x = foo(¦\ny = 2\n", "ab, cd", ""),
        ("x = ¦\ny = 2\n", "ab) # c", "ab"),
        ("ab  # note:\n¦\n", "    cd", ""),
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
        ("if (a(¦)) {\n}\n", "b) {", "b)"),
        ("x = ¦;\n", "/*ab\n/*/*", ""),
        ("a = 1¦ + 2;\n", " + bc)", " + bc"),
        ("¦\n", "ab)\n/* c", "ab"),
        ("const a = {\n  ¦\n    b: 1,\n  },\n};\n", "cd: 2,", ""),
        ("function f() {\n  a = ¦\n  b();\n}\n", "cd +", "cd"),
        ("function f() {\n  a = ¦\n  b();\n}\n", "cd.", "cd"),
    ],
    "go": [("func f() {\n\t¦\n}\n", "return a}", "return a")],
    "rust": [("fn f() {\n    ¦\n}\n", "let a = b();)", "let a = b();")],
    "java": [("class A {\n  void f() {\n    ¦\n  }\n}\n", "int a = b(c)));", "")],
    "c": [("int f() {\n  ¦\n}\n", "A_MACRO(int, b)) c;", "A_MACRO(int, b)")],
    "cpp": [("int f() {\n  return ¦\n    a << 16);\n}\n", "(b << 24) | (c << 8) |", "(b << 24) | (")],
    "text": [("{a}¦", " b}", ""), ("¦", "[ab]]", "[ab]")],
}


@pytest.mark.parametrize(
    ("language", "buffer", "text", "expected"), [(key, *case) for key, cases in CUT.items() for case in cases]
)
def test_what_does_not_fit_is_cut(language: str, buffer: str, text: str, expected: str) -> None:
    assert shown(buffer, text, language) == expected


OPENED = {
    "a call": ("python", "def f():\n    ¦\n\nx = 1\n", "foo(", "foo"),
    "a literal": ("python", "def f():\n    ¦\n\nx = 1\n", "return {", "return"),
    "a string in a call": ("python", "¦\ny = 1\n", 'foo("""abc', "foo"),
    "a block": ("go", "func f() {\n\t¦\n}\n", "if err != nil {", ""),
    "a literal in a call": ("javascript", "f(¦)\n", "ab({", "ab"),
    "the end of a header": ("typescript", "export const f = (¦\n", "a: number): string => {", "a: number)"),
    "before the end of the line": ("javascript", "const a = b.¦;\nc();\n", "request({", "request"),
    "beside an error that is older": ("javascript", "a = = 1;\nconst b = c.¦\nd();\n", "call(", "call"),
    "in a body": ("javascript", "function f() {\n  ¦\n}\n", "a();\n  if (b) {\n    c();", "a();"),
    "more than follows closes": ("typescript", "  return ¦\n    a,\n    b\n  )\n", "ab.sync(() => {", "ab.sync(() =>"),
    "less than follows closes": ("javascript", "  f(a, ¦\n  )\n", "bc, {", "bc,"),
}


@pytest.mark.parametrize("name", OPENED)
def test_no_bracket_is_left_open_that_nothing_closes(name: str) -> None:
    language, buffer, text, expected = OPENED[name]
    assert shown(buffer, text, language) == expected


CLOSED_BELOW = {
    "deeper lines": ("javascript", "¦\n  b: 1,\n})\n", "foo(a, {"),
    "deeper lines beside an error": ("javascript", "a = = 1;\n¦\n  b: = 1,\n});\n", "foo(a, {"),
    "the next line": ("python", "x = ¦\n)\n", "foo("),
    "another branch": ("javascript", "¦\n  a();\n} else {\n  b();\n}\n", "if (c) {"),
    "a buffer with blocks open": ("javascript", "function f() {\n  ¦\n", "foo({"),
    "labels in its column": ("javascript", "a = = 1;\n¦\ncase 1:\n  b();\n}\n", "switch (c) {"),
    "beside one that is open anyway": ("javascript", "a = [;\n¦\n  b: 1,\n});\n", "foo(a, {"),
    "data": ("json", "{\n  ¦\n}\n", '"a": ['),
}


@pytest.mark.parametrize("name", CLOSED_BELOW)
def test_a_bracket_that_is_closed_below_may_stay_open(name: str) -> None:
    language, buffer, text = CLOSED_BELOW[name]
    assert shown(buffer, text, language) == text


_MEMBER = "  g() {\n    if (this.b) {\n      throw this.b;\n    }\n  }\n\n"
ORPHANS = {
    "of a callback": (
        "class A {\n  constructor(b) {\n    b(¦\n      if (c) {\n        return;\n      }\n\n      d = new E(f);\n"
        "    });\n\n    d.then = (k) => {\n      l(k);\n    };\n  }\n\n" + 3 * _MEMBER + "}\n",
        "bc);",
    ),
    "of a block with a handler": (
        "g();\n¦\n  for (;;) {\n    h();\n  }\n} finally {\n  i();\n}\n",
        "let bc = 0;",
    ),
}


_NO_GRAMMAR = "A_MACRO(a) B c;\nD_MACRO(int (*), f) g;\n" * 6
LACKING = {
    "the head of a method": (
        "java",
        "class A {\n  int a;\n\n  ¦\n    int b = 1;\n" + 12 * "    c.d = b;\n    if (b) return;\n" + "  }\n}\n",
        "private int dd;",
    ),
    "a call, on the next line": ("cpp", _NO_GRAMMAR + "int f() {\n  return ¦\n    a + d);\n}\n", "b + c |"),
    "a call, on the line": ("cpp", _NO_GRAMMAR + "int f() {\n  return ¦a + d);\n}\n", "b + "),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_bracket_that_only_the_text_can_open_is_opened(name: str) -> None:
    language, buffer, text = LACKING[name]
    assert shown(buffer, text, language) == ""


OTHERS = {
    "the bracket of a call": ("javascript", "f(a,\n  ¦)\ng();\n}\n", "bc"),
    "a line of a call": ("javascript", "a = = 1;\nf(\n  ¦\n    .c()\n)\n}\n", "bc"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_bracket_that_is_open_need_not_be_opened_because_another_is_too_many(name: str) -> None:
    language, buffer, text = OTHERS[name]
    assert shown(buffer, text, language) == text


_MACROS = "A_MACRO(a) B c;\n" * 3 + "int a;\n" * 25


def test_an_error_here_is_not_made_up_for_by_one_far_away() -> None:
    buffer = f"{_MACROS}bool f() {{\n  return a.¦\n}}\n"
    assert shown(buffer, "b->operator==(c);", "cpp") != "b->operator==(c);"
    assert shown(buffer, "b->equals(c);", "cpp") == "b->equals(c);"


def test_each_part_takes_the_closers_that_it_has_itself() -> None:
    buffer = "const a = () =>\n  (b && (!c || d.¦)) ||\n  e()\n\nconst f = 1\n"
    assert shown(buffer, "every((g) => h(g))) ||", "typescript") == "every((g) => h(g)))"


@pytest.mark.parametrize("name", ORPHANS)
def test_lines_whose_header_is_missing_are_not_left_without_it(name: str) -> None:
    buffer, text = ORPHANS[name]
    assert shown(buffer, text, "javascript") == ""


@pytest.mark.parametrize("after", ["", "\n", "\n}\n", "\n\nfunction g() {\n"])
def test_a_buffer_with_blocks_still_open_is_judged_by_what_stands_before(after: str) -> None:
    before = "function f() {\n  if (a) {\n    b("
    assert sound_part("c, d);", before, after, "javascript") == "c, d);"
    assert sound_part("c, d));", before, after, "javascript") == "c, d)"


def test_errors_of_the_buffer_itself_are_nobody_elses() -> None:
    broken = "x = = 1\n\n<<<<<<< ours\na = 1\n=======\nb = 2\n>>>>>>> theirs\n\n"
    assert sound_part("f(a)", f"{broken}y = ", "\n", "python") == "f(a)"
    assert sound_part("f(a))", f"{broken}y = ", "\n", "python") == "f(a)"


FAR = {
    "java": (
        "class A {\n",
        "  public int f(\n      int a) {\n    if (a > 1) {\n      return g(a);\n    }\n    return a;\n  }\n\n",
        "}\n",
        "  int x = ¦\n",
    ),
    "python": (
        "class A:\n",
        "    def f(\n        self,\n        a,\n    ):\n        return [\n            a\n        ]\n\n",
        "f(\n    1\n)\n",
        "    x = ¦\n",
    ),
    "javascript": ("class A {\n", "  async f(a) {\n    g({ a: [1, 2, 3, 4, 5, 6] });\n  }\n\n", "}\n", "  x = ¦\n"),
}


@pytest.mark.parametrize("language", FAR)
def test_in_a_large_file_the_headers_around_the_cursor_count(language: str) -> None:
    opener, member, closer, line = FAR[language]
    buffer = opener + 660 * member + line + 660 * member + closer
    assert len(buffer) > 60_000
    end = "" if language == "python" else ";"
    assert shown(buffer, f"foo(a){end}", language) == f"foo(a){end}"
    assert shown(buffer, f"foo(a){end}]", language) == f"foo(a){end}"
    assert shown(buffer.replace("¦", "foo(¦"), "ab, cd", language) == ""


def test_where_the_surroundings_cannot_be_told_apart_the_whole_file_is_parsed() -> None:
    rows = '                "a line of text",\n' * 400
    after = f'\n        .isEqualTo(\n            join(\n{rows}                "end"));\n  }}\n}}\n'
    before = "class A {\n  void f() {\n    g();\n\n    "
    assert sound_part("assertThat(h(a))", before, after, "java") == "assertThat(h(a))"
    assert sound_part("assertThat(h(a)))", before, after, "java") == "assertThat(h(a))"


class Parsed:
    """What the parser was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.characters = 0
        monkeypatch.setattr(soundness, "parse", self)

    def __call__(self, code: str, language: str) -> Node:
        self.characters += len(code)
        return parse(code, language)


@pytest.mark.parametrize("language", ["javascript", "json", "python"])
def test_a_line_nobody_writes_by_hand_is_not_parsed(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = Parsed(monkeypatch)
    line = '{"a": [1, 2, 3]},' * 6_000
    assert shown(f"[{line}¦{line}]", '{"b": 1}, {', language) == '{"b": 1}, {'
    assert parsed.characters == 0


def test_little_is_parsed_however_broken_the_file_is_and_what_cannot_be_judged_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = Parsed(monkeypatch)
    table = "x = (1]\n" * 3_000
    assert sound_part("f(a) b c", f"x = [\n{table}", f"\n{table}", "python") == "f(a) b c"
    assert parsed.characters < 30_000


def test_brackets_may_be_deeper_than_the_stack_of_python() -> None:
    assert sound_part("a", "(" * 1_900, ")" * 5, "python") == "a"


def test_of_a_long_body_what_stands_before_the_fault_is_shown() -> None:
    lines = [*["    ab()"] * 6, "    cd)", *["    ef()"] * 25]
    part = sound_part("\n" + "\n".join(lines), "def f():", "\n", "python")
    assert part
    assert "cd" not in part


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
