"""What is shown of a generated text. In the documents below ¦ is the cursor."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_ls.postprocess import (
    AnswerRule,
    BlockRule,
    CutRule,
    LineRule,
    StatementRule,
    closers_taken,
    is_auto_closed,
    trim_overlap,
)


@pytest.mark.parametrize(
    ("generated", "finished", "shown"),
    [
        ("a + b  \nc", False, "a + b"),
        ("a + b\r\nc", False, "a + b"),
        ("a + b ", True, "a + b"),
        ("a + b", False, ""),
        ("\na", True, ""),
        ("   \n", True, ""),
    ],
)
def test_a_line_ends_at_its_end_or_is_not_shown(generated: str, finished: bool, shown: str) -> None:
    assert LineRule().cut(generated, finished) == shown


@pytest.mark.parametrize(
    ("language", "document", "generated", "shown"),
    [
        ("python", "def f():¦", "\n    a\n\n    b  \n\n\ndef g():", "\n    a\n\n    b"),
        ("python", "    def f():\n        ¦", "a\n        b\n    def g():\n", "a\n        b"),
        ("python", "\tif a:¦", "\n\t\tb\n\telse:\n", "\n\t\tb"),
        ("python", "  if a:¦", "\n\tb\n  c\n", "\n\tb"),
        ("python", "if a:¦", "\n    b = {\n    }\n}\n", "\n    b = {\n    }"),
        ("c", "int f() {¦", "\n  a;\n#ifdef B\n  b;\n#endif\n}\nint g", "\n  a;\n#ifdef B\n  b;\n#endif\n}"),
        (
            "go",
            "\tswitch a {¦",
            "\n\tcase b:\n\t\tc()\n\tdefault:\n\t}\n\td()",
            "\n\tcase b:\n\t\tc()\n\tdefault:\n\t}",
        ),
        ("cpp", "class A {¦", "\npublic:\n  A();\n};\n\nclass B", "\npublic:\n  A();\n};"),
        ("java", "  void f() {¦", "\n    a();\n  public void g() {", "\n    a();"),
        ("javascript", "f(() => {¦", "\n  a()\n})\nb()", "\n  a()\n})"),
        ("javascript", "f(() => {¦})", "\n  a()\n})\nb()", "\n  a()"),
        ("javascript", "  f(() => {¦})", "\n    a()\n  })\n  b()", "\n    a()"),
        ("javascript", "  if (a) {¦", "\n    b()\n  } else {\n", "\n    b()\n  }"),
        ("javascript", "  if (a) {\n    ¦\n  }", "b()\n  }\n", "b()"),
        ("javascript", "  if (a) {\n    ¦\n}", "b()\n  }\n}", "b()\n  }"),
        ("javascript", "  if (a) {¦", "\n    b()\n}\n", "\n    b()"),
        ("csharp", "  void F() {¦", "\n#if A\n    a();\n  }\n  int B;", "\n#if A\n    a();\n  }"),
        ("php", "  case $a) {¦", "\n  case 1:\n    b();\n  }\n  c();", "\n  case 1:\n    b();\n  }"),
        ("css", "a {¦\n}", "\n  b: c;\n}\nd {", "\n  b: c;"),
        ("ruby", "  def f\n    ¦", "a\n  end\n\n  def g\n", "a\n  end"),
        ("ruby", "  def f\n    ¦\n  end", "a\n  end\n\n  def g\n", "a"),
        ("ruby", "  def f\n    ¦\nend", "a\n  end\nend\n", "a\n  end"),
        ("ruby", "  if a\n    ¦", "b\n  else\n    c\n  end\n  d\n", "b\n  else\n    c\n  end"),
        ("ruby", "  if a\n    ¦\n  else\n    c\n  end", "b\n  else\n    d\n  end\n", "b"),
        ("ruby", "  if a\n    ¦\n  else\n    c\n  end", "b\n  end\n", "b"),
        ("ruby", "case a\n¦", "when 1\n  b\nwhen 2\n  c\nend\nd\n", "when 1\n  b\nwhen 2\n  c\nend"),
        ("ruby", "def f\n¦", "  a = 1\nendless = 2\n", "  a = 1"),
        ("lua", "f(function()¦)", "\n  a()\nend)\nb()\n", "\n  a()\nend)"),
        ("lua", "repeat¦", "\n  a()\nuntil b == c\nd()\n", "\n  a()\nuntil b == c"),
        ("bash", "if a; then¦", "\n  b\nfi\nc d\n", "\n  b\nfi"),
        ("bash", "if a; then¦\nfi", "\n  b\nfi\nc d\n", "\n  b"),
        ("bash", "for a in b; do¦", "\n  c <<EOF\nd e\nEOF\ndone\nf\n", "\n  c <<EOF\nd e\nEOF\ndone"),
        ("bash", "f() {¦", "\n  a\n}\nb c\n", "\n  a\n}"),
        ("python", "  def f():¦", '\n    a = """\nb c\n"""\n    d\n  e f', '\n    a = """\nb c\n"""\n    d'),
        ("go", "  f() {¦", "\n    a := `\nb c`\n  }\n  d", "\n    a := `\nb c`\n  }"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_a_block_ends_with_its_body(language: str, document: str, generated: str, shown: str, finished: bool) -> None:
    before, after = document.split("¦")
    header = before.split("\n")[0]
    rule = BlockRule(header[: len(header) - len(header.lstrip())], language, after)
    assert rule.complete(generated + " x")
    assert rule.cut(generated, finished) == shown


def test_only_whole_lines_of_an_unfinished_block_are_shown() -> None:
    rule = BlockRule("", "python")
    assert rule.cut("\n    a\n    b", finished=False) == "\n    a"
    assert rule.cut("\n    a\n    b", finished=True) == "\n    a\n    b"
    assert rule.cut("a.b", finished=False) == ""
    assert BlockRule("", "go").cut("\n\ta\n}", finished=False) == "\n\ta\n}"


@pytest.mark.parametrize(("language", "end"), [("ruby", "end"), ("bash", "fi"), ("lua", "end"), ("php", "}")])
def test_what_closes_the_block_is_not_repeated_when_the_model_ends_with_it(language: str, end: str) -> None:
    generated = f"\n    a\n  {end}"
    assert BlockRule("  ", language).cut(generated, finished=True) == generated
    assert BlockRule("  ", language, f"\n  {end}\n").cut(generated, finished=True) == "\n    a"


def test_a_closing_word_is_complete_only_when_something_else_begins() -> None:
    complete = BlockRule("", "lua").complete
    assert [complete(f"\n\ta\n{end}") for end in ("e", "end", "end)", "else", "elsei")] == [False] * 5
    assert [complete(f"\n\ta\n{end}") for end in ("end\n", "end x", "ends\n", "e x")] == [True] * 4


def test_a_closing_brace_is_complete_only_when_something_else_begins() -> None:
    complete = BlockRule("", "go").complete
    assert [complete(f"\n\ta\n{end}") for end in ("", "}", "})", "});", "}\n", "} e")] == [False] * 4 + [True] * 2


def test_a_label_at_the_column_of_the_header_is_told_from_what_comes_after_the_block() -> None:
    complete = BlockRule("", "cpp").complete
    assert [complete(f"\n  a();\n{line}") for line in ("pub", "public", "public:", "case 1:", "d")] == [False] * 5
    assert [complete(f"\n  a();\n{line}") for line in ("public b", "d e", "cases(", "d\n")] == [True] * 4


PIECES = st.sampled_from(
    [
        "a",
        " ",
        "  ",
        "\t",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "}",
        "})",
        ";",
        "#",
        "case b:",
        "public",
        ":",
        "def f():",
        "\r\n",
        '"',
        "`",
        "end",
        "else",
        "fi",
    ]
)
RULES = st.one_of(
    st.just(LineRule()),
    st.builds(
        BlockRule,
        st.sampled_from(["", "  ", "\t"]),
        st.sampled_from(["python", "go", "cpp", "ruby", "lua", "bash", "php", "text"]),
        st.sampled_from(["", "}", "\n}", "\n  }", "\nx", "\nend", "\n  else", "\n\tfi"]),
    ),
)


@settings(max_examples=150, deadline=None)
@given(RULES, st.lists(PIECES, max_size=20).map("".join), st.booleans())
def test_a_cut_is_a_tidy_beginning_and_cutting_it_again_changes_nothing(
    rule: CutRule, generated: str, finished: bool
) -> None:
    shown = rule.cut(generated, finished)
    assert generated.startswith(shown)
    assert shown == shown.rstrip()
    assert rule.cut(shown, finished=True) == shown


@settings(max_examples=150, deadline=None)
@given(RULES, st.lists(PIECES, max_size=20).map("".join))
def test_nothing_decoded_after_completion_changes_the_cut(rule: CutRule, generated: str) -> None:
    complete = [rule.complete(generated[:size]) for size in range(len(generated) + 1)]
    assert complete == sorted(complete)
    if complete[-1]:
        early = generated[: complete.index(True)]
        assert rule.cut(early, finished=False) == rule.cut(generated, finished=True)


@pytest.mark.parametrize(
    ("document", "text", "shown"),
    [
        # the rest of the line
        ("x = f(¦)", "a)", "a"),
        ("x = ¦)", "f(a)", "f(a)"),
        ("x = f(¦)", "g(a))", "g(a)"),
        ("x = f(¦ )", "a)", "a"),
        ("x = ¦ + b", "a + b", "a"),
        ("x = ¦ + b", "a + ", "a"),
        ("x = ¦b", "a + b", "a + "),
        ("x = ¦bc", "ab", "ab"),
        ('x = "¦"', 'a"', "a"),
        ('x = ¦"', '"a"', '"a"'),
        ("x = ¦)", "')'", "')'"),
        ("f(¦));", "a));", "a"),
        ("f(¦)", "\n  a,\n)", "\n  a,\n"),
        ("  f(¦)", "\n    a,\n  )", "\n    a,\n  "),
        # the next lines
        ("def f():\n    ¦\n    return total", "total = 1\n    return total", "total = 1"),
        ("  ¦\n  b()\n  c()", "a()\n  b()\n  c()", "a()"),
        ("  ¦\n}", "a()\n}", "a()"),
        ("  ¦\n}", "if (a) {\n}", "if (a) {\n}"),
        ("    ¦\n}", "a()\n  }", "a()\n  }"),
        ("  ¦\n  }\n}", "a()\n  }\n}", "a()"),
        ("  ¦\n  x", "a()\n  x", "a()\n  x"),
        # nothing but the next line
        ("    ¦\n    return total", "return total", ""),
        ("    ret¦\n    return total", "urn total", ""),
        ("    x = ¦\n    total()", "total()", "total()"),
        ("    ¦\n  }", "}", "}"),
        # nothing at all
        ("¦", " \n ", ""),
        ("¦)", ")", ""),
    ],
)
def test_what_follows_is_not_repeated(document: str, text: str, shown: str) -> None:
    before, after = document.split("¦")
    assert trim_overlap(text, after, line_prefix=before.split("\n")[-1]) == shown


OVERLAPS = st.lists(st.sampled_from(["a", "foo", " ", "\n", "(", ")", "}", "{", '"', "'", "\\", ";"]), max_size=12).map(
    "".join
)


@settings(max_examples=150, deadline=None)
@given(OVERLAPS, OVERLAPS, st.sampled_from(["", "    ", "fo"]))
def test_a_trimmed_text_is_a_beginning_of_the_text(text: str, after: str, line_prefix: str) -> None:
    assert text.startswith(trim_overlap(text, after, line_prefix))
    assert 0 <= closers_taken(text, after) <= len(after)


@pytest.mark.parametrize(
    ("text", "line_suffix", "taken"),
    [
        ("):", ")", 1),
        ("a, b)", ")", 1),
        ("foo(a)", ")", 0),
        ('x"])', '"])', 3),
        ('x"]', '"])', 2),
        ("n", ")", 0),
        ("a]", ")", 0),
        ("a])", ")", 1),
        ("a) {", " ) x", 2),
        ("a(b'", "'", 1),
        ("y)}'", ")}'", 3),
        ("')'", ")", 0),
        ('"a", ', '"b")', 0),
        ("a)", "", 0),
        ("a)", "b)", 0),
    ],
)
def test_a_text_takes_the_closers_it_closes_itself(text: str, line_suffix: str, taken: int) -> None:
    assert closers_taken(text, line_suffix) == taken


@pytest.mark.parametrize(
    ("line_suffix", "expected"),
    [
        (")", True),
        ('"])', True),
        ("} \r", True),
        ("", False),
        ("  ", False),
        (") {", False),
        (")))))", False),
        (";", False),
    ],
)
def test_auto_closed(line_suffix: str, expected: bool) -> None:
    assert is_auto_closed(line_suffix) is expected


STATEMENTS = {
    "a line": ("python", "    ¦", "a = 1\n    b", "a = 1"),
    "a header and its body": ("python", "    ¦", "if a:\n        b\n    c\n", "if a:\n        b"),
    "the rest of a header": ("python", "    if ¦", "a:  # why\n        b\n    c\n", "a:  # why\n        b"),
    "a header above its body": ("python", "    ¦\n        b()\n", "if a:\n        c()\n    d\n", "if a:"),
    "a header above a body in braces": ("go", "\t¦\n\t\tb()\n\t}\n", "if a {\n\t\tc()\n\t}\n", "if a {"),
    "braces": ("go", "\t¦\n}\n", "if a {\n\t\tb()\n\t}\n\tc()\n", "if a {\n\t\tb()\n\t}"),
    "braces on the line": ("go", "\tif a ¦{\n", "&& b {\n\t\tc()\n\t}\n", "&& b {"),
    "an open body": ("python", "    ¦", "if a:\n        b\n        c", "if a:\n        b"),
    "no header": ("python", "    x = {¦}", "'a':\n        1}\n", "'a':"),
    "a language without blocks": ("text", "¦", "note:\n  more\n", "note:"),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_line_that_opens_a_block_has_it(name: str) -> None:
    language, document, generated, shown = STATEMENTS[name]
    before, after = document.split("¦")
    assert StatementRule(before.rpartition("\n")[2], language, after).cut(generated, False) == shown


@given(st.text("a:{}\n\t ", max_size=30), st.sampled_from(["python", "go", "text"]), st.sampled_from(["", "\n\tb\n"]))
def test_a_statement_that_is_complete_stays_as_it_is(text: str, language: str, after: str) -> None:
    rule = StatementRule("\t", language, after)
    for end in range(len(text) + 1):
        if rule.complete(text[:end]):
            assert all(rule.complete(text[:more]) for more in range(end, len(text) + 1))
            assert {rule.cut(text[:more], False) for more in range(end, len(text) + 1)} == {rule.cut(text[:end], False)}
            break


WHOLE = {
    "the model ends it": ("", "\na\n  b \n", True, "\na\n  b"),
    "nobody ends it": ("", "\na\n", False, ""),
    "it comes to the next line": ("\nreturn x\n", "a\nreturn x\nb\n", False, "a\nreturn x"),
    "it comes to the rest of its line": (" + total)\nb", "f(a)\ng(b + total)\nc\n", False, "f(a)\ng(b + total)"),
    "a line that tells nothing": ("\n}\n", "a {\n}\nb\n}\n", True, "a {\n}\nb\n}"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_goes_to_what_follows_or_to_its_own_end(name: str) -> None:
    follows, generated, finished, shown = WHOLE[name]
    assert AnswerRule(follows).cut(generated, finished) == shown
    assert AnswerRule(follows).complete(generated) == (name.startswith("it comes"))
