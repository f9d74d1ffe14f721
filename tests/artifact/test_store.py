"""From upstream weights to a verified artifact: built once, whole or not at all, and rebuilt when anything is wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flash_ls.artifact import adapter, store
from flash_ls.artifact.adapter import AdaptedWeights, Factors
from flash_ls.artifact.catalog import CatalogEntry, catalog, find
from flash_ls.artifact.gguf_file import GgufFile
from flash_ls.artifact.source import FileSource, PackageSource
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine import manifest
from flash_ls.engine.manifest import (
    DATA_FILE,
    EMBEDDING_FILE,
    SCALES_FILE,
    SHORTLIST_FILE,
    TOKENIZER_FILE,
    graph_file,
)
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import (
    CacheFolderError,
    Cancelled,
    CorruptFile,
    ManifestError,
    ModelError,
    ModelMissing,
    SourceError,
)
from flash_ls.local import load_completer
from tests.artifact.conftest import Offer
from tests.artifact.toy_build import BUILDING, Steps, toy_entry
from tests.reference_model import ReferenceModel
from tests.toy_model import FORM, NAME, SHAPE, write_gguf, write_tokenizer

ROOT = Path(__file__).parents[2]
PRECISIONS = ("int4", "int8", "mixed")
FILES = sorted(
    [
        *(graph_file(precision) for precision in PRECISIONS),
        *(manifest.FILE_NAME, DATA_FILE, TOKENIZER_FILE, EMBEDDING_FILE, SCALES_FILE, SHORTLIST_FILE),
    ]
)


def built(entry: CatalogEntry) -> Path:
    return store.ensure(entry.name, Steps())


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_artifact_is_built_once_and_then_only_verified(entry: CatalogEntry) -> None:
    first, second = Steps(), Steps()
    folder = store.ensure(NAME, first)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert store.ensure(NAME, second) == folder == store.folder_of(entry)
    assert first.built
    assert set(second.labels) == {"checking the model"}
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert names_in(folder) == FILES
    assert names_in(folder.parent) == sorted([folder.name, f"{NAME}.lock"])


def test_what_is_built_computes_what_the_upstream_weights_say(entry: CatalogEntry, weights: Path) -> None:
    folder = built(entry)
    described = manifest.read(folder)
    upstream = GgufFile(weights)
    assert described.prompt == FORM
    assert described.shape == upstream.model_shape()
    tokens = Tokenizer(folder / manifest.TOKENIZER_FILE).encode("def f(self):\n    return self")[0]
    assert described.precisions == PRECISIONS
    expected = ReferenceModel(SHAPE, upstream).logits(tokens)
    for precision, agreement in (("int8", 0.99), ("mixed", 0.98), ("int4", 0.9)):
        model = OnnxModel(folder, described, precision, threads=1)
        logits = model.forward(tokens, model.new_cache(), len(tokens), Deadline(), precise=True).values
        assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > agreement


def test_what_was_learnt_is_built_in(offer: Offer, weights: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    up, down = (random.normal(0, 1, size).astype(np.float32) for size in ((SHAPE.hidden, 2), (2, SHAPE.intermediate)))
    learnt = {"0.down": Factors(up, down)}
    adapter.save(tmp_path / "learnt.npz", learnt)
    entry = replace(toy_entry(weights), adapter=str(tmp_path / "learnt.npz"))
    assert entry.revision != toy_entry(weights).revision
    offer(entry)
    folder = built(entry)
    tokens = Tokenizer(folder / manifest.TOKENIZER_FILE).encode("def f(self):\n    return self")[0]
    model = OnnxModel(folder, manifest.read(folder), "int8", threads=1)
    logits = model.forward(tokens, model.new_cache(), len(tokens), Deadline(), precise=True).values
    upstream = GgufFile(weights)
    taught = ReferenceModel(SHAPE, AdaptedWeights(upstream, adapter.load(entry.adapter or ""))).logits(tokens)
    untaught = ReferenceModel(SHAPE, upstream).logits(tokens)
    assert np.corrcoef(logits.ravel(), taught.ravel())[0, 1] > 0.98
    assert np.corrcoef(logits.ravel(), untaught.ravel())[0, 1] < 0.9


def test_the_tokenizer_of_the_upstream_file_is_kept(entry: CatalogEntry, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "expected.json")
    expected = json.loads((tmp_path / "expected.json").read_text())
    assert json.loads((built(entry) / manifest.TOKENIZER_FILE).read_text()) == expected


def test_a_built_artifact_completes(entry: CatalogEntry) -> None:
    completer = load_completer(built(entry), Config())
    completion = completer.complete(Snapshot("file:///a.py", "python", 1, "def f(x):\n    return ", 21), Deadline())
    assert completion.stats is not None
    assert completion.stats.prompt_tokens > 3


def test_a_folder_is_a_model_too(entry: CatalogEntry, offer: Offer, weights: Path) -> None:
    folder = built(entry)
    offer(toy_entry(weights, name="other"))
    steps = Steps()
    assert store.ensure(str(folder), steps) == folder
    assert not steps.built
    (folder / "int8.onnx").write_bytes(b"")
    with pytest.raises(CorruptFile, match=r"int8\.onnx has 0 bytes"):
        store.ensure(str(folder), steps)


@pytest.mark.parametrize("name", ["gpt", "x" * 5000, "a\0b", ""])
def test_an_unknown_model_is_named_with_those_there_are(entry: CatalogEntry, name: str) -> None:
    with pytest.raises(ModelMissing, match="set `model` to one of: toy"):
        store.ensure(name, Steps())


def truncate(path: Path) -> None:
    """Two bytes, for the last one of a manifest is only the end of its line."""
    os.truncate(path, path.stat().st_size - 2)


def alter(path: Path) -> None:
    """Change one digit, or one byte where there is none."""
    data = bytearray(path.read_bytes())
    place = next((place for place in range(len(data) // 2, len(data)) if chr(data[place]).isdigit()), len(data) // 2)
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [truncate, alter, Path.unlink])
def test_a_damaged_file_is_named_and_rebuilt(entry: CatalogEntry, name: str, damage: Callable[[Path], None]) -> None:
    folder = built(entry)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    damage(folder / name)
    with pytest.raises((CorruptFile, ManifestError), match=rf"{name}\b.*`flash-ls model build`"):
        store.verify(folder, Steps())
    steps = Steps()
    assert store.ensure(NAME, steps) == folder
    assert steps.built
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        raw = json.loads(text)
        change(raw)
        return json.dumps(raw)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: "{" + text, id="no json"),
        pytest.param(lambda text: "[]", id="a list"),
        pytest.param(lambda text: "\udcff", id="not UTF-8"),
        pytest.param(edited(lambda raw: raw.pop("files")), id="no files"),
        pytest.param(edited(lambda raw: raw.pop("sha256")), id="no hash"),
        pytest.param(edited(lambda raw: raw.update(files={})), id="no file is checked"),
        pytest.param(edited(lambda raw: raw["shape"].pop("layers")), id="no number of layers"),
        pytest.param(edited(lambda raw: raw["shape"].update(layers="two")), id="a number in words"),
        pytest.param(edited(lambda raw: raw["files"]["int8.onnx"].update(bytes="9")), id="a size in quotes"),
        pytest.param(edited(lambda raw: raw["prompt"].update(stop_ids=7)), id="one stop id, no list"),
        pytest.param(edited(lambda raw: raw.update(colour="red")), id="an unknown key"),
    ],
)
def test_a_broken_manifest_is_named_and_rebuilt(entry: CatalogEntry, edit: Callable[[str], str]) -> None:
    folder = built(entry)
    path = folder / "manifest.json"
    before = path.read_text()
    path.write_text(edit(before), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ManifestError, match=r"manifest\.json is broken .*`flash-ls model build`"):
        store.verify(folder, Steps())
    assert built(entry) == folder
    assert path.read_text() == before


def start_build(weights: Path, *options: str) -> "subprocess.Popen[str]":
    """Another process that builds the toy in the same FLASH_LS_HOME."""
    command = [sys.executable, "-m", "tests.artifact.toy_build", str(weights), *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def test_two_processes_build_once(entry: CatalogEntry, weights: Path) -> None:
    first = start_build(weights, "--pause", "1")
    assert first.stdout is not None
    while not first.stdout.readline().startswith(BUILDING):
        assert first.poll() is None
    steps = Steps()
    folder = store.ensure(NAME, steps)
    assert first.wait(30) == 0
    assert "waiting for another process that builds the model" in steps.labels
    assert not steps.built
    assert names_in(folder) == FILES
    first.stdout.close()


def test_two_processes_started_together_build_once(entry: CatalogEntry, weights: Path) -> None:
    both = [start_build(weights) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum(BUILDING in output for output, _ in outputs) == 1
    store.verify(store.folder_of(entry), Steps())


def test_a_killed_build_leaves_no_artifact_and_the_next_one_cleans_up(entry: CatalogEntry, weights: Path) -> None:
    process = start_build(weights, "--pause", "60")
    assert process.stdout is not None
    while not process.stdout.readline().startswith(BUILDING):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    models = store.folder_of(entry).parent
    left = names_in(models)
    assert [name for name in left if name.startswith(".partial-")], "what a killed process cannot clean up"
    assert store.folder_of(entry).name not in left
    other = models / f".partial-{NAME}-large-abcdefgh"  # of another model, being built right now
    other.mkdir()
    folder = built(entry)
    store.verify(folder, Steps())
    assert names_in(models) == sorted([other.name, folder.name, f"{NAME}.lock"])


@pytest.mark.parametrize("label", [BUILDING, "fetching the weights"])
def test_a_cancelled_build_leaves_nothing(entry: CatalogEntry, label: str) -> None:
    def cancel(reached: str, fraction: float) -> None:
        if reached == label:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        store.ensure(NAME, Steps(cancel))
    assert names_in(store.folder_of(entry).parent) == [f"{NAME}.lock"]
    store.verify(built(entry), Steps())


def test_a_failed_rebuild_keeps_the_old_artifact(entry: CatalogEntry) -> None:
    def cancel(reached: str, fraction: float) -> None:
        if reached == BUILDING:
            raise Cancelled("stop")

    folder = built(entry)
    with pytest.raises(Cancelled):
        store.build(entry, Steps(cancel))
    store.verify(folder, Steps())


@pytest.mark.parametrize("file", ["toy.gguf", DATA_FILE])
def test_no_space_is_one_sentence_and_leaves_nothing(entry: CatalogEntry, weights: Path, file: str) -> None:
    limit = weights.stat().st_size // 2
    if file == DATA_FILE:  # with the weights there already, it is the first file that does not fit
        store.fetch(entry, Steps())
    process = start_build(weights, "--file-limit", str(limit // 4 if file == DATA_FILE else limit))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert errors.startswith("CacheFolderError: Cannot write to ")
    assert "File too large" in errors
    assert errors.count("\n") == 1
    assert names_in(store.folder_of(entry).parent) == [f"{NAME}.lock"]


@pytest.mark.parametrize("below", [".", "sub/folder"])
def test_a_cache_folder_below_a_file_is_one_sentence(
    entry: CatalogEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "file" / below))
    for attempt in (lambda: built(entry), lambda: store.fetch(entry, Steps()), lambda: store.remove(entry, Steps())):
        with pytest.raises(CacheFolderError, match=r"^Cannot write to .*file.*set FLASH_LS_HOME"):
            attempt()


def test_a_cache_folder_with_an_impossible_name_is_one_sentence(
    entry: CatalogEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / ("x" * 300)))
    with pytest.raises(CacheFolderError, match="File name too long"):
        built(entry)


def test_weights_with_another_hash_are_refused(offer: Offer, weights: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.gguf"
    shutil.copy(weights, altered)
    alter(altered)
    entry = offer(toy_entry(weights, FileSource(altered)))
    with pytest.raises(ModelMissing, match=r"is not toy\.gguf: its sha256 is [0-9a-f]{64}"):
        built(entry)
    with pytest.raises(SourceError, match="its sha256 is"):
        store.build(entry, Steps(), altered)
    assert names_in(store.folder_of(entry).parent) == [f"{NAME}.lock"]


def test_weights_from_a_file_of_the_users(offer: Offer, weights: Path, tmp_path: Path) -> None:
    entry = offer(toy_entry(weights, FileSource(tmp_path / "nothing here")))
    folder = store.build(entry, Steps(), weights)
    store.verify(folder, Steps())


def test_without_weights_the_user_learns_how_to_get_them(offer: Offer, weights: Path, tmp_path: Path) -> None:
    offer(toy_entry(weights, FileSource(tmp_path / "nothing here")))
    with pytest.raises(ModelMissing, match=r"run `flash-ls model fetch \S+`.*nothing here cannot be read"):
        store.ensure(NAME, Steps())


def test_fetched_weights_are_used_and_checked(
    offer: Offer, weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy.gguf"
    shutil.copy(weights, copy)
    entry = offer(toy_entry(weights, FileSource(copy)))
    fetched = store.fetch(entry, Steps())
    assert fetched.read_bytes() == weights.read_bytes()
    assert names_in(fetched.parent) == [entry.file]
    copy.unlink()
    store.verify(built(entry), Steps())
    alter(fetched)
    with pytest.raises(ModelMissing):
        store.build(entry, Steps())
    assert "toy.gguf is truncated or altered" in caplog.text


def test_removing_frees_the_files_of_this_model_only(entry: CatalogEntry, offer: Offer, weights: Path) -> None:
    folder, fetched = built(entry), store.fetch(entry, Steps())
    other = built(offer(toy_entry(weights, name=f"{NAME}-large")))
    older = folder.with_name(f"{NAME}-0123456789ab")
    shutil.copytree(folder, older)
    size = 2 * sum(path.stat().st_size for path in folder.iterdir()) + fetched.stat().st_size
    assert store.remove(entry, Steps()) == size
    assert not folder.exists()
    assert not older.exists()
    assert not fetched.exists()
    store.verify(other, Steps())
    assert store.remove(entry, Steps()) == 0


def test_what_killed_processes_left_is_cleaned_up_by_fetching_and_by_removing(entry: CatalogEntry, home: Path) -> None:
    models, fetched = home / "models", home / "weights"
    left = [models / f".partial-{NAME}-abcdefgh", fetched / f".partial-{entry.file}-abcdefgh"]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "half.bin").write_bytes(b"half")
    store.fetch(entry, Steps())
    assert names_in(fetched) == [entry.file]
    store.remove(entry, Steps())
    assert names_in(models) == [f"{NAME}.lock"]


def test_a_build_replaces_earlier_revisions_of_this_model_only(
    entry: CatalogEntry, offer: Offer, weights: Path
) -> None:
    other = built(offer(toy_entry(weights, name=f"{NAME}-large")))
    older = store.folder_of(entry).with_name(f"{NAME}-0123456789ab")
    older.mkdir()
    offer(entry)
    built(entry)
    assert not older.exists()
    store.verify(other, Steps())


def test_the_revision_follows_what_the_artifact_is_made_from(weights: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.gguf"
    shutil.copy(weights, altered)
    alter(altered)
    assert toy_entry(weights).revision == toy_entry(weights, FileSource(altered)).revision
    assert toy_entry(weights).revision != toy_entry(altered).revision


def test_the_catalog_of_the_package_can_be_read() -> None:
    entry = find(Config().model)
    assert [source.local for source in entry.sources] == [True, False]
    assert len(entry.sha256) == 64
    assert entry.revision in store.folder_of(entry).name


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no weights at all"], ids=["empty", "cut", "other"])
def test_what_is_no_gguf_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match=r"odd\.gguf is not a GGUF file"):
        GgufFile(path)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "odd.gguf", architecture="llama")
    with pytest.raises(ModelError, match="does not hold a qwen2 model"):
        GgufFile(tmp_path / "odd.gguf")


def test_the_extras_of_the_package_bring_the_weights_of_the_catalog() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    for entry in catalog().values():
        parts = next(source.parts for source in entry.sources if isinstance(source, PackageSource))
        assert [part.split(":")[0] for part in parts] == [wanted.split("==")[0] for wanted in extras[entry.extra]]
