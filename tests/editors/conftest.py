"""Editors that may not be installed: their tests are skipped with the reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from tests.editors import again, code_server, neovim
from tests.editors.neovim import Neovim
from tests.editors.neovim_stage import Stage
from tests.editors.vscode import VSCode
from tests.editors.vscode_stage import Stage as Window


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A browser and the network between it and VS Code have races of their own: what fails there is tried once more."""
    if not item.path.name.startswith("test_vscode"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if failed := [report for report in reports if report.failed]:
        again.note(item.config, item.nodeid, failed[0].longreprtext.splitlines()[-1])
        item._initrequest()  # type: ignore[attr-defined]
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell which were."""
    for first in again.noted(config):
        terminalreporter.write_line(f"FAILED ONCE {first}")


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
