"""Suggestions in a real Neovim: shown, accepted, dismissed, and gone once they are no longer right."""

import pytest

from tests.editors.neovim_stage import ACCEPT, DISMISS, LINE, NEXT, PREVIOUS, TRIGGER, WORD, Stage
from tests.editors.script import INLINE, SILENT

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
    assert len(stage.script.heard(INLINE)) <= 4, "what is left of an answer is not asked for again"


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
    assert [asked["context"]["triggerKind"] for asked in stage.script.heard(INLINE)][-2:] == [2, 1]
    stage.nvim.type(ACCEPT)
    stage.await_lines("a2")


def test_the_command_of_an_item_is_run_once_all_of_it_is_accepted(stage: Stage) -> None:
    stage.script.server |= {"told": {}}
    stage.begin("", {"a": {"texts": ["b c"], "command": {"title": "", "command": "flashLs.status", "arguments": [1]}}})
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.await_ghost("b c")
    stage.nvim.type(WORD)
    stage.await_lines("ab")
    assert stage.script.heard("workspace/executeCommand") == []
    stage.nvim.type(WORD)
    assert stage.await_message("workspace/executeCommand") == {"command": "flashLs.status", "arguments": [1]}


def test_keys_that_come_within_the_debounce_are_asked_for_once(stage: Stage) -> None:
    stage.begin("", {"abc": "d"}, debounce_ms=100)
    stage.nvim.type("i")
    stage.nvim.insert("abc")
    stage.await_ghost("d")
    assert len(stage.script.heard(INLINE)) == 1


def test_without_asking_by_itself_a_key_asks(stage: Stage) -> None:
    stage.begin("", {"a": {"texts": ["1", "2"]}}, auto=False)
    stage.nvim.type("i")
    stage.nvim.insert("a")
    stage.nvim.type(TRIGGER)
    stage.await_ghost("1")
    assert [asked["context"]["triggerKind"] for asked in stage.script.heard(INLINE)] == [1]
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
    stage.script.play({"*": SILENT})
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


def test_more_of_a_suggestion_comes_when_the_server_says_so(stage: Stage) -> None:
    stage.begin("", {"ret": "urn ["})
    stage.nvim.type("i")
    stage.nvim.insert("ret")
    stage.await_ghost("urn [")
    stage.await_quiet()
    stage.script.play({"ret": "urn [\n    x,\n]"})
    refresh = "require('flash_ls.server').client().handlers['flashLs/refresh'](nil, {uri = ...})"
    stage.nvim.lua(refresh, "file:///elsewhere.py")
    stage.await_ghost("urn [")
    stage.nvim.lua(refresh, stage.nvim.lua("return vim.uri_from_bufnr(0)"))
    stage.await_ghost("urn [\n    x,\n]")
