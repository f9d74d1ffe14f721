"""The plugin in a real Neovim: what stands on the screen, in the buffer and on the wire.

Most tests use a server that answers as they say, by the line before the cursor.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flash_ls import __version__
from tests.editors.neovim import PLUGIN, Neovim
from tests.lsp_client import python_module

INLINE = "textDocument/inlineCompletion"
MOVED = "flashLs/didMoveCursor"
ACCEPT, WORD, LINE, NEXT, PREVIOUS, DISMISS, TRIGGER = (
    "<Tab>",
    "<M-w>",
    "<M-l>",
    "<M-n>",
    "<M-p>",
    "<C-]>",
    "<M-Bslash>",
)
Answer = dict[str, Any]
SILENT: Answer = {"silent": True}


class Stage:
    """A Neovim, a server that follows a script, and files that are edited."""

    def __init__(self, nvim: Neovim, folder: Path) -> None:
        self.nvim = nvim
        self.folder = folder
        self._script, self._log = folder / "script.json", folder / "messages.jsonl"
        self._log.touch()
        self.server: dict[str, Any] = {}
        self.play({})

    @property
    def command(self) -> list[str]:
        return python_module("tests.editors.scripted_server", str(self._script), str(self._log))

    def play(self, answers: dict[str, str | Answer]) -> None:
        """Have the server answer so from now on; a string is short for its one text."""
        rules = {key: {"texts": [rule]} if isinstance(rule, str) else rule for key, rule in answers.items()}
        new = self._script.with_suffix(".new")
        new.write_text(json.dumps({**self.server, "answers": rules}), encoding="utf-8")
        new.replace(self._script)

    def begin(self, text: str = "", answers: dict[str, str | Answer] | None = None, **options: Any) -> None:
        """The plugin set up, and a file open."""
        self.play(answers or {})
        self.nvim.setup(self.command, **options)
        self.nvim.open(self.folder / "a.py", text)

    def heard(self, method: str) -> list[Any]:
        """The parameters of every message of this kind that the server got."""
        messages = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines(keepends=False)]
        return [message.get("params") for message in messages if message.get("method") == method]

    def await_message(self, method: str, times: int = 1) -> Any:
        self.nvim.wait(lambda: len(self.heard(method)) >= times, f"the server does not get {method}")
        return self.heard(method)[-1]

    def await_asked(self, column: int) -> None:
        """Until the server was asked for a column of this many units."""
        here = f"the server is not asked at {column}"
        self.nvim.wait(lambda: [at["position"]["character"] for at in self.heard(INLINE)][-1:] == [column], here)

    def await_quiet(self) -> None:
        """Until nothing is asked that has not been answered."""
        pending = "return next(require('flash_ls.server').client().requests) ~= nil"
        self.nvim.wait(lambda: not self.nvim.lua(pending), "a request is not answered")

    def await_ghost(self, text: str) -> None:
        self.nvim.wait(lambda: self.nvim.ghost() == text, f"{text!r} is not suggested")

    def await_lines(self, *lines: str) -> None:
        self.nvim.wait(lambda: self.nvim.lines() == list(lines), f"the buffer is not {lines}")

    def await_nothing(self) -> None:
        self.nvim.wait(lambda: self.nvim.marks() == 0, "ghost text stays")
        assert self.nvim.ghost() == ""


@pytest.fixture
def nvim(neovim_installed: None, tmp_path: Path) -> Iterator[Neovim]:
    with Neovim(tmp_path / "home") as nvim:
        yield nvim


@pytest.fixture
def stage(nvim: Neovim, tmp_path: Path) -> Stage:
    return Stage(nvim, tmp_path)


# --- suggestions ---


def test_a_suggestion_is_on_the_screen_and_not_in_the_buffer(stage: Stage) -> None:
    nvim = stage.nvim
    stage.begin("\nlast = 1\n", {"ret": "urn [\n    x,\n]"})
    nvim.type("i")
    nvim.insert("ret")
    nvim.wait_for_row(1, "return [")
    assert nvim.screen()[:4] == ["return [", "    x,", "]", "last = 1"]
    assert nvim.lines() == ["ret", "last = 1"]
    typed, ghost = (nvim.lua("return vim.fn.screenattr(1, ...)", column) for column in (3, 4))
    assert typed != ghost
    nvim.api.command("colorscheme habamax")
    assert nvim.lua("return vim.api.nvim_get_hl(0, {name = 'FlashLsGhost'}).link") == "Comment"
    assert nvim.lua("return vim.fn.screencol()") == 4


def test_the_whole_is_accepted(stage: Stage) -> None:
    stage.begin("", {"ret": "urn [\n    x,\n]"})
    stage.nvim.type("i")
    stage.nvim.insert("ret")
    stage.await_ghost("urn [\n    x,\n]")
    stage.nvim.type(ACCEPT)
    stage.await_lines("return [", "    x,", "]")
    assert stage.nvim.cursor() == (3, 1)
    assert stage.nvim.mode() == "i"
    stage.await_nothing()


def test_words_are_accepted_one_by_one(stage: Stage) -> None:
    stage.begin("", {"x": " = größe(self.y):\n    z"})
    stage.nvim.type("i")
    stage.nvim.insert("x")
    stage.await_ghost(" = größe(self.y):\n    z")
    seen = [
        "x =",
        "x = größe",
        "x = größe(",
        "x = größe(self",
        "x = größe(self.",
        "x = größe(self.y",
        "x = größe(self.y):",
    ]
    for line in seen:
        stage.nvim.type(WORD)
        stage.await_lines(line)
        assert stage.nvim.screen()[:2] == ["x = größe(self.y):", "    z"]
    stage.nvim.type(WORD)
    stage.await_lines("x = größe(self.y):", "    z")
    stage.await_nothing()
    assert len(stage.heard(INLINE)) <= 4, "what is left of an answer is not asked for again"


def test_lines_are_accepted_one_by_one(stage: Stage) -> None:
    stage.begin("", {"if": " a:\n    b\n    c"})
    stage.nvim.type("i")
    stage.nvim.insert("if")
    stage.await_ghost(" a:\n    b\n    c")
    for lines in (["if a:"], ["if a:", "    b"], ["if a:", "    b", "    c"]):
        stage.nvim.type(LINE)
        stage.await_lines(*lines)
        assert stage.nvim.screen()[:3] == ["if a:", "    b", "    c"]


def test_an_accepted_suggestion_is_undone_alone(stage: Stage) -> None:
    stage.begin("first\n", {"ab": "cd\nef"})
    stage.nvim.type("o")
    stage.nvim.insert("ab")
    stage.await_ghost("cd\nef")
    stage.nvim.type(ACCEPT)
    stage.await_lines("first", "abcd", "ef")
    stage.nvim.insert("gh")
    stage.nvim.type("<Esc>u")
    stage.await_lines("first", "abcd", "ef")
    stage.nvim.type("u")
    stage.await_lines("first", "ab")
    stage.nvim.type("u")
    stage.await_lines("first")
    stage.nvim.type("<C-r><C-r><C-r>")
    stage.await_lines("first", "abcd", "efgh")


def test_a_dismissed_suggestion_comes_back_with_the_next_key_only(stage: Stage) -> None:
    stage.begin("", {"a": "bc", "ab": "cd"})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bc")
    stage.nvim.type(DISMISS)
    stage.await_nothing()
    assert stage.nvim.mode() == "i"
    stage.nvim.insert("b")
    stage.await_ghost("cd")


def test_somebody_who_asks_goes_through_several(stage: Stage) -> None:
    stage.begin("", {"a": {"texts": ["1", "2", "3"]}})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("1")
    for key, text in [(NEXT, "2"), (NEXT, "3"), (NEXT, "1"), (PREVIOUS, "3"), (PREVIOUS, "2")]:
        stage.nvim.type(key)
        stage.nvim.wait_for_row(1, f"a{text}")
    assert [asked["context"]["triggerKind"] for asked in stage.heard(INLINE)][-2:] == [2, 1]
    stage.nvim.type(ACCEPT)
    stage.await_lines("a2")


def test_the_command_of_an_item_is_run_once_all_of_it_is_accepted(stage: Stage) -> None:
    stage.server = {"told": {}}
    stage.begin("", {"a": {"texts": ["b c"], "command": {"title": "", "command": "flashLs.status", "arguments": [1]}}})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("b c")
    stage.nvim.type(WORD)
    stage.await_lines("ab")
    assert stage.heard("workspace/executeCommand") == []
    stage.nvim.type(WORD)
    assert stage.await_message("workspace/executeCommand") == {"command": "flashLs.status", "arguments": [1]}


def test_keys_that_come_within_the_debounce_are_asked_for_once(stage: Stage) -> None:
    stage.begin("", {"abc": "d"}, debounce_ms=100)
    stage.nvim.type("i")
    stage.nvim.insert("abc")
    stage.await_ghost("d")
    assert len(stage.heard(INLINE)) == 1


def test_without_asking_by_itself_a_key_asks(stage: Stage) -> None:
    stage.begin("", {"a": {"texts": ["1", "2"]}}, auto=False)
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.nvim.type(TRIGGER)
    stage.await_ghost("1")
    assert [asked["context"]["triggerKind"] for asked in stage.heard(INLINE)] == [1]
    stage.nvim.insert("b")
    stage.nvim.type(TRIGGER)
    stage.nvim.wait_for_row(1, "ab no suggestion here")
    stage.nvim.insert("c")
    stage.nvim.wait_for_row(1, "abc")


# --- what is no longer right ---


def test_what_agrees_with_the_keys_stays_while_the_server_is_asked(stage: Stage) -> None:
    stage.begin("", {"a": "bcd", "*": SILENT})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bcd")
    stage.nvim.insert("b")
    assert stage.nvim.ghost() == "cd"
    stage.nvim.wait_for_row(1, "abcd")
    stage.await_asked(2)
    stage.play({"*": SILENT})
    stage.nvim.type("<BS>")
    stage.await_lines("a")
    assert stage.nvim.ghost() == "bcd"
    stage.nvim.wait_for_row(1, "abcd")


def test_what_does_not_agree_goes_at_once(stage: Stage) -> None:
    stage.begin("", {"a": "bcd", "*": SILENT})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bcd")
    stage.nvim.insert("x")
    stage.await_nothing()
    stage.nvim.wait_for_row(1, "ax")


def test_an_answer_with_nothing_in_it_ends_a_suggestion(stage: Stage) -> None:
    stage.begin("", {"a": "bcd"})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bcd")
    stage.nvim.insert("b")
    stage.await_nothing()


def test_an_answer_that_comes_late_is_dropped_and_its_request_cancelled(stage: Stage) -> None:
    stage.begin("", {"a": {"texts": ["late"], "delay_s": 0.2}})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_asked(1)
    stage.nvim.insert("z")
    stage.await_message("$/cancelRequest")
    stage.await_asked(2)
    stage.await_quiet()
    assert stage.nvim.marks() == 0


def test_an_answer_to_a_text_that_changed_unseen_is_dropped(stage: Stage) -> None:
    stage.begin("", {"a": {"raw": [{"insertText": "late"}], "delay_s": 0.2}})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_asked(1)
    stage.nvim.api.command("set eventignore=all")
    stage.nvim.insert("z")
    stage.await_quiet()
    assert stage.nvim.marks() == 0


@pytest.mark.parametrize("keys", ["<Left>", "<Esc>", "<C-o>0", "<Esc>k", "<C-o>:new<CR>", "<Cmd>new<CR>"])
def test_moving_on_ends_a_suggestion(stage: Stage, keys: str) -> None:
    stage.begin("line\n", {"ab": "cd"})
    stage.nvim.type("o")
    stage.nvim.insert("ab")
    stage.await_ghost("cd")
    stage.nvim.type(keys)
    stage.await_nothing()
    assert stage.nvim.lua("return vim.fn.bufnr('a.py') ~= -1")


def test_keys_that_are_typed_faster_than_they_are_seen(stage: Stage) -> None:
    stage.begin("", {"import n": "umpy as np"})
    stage.nvim.type("i")
    stage.nvim.insert("import n")
    stage.await_ghost("umpy as np")
    stage.nvim.type(f"ump{ACCEPT}")
    stage.await_lines("import numpy as np")
    stage.nvim.type("<CR>import n")
    stage.await_ghost("umpy as np")
    stage.nvim.type(f"x{ACCEPT}")
    stage.nvim.wait(lambda: stage.nvim.lines()[1].startswith("import nx"))
    assert "umpy" not in stage.nvim.lines()[1]


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
    stage.nvim.insert("f(")
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
    stage.server = {"encoding": encoding}
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


def test_two_buffers_share_a_server_and_keep_apart(stage: Stage) -> None:
    nvim = stage.nvim
    stage.begin("", {"a": "1", "b": "2"})
    nvim.type("i")
    nvim.insert("a")
    stage.await_ghost("1")
    first = nvim.api.current.buffer.number
    nvim.type("<Esc>")
    nvim.api.command("write")
    nvim.open(stage.folder / "b.py")
    nvim.type("i")
    nvim.insert("b")
    stage.await_ghost("2")
    assert nvim.screen()[0] == "b2"
    assert len(stage.heard("initialize")) == 1
    assert nvim.marks() == 1
    nvim.type(f"{ACCEPT}<Esc>")
    stage.await_lines("b2")
    assert nvim.lua("return vim.api.nvim_buf_get_lines(..., 0, -1, true)", first) == ["a"]


def test_a_second_project_is_shown_to_the_same_server(stage: Stage) -> None:
    for name in ("one", "two"):
        (stage.folder / name / ".git").mkdir(parents=True)
    stage.nvim.setup(stage.command)
    stage.nvim.open(stage.folder / "one" / "a.py")
    stage.nvim.open(stage.folder / "two" / "b.py")
    added = stage.await_message("workspace/didChangeWorkspaceFolders")["event"]["added"]
    assert [folder["uri"] for folder in added] == [(stage.folder / "two").as_uri()]
    assert stage.heard("initialize")[0]["rootUri"] == (stage.folder / "one").as_uri()
    assert len(stage.heard("initialize")) == 1


# --- menus ---

MENU = "apple\nappend\napplaud\n\n"


def with_menu(stage: Stage, completeopt: str, answers: dict[str, str | Answer]) -> None:
    """The menu of words open behind `app` on the last line."""
    stage.begin(MENU, answers)
    stage.nvim.api.command(f"set completeopt={completeopt}")
    stage.nvim.type("G0i")
    stage.nvim.insert("app")
    stage.nvim.type("<C-n>")
    stage.nvim.wait(lambda: bool(stage.nvim.lua("return vim.fn.pumvisible() == 1")), "there is no menu")


def test_ghost_text_beside_a_menu_in_which_nothing_is_selected(stage: Stage) -> None:
    with_menu(stage, "menuone,noselect", {"app": "ly(x)\ny"})
    stage.await_ghost("ly(x)\ny")
    stage.nvim.wait_for_row(4, "apply(x) …")
    assert [row.strip() for row in stage.nvim.screen()[4:7]] == ["apple", "append", "applaud"]
    assert stage.nvim.marks() == 1
    stage.play({"*": SILENT})
    stage.nvim.type("l")
    stage.nvim.wait(lambda: stage.nvim.ghost() == "y(x)\ny" and stage.nvim.screen()[3] == "apply(x) …")
    stage.await_asked(4)
    stage.nvim.type(ACCEPT)
    stage.await_lines("apple", "append", "applaud", "apply(x)", "y")
    assert not stage.nvim.lua("return vim.fn.pumvisible() == 1")


def test_a_selected_item_is_told_to_the_server_and_extended(stage: Stage) -> None:
    extended = {"texts": ["apple(x)"], "range": [-5, 0]}
    with_menu(stage, "menuone", {"apple": extended, "*": "nothing"})
    stage.nvim.wait_for_row(4, "apple(x)")
    info = stage.heard(INLINE)[-1]["context"]["selectedCompletionInfo"]
    start, end = {"line": 3, "character": 0}, {"line": 3, "character": 5}
    assert info == {"text": "apple", "range": {"start": start, "end": end}}
    stage.nvim.type(ACCEPT)
    stage.nvim.wait(lambda: stage.nvim.lines()[3] != "apple")
    assert "(x)" not in stage.nvim.lines()[3], "the key belongs to the menu"


def test_an_item_that_is_selected_but_not_written_yet(stage: Stage) -> None:
    extended = {"texts": ["apple(x)"], "range": [-3, 0]}
    with_menu(stage, "menuone,noinsert", {"app": extended})
    stage.nvim.wait_for_row(4, "apple(x)")
    assert stage.heard(INLINE)[-1]["context"]["selectedCompletionInfo"]["text"] == "apple"
    assert stage.nvim.lines()[3] == "app"
    stage.play({"app": {"texts": ["append(y)"], "range": [-3, 0]}, "append": "(y)"})
    stage.nvim.type("<Down>")
    stage.nvim.wait_for_row(4, "append(y)")
    stage.nvim.type("<C-y>")
    stage.nvim.wait(lambda: stage.nvim.lines()[3] == "append")
    stage.nvim.wait_for_row(4, "append(y)")
    stage.nvim.type(ACCEPT)
    stage.nvim.wait(lambda: stage.nvim.lines()[3] == "append(y)")


PLUGIN_MENUS = [("blink.cmp", "is_menu_visible", "get_selected_item"), ("cmp", "visible", "get_selected_entry")]


@pytest.mark.parametrize(("plugin", "visible", "selected"), PLUGIN_MENUS)
def test_ghost_text_makes_room_for_a_selected_item_of_a_plugin(
    stage: Stage, plugin: str, visible: str, selected: str
) -> None:
    menu = """
    local plugin, visible, selected = ...
    package.loaded[plugin] = {
      [visible] = function() return _G.menu_open end,
      [selected] = function() return _G.menu_item end,
    }
    _G.menu_open = true
    """
    stage.nvim.lua(menu, plugin, visible, selected)
    stage.begin("", {"a": "bc"})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bc")
    stage.nvim.lua("_G.menu_item = {}")
    stage.nvim.wait_for_row(1, "a")
    stage.nvim.type(ACCEPT)
    stage.nvim.wait(lambda: stage.nvim.lines() != ["a"])
    assert "bc" not in stage.nvim.lines()[0]
    stage.nvim.type("<BS>" * 4)
    stage.nvim.wait(lambda: "a" not in stage.nvim.lines()[0])
    asked = len(stage.heard(INLINE))
    stage.nvim.insert("a")
    stage.nvim.lua("_G.menu_item = nil")
    stage.nvim.type(TRIGGER)
    stage.nvim.wait_for_row(1, "abc")
    assert len(stage.heard(INLINE)) == asked + 1, "nothing is asked for what could not be shown"
    stage.nvim.lua("_G.menu_item = {}")
    stage.nvim.wait_for_row(1, "a")
    stage.nvim.lua("_G.menu_open = false")
    stage.nvim.wait_for_row(1, "abc")


# --- keys ---


def test_a_key_that_has_nothing_to_accept_does_what_it_did(stage: Stage) -> None:
    nvim = stage.nvim
    nvim.lua("vim.keymap.set('i', '<Tab>', function() return _G.word or 'earlier' end, {expr = true})")
    stage.begin("", {"a": "bc"})
    nvim.type(f"i{ACCEPT}")
    stage.await_lines("earlier")
    nvim.lua("vim.keymap.set('i', '<Tab>', '<C-k>oe!')")
    nvim.type(f"<C-u>{ACCEPT}")
    stage.await_lines("œ!")
    nvim.type("<C-u>")
    nvim.insert("a")
    stage.await_ghost("bc")
    nvim.type(ACCEPT)
    stage.await_lines("abc")


def test_a_key_of_the_buffer_is_kept_too(stage: Stage) -> None:
    stage.nvim.api.command("autocmd FileType python inoremap <buffer> <Tab> local")
    stage.begin("", {"a": "bc"})
    stage.nvim.api.command("filetype detect")  # maps the key once more, after ours
    stage.nvim.type(f"i{ACCEPT}")
    stage.await_lines("local")
    stage.nvim.type("<C-u>")
    stage.nvim.insert("a")
    stage.await_ghost("bc")
    stage.nvim.type(ACCEPT)
    stage.await_lines("abc")
    stage.nvim.api.command("FlashLs restart")
    stage.await_message("initialize", 2)
    stage.nvim.wait(stage.nvim.served)
    stage.nvim.type(f"<C-u>{ACCEPT}")
    stage.await_lines("local")


def test_snippets_keep_their_key(stage: Stage) -> None:
    stage.begin("\n")
    stage.nvim.type("i")
    stage.nvim.lua("vim.snippet.expand('f(${1:a}, ${2:b})')")
    stage.await_lines("f(a, b)")
    stage.nvim.type(f"x{ACCEPT}")
    stage.nvim.wait(lambda: stage.nvim.mode() == "s", "the next place is not selected")
    stage.nvim.type("y")
    stage.await_lines("f(x, y)")


def test_a_tab_is_a_tab(stage: Stage) -> None:
    stage.begin("")
    stage.nvim.api.command("set expandtab softtabstop=4")
    stage.nvim.type(f"i{ACCEPT}x")
    stage.await_lines("    x")


def test_other_keys_without_a_suggestion_do_not_leave_the_insert_mode(stage: Stage) -> None:
    stage.begin("")
    stage.nvim.type(f"ia{WORD}{LINE}{NEXT}{PREVIOUS}{DISMISS}b")
    stage.await_lines("ab")


def test_keys_of_ones_own_or_none(stage: Stage) -> None:
    stage.begin("", {"a": "bc de"}, keys={"accept": "<C-y>", "accept_word": False})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bc de")
    assert stage.nvim.lua("return vim.fn.maparg('<M-w>', 'i')") == ""
    stage.nvim.type("<C-y>")
    stage.await_lines("abc de")


def test_no_keys_at_all(stage: Stage) -> None:
    stage.begin("", {"a": "bc"}, keys=False)
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bc")
    assert stage.nvim.lua("return #vim.api.nvim_buf_get_keymap(0, 'i')") == 0
    stage.nvim.lua("require('flash_ls').accept()")
    stage.await_lines("abc")


# --- the server ---


def test_what_the_server_is_told_of_the_client(stage: Stage) -> None:
    stage.begin(settings={"budget_ms": 123})
    params = stage.heard("initialize")[0]
    assert params["capabilities"]["textDocument"]["inlineCompletion"] == {"dynamicRegistration": False}
    assert params["capabilities"]["experimental"]["flashLs"] == {"status": True, "refresh": True}
    assert params["capabilities"]["general"]["positionEncodings"][0] == "utf-8"
    assert params["initializationOptions"] == {"budget_ms": 123}


def test_a_missing_server_is_told_once(stage: Stage) -> None:
    nvim = stage.nvim
    nvim.setup(["no-such-program"])
    for name in ("a.py", "b.py"):
        nvim.edit(stage.folder / name)
    nvim.type("ix")
    stage.await_lines("x")
    (sentence,) = nvim.notices()
    assert "there is no program `no-such-program`" in sentence
    assert "pip install" in sentence
    assert nvim.lua("return require('flash_ls').status()") == "flash: error (not installed)"


def test_a_server_that_crashes_is_started_thrice_and_then_told_of(stage: Stage) -> None:
    nvim, starts = stage.nvim, stage.folder / "starts"
    crash = f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(3)"
    nvim.lua("require('flash_ls.server').restart_delays_ms = {10, 20, 40}")
    nvim.setup([sys.executable, "-c", crash])
    nvim.edit(stage.folder / "a.py")
    nvim.wait(lambda: nvim.notices() != [], "nobody is told")
    assert starts.read_text() == "xxxx"
    (sentence,) = nvim.notices()
    assert "ended 4 times, the last time with exit code 3" in sentence
    assert nvim.lua("return require('flash_ls').status()") == "flash: error (the server crashes)"
    nvim.api.command("FlashLs restart")
    nvim.wait(lambda: len(nvim.notices()) == 2)
    assert starts.read_text() == "x" * 8


def test_a_server_that_crashes_in_the_middle_comes_back(stage: Stage) -> None:
    stage.nvim.lua("require('flash_ls.server').restart_delays_ms = {10, 20, 40}")
    stage.begin("", {"a": {"texts": [], "dies": True}, "ab": "cd"})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_message("initialize", 2)
    stage.nvim.wait(stage.nvim.served)
    stage.nvim.insert("b")
    stage.await_ghost("cd")
    assert stage.nvim.notices() == []


def test_a_server_of_another_version_is_told_of(stage: Stage) -> None:
    stage.server = {"info": {"name": "flash-ls", "version": "0.0.1"}}
    stage.begin("")
    (sentence,) = stage.nvim.notices()
    assert f"the server is version 0.0.1, this plugin was made with {__version__}" in sentence


def test_a_restart_is_no_crash(stage: Stage) -> None:
    stage.begin("", {"a": "bc"})
    stage.nvim.api.command("FlashLs restart")
    stage.await_message("initialize", 2)
    stage.nvim.wait(stage.nvim.served)
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bc")
    assert len(stage.heard("shutdown")) == 1
    assert stage.nvim.notices() == []


def test_where_the_cursor_rests_is_told_but_not_too_often(stage: Stage) -> None:
    stage.begin("a\n" * 50)
    stage.nvim.type("20j")
    for _ in range(20):
        stage.nvim.type("j")
    stage.nvim.wait(lambda: [place["position"]["line"] for place in stage.heard(MOVED)][-1:] == [40])
    assert len(stage.heard(MOVED)) <= 4
    stage.nvim.type("gg")
    stage.nvim.wait(lambda: stage.heard(MOVED)[-1]["position"] == {"line": 0, "character": 0})
    before = len(stage.heard(MOVED))
    stage.nvim.type("i")
    stage.nvim.insert("xyz")
    stage.await_asked(3)
    assert len(stage.heard(MOVED)) == before, "typing is no moving"
    stage.nvim.type("<Left>")
    stage.await_message(MOVED, before + 1)


def test_where_the_insert_mode_begins_is_told_first(stage: Stage) -> None:
    stage.begin("a\nb\n")
    stage.nvim.type("ji")
    stage.nvim.insert("x")
    stage.await_asked(1)
    lines = [place["position"]["line"] for place in stage.heard(MOVED)]
    assert lines == [1]


# --- status, commands, help ---


def test_more_of_a_suggestion_comes_when_the_server_says_so(stage: Stage) -> None:
    stage.begin("", {"ret": "urn ["})
    stage.nvim.type("i")
    stage.nvim.insert("ret")
    stage.await_ghost("urn [")
    stage.await_quiet()
    stage.play({"ret": "urn [\n    x,\n]"})
    refresh = "require('flash_ls.server').client().handlers['flashLs/refresh'](nil, {uri = ...})"
    stage.nvim.lua(refresh, "file:///elsewhere.py")
    stage.await_ghost("urn [")
    stage.nvim.lua(refresh, stage.nvim.lua("return vim.uri_from_bufnr(0)"))
    stage.await_ghost("urn [\n    x,\n]")


def test_the_statusline_says_what_the_server_says(stage: Stage) -> None:
    loading = {"state": "loading", "reason": "building", "message": "This takes a minute."}
    stage.server = {"says": [{"method": "flashLs/status", "params": loading}]}
    stage.nvim.api.command("set laststatus=2 statusline=[%{v:lua.require'flash_ls'.status()}]")
    stage.begin("")
    stage.nvim.wait_for_row(23, "[flash: loading (building)]")
    stage.nvim.lua("require('flash_ls.state').hear({state = 'ready', reason = 'unsure'})")
    stage.nvim.wait_for_row(23, "[flash: ready (unsure)]")
    stage.nvim.lua("require('flash_ls.state').hear({state = 'ready', reason = 'shown'})")
    stage.nvim.wait_for_row(23, "[flash: ready]")
    stage.nvim.api.command("FlashLs snooze 5")
    stage.nvim.wait_for_row(23, "[flash: off (snoozed for 5 min)]")


def test_what_the_server_says_to_the_user(stage: Stage) -> None:
    message = {"type": 2, "message": "The disk is full."}
    stage.server = {"says": [{"method": "window/showMessage", "params": message}]}
    stage.begin("")
    stage.nvim.wait(lambda: stage.nvim.notices() == ["flash_ls: The disk is full."], "it is not shown")
    assert stage.nvim.lua("return _G.levels[1] == vim.log.levels.WARN")


@pytest.mark.parametrize(
    "told", [{"model": "flash", "cache": 3, "entries": [{"file": "a.py"}], "state": "ready"}, None]
)
def test_the_status_command(stage: Stage, told: dict[str, Any] | None) -> None:
    stage.server = {"told": told} if told else {}
    stage.begin("")
    stage.nvim.api.command("FlashLs status")
    stage.nvim.wait(lambda: stage.nvim.notices() != [])
    (notice,) = stage.nvim.notices()
    assert notice.startswith("flash_ls: ready\nscripted 1, 1 buffers")
    assert notice.endswith("cache: 3\nmodel: flash" if told else "buffers")


def test_switching_off_and_on(stage: Stage) -> None:
    nvim = stage.nvim
    stage.begin("", {"a": "bc", "ab": "cd"}, settings={"budget_ms": 9})
    nvim.type("i")
    nvim.insert("a")
    stage.await_ghost("bc")
    nvim.lua("vim.cmd('FlashLs toggle')")
    stage.await_nothing()
    configured = "workspace/didChangeConfiguration"

    def await_settings(**settings: Any) -> None:
        nvim.wait(lambda: stage.heard(configured)[-1]["settings"] == {"flashLs": settings}, f"{settings} do not come")

    await_settings(budget_ms=9, enabled=False)
    asked = len(stage.heard(INLINE))
    nvim.insert("b")
    nvim.lua("vim.cmd('FlashLs enable')")
    await_settings(budget_ms=9)
    assert len(stage.heard(INLINE)) == asked
    nvim.lua("require('flash_ls').trigger()")
    stage.await_ghost("cd")
    asked += 1
    nvim.lua("vim.cmd('FlashLs snooze')")
    stage.await_nothing()
    nvim.type("<BS>")
    stage.await_lines("a")
    nvim.lua("vim.cmd('FlashLs disable')")
    nvim.lua("vim.cmd('FlashLs enable')")
    nvim.insert("b")
    stage.await_ghost("cd")
    assert len(stage.heard(INLINE)) == asked + 1


def test_commands_are_completed_and_unknown_ones_answered(nvim: Neovim) -> None:
    names = ["build", "disable", "doctor", "enable", "log", "restart", "snooze", "status", "toggle"]
    assert nvim.lua("return vim.fn.getcompletion('FlashLs ', 'cmdline')") == names
    assert nvim.lua("return vim.fn.getcompletion('FlashLs s', 'cmdline')") == ["snooze", "status"]
    nvim.api.command("FlashLs dance")
    assert nvim.notices() == [f"flash_ls: there is no :FlashLs dance; there are {', '.join(names)}."]


def test_the_command_is_there_however_the_plugin_was_found(stage: Stage) -> None:
    stage.nvim.api.command("unlet g:loaded_flash_ls | delcommand FlashLs")
    stage.nvim.setup(stage.command)
    assert stage.nvim.lua("return vim.fn.exists(':FlashLs')") == 2


def test_commands_of_the_server_run_in_a_terminal(stage: Stage) -> None:
    stage.begin("")
    echo = "import sys; print('ran', *sys.argv[1:])"
    stage.nvim.lua("require('flash_ls.options').current.cmd = ...", [sys.executable, "-c", echo])
    for command, said in (("doctor", "ran doctor"), ("build", "ran model build")):
        stage.nvim.api.command(f"FlashLs {command}")
        stage.nvim.wait(lambda said=said: said in stage.nvim.screen(), f"{said} is not shown")  # type: ignore[misc]
    stage.await_message("shutdown")


def test_health_with_the_real_server(stage: Stage) -> None:
    stage.begin("")
    stage.nvim.lua("require('flash_ls.options').current.cmd = ...", python_module("flash_ls"))
    stage.nvim.api.command("checkhealth flash_ls")
    report = "\n".join(stage.nvim.lines())
    assert f"OK version {__version__}" in report
    assert re.search(r"python: 3\.\d+", report)
    assert "ERROR There is no model" in report or "flash-ls model build" in report
    assert "serves 1 buffers: flash: ready" in report
    stage.nvim.lua("require('flash_ls.options').current.cmd = {'no-such-program'}")
    stage.nvim.api.command("checkhealth flash_ls")
    assert "ERROR there is no program `no-such-program`" in "\n".join(stage.nvim.lines())


def test_the_plugin_expects_the_version_it_comes_with(nvim: Neovim) -> None:
    assert nvim.lua("return require('flash_ls.version')") == __version__


def test_the_help_has_tags_for_every_option_and_command(nvim: Neovim, tmp_path: Path) -> None:
    copy = tmp_path / "doc"
    copy.mkdir()
    (copy / "flash_ls.txt").write_bytes((PLUGIN / "doc" / "flash_ls.txt").read_bytes())
    nvim.api.command(f"helptags {copy}")
    tags = {line.split("\t")[0] for line in (copy / "tags").read_text().splitlines()}
    options = nvim.lua("return vim.tbl_keys(require('flash_ls.options').defaults)")
    actions = nvim.lua("return vim.tbl_keys(require('flash_ls.options').defaults.keys)")
    commands = nvim.lua("return require('flash_ls.command').names('')")
    assert {f"flash_ls-{option}" for option in options} <= tags
    assert {f"flash_ls.{action}()" for action in actions} <= tags
    assert {f":FlashLs-{command}" for command in commands} <= tags
    nvim.api.command(f"set runtimepath+={tmp_path}")
    nvim.api.command("help flash_ls")
    assert "flash_ls.txt" in nvim.lua("return vim.fn.bufname()")


# --- bad input ---


def test_options_that_cannot_be_used_are_named_and_left_out(stage: Stage) -> None:
    stage.begin("", {"a": "bc"}, colour="red", auto="yes", keys={"dance": "x", "accept": 3})
    told = sorted(stage.nvim.notices())
    assert 'flash_ls: option auto must be a boolean, not "yes".' in told
    assert "flash_ls: there is no option colour." in told
    assert any("key for" in sentence for sentence in told)
    assert len(told) == 3
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("bc")
    stage.nvim.type(ACCEPT)
    stage.await_lines("abc")


def test_an_old_neovim_is_told_what_it_needs(nvim: Neovim) -> None:
    nvim.lua("vim.fn.has = function() return 0 end")
    nvim.setup(["no-such-program"])
    assert nvim.notices() == ["flash_ls: needs Neovim 0.11 or newer."]


@pytest.mark.parametrize(
    "items", [None, [], [{}], [{"insertText": 3}], {"items": []}, "nonsense", [{"insertText": ""}]]
)
def test_odd_answers_are_survived(stage: Stage, items: object) -> None:
    stage.begin("", {"a": {"raw": items}, "b": "c"})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_asked(1)
    stage.await_quiet()
    stage.nvim.type("<BS>")
    stage.nvim.insert("b")
    stage.await_ghost("c")
    assert stage.nvim.api.command_output("messages") == ""


@pytest.mark.parametrize("command", ["setlocal buftype=nofile filetype=lua", "set filetype=", "set filetype=gitrebase"])
def test_buffers_that_are_no_files_to_complete(stage: Stage, command: str) -> None:
    stage.nvim.setup(stage.command)
    stage.nvim.api.command(f"edit {stage.folder / 'notes'}")
    stage.nvim.api.command(command)
    stage.nvim.type("ia")
    stage.await_lines("a")
    assert not stage.nvim.served()
    stage.nvim.api.command("set hidden")
    stage.nvim.open(stage.folder / "a.py")
    stage.await_message("textDocument/didOpen")
    opened = [document["textDocument"]["uri"] for document in stage.heard("textDocument/didOpen")]
    assert opened == [(stage.folder / "a.py").as_uri()]


def test_only_the_chosen_filetypes(stage: Stage) -> None:
    stage.nvim.setup(stage.command, filetypes=["lua"])
    stage.nvim.edit(stage.folder / "a.py")
    assert not stage.nvim.served()
    stage.nvim.open(stage.folder / "a.lua")


def test_the_built_in_client_is_used_where_there_is_one(stage: Stage) -> None:
    stage.begin("", use_builtin=True)
    assert stage.nvim.notices() == ["flash_ls: `use_builtin` needs Neovim 0.12; the plugin's own client is used."]
    builtin = """
    _G.calls = {}
    vim.lsp.inline_completion = {
      enable = function(on, filter) table.insert(_G.calls, {on, filter.bufnr}) end,
      get = function() table.insert(_G.calls, 'get') return _G.shown end,
      select = function(options) table.insert(_G.calls, options.count) end,
    }
    """
    stage.nvim.lua(builtin)
    stage.nvim.api.command("inoremap <S-Tab> earlier")
    stage.nvim.setup(stage.command, use_builtin=True, keys={"accept": "<S-Tab>"})
    stage.nvim.open(stage.folder / "b.py")
    stage.nvim.type(f"i{NEXT}<S-Tab>x")
    stage.await_lines("earlierx")
    stage.nvim.lua("_G.shown = true")
    stage.nvim.type("<S-Tab>y")
    stage.await_lines("earlierxy")
    buffer = stage.nvim.api.current.buffer.number
    assert stage.nvim.lua("return _G.calls") == [[True, buffer], 1, "get", "get"]
    assert stage.heard(INLINE) == []


# --- the real server, without a model ---


def test_the_real_server_keeps_up_with_the_text(stage: Stage) -> None:
    nvim = stage.nvim
    nvim.setup(python_module("tests.fake_server", "ready"))
    nvim.open(stage.folder / "a.py", "größe = '😀'\r\n\r\nlast\r\n")
    nvim.type("ji")

    def asked() -> bool:
        nvim.lua("require('flash_ls').trigger()")
        return nvim.ghost() != ""

    nvim.wait(asked, "the server does not load")
    nvim.insert("é😀 x")
    stage.await_ghost("é😀 x|")
    nvim.type(ACCEPT)
    stage.await_lines("größe = '😀'", "é😀 xé😀 x|", "last")
    nvim.type("<Esc>ggA")
    stage.await_ghost("größe = '😀'|")
