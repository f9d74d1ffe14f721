"""The toy model in the catalog, and a process of its own that builds it: to be killed, doubled or starved.

    python -m tests.artifact.toy_build WEIGHTS [--pause SECONDS] [--file-limit BYTES]

prints each step of the progress; `--pause` waits in the middle of the build, `--file-limit` is what a file may have.
"""

import argparse
import hashlib
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from flash_ls.artifact import catalog, store
from flash_ls.artifact.catalog import CatalogEntry
from flash_ls.artifact.source import FileSource, Source
from flash_ls.errors import FlashLsError
from tests.toy_model import NAME, PROMPT

BUILDING = "building the model"


def toy_entry(weights: Path, *sources: Source, name: str = NAME) -> CatalogEntry:
    """A catalog entry for the GGUF file `weights`, to be had there if from nowhere else."""
    return CatalogEntry(
        name=name,
        title="A toy",
        licence="Apache-2.0",
        file=f"{name}.gguf",
        bytes=weights.stat().st_size,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        sources=sources or (FileSource(weights),),
        prompt=PROMPT,
    )


class Steps:
    """Progress that keeps what it was told; `on_step` is called with each label."""

    def __init__(self, on_step: Callable[[str, float], object] = lambda label, fraction: None) -> None:
        self.labels: list[str] = []
        self._on_step = on_step

    def __call__(self, label: str, fraction: float) -> None:
        self.labels.append(label)
        self._on_step(label, fraction)

    @property
    def built(self) -> bool:
        return BUILDING in self.labels


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--file-limit", type=int)
    args = parser.parse_args()
    if args.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (args.file_limit, args.file_limit))

    def show(label: str, fraction: float) -> None:
        print(f"{label} {fraction:.2f}", flush=True)
        if label == BUILDING and fraction < 1:
            time.sleep(args.pause)

    entry = toy_entry(args.weights)
    with patch.object(catalog, "catalog", lambda: {entry.name: entry}):
        try:
            store.ensure(entry.name, show)
        except FlashLsError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
