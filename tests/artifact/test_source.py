"""Each source delivers the bytes or says why not; the network is used when the user asks to fetch, and only then."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from flash_ls.artifact import store
from flash_ls.artifact.source import PIECE, FileSource, HubSource, PackageSource, Source
from flash_ls.errors import CacheFolderError, Cancelled, ModelMissing, SourceError
from tests.artifact.conftest import Offer
from tests.artifact.hub_server import HubServer, serving
from tests.artifact.toy_build import Steps, toy_entry
from tests.toy_model import NAME

CONTENT = b"the first half, " + b"the second half"
UNUSED_PORT = 9  # the discard service, which nobody runs


def delivered(source: Source) -> bytes:
    return b"".join(source.pieces())


# --- a file ---


def test_a_file_is_delivered_piece_by_piece(tmp_path: Path) -> None:
    content = bytes(PIECE) + b"end"
    (tmp_path / "file").write_bytes(content)
    pieces = list(FileSource(tmp_path / "file").pieces())
    assert b"".join(pieces) == content
    assert len(pieces) == 2


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nothing cannot be read \(No such file"):
        delivered(FileSource(tmp_path / "nothing"))
    with pytest.raises(SourceError, match=r"cannot be read \(Is a directory"):
        delivered(FileSource(tmp_path))


# --- installed packages ---


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


def install(site: Path, name: str, content: bytes) -> str:
    """Install a package that cannot be imported; how a source names its data."""
    package = name.replace("-", "_")
    (site / package / "data").mkdir(parents=True)
    (site / package / "__init__.py").write_text("raise ImportError('parts are not to be imported')")
    (site / package / "data" / "part.bin").write_bytes(content)
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    return f"{name}:{package}/data/part.bin"


def test_the_parts_are_joined_in_the_order_of_the_source(site: Path) -> None:
    second = install(site, "toy-part-2", CONTENT[16:])
    first = install(site, "toy-part-1", CONTENT[:16])
    before = set(sys.modules)
    assert delivered(PackageSource((first, second))) == CONTENT
    assert delivered(PackageSource((second, first))) == CONTENT[16:] + CONTENT[:16]
    assert not {name for name in set(sys.modules) - before if name.startswith("toy_part")}


def test_a_part_that_is_not_installed_is_named_before_any_is_read(site: Path) -> None:
    first = install(site, "toy-part-1", CONTENT)
    with pytest.raises(SourceError, match="the package toy-part-3 is not installed"):
        next(PackageSource((first, "toy-part-3:toy_part_3/data/part.bin")).pieces())


def test_a_part_whose_file_is_gone_is_named(site: Path) -> None:
    first = install(site, "toy-part-1", CONTENT)
    (site / "toy_part_1" / "data" / "part.bin").unlink()
    with pytest.raises(SourceError, match=r"part\.bin cannot be read"):
        delivered(PackageSource((first,)))


def test_a_model_is_built_from_installed_parts(offer: Offer, weights: Path, site: Path) -> None:
    content = weights.read_bytes()
    third = len(content) // 3
    places = (slice(third), slice(third, 2 * third), slice(2 * third, None))
    parts = [install(site, f"toy-part-{number}", content[place]) for number, place in enumerate(places)]
    offer(toy_entry(weights, PackageSource(tuple(parts))))
    store.verify(store.ensure(NAME, Steps()), Steps())


# --- the model hub ---


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client library read its environment when it was imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))


@pytest.fixture
def hub(weights: Path) -> Iterator[HubServer]:
    """A hub that has the toy's weights."""
    with serving(HubServer("toy.gguf", weights.read_bytes())) as server:
        yield server


def test_the_hub_delivers_the_file(hub: HubServer) -> None:
    assert delivered(HubSource("someone/toy", "toy.gguf", hub.endpoint)) == hub.content
    assert [request.split()[0] for request in hub.requests] == ["HEAD", "GET"]
    assert all("/someone/toy/resolve/" in request for request in hub.requests)


def test_a_file_the_hub_does_not_have(hub: HubServer) -> None:
    with pytest.raises(SourceError, match=r"the model hub did not deliver someone/toy .*404"):
        delivered(HubSource("someone/toy", "other.gguf", hub.endpoint))


def test_a_hub_that_refuses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client library tries again for half a minute
    with pytest.raises(SourceError, match="the model hub did not deliver someone/toy"):
        delivered(HubSource("someone/toy", "toy.gguf", f"http://127.0.0.1:{UNUSED_PORT}"))


def test_a_hub_that_breaks_off(weights: Path) -> None:
    with serving(HubServer("toy.gguf", weights.read_bytes(), breaks_off=True)) as server:
        with pytest.raises(SourceError, match="the model hub did not deliver someone/toy"):
            delivered(HubSource("someone/toy", "toy.gguf", server.endpoint))
        assert any(request.startswith("GET") for request in server.requests)


def test_without_the_client_library_the_extra_is_named(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SourceError, match=r"pip install 'flash-ls\[hub\]'"):
        delivered(HubSource("someone/toy", "toy.gguf", hub.endpoint))
    assert hub.requests == []


# --- who may use the network ---


def test_only_fetching_uses_the_network(offer: Offer, weights: Path, hub: HubServer) -> None:
    entry = offer(toy_entry(weights, HubSource("someone/toy", "toy.gguf", hub.endpoint)))
    with pytest.raises(ModelMissing, match="`flash-ls model fetch toy`"):
        store.ensure(NAME, Steps())
    with pytest.raises(ModelMissing, match="`flash-ls model fetch toy`"):
        store.build(entry, Steps())
    assert hub.requests == []
    assert store.fetch(entry, Steps()).read_bytes() == hub.content
    asked = len(hub.requests)
    assert asked > 0
    store.verify(store.ensure(NAME, Steps()), Steps())
    assert len(hub.requests) == asked


def test_fetching_prefers_what_is_on_this_machine(offer: Offer, weights: Path, hub: HubServer) -> None:
    online = HubSource("someone/toy", "toy.gguf", hub.endpoint)
    entry = offer(toy_entry(weights, FileSource(weights), online))
    store.fetch(entry, Steps())
    assert hub.requests == []


def test_fetching_falls_back_on_the_next_source(offer: Offer, weights: Path, hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"not the weights, and longer than nothing")
    sources = (
        PackageSource(("toy-part-9:x",)),
        FileSource(tmp_path / "other"),
        HubSource("someone/toy", "toy.gguf", hub.endpoint),
    )
    entry = offer(toy_entry(weights, *sources))
    assert store.fetch(entry, Steps()).read_bytes() == hub.content


def test_when_no_source_has_it_each_reason_is_given(offer: Offer, weights: Path, tmp_path: Path) -> None:
    sources = (PackageSource(("toy-part-9:x",)), FileSource(tmp_path / "nothing"))
    entry = offer(toy_entry(weights, *sources))
    with pytest.raises(SourceError, match=r"weights of toy cannot .*the package toy-part-9 .*; .*nothing cannot"):
        store.fetch(entry, Steps())


def test_a_cancelled_fetch_leaves_nothing(offer: Offer, weights: Path, home: Path) -> None:
    def cancel(label: str, fraction: float) -> None:
        raise Cancelled("stop")

    entry = offer(toy_entry(weights))
    with pytest.raises(Cancelled):
        store.fetch(entry, Steps(cancel))
    assert list((home / "weights").iterdir()) == []


def test_what_cannot_be_written_is_not_the_fault_of_the_source(offer: Offer, weights: Path, home: Path) -> None:
    entry = offer(toy_entry(weights))
    home.mkdir()
    (home / "weights").write_text("in the way")
    with pytest.raises(CacheFolderError, match="weights"):
        store.fetch(entry, Steps())
