"""A client without inline completion, Emacs with eglot: the server fills its menu, and a command of ours inserts.

The server is the one around a completer without a model, which shows what stands on both sides of the cursor.
"""

import re
from pathlib import Path

import pytest

from flash_ls import __version__
from flash_ls.config import Config
from tests.editors.emacs import PACKAGE, ROOT, Emacs, missing, started
from tests.lsp_client import python_module

MENU = "(completion-at-point)"
INSERT = "(flash-ls-complete)"
NOTHING = "The server has no suggestion here"


@pytest.fixture(scope="module", autouse=True)
def emacs_installed() -> None:
    """Skips the tests if Emacs cannot be run."""
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture
def emacs(tmp_path: Path) -> Emacs:
    return Emacs(tmp_path, python_module("tests.fake_server", "ready"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("x = ret¦\n", "x = retx = ret|¦\n", id="a word"),
        pytest.param("x.¦\n", "x.x.|¦\n", id="no word yet"),
        pytest.param("a\n😀 = 'é' + ret¦\nb\n", "a\n😀 = 'é' + ret😀 = 'é' + ret|¦\nb\n", id="emoji before it"),
        pytest.param("😀 CLOSE¦(😀)\n", "😀 CLOSE😀 CLOSE|(😀)¦\n", id="what is behind it is replaced"),
        pytest.param("a\r\nret¦\r\nb\r\n", "a\nretret|¦\nb\n", id="line ends of Windows"),
    ],
)
def test_the_menu_inserts_what_is_suggested(emacs: Emacs, before: str, after: str) -> None:
    assert emacs.run(before, MENU).text == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("x = ret¦\n", "x = retx = ret|¦\n", id="a word"),
        pytest.param("a\n😀 = 'é' + ret¦\n", "a\n😀 = 'é' + ret😀 = 'é' + ret|¦\n", id="emoji before it"),
        pytest.param("😀 CLOSE(😀¦😀)\n", "😀 CLOSE(😀😀 CLOSE(😀|😀)¦\n", id="what is behind it is replaced"),
        pytest.param("a\r\nret¦\r\nb\r\n", "a\nretret|¦\nb\n", id="line ends of Windows"),
    ],
)
def test_the_command_inserts_what_is_suggested(emacs: Emacs, before: str, after: str) -> None:
    assert emacs.run(before, INSERT).text == after


def test_what_was_typed_last_is_known(emacs: Emacs) -> None:
    assert emacs.run("x = ¦\n", f'(insert "😀 r") {INSERT}').text == "x = 😀 rx = 😀 r|¦\n"
    assert emacs.run("x = ¦\n", f'(insert "😀 r") {MENU}').text == "x = 😀 rx = 😀 r|¦\n"


@pytest.mark.parametrize("ask", [MENU, INSERT])
def test_who_asks_gets_the_unsure_too(emacs: Emacs, ask: str) -> None:
    assert emacs.run("UNSURE¦\n", ask).text == "UNSUREUNSURE|¦\n"


def test_nothing_to_suggest_is_said(emacs: Emacs) -> None:
    ran = emacs.run("EMPTY¦\n", INSERT)
    assert (ran.text, ran.value) == ("EMPTY¦\n", NOTHING)
    assert emacs.run("EMPTY¦\n", MENU).text == "EMPTY¦\n"


def test_without_a_server_it_is_said_how_to_start_one(emacs: Emacs) -> None:
    ran = emacs.run("x = ¦\n", INSERT, connect=False)
    assert (ran.text, ran.value) == ("x = ¦\n", "No language server here; start flash-ls with M-x eglot")


def test_a_suggestion_is_undone_alone(emacs: Emacs) -> None:
    steps = f'(buffer-enable-undo) (insert "x = ret") (undo-boundary) {INSERT} (undo-boundary) (undo)'
    assert emacs.run("¦", steps).text == "x = ret¦"


def test_the_configuration_of_the_guide_works(emacs: Emacs) -> None:
    guide = (ROOT / "docs" / "editors.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```elisp\n(.*?)```", guide, re.DOTALL)
    configuration = example.replace("~/src/flash_ls", str(ROOT)).replace("0.5", "0.5 :budget_ms 77")
    ran = emacs.run("SETTINGS¦\n", f'{INSERT} (key-binding (kbd "C-c TAB"))', before=configuration)
    assert ran.text == f"SETTINGS{Config().model} 77¦\n"
    assert ran.value == "flash-ls-complete"


def test_an_error_of_the_server_inserts_nothing(emacs: Emacs) -> None:
    ran = emacs.run("RAISE¦\n", INSERT)
    assert (ran.text, ran.value) == ("RAISE¦\n", NOTHING)
    assert "The model is broken" in ran.log


def test_the_package_is_in_order(emacs: Emacs, tmp_path: Path) -> None:
    copy = tmp_path / PACKAGE.name
    copy.write_bytes(PACKAGE.read_bytes())
    warned = "(setq byte-compile-error-on-warn t)"
    packages = ["--eval", "(package-initialize)", "--eval", "(require 'checkdoc)"]
    compiled = started(*packages, "--eval", warned, "--funcall", "batch-byte-compile", str(copy), home=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    checked = started(*packages, "--eval", f'(checkdoc-file "{copy}")', home=tmp_path)
    assert "Warning" not in checked.stderr, checked.stderr
    text = PACKAGE.read_text(encoding="utf-8")
    assert f";; Version: {__version__}\n" in text
    assert text.count("\n") < 80
