"""The server of a real Neovim: missing, of another version, crashing, restarted; what it is told and what it says."""

import itertools
import sys

from flash_ls import __version__
from tests.editors.neovim_stage import ACCEPT, Stage
from tests.lsp_client import python_module

MOVED = "flashLs/didMoveCursor"


# --- the server ---


def test_what_the_server_is_told_of_the_client(stage: Stage) -> None:
    stage.begin(settings={"budget_ms": 123})
    params = stage.script.heard("initialize")[0]
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
    assert nvim.lua("return require('flash_ls.server').restart_delays_ms") == [500, 1000, 2000]
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


def test_after_a_crash_it_waits_before_it_starts_again(stage: Stage) -> None:
    nvim, starts = stage.nvim, stage.folder / "starts"
    crash = f"import time; open({str(starts)!r}, 'a').write(f'{{time.monotonic()}}\\n'); raise SystemExit(3)"
    nvim.lua("require('flash_ls.server').restart_delays_ms = {50, 300, 600}")
    nvim.setup([sys.executable, "-c", crash])
    nvim.edit(stage.folder / "a.py")
    nvim.wait(lambda: nvim.notices() != [], "nobody is told")
    times = [float(line) for line in starts.read_text().splitlines()]
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert all(wait >= delay for wait, delay in zip(waits, [0.05, 0.3, 0.6], strict=True)), waits


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
    stage.script.server |= {"info": {"name": "flash-ls", "version": "0.0.1"}}
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
    assert len(stage.script.heard("shutdown")) == 1
    assert stage.nvim.notices() == []


def test_where_the_cursor_rests_is_told_but_not_too_often(stage: Stage) -> None:
    stage.begin("a\n" * 50)
    stage.nvim.type("20j")
    for _ in range(20):
        stage.nvim.type("j")
    stage.nvim.wait(lambda: [place["position"]["line"] for place in stage.script.heard(MOVED)][-1:] == [40])
    assert len(stage.script.heard(MOVED)) <= 4
    stage.nvim.type("gg")
    stage.nvim.wait(lambda: stage.script.heard(MOVED)[-1]["position"] == {"line": 0, "character": 0})
    before = len(stage.script.heard(MOVED))
    stage.nvim.type("i")
    stage.nvim.insert("xyz")
    stage.await_asked(3)
    assert len(stage.script.heard(MOVED)) == before, "typing is no moving"
    stage.nvim.type("<Left>")
    stage.await_message(MOVED, before + 1)


def test_where_the_insert_mode_begins_is_told_first(stage: Stage) -> None:
    stage.begin("a\nb\n")
    stage.nvim.type("ji")
    stage.nvim.insert("x")
    stage.await_asked(1)
    lines = [place["position"]["line"] for place in stage.script.heard(MOVED)]
    assert lines == [1]


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
    assert len(stage.script.heard("initialize")) == 1
    assert nvim.marks() == 1
    nvim.type(f"{ACCEPT}<Esc>")
    stage.await_lines("b2")
    assert nvim.lua("return vim.api.nvim_buf_get_lines(..., 0, -1, true)", first) == ["a"]


def test_a_second_project_is_shown_to_the_same_server(stage: Stage) -> None:
    for name in ("one", "two"):
        (stage.folder / name / ".git").mkdir(parents=True)
    stage.nvim.setup(stage.script.command)
    stage.nvim.open(stage.folder / "one" / "a.py")
    stage.nvim.open(stage.folder / "two" / "b.py")
    added = stage.await_message("workspace/didChangeWorkspaceFolders")["event"]["added"]
    assert [folder["uri"] for folder in added] == [(stage.folder / "two").as_uri()]
    assert stage.script.heard("initialize")[0]["rootUri"] == (stage.folder / "one").as_uri()
    assert len(stage.script.heard("initialize")) == 1


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
