"""Editors that may not be installed: their tests are skipped with the reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors import code_server, neovim
from tests.editors.neovim import Neovim
from tests.editors.neovim_stage import Stage
from tests.editors.vscode import VSCode
from tests.editors.vscode_stage import Stage as Window


@pytest.fixture(scope="session")
def neovim_installed() -> None:
    """Skips the test if Neovim cannot be run."""
    if reason := neovim.missing():
        pytest.skip(reason)


@pytest.fixture
def nvim(neovim_installed: None, tmp_path: Path) -> Iterator[Neovim]:
    with Neovim(tmp_path / "home") as nvim:
        yield nvim


@pytest.fixture
def stage(nvim: Neovim, tmp_path: Path) -> Stage:
    return Stage(nvim, tmp_path)


@pytest.fixture(scope="session")
def vscode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VSCode]:
    """One for all tests without a model."""
    if reason := code_server.missing():
        pytest.skip(reason)
    with VSCode(tmp_path_factory.mktemp("vscode")) as vscode:
        yield vscode


@pytest.fixture(scope="module")
def shared_window(vscode: VSCode, tmp_path_factory: pytest.TempPathFactory) -> Window:
    return Window(vscode, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def window(shared_window: Window) -> Iterator[Window]:
    """The window that most tests have in common, each with a file of its own."""
    yield shared_window
    shared_window.vscode.press("Escape", "Escape")


@pytest.fixture
def own_window(vscode: VSCode, tmp_path: Path) -> Iterator[Window]:
    """A window of the test's own, for what the others would suffer from."""
    yield Window(vscode, tmp_path)
    vscode.leave()
