"""Scopes at a cursor. In the sources below ¦ is the cursor."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_ls.language import LANGUAGES
from flash_ls.syntax import CursorScope, scope_at

SCRIPTED = ["javascript", "typescript", "tsx", "go", "rust", "java", "c", "cpp", "csharp", "php"]
"""Languages of braces with statements in them."""
LINES = [language for language, row in LANGUAGES.items() if row.blocks == "none"]


def scope(marked: str, language: str) -> CursorScope:
    before, after = marked.split("¦")
    return scope_at(before + after, len(before), language)


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
        "x = {a: [b\ndef f(a):\n    ¦\n",
        "def f(): ...\nclass A:\n    ¦",
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
        "class EXPORT A {¦",
        "BEGIN_A\nnamespace a {¦",
    ],
    "csharp": [
        "namespace A\n{\n    ¦\n}",
        "record R(int A) {¦",
        "enum E {¦}",
        "class A { async Task<int> F<T>(T x) where T : new()\n{\n¦",
        "class A { int X { get {¦",
        "class A { int X {¦",
        "class A { void F() { foreach (var x in y) {¦",
        "class A { void F() { try { } catch (E e) when (x) {¦",
        "class A { void F() { do {¦",
        "class A { void F() { switch (a) {¦",
        "class A { void F() { return b switch\n{\n¦",
        "class A { void F() { f(x =>\n{¦",
        "#if X\nclass A {\n#region b\nvoid F() {¦",
        'class A { void F() { var s = $"{x}{{"; if (a) {¦',
        'class A { void F() { var s = @"a""{\\"; if (a) {¦',
        'class A { void F() { var s = """\n"{\n"""; if (a) {¦',
        "class A { char c = '{'; void F() {¦",
        "if (args.Length > 0) {¦",
    ],
    "php": [
        "<?php\nfunction f() {¦}",
        "function f(): int\n{\n    ¦\n}",
        "<?php class A extends B {¦",
        "enum A: string {¦",
        "abstract class A { public int $x {¦",
        "if ($a) { } else {¦",
        "switch ($a) {¦",
        "$x = match ($a) {¦",
        "do {¦",
        "array_map(function ($x) use ($y) {¦",
        "<p>it's {</p><?php if ($a) {¦",
        "<p>it's</p><?php if ($a) { ?> it's } <?= $b ?> <?php foreach ($a as $b) {¦",
        "<?php\n// it's ?>\n<p>it's <?php if ($a) {¦",
        "# it's {\n#[A('x')]\nfunction f() {¦",
        "$s = <<<EOT\nit's {\nEOT;\nif ($a) {¦",
        "$s = 'a{\nb'; if ($a) {¦",
    ],
    "css": [
        ".a,\n.b > c {\n  ¦\n}",
        "@media (a: b) {¦",
        "@keyframes x {¦",
        "@keyframes x { from {¦",
        "a { color: red; &:hover {¦",
        "@mixin f($a: 1) {¦",
        "@each $a in $b {¦",
        ".m(@a) when (@b) {¦",
        ".a-#{$x} {¦",
        "// it's {\n/* it's { */ .a {¦",
        "a { background: url(http://x//y) } b {¦",
        'a[href="{"] {¦',
        "$map: (a: b);\n.a {¦",
    ],
    "ruby": [
        "def f\n  ¦",
        "def f(a,\n      b)\n  ¦\nend",
        "def self.f = 1\ndef g\n¦",
        "class << self\n¦",
        "x.each do |y|\n  ¦\nend",
        "x.each do |y|¦",
        "foo(x.map do |y|¦)",
        "if a then ¦",
        "until a\n¦",
        "while a do\n¦",
        "x = if a\n¦",
        "if a &&\n   b\n  ¦\nend",
        "if a\n  b\nelse\n  ¦\nend",
        "if a\n  b\nelsif c\n  ¦\nend",
        "begin\n  a\nrescue E => e\n  ¦\nend",
        "case a\nwhen 1\n  ¦\nwhen 2\n  b\nend",
        "def f # it's\n  # note\n  ¦\n",
        "=begin\ndef it's\n=end\ndef f\n¦",
        "return x if z\ndef f\n¦",
        "s = <<~EOS\n  it's if\nEOS\ndef f\n¦",
        "s = %w[it's if]\ndef f\n¦",
        "s =~ /it's/\ndef f\n¦",
        "x = :if\ny = {if: 1, end: 2}\ndef f\n¦",
    ],
    "bash": [
        "if a; then\n  ¦\nfi",
        "if [ a ]\nthen # note\n  ¦\nfi",
        "for ((i=0;i<3;i++)); do\n¦",
        "cat x | while read -r y; do\n  ¦\ndone",
        "f() {¦}",
        "function f {\n¦",
        "f()\n{\n  ¦\n}",
        "if a; then\n  b\nelse\n  ¦\nfi",
        "if a; then\n  b\nelif c; then\n  ¦\nfi",
        'case "$1" in\n¦\nesac',
        "echo done fi\nif a; then\n¦",
        "echo \"it's\" # it's\nif a; then\n¦",
        "x=${a#b}; x=$#; if a; then\n¦",
        "cat <<EOF\nit's if\nEOF\nif a; then\n¦",
        "x=$((1 << N))\nif a; then\n¦",
        "echo \\' ; if a; then\n¦",
        "awk '{\n print\n}' x\nf() {\n¦",
        "ls {a,b} {1..3} {}\nf() {\n¦",
    ],
    "lua": [
        "local function f(a, b)\n  ¦\nend",
        "function M.a:b(...)¦",
        "local f = function(a)\n¦",
        "f(function()¦)",
        "if a then\n¦",
        "if a then\n  b\nelse\n  ¦\nend",
        "if a then\n  b\nelseif c then\n  ¦\nend",
        "while a do\n¦",
        "for _, v in ipairs(map(t, function(x) return x end)) do\n¦",
        "repeat\n  ¦\nuntil a",
        "function f() -- it's\n  -- more\n  ¦",
        "--[==[ it's ]] function\n]==] function f()\n¦",
        "s = [[it's if\n]] if a then\n¦",
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
    "cpp": ["auto a = A{¦}", "std::vector<int> v{¦}", 'auto s = R"x(void f() {¦', "void f() {\n  g();\n  ¦"],
    "csharp": [
        "class A { int[] x = {¦",
        "class A { void F() { var a = new A() {¦}",
        "class A { void F() { if (a is {¦",
        "class A { void F() { {¦",
        'class A { void F() { var s = @"if (a) {¦',
        'class A { void F() { var s = $"{a:¦',
    ],
    "php": [
        "$a = [¦",
        "use A\\{¦}",
        "$a->{¦",
        "# if ($a) {¦",
        "$s = <<<EOT\nif ($a) {¦",
        "<?php if ($a) { ?> {¦",
        "<p> if {¦",
    ],
    "css": ["a {¦ color: red }", "a { color: ¦", "// a {¦", 'a { b: "{¦', ".a-#{¦"],
    "ruby": [
        "def f¦",
        "if a¦",
        "x = y if z\n¦",
        "def f(a) = a\n¦",
        "def f\n  ¦\n  a\nend",
        "def f\nend\n¦",
        "class A; end\n¦",
        "x.class\n¦",
        "x = {if: 1,\n¦",
        "validates :a, if: :b\n¦",
        "# def f\n¦",
        "x = <<~EOS\ndef f\n¦",
    ],
    "bash": [
        "if a¦",
        "if a; then b; fi\n¦",
        "for a in b; do c; done\n¦",
        "case a in b) c;; esac\n¦",
        "f() { a; }\n¦",
        "echo if then\n¦",
        "x=${¦",
        "# if a; then\n¦",
        "cat <<EOF\nif a; then\n¦",
        "f() {\n  ¦\n  a\n}",
    ],
    "lua": [
        "if a ¦",
        "function f(¦",
        "function f() end\n¦",
        "repeat x() until y\n¦",
        "t = {¦",
        "-- if a then\n¦",
        "x = [[ if a then\n¦",
        "function f()\n  ¦\n  a()\nend",
    ],
    "html": ["<p>\n  ¦\n</p>"],
    "json": ["{\n  ¦\n}"],
    "yaml": ["a:\n  ¦"],
    "toml": ["[a]\n¦"],
    "sql": ["create function f() as $$ begin\n  ¦"],
    "markdown": ["# A\n\n¦", "```python\ndef f():\n    ¦"],
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
        *[(language, "void f() {\n  do {\n    b¦", "  ") for language in ("c", "cpp", "java")],
        ("php", "function f() {\n  do {\n    b¦", "  "),
        ("java", "class A { void f() {\n  switch (a) {\n    case b:\n      c(¦", "  "),
        ("csharp", "class A { int f() {\n  return a switch {\n    b => c(¦", "  "),
        ("c", "int f() {\n    if (a)\n        do {¦", "        "),
        ("cpp", "class A {\n  void f() {\n    g(a, h(¦", "  "),
        ("go", "func f() {\n\tselect {¦", "\t"),
        ("csharp", "namespace A\n{\n  class B\n  {\n    int c = d(¦", "  "),
        ("php", "<?php\nclass A {\n  function f(\n    $a\n  ) {\n    b($c[¦", "  "),
        ("css", "@media a {\n  b,\n  c {\n    d: ¦", "  "),
        ("ruby", "class A\n  def f\n    x = a.map do |b|\n      c(¦", "    "),
        ("ruby", "class A\n  def f(a,\n        b)\n    c\n  end\n  ¦", ""),
        ("ruby", "def f\n  if a\n    b\n  else\n    c\n  end\n  ¦", ""),
        ("ruby", "class A\n  def f\n    if a\n  end\n  ¦", ""),
        ("ruby", "x = a\n  .map do |b|\n  c\nend\n¦", ""),
        ("lua", "function f()\n  if a\n     and b then\n    c(d[¦", "  "),
        ("lua", "  f(function()\n    a()\n  end, b¦", ""),
        ("bash", "f() {\n  case $a in\n    b) c ;;\n  esac\n  ¦", ""),
        ("bash", "f() {\n  case $a in\n    b) ¦", "  "),
        ("json", '{\n  "a": [\n    1, ¦', "  "),
        ("json", '{\n  "a": 1,\n  "b": ¦', ""),
        ("yaml", "a:\n  - b: c\n\n    d: ¦\n", "  "),
        ("html", "<p>\n\t<b>\n\t\t¦\n\t</b>", "\t"),
        ("markdown", "- a\n    - b ¦", ""),
        ("toml", "a = [\n  1,\n]\n¦", ""),
    ],
)
def test_indent_is_that_of_the_innermost_header(language: str, marked: str, indent: str) -> None:
    assert scope(marked, language).indent == indent


NESTS = {
    **dict.fromkeys(["javascript", "typescript", "tsx", "go", "rust"], "{0}if a {{\n"),
    **dict.fromkeys(["javascript", "typescript", "tsx", "java", "c", "cpp", "csharp", "php"], "{0}if (a) {{\n"),
    "python": "{0}while a:\n",
    "css": "{0}a {{\n",
    "ruby": "{0}a.each do |b|\n",
    "lua": "{0}for a, b in c do\n",
    "bash": "{0}if a; then\n",
}
OUTER = {
    "go": "func f() {\n",
    "rust": "fn f() {\n",
    "java": "class A { void f() {\n",
    "c": "int f() {\n",
    "cpp": "int f() {\n",
}
ENDS = {"ruby": "end", "lua": "end", "bash": "fi", "python": "c", **dict.fromkeys([*SCRIPTED, "css"], "}")}
STATEMENT = {"css": "b: c;", "bash": "b c"}
UNCLOSED = {"css": "b: c(d", "ruby": "b(c, [d", "lua": "b(c, {{d", "bash": "b=(c"}
HALF_WRITTEN = {"css": "b: ;", "bash": "b=$(c", "lua": "local b = c.", "rust": "b.;", "java": "b(c."}


def nest(language: str, lines: dict[str, str], line: str, depth: int = 10) -> str:
    """Ten headers in one another, with a line in each of them, and the cursor in the body of the last."""
    levels = ["  " * level for level in range(depth)]
    body = "".join(NESTS[language].format(level) + f"{level}  {lines.get(language, line)}\n" for level in levels)
    return OUTER.get(language, "") + body + NESTS[language].format("  " * depth) + "  " * (depth + 1) + "¦"


@pytest.mark.parametrize("language", NESTS)
@pytest.mark.parametrize(
    ("lines", "line"),
    [(STATEMENT, "b(c);"), (UNCLOSED, "b(c, [d"), (HALF_WRITTEN, "b.")],
    ids=["whole", "open", "half"],
)
def test_ten_levels_deep_an_empty_body_opens_a_block_whatever_stands_above(
    language: str, lines: dict[str, str], line: str
) -> None:
    marked = nest(language, lines, line)
    assert scope(marked, language) == CursorScope("code", "  " * 10, True)
    assert not scope(marked.replace("¦", "x = y¦"), language).opens_block


@pytest.mark.parametrize("language", NESTS)
def test_a_body_behind_ten_that_have_ended_is_at_the_top(language: str) -> None:
    levels = ["  " * level for level in range(10)]
    opened = "".join(NESTS[language].format(level) for level in levels)
    ended = "".join(f"{level}{ENDS[language]}\n" for level in reversed(levels))
    marked = f"{OUTER.get(language, '')}{opened}{ended}{NESTS[language].format('')}¦"
    assert scope(marked, language) == CursorScope("code", "", True)


@pytest.mark.parametrize("language", [*LANGUAGES, "text"])
def test_an_empty_file_is_code_at_the_top(language: str) -> None:
    assert scope("¦", language) == scope("\n¦\n", language) == CursorScope("code", "", False)


@pytest.mark.parametrize("language", [key for key in NESTS if key != "python"])
def test_the_end_below_leaves_a_body_empty_and_a_deeper_line_does_not(language: str) -> None:
    header, end = OUTER.get(language) or NESTS[language].format(""), ENDS[language]
    assert scope(f"{header}    ¦\n{end}\nb();\n", language).opens_block
    assert scope(f"{header}    ¦\nb();\n", language).opens_block
    assert not scope(f"{header}    ¦\n    b();\n{end}\n", language).opens_block


CALLING = [language for language in LANGUAGES if language not in (*LINES, "css")]
LINE_COMMENTS = {language: row.line_comment for language, row in LANGUAGES.items() if row.line_comment}


@pytest.mark.parametrize(
    ("language", "marked", "kind"),
    [
        *[(language, 'f(a, "b¦c")', "string") for language in CALLING],
        *[(language, 'f(a, "b¦\nc()\n', "string") for language in CALLING],
        *[(language, 'f("a\\"b" + ¦', "code") for language in CALLING],
        *[(language, f"a() {mark}b ¦ c", "comment") for language, mark in LINE_COMMENTS.items()],
        *[(language, f"a() {mark}b\n¦", "code") for language, mark in LINE_COMMENTS.items()],
        *[(language, "/* a\n ¦ ", "comment") for language in [*SCRIPTED, "css", "sql", "json"]],
        *[(language, "/* a */ ¦ ", "code") for language in [*SCRIPTED, "css", "sql", "json"]],
        *[(language, "<!-- it's\n ¦ ", "comment") for language in ("html", "markdown")],
        *[(language, "<!-- it's -->\n ¦ ", "code") for language in ("html", "markdown")],
        ("python", "x = 1 # it's ¦", "comment"),
        ("python", 'def f():\n    """a\n  ¦', "string"),
        ("python", '"""a"""\n¦', "code"),
        ("javascript", "`a\n${b} ¦", "string"),
        ("javascript", "a = b / c + '¦' / 2", "string"),
        ("javascript", "a.match(/[/'\"]/, ¦", "code"),
        ("rust", "fn f<'a>(b: &'a str, ¦", "code"),
        ("rust", 'r#"a"b¦"#', "string"),
        ("rust", "/* a /* b */ c ¦", "comment"),
        ("rust", "/* a /* b */ c */ ¦", "code"),
        ("go", "`a\n\\` + ¦", "code"),
        ("java", '"""\n a" ¦', "string"),
        ("cpp", 'R"x(a)" ¦ )x"', "string"),
        ("c", "a = '\"'; ¦", "code"),
        ("csharp", '@"a\\" + ¦', "code"),
        ("csharp", '$@"a""b\n¦', "string"),
        ("csharp", '@$"a\\" + ¦', "code"),
        ("csharp", '$"{a} ¦', "string"),
        ("csharp", '$"""\n"a" ¦', "string"),
        ("csharp", "c == '\"' ? ¦", "code"),
        ("ruby", "'it\\'s ¦", "string"),
        ("ruby", "a = <<~SQL\n  b\n  ¦", "string"),
        ("ruby", "a = <<~SQL\n  b\n  SQL\n¦", "code"),
        ("ruby", "f(<<~SQL, ¦", "code"),
        ("ruby", "a =~ /'/ ? ¦", "code"),
        ("ruby", "%w[it's] + ¦", "code"),
        ("ruby", "=begin\na\n¦", "comment"),
        ("ruby", "=begin\na\n=end\n¦", "code"),
        ("ruby", '"#{a} ¦', "string"),
        ("php", "'a\n¦", "string"),
        ("php", "<<<EOT\na ¦", "string"),
        ("php", "<<<'EOT'\na\nEOT;\n¦", "code"),
        ("php", "#[A(¦", "code"),
        ("php", "# it's ¦", "comment"),
        ("php", "<p>it's ¦", "code"),
        ("php", "<?php a(); ?>it's // ¦", "code"),
        ("php", "<?php a(); ?>it's <?php 'a¦", "string"),
        ("bash", "a=b#¦", "code"),
        ("bash", "echo $# ${a#b} ¦", "code"),
        ("bash", "'a\n¦", "string"),
        ("bash", "'a\\' ¦", "code"),
        ("bash", "$'a\\' ¦", "string"),
        ("bash", "cat <<-'EOF' | b\n\ta ¦", "string"),
        ("bash", "cat <<EOF\na\nEOF\n¦", "code"),
        ("bash", "cat <<EOF ¦", "code"),
        ("lua", "[[a\n¦", "string"),
        ("lua", "[=[a]]¦", "string"),
        ("lua", "[=[a]=] .. ¦", "code"),
        ("lua", "--[[ a\n¦", "comment"),
        ("lua", "--[[ a ]] ¦", "code"),
        ("html", '<a href="¦', "string"),
        ("html", "<a href='b' c=¦", "code"),
        ("html", "it's ¦", "code"),
        ("css", "a { background: url(http://a/¦", "code"),
        ("css", 'a { content: "¦', "string"),
        ("json", '{"a¦', "string"),
        ("json", '{"a\\"": ¦', "code"),
        ("yaml", "a: 'it''s ¦", "string"),
        ("yaml", "a: it's ¦", "code"),
        ("yaml", 'a: ["b¦', "string"),
        ("yaml", "a: b#¦", "code"),
        ("toml", "a = 'b\\' ¦", "code"),
        ("toml", 'a = """\n"b" ¦', "string"),
        ("toml", "a = '''\n'b' ¦", "string"),
        ("sql", "select 'it''s ¦", "string"),
        ("sql", "select 'a\\' ¦", "code"),
        ("sql", 'select "a¦', "string"),
        ("markdown", "it's `a¦", "code"),
        ("markdown", '```c\n// "a¦', "code"),
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
        "do\n",
        " then\n",
        "end\n",
        "if a",
        "<?php ",
        "?>",
        "<!--",
        "<<EOF\n",
        "[[",
        "--",
        "a: ",
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


COMMENTS = {"css": ("/*", "*/"), "html": ("<!--", "-->"), "markdown": ("<!--", "-->")}


@settings(max_examples=30, deadline=None)
@given(
    st.text(st.characters(exclude_characters="\n\r¦*->?"), max_size=8), st.sampled_from(sorted(NO_OPENERS)), st.data()
)
def test_other_letters_before_the_cursor_move_nothing(padding: str, language: str, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(OPENERS.get(language, []) + NO_OPENERS[language]))
    begin, end = COMMENTS.get(language) or (LANGUAGES[language].line_comment, "")
    padded = f"{begin} {padding} \0\U0001f600\ud83d é.{end}\n"
    assert scope(padded + source, language) == scope(f"{begin}{end}\n{source}", language)


def test_a_large_file_is_looked_at_near_the_cursor() -> None:
    body = "def g():\n    return [1, 2]\n\n" * 20_000
    assert scope(f"'''\n{body}class A:\n    def f(self):\n        ¦\n{body}", "python") == CursorScope(
        "code", "    ", True
    )
