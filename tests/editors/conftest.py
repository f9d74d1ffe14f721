"""Editors that may not be installed: their tests are skipped with the reason."""

import pytest

from tests.editors.neovim import missing


@pytest.fixture(scope="session")
def neovim_installed() -> None:
    """Skips the test if Neovim cannot be run."""
    if reason := missing():
        pytest.skip(reason)
