"""Suggestions in a real Neovim among texts of all kinds: brackets behind the cursor, wide characters, line ends."""

import pytest

from tests.editors.neovim_stage import ACCEPT, WORD, Stage
from tests.editors.script import SILENT

# --- what stands behind the cursor ---


def test_a_closer_that_the_suggestion_covers_is_shown_once_and_replaced(stage: Stage) -> None:
    text = "n):\n    return g(n)"
    stage.begin("def fib()\n", {"def fib(": {"texts": [text], "range": [0, 1]}})
    stage.nvim.type("f)i")
    stage.await_ghost(text)
    stage.nvim.wait_for_row(1, "def fib(n):")
    assert stage.nvim.screen()[1] == "    return g(n)"
    stage.nvim.type(ACCEPT)
    stage.await_lines("def fib(n):", "    return g(n)")
    assert stage.nvim.cursor() == (2, 15)


def test_words_up_to_a_closer_and_over_it(stage: Stage) -> None:
    stage.begin("def fib()\n", {"def fib(": {"texts": ["n):\n    return g(n)"], "range": [0, 1]}})
    stage.nvim.type("f)i")
    stage.await_ghost("n):\n    return g(n)")
    stage.nvim.type(WORD)
    stage.await_lines("def fib(n)")
    stage.nvim.wait_for_row(1, "def fib(n):")
    stage.nvim.type(WORD)
    stage.await_lines("def fib(n):")


def test_brackets_that_a_plugin_closes(stage: Stage) -> None:
    stage.begin("", {"f": "(a, g(b))", "*": SILENT})
    stage.nvim.api.command("inoremap ( ()<Left>")
    stage.nvim.api.command("inoremap <expr> ) getline('.')[col('.') - 1] == ')' ? '<Right>' : ')'")
    stage.nvim.type("i")
    stage.nvim.insert("f")
    stage.await_ghost("(a, g(b))")
    stage.nvim.insert("(")
    stage.nvim.wait_for_row(1, "f(a, g(b))")
    assert stage.nvim.lines() == ["f()"]
    stage.nvim.insert("a, g(b")
    stage.nvim.wait_for_row(1, "f(a, g(b))")
    assert stage.nvim.lines() == ["f(a, g(b))"]
    assert stage.nvim.ghost() == "))"
    stage.nvim.type(")")
    stage.await_ghost(")")
    stage.nvim.wait_for_row(1, "f(a, g(b))")
    stage.nvim.type(ACCEPT)
    stage.await_lines("f(a, g(b))")
    assert stage.nvim.cursor() == (1, 10)


def test_what_the_suggestion_moves_down_is_drawn_where_it_will_be(stage: Stage) -> None:
    stage.begin("f() + 1\nnext\n", {"f(": {"texts": ["\n    a,\n)"], "range": [0, 1]}})
    stage.nvim.type("f)i")
    stage.await_ghost("\n    a,\n)")
    stage.nvim.wait(lambda: stage.nvim.screen()[:4] == ["f(", "    a,", ") + 1", "next"], "the screen is another")
    stage.nvim.type(ACCEPT)
    stage.await_lines("f(", "    a,", ") + 1", "next")


def test_other_text_behind_the_cursor_is_replaced(stage: Stage) -> None:
    stage.begin("x = olda + 1\n", {"x = ": {"texts": ["new"], "range": [0, 4]}})
    stage.nvim.type("foi")
    stage.await_ghost("new")
    stage.nvim.wait_for_row(1, "x = new + 1")
    stage.nvim.type(ACCEPT)
    stage.await_lines("x = new + 1")


def test_a_suggestion_for_typed_text_that_it_does_not_continue_is_not_shown(stage: Stage) -> None:
    stage.begin("", {"ab": {"texts": ["xbc"], "range": [-2, 0]}, "abc": {"texts": ["abcd"], "range": [-3, 0]}})
    stage.nvim.type("i")
    stage.nvim.insert("ab")
    stage.await_asked(2)
    stage.await_quiet()
    assert stage.nvim.marks() == 0
    stage.nvim.insert("c")
    stage.await_ghost("d")


# --- texts of all kinds ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_positions_are_counted_as_the_server_counts_them(stage: Stage, encoding: str) -> None:
    units = len("😀)".encode(encoding.replace("16", "16-le"))) // (2 if encoding == "utf-16" else 1)
    stage.script.server |= {"encoding": encoding}
    stage.begin("größe('👍', 😀)é\n", {"größe('👍', ": {"texts": ["ü, 😀)\n€"], "range": [0, units]}})
    stage.nvim.type("f i<Right>")
    stage.nvim.type("<Esc>a")
    stage.await_ghost("ü, 😀)\n€")
    stage.nvim.type(ACCEPT)
    stage.await_lines("größe('👍', ü, 😀)", "€é")
    assert stage.nvim.cursor() == (2, 3)


def test_wide_characters_are_where_they_belong_on_the_screen(stage: Stage) -> None:
    stage.begin("", {"s = '😀": "数'  # größe"})
    stage.nvim.type("i")
    stage.nvim.insert("s = '😀")
    stage.await_ghost("数'  # größe")
    stage.nvim.wait_for_row(1, "s = '😀数'  # größe")
    stage.nvim.type(WORD)
    stage.await_lines("s = '😀数")


def test_tabs_are_drawn_as_wide_as_they_are(stage: Stage) -> None:
    stage.begin("", {"if": "\tx {\n\ty\n}"})
    stage.nvim.api.command("set tabstop=4 noexpandtab")
    stage.nvim.type("i")
    stage.nvim.insert("if")
    stage.await_ghost("\tx {\n\ty\n}")
    stage.nvim.wait_for_row(1, "if  x {")
    assert stage.nvim.screen()[1:3] == ["    y", "}"]
    stage.nvim.type(ACCEPT)
    stage.await_lines("if\tx {", "\ty", "}")


def test_a_file_with_line_ends_of_windows(stage: Stage) -> None:
    stage.begin("a = 1\r\nb = 2\r\n", {"if": " a:\r\n    b"})
    stage.nvim.type("o")
    stage.nvim.insert("if")
    stage.await_ghost(" a:\n    b")
    stage.nvim.type(ACCEPT)
    stage.await_lines("a = 1", "if a:", "    b", "b = 2")
    stage.nvim.type("<Esc>")
    stage.nvim.api.command("write")
    assert (stage.folder / "a.py").read_bytes() == b"a = 1\r\nif a:\r\n    b\r\nb = 2\r\n"
