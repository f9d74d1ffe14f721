"""Upstream weights of the toy model, a cache folder of the test's own, and the toy as the only model there is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flash_ls.artifact import catalog
from flash_ls.artifact.catalog import CatalogEntry
from tests.artifact.toy_build import toy_entry
from tests.toy_model import write_gguf

Offer = Callable[[CatalogEntry], CatalogEntry]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upstream") / "upstream.gguf"
    write_gguf(path)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FLASH_LS_HOME, not made yet."""
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def offer(home: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Puts an entry in the catalog, in place of all others."""

    def put(entry: CatalogEntry) -> CatalogEntry:
        monkeypatch.setattr(catalog, "catalog", lambda: {entry.name: entry})
        return entry

    return put


@pytest.fixture
def entry(offer: Offer, weights: Path) -> CatalogEntry:
    """The toy in the catalog, with its weights on this machine."""
    return offer(toy_entry(weights))
