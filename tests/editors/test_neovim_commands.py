"""What else a user of a real Neovim meets: status, commands, health, help, options that cannot be used."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from flash_ls import __version__
from tests.editors.neovim import PLUGIN, Neovim
from tests.editors.neovim_stage import ACCEPT, NEXT, Stage
from tests.editors.script import INLINE
from tests.lsp_client import python_module

# --- status, commands, help ---


def test_the_statusline_says_what_the_server_says(stage: Stage) -> None:
    loading = {"state": "loading", "reason": "building", "message": "This takes a minute."}
    stage.script.server |= {"says": [{"method": "flashLs/status", "params": loading}]}
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
    stage.script.server |= {"says": [{"method": "window/showMessage", "params": message}]}
    stage.begin("")
    stage.nvim.wait(lambda: stage.nvim.notices() == ["flash_ls: The disk is full."], "it is not shown")
    assert stage.nvim.lua("return _G.levels[1] == vim.log.levels.WARN")


@pytest.mark.parametrize(
    "told", [{"model": "flash", "cache": 3, "entries": [{"file": "a.py"}], "state": "ready"}, None]
)
def test_the_status_command(stage: Stage, told: dict[str, Any] | None) -> None:
    stage.script.server |= {"told": told} if told else {}
    stage.begin("")
    stage.nvim.api.command("FlashLs status")
    stage.nvim.wait(lambda: stage.nvim.notices() != [])
    (notice,) = stage.nvim.notices()
    assert notice.startswith(f"flash_ls: ready\nflash-ls {__version__}, 1 buffers")
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
        nvim.wait(
            lambda: stage.script.heard(configured)[-1]["settings"] == {"flashLs": settings}, f"{settings} do not come"
        )

    await_settings(budget_ms=9, enabled=False)
    asked = len(stage.script.heard(INLINE))
    nvim.insert("b")
    nvim.lua("vim.cmd('FlashLs enable')")
    await_settings(budget_ms=9)
    assert len(stage.script.heard(INLINE)) == asked
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
    assert len(stage.script.heard(INLINE)) == asked + 1


def test_commands_are_completed_and_unknown_ones_answered(nvim: Neovim) -> None:
    names = ["build", "disable", "doctor", "enable", "log", "restart", "snooze", "status", "toggle"]
    assert nvim.lua("return vim.fn.getcompletion('FlashLs ', 'cmdline')") == names
    assert nvim.lua("return vim.fn.getcompletion('FlashLs s', 'cmdline')") == ["snooze", "status"]
    nvim.api.command("FlashLs dance")
    assert nvim.notices() == [f"flash_ls: there is no :FlashLs dance; there are {', '.join(names)}."]


def test_the_command_is_there_however_the_plugin_was_found(stage: Stage) -> None:
    stage.nvim.api.command("unlet g:loaded_flash_ls | delcommand FlashLs")
    stage.nvim.setup(stage.script.command)
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
    stage.nvim.setup(stage.script.command)
    stage.nvim.api.command(f"edit {stage.folder / 'notes'}")
    stage.nvim.api.command(command)
    stage.nvim.type("ia")
    stage.await_lines("a")
    assert not stage.nvim.served()
    stage.nvim.api.command("set hidden")
    stage.nvim.open(stage.folder / "a.py")
    stage.await_message("textDocument/didOpen")
    opened = [document["textDocument"]["uri"] for document in stage.script.heard("textDocument/didOpen")]
    assert opened == [(stage.folder / "a.py").as_uri()]


def test_only_the_chosen_filetypes(stage: Stage) -> None:
    stage.nvim.setup(stage.script.command, filetypes=["lua"])
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
    stage.nvim.setup(stage.script.command, use_builtin=True, keys={"accept": "<S-Tab>"})
    stage.nvim.open(stage.folder / "b.py")
    stage.nvim.type(f"i{NEXT}<S-Tab>x")
    stage.await_lines("earlierx")
    stage.nvim.lua("_G.shown = true")
    stage.nvim.type("<S-Tab>y")
    stage.await_lines("earlierxy")
    buffer = stage.nvim.api.current.buffer.number
    assert stage.nvim.lua("return _G.calls") == [[True, buffer], 1, "get", "get"]
    assert stage.script.heard(INLINE) == []
