"""The plugin in a real Neovim with the real server and the real model, as a developer uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.neovim import ROOT, Neovim
from tests.lsp_client import python_module

pytestmark = pytest.mark.model

BUILD_S = 600
"""The first start builds the model."""
BANK = (ROOT / "examples" / "bank.py").read_text(encoding="utf-8").rstrip()
BEFORE = BANK.removesuffix("other.de")
BODY = BANK[: BANK.index("\n\n    def transfer")].rstrip() + "\n       "
"""A body that resembles the one above it, a space too early: several lines are to be expected."""
GREETING = """def greet(größe):
    smile = "😀"
    return f"{smile} {"""


@pytest.fixture(scope="module")
def nvim(neovim_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neovim]:
    """One Neovim and one server for all, once the model answers."""
    folder = tmp_path_factory.mktemp("neovim")
    with Neovim(folder / "home") as nvim:
        nvim.setup(python_module("flash_ls"), settings={"min_confidence": 0, "statistics": False, "budget_ms": 60_000})
        nvim.open(folder / "warm.py", BANK)
        nvim.type("GA")

        def answers() -> bool:
            if not nvim.ghost():
                nvim.lua("require('flash_ls').trigger()")
                nvim.pause(0.3)
            return nvim.ghost() != ""

        nvim.wait(answers, "the model does not answer", BUILD_S)
        yield nvim


@pytest.fixture(autouse=True)
def new_file(nvim: Neovim, tmp_path: Path) -> None:
    """An empty file in the insert mode, with no help by the editor."""
    nvim.type("<Esc>")
    nvim.wait(lambda: nvim.mode() == "n")
    nvim.api.command("set hidden completeopt=menuone,noselect")
    nvim.open(tmp_path / "bank.py")
    nvim.api.command("setlocal indentexpr= noautoindent")


def begin(nvim: Neovim, text: str) -> None:
    """The buffer is the text, and somebody types at its end."""
    nvim.lua("vim.api.nvim_buf_set_lines(0, 0, -1, true, ...)", text.split("\n"))
    nvim.type("GA")
    nvim.wait(lambda: nvim.mode() == "i")


def suggested(nvim: Neovim) -> str:
    """The ghost text, once it stands on the screen behind the cursor, and nowhere in the buffer."""
    nvim.wait(lambda: nvim.ghost() != "", "nothing is suggested")
    text = nvim.ghost()
    shown = nvim.lines()[-1] + text.split("\n")[0]
    nvim.wait(lambda: shown.rstrip() in nvim.screen(), f"{shown!r} is not on the screen")
    assert not nvim.lines()[-1].endswith(text)
    return text


def test_type_see_and_accept(nvim: Neovim) -> None:
    begin(nvim, BEFORE)
    nvim.insert("other.de")
    assert suggested(nvim) == "posit(amount)"
    nvim.type("<Tab>")
    nvim.wait(lambda: nvim.lines()[-1] == "        other.deposit(amount)")
    nvim.type("<Esc>u")
    nvim.wait(lambda: nvim.lines()[-1] == "        other.de", "one undo does not restore the text")


def test_a_body_of_many_lines_and_its_lines_and_words(nvim: Neovim) -> None:
    begin(nvim, BODY)
    nvim.insert(" ")
    first = suggested(nvim)
    nvim.wait(lambda: "\n" in nvim.ghost(), "only the first lines come")
    text = suggested(nvim)
    assert text.startswith(first)
    below = text.split("\n")[1]
    nvim.wait(lambda: below in nvim.screen(), f"{below!r} is not on the screen")
    nvim.type("<M-w>")
    nvim.wait(lambda: nvim.lines()[-1] == "        " + text.split(maxsplit=1)[0])
    nvim.type("<M-l>")
    nvim.wait(lambda: nvim.lines()[-1] == "        " + text.split("\n")[0])
    nvim.type("<M-l>")
    nvim.wait(lambda: nvim.lines()[-2:] == ["        " + text.split("\n")[0], below])


def test_dismiss_and_move_on(nvim: Neovim) -> None:
    begin(nvim, BEFORE)
    nvim.insert("other.de")
    suggested(nvim)
    nvim.type("<C-]>")
    nvim.wait(lambda: nvim.marks() == 0)
    nvim.insert("p")
    suggested(nvim)
    nvim.type("<Left>")
    nvim.wait(lambda: nvim.marks() == 0)
    nvim.type("<End>")
    nvim.insert("o")
    nvim.type("<Esc>")
    nvim.wait(lambda: nvim.marks() == 0)
    assert nvim.lines()[-1] == "        other.depo"


def test_what_agrees_stays_on_the_screen(nvim: Neovim) -> None:
    begin(nvim, BEFORE)
    nvim.insert("other.de")
    suggested(nvim)
    for character in "posit(amoun":
        nvim.insert(character)
        assert nvim.ghost(), "it flickers"
    nvim.type("<Tab>")
    nvim.wait(lambda: nvim.lines()[-1] == "        other.deposit(amount)")


def test_beside_the_menu(nvim: Neovim) -> None:
    begin(nvim, BEFORE)
    nvim.api.command("setlocal complete=.")
    nvim.insert("other.depo")
    nvim.type("<C-n>")
    nvim.wait(lambda: bool(nvim.lua("return vim.fn.pumvisible() == 1")), "there is no menu")
    assert suggested(nvim) == "sit(amount)"
    nvim.type("<C-n>")
    nvim.wait(lambda: nvim.lines()[-1] == "        other.deposit")
    suggested(nvim)
    nvim.type("<C-y>")
    nvim.type("<Tab>")
    nvim.wait(lambda: nvim.lines()[-1] == "        other.deposit(amount)")


def test_emoji_and_umlauts(nvim: Neovim) -> None:
    begin(nvim, GREETING)
    nvim.insert("gr")
    text = suggested(nvim)
    assert text.startswith("öße}")
    nvim.type("<Tab>")
    nvim.wait(lambda: "\n".join(nvim.lines()) == f"{GREETING}gr{text}")


def test_a_bracket_that_was_closed_already(nvim: Neovim) -> None:
    begin(nvim, f"{BEFORE}other.deposit()")
    nvim.type("<Left>")
    nvim.insert("am")
    nvim.wait(lambda: nvim.ghost() != "", "nothing is suggested")
    nvim.wait_for_row(nvim.lua("return vim.fn.screenrow()"), "        other.deposit(amount)")
    nvim.type("<Tab>")
    nvim.wait(lambda: nvim.lines()[-1] == "        other.deposit(amount)")


def test_requests_leave_no_line_in_the_log_of_neovim(nvim: Neovim) -> None:
    begin(nvim, BEFORE)
    nvim.insert("other.de")
    suggested(nvim)
    log = Path(nvim.lua("return vim.lsp.get_log_path()"))
    assert not log.exists() or "complete" not in log.read_text(encoding="utf-8")
