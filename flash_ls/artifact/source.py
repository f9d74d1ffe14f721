"""Where upstream weights can be had: installed packages, a file of the user's, the model hub.

A source only delivers bytes. Whether they are the right ones is the store's question, answered by their hash.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol, cast

from flash_ls.errors import SourceError

PIECE = 1 << 22
"""Bytes read at a time."""


class Source(Protocol):
    """One place the weights may be in."""

    @property
    def local(self) -> bool:
        """Needs no network."""

    def pieces(self) -> Iterator[bytes]:
        """The file, piece by piece. Raises `SourceError` when it is not to be had here."""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """Parts of the file carried by installed packages, which are never imported."""

    parts: tuple[str, ...]
    """`distribution:file inside it`, in the order of the file."""
    local = True

    def pieces(self) -> Iterator[bytes]:
        paths = [self._locate(*part.split(":")) for part in self.parts]
        for path in paths:
            yield from _read(path)

    @staticmethod
    def _locate(distribution: str, file: str) -> Path:
        try:
            return Path(str(metadata.distribution(distribution).locate_file(file)))
        except metadata.PackageNotFoundError as error:
            raise SourceError(f"the package {distribution} is not installed") from error


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file on this machine."""

    path: Path
    local = True

    def pieces(self) -> Iterator[bytes]:
        return _read(self.path)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of the model hub, through its own client library (extra `hub`)."""

    repo: str
    file: str
    endpoint: str | None = None
    local = False

    def pieces(self) -> Iterator[bytes]:
        try:
            import huggingface_hub  # an extra: only those who fetch from the hub have it
            import huggingface_hub.errors as hub_errors
        except ImportError as error:
            raise SourceError("the model hub needs `pip install 'flash-ls[hub]'`") from error
        # Among the bases is that of all errors of the HTTP library in use, which is another in each major version.
        bases = cast("tuple[type[Exception], ...]", hub_errors.HfHubHTTPError.__bases__)
        failures: tuple[type[Exception], ...] = (*bases, hub_errors.LocalEntryNotFoundError, OSError)
        try:
            path = huggingface_hub.hf_hub_download(self.repo, self.file, endpoint=self.endpoint)
        except failures as error:
            raise SourceError(f"the model hub did not deliver {self.repo} ({error})") from error
        yield from _read(Path(path))


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})") from error


KINDS: dict[str, Callable[..., Source]] = {"packages": PackageSource, "hub": HubSource}
"""How a source is called in the catalog."""
