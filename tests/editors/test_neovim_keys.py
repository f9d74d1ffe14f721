"""The keys of the plugin in a real Neovim, beside menus, snippets and what was mapped before."""

import pytest

from tests.editors.neovim_stage import ACCEPT, DISMISS, LINE, NEXT, PREVIOUS, TRIGGER, WORD, Stage
from tests.editors.script import INLINE, SILENT, Answer

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
    stage.script.play({"*": SILENT})
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
    info = stage.script.heard(INLINE)[-1]["context"]["selectedCompletionInfo"]
    start, end = {"line": 3, "character": 0}, {"line": 3, "character": 5}
    assert info == {"text": "apple", "range": {"start": start, "end": end}}
    stage.nvim.type(ACCEPT)
    stage.nvim.wait(lambda: stage.nvim.lines()[3] != "apple")
    assert "(x)" not in stage.nvim.lines()[3], "the key belongs to the menu"


def test_an_item_that_is_selected_but_not_written_yet(stage: Stage) -> None:
    extended = {"texts": ["apple(x)"], "range": [-3, 0]}
    with_menu(stage, "menuone,noinsert", {"app": extended})
    stage.nvim.wait_for_row(4, "apple(x)")
    assert stage.script.heard(INLINE)[-1]["context"]["selectedCompletionInfo"]["text"] == "apple"
    assert stage.nvim.lines()[3] == "app"
    stage.script.play({"app": {"texts": ["append(y)"], "range": [-3, 0]}, "append": "(y)"})
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
    asked = len(stage.script.heard(INLINE))
    stage.nvim.insert("a")
    stage.nvim.lua("_G.menu_item = nil")
    stage.nvim.type(TRIGGER)
    stage.nvim.wait_for_row(1, "abc")
    assert len(stage.script.heard(INLINE)) == asked + 1, "nothing is asked for what could not be shown"
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
