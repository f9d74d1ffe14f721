"""Scopes at a cursor. In the sources below ¦ is the cursor."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_ls.language import language_of
from flash_ls.syntax import CursorScope, scope_at

LANGUAGES = ["python", "javascript", "typescript", "tsx", "go", "rust", "java", "c", "cpp"]
BRACES = LANGUAGES[1:]


def scope(marked: str, language: str) -> CursorScope:
    before, after = marked.split("¦")
    return scope_at(before + after, len(before), language)


@pytest.mark.parametrize(
    ("path", "language_id", "language"),
    [
        ("a.py", None, "python"),
        ("a.pyi", None, "python"),
        ("/x/y.MJS", None, "javascript"),
        ("a.mts", None, "typescript"),
        ("a.tsx", None, "tsx"),
        ("a.h", None, "cpp"),
        ("a.h", "c", "c"),
        ("a.ts", "typescriptreact", "tsx"),
        ("a", "javascriptreact", "javascript"),
        ("a.py", "jinja", "python"),
        ("py", None, "text"),
        ("a.txt", "plaintext", "text"),
    ],
)
def test_language_of_prefers_a_known_id_to_the_extension(path: str, language_id: str | None, language: str) -> None:
    assert language_of(path, language_id) == language


OPENERS = {
    "python": [
        "def f():¦",
        "def f(a):¦\nx = 1\n",
        "def f(a):\n    ¦\n\ndef g():\n    pass\n",
        "def f(\n    a,\n) -> int:\n    ¦",
        "@cached\nasync def f():  # note\n    ¦",
        'def f():\n    """What it does."""\n    ¦\n',
        "def f():\n    # the plan\n    ¦\n",
        "if x:\n    pass\nelse:\n    ¦",
        "try:\n    foo(ba\nexcept A:\n    ¦",
        "foo(ba\n\ndef f(a):\n    ¦\n",
        "match a:\n¦",
    ],
    "javascript": [
        "function f() {¦}",
        "const f = (a) => {\n  ¦\n}",
        "x.map(function (a) {¦});",
        "if (a.) {¦",
        "do {¦",
        "class A {\n¦\n}",
        "try {\n} catch (e) {\n  ¦\n}",
        "const s = `${a}'`; for (const b of a.match(/['\"(]/)) {¦",
    ],
    "typescript": ["interface A {¦}", "namespace A {¦", "abstract class A<T> {\n¦", "function f(): Promise<{a: B}> {¦"],
    "tsx": ["function A() { return <p>{y.map((a) => {¦", "const A = () => {\n  ¦\n}"],
    "go": [
        "package x\nfunc (a *A) f() (int, error) {\n\t¦\n}",
        "f := func() {¦}",
        "package x\ntype A struct {¦}",
        "package x\nfunc f() { switch a := b.(type) {¦",
        "package x\nfunc f() { select {¦",
    ],
    "rust": [
        "fn f() {\n¦",
        "fn f<'a>(x: &'a str) {\n    ¦\n}",
        "fn f() { match x {¦",
        "fn f() { match x { A => {¦",
        "impl<T> A for B where T: C {¦}",
        "fn f() { a.map(|b| {¦})",
    ],
    "java": [
        "class A { void f() {¦",
        "class A {\n@Override\npublic void f() throws B {\n    ¦\n}\n}",
        "class A { Runnable r = () -> {¦",
        "class A { void f() { try {¦",
        "interface A {¦}",
    ],
    "c": [
        "int f()\n{\n¦",
        "#ifndef X\n#define X\nint f() { do {¦",
        "struct a {¦",
        "int f() { switch (a) {¦",
        "typedef struct {¦",
    ],
    "cpp": [
        "namespace x {¦",
        "#ifdef X\nclass A : public B {¦",
        "#ifdef X\ninline std::string f(std::string_view s) {¦",
        "class A {\nint f() const noexcept {¦",
        "A::A() : b{1} {\n  ¦\n}",
        "auto f = [&](int a) {¦",
        "int n = 1'000; void f() {¦",
    ],
}


@pytest.mark.parametrize(("language", "marked"), [(key, source) for key, rows in OPENERS.items() for source in rows])
def test_an_empty_body_opens_a_block(language: str, marked: str) -> None:
    assert scope(marked, language) == CursorScope("code", "", True)


NO_OPENERS = {
    "python": [
        "x = {'a':¦",
        "f = lambda a:¦",
        "x: ¦int",
        "x[1:¦",
        "def f(a:¦",
        "{¦",
        "def f():\n    x = 1\n    ¦",
        "def f():\n    ¦\n    return 1\n",
        "def f():¦ pass",
        "if a: # no:¦",
        'x = "if a:¦',
        "foo(¦",
        'def f():\n    """Doc."""¦',
    ],
    "javascript": [
        "{¦}",
        "a()\n{¦}",
        '{\n "a": {¦}}',
        "const f = {¦}",
        "foo({¦})",
        "import {¦} from 'a'",
        "f(() => {¦\n  x()\n})",
    ],
    "typescript": ["const a: B = {¦}", "if (a) {¦ b()", "// if (a) {¦"],
    "tsx": ["function A() { return <p> {¦", "const s = `if (a) {¦`"],
    "go": ["package x\nvar a = map[string]int{¦}", "package x\nfunc f() { a := A{¦}", "import (¦"],
    "rust": ["use a::{¦}", "fn f() { let a = A {¦}", "fn f() { {¦}", 'let s = r#"fn f() {¦'],
    "java": ["class A { int[] a = {¦}", "class A { int[] a = new int[] {¦", "class A { void f() { g(¦"],
    "c": ["int a[] = {¦}", "static const struct x y = {¦", "/* int f() {¦"],
    "cpp": ["auto a = A{¦}", 'auto s = R"x(void f() {¦', "void f() {\n  g();\n  ¦"],
}


@pytest.mark.parametrize(("language", "marked"), [(key, source) for key, rows in NO_OPENERS.items() for source in rows])
def test_literals_filled_bodies_and_headers_in_text_open_none(language: str, marked: str) -> None:
    assert not scope(marked, language).opens_block


@pytest.mark.parametrize(
    ("language", "marked", "indent"),
    [
        ("python", "class A:\n    def f(\n            self,\n            b):\n        ¦", "    "),
        ("python", "class A:\n    def f(self):\n        if b:\n            c\n        d(e, [g¦", "    "),
        ("python", "class A:\n    def f(self):\n        b\n    ¦", ""),
        ("python", "x = 1\n¦", ""),
        ("go", "func f() {\n\tif a {\n\t\tb(¦\n", "\t"),
        ("rust", "fn f() {\n    match x {\n        A => {\n            ¦\n", "        "),
        ("java", "class A {\n  void f(int a,\n         int b) {\n    g();¦\n  }\n}", "  "),
        ("javascript", "f\n  .then((a) => {\n    g({ b: ¦ })\n  })", "  "),
        ("cpp", "namespace a {\n  // it's {\n  int f() { ¦", "  "),
        ("c", "int f() {\n    if (a) {\n        b[c¦", "    "),
        ("c", "int f() {\n    if (a)\n        do {¦", "        "),
        ("cpp", "class A {\n  void f() {\n    g(a, h(¦", "  "),
        ("go", "func f() {\n\tselect {¦", "\t"),
    ],
)
def test_indent_is_that_of_the_innermost_header(language: str, marked: str, indent: str) -> None:
    assert scope(marked, language).indent == indent


@pytest.mark.parametrize("language", BRACES)
def test_the_closing_brace_below_leaves_a_body_empty_and_a_deeper_line_does_not(language: str) -> None:
    header = "func f() {" if language == "go" else "fn f() {" if language == "rust" else "if (a) {"
    assert scope(f"{header}\n    ¦\n}}\nb();\n", language).opens_block
    assert scope(f"{header}\n    ¦\nb();\n", language).opens_block
    assert not scope(f"{header}\n    ¦\n    b();\n}}\n", language).opens_block


@pytest.mark.parametrize(
    ("language", "marked", "kind"),
    [
        *[(language, 'f(a, "b¦c")', "string") for language in LANGUAGES],
        *[(language, 'f(a, "b¦\nc()\n', "string") for language in LANGUAGES],
        *[(language, 'f("a\\"b" + ¦', "code") for language in LANGUAGES],
        *[(language, "a() // b ¦ c", "comment") for language in BRACES],
        *[(language, "a() // b\n¦", "code") for language in BRACES],
        *[(language, "/* a\n ¦ ", "comment") for language in BRACES],
        *[(language, "/* a */ ¦ ", "code") for language in BRACES],
        ("python", "x = 1 # it's ¦", "comment"),
        ("python", 'def f():\n    """a\n  ¦', "string"),
        ("python", '"""a"""\n¦', "code"),
        ("javascript", "`a\n${b} ¦", "string"),
        ("javascript", "a = b / c + '¦' / 2", "string"),
        ("javascript", "a.match(/[/'\"]/, ¦", "code"),
        ("rust", "fn f<'a>(b: &'a str, ¦", "code"),
        ("rust", 'r#"a"b¦"#', "string"),
        ("go", "`a\n\\` + ¦", "code"),
        ("java", '"""\n a" ¦', "string"),
        ("cpp", 'R"x(a)" ¦ )x"', "string"),
        ("c", "a = '\"'; ¦", "code"),
    ],
)
def test_kind_is_known_without_what_follows(language: str, marked: str, kind: str) -> None:
    assert scope(marked, language).kind == kind


def test_text_has_no_scopes() -> None:
    assert scope("if x {\n  'a¦", "text") == CursorScope("code", "", False)


FRAGMENTS = st.sampled_from(
    [
        "def f(a):\n",
        "    ",
        "\n",
        "{",
        "}",
        "(",
        "]",
        '"',
        "'",
        "`",
        '"""',
        "/*",
        "*/",
        "//",
        "#",
        "if (a) {",
        "x",
        ":",
        "=>",
    ]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(FRAGMENTS | st.text(st.characters(), max_size=3), max_size=25), st.data())
def test_any_text_has_a_scope(fragments: list[str], data: st.DataObject) -> None:
    text = "".join(fragments)
    cursor = data.draw(st.integers(0, len(text)))
    for language in LANGUAGES:
        found = scope_at(text, cursor, language)
        assert found.kind in ("code", "string", "comment")
        assert not found.indent.strip()


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_characters="\n\r"), max_size=8), st.sampled_from(LANGUAGES), st.data())
def test_other_letters_before_the_cursor_move_nothing(padding: str, language: str, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(OPENERS[language] + NO_OPENERS[language]))
    comment = "#" if language == "python" else "//"
    padded = f"{comment} {padding} \0\U0001f600\ud83d é.\n".replace("¦", "")
    assert scope(padded + source, language) == scope(f"{comment}\n{source}", language)


def test_a_large_file_is_looked_at_near_the_cursor() -> None:
    body = "def g():\n    return [1, 2]\n\n" * 20_000
    assert scope(f"'''\n{body}class A:\n    def f(self):\n        ¦\n{body}", "python") == CursorScope(
        "code", "    ", True
    )
