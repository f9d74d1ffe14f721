"""The weights that are measured: the upstream file, which other systems read, how large those of a graph are, and the
same model in float32."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from flash_ls.artifact import store
from flash_ls.artifact.catalog import find
from flash_ls.deadline import Progress

REFERENCE = "fp32"


@contextmanager
def gguf_file(given: Path | None, model: str) -> Iterator[Path]:
    """The upstream weights: the file given, the one fetched, or one put together for a while.

    Raises `ModelMissing` if this machine has none.
    """
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield store.upstream_file(find(model), Path(scratch), lambda label, done: None)


def build_reference(folder: Path, gguf: Path, model: str, progress: Progress) -> None:
    """Write the artifact of `model` in float32, its head over all words, into a new folder.

    Raises `CacheFolderError` and `SourceError`.
    """
    store.make(replace(find(model), precisions=(REFERENCE,), shortlist=None), gguf, folder, progress)


def weight_bytes(graph: Path) -> int:
    """Bytes of the weights that the graph reads in a pass."""
    import onnx  # costs 60 MB, which the measured processes shall not have

    model = onnx.load(graph, load_external_data=False)
    places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in model.graph.initializer]
    return sum(int(place["length"]) for place in places if place)
