#!/usr/bin/env python3
"""Fetch and unpack the packages that `models/corpus.txt` lists, for `models/data.py`.

    models/fetch.py FOLDER [--list models/corpus.txt]

Each line names an index, a package and its version: `pypi` wheels by pip, `npm` packages by npm, `debian` packages by
apt-get. Nothing of a package is run. What is there already is not fetched again; what cannot be had is said at the end.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

LIST = Path(__file__).with_name("corpus.txt")
TIMEOUT_S = 300


def download(command: list[str], folder: str) -> Path:
    """The one file that the command puts into the folder. Raises `OSError` or `subprocess.SubprocessError`."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=TIMEOUT_S)
    (path,) = Path(folder).iterdir()
    return path


def wheel(name: str, version: str, folder: str, target: Path) -> None:
    options = ["--quiet", "--no-deps", "--only-binary", ":all:"]
    path = download([sys.executable, "-m", "pip", "download", *options, f"{name}=={version}"], folder)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(target)


def npm(name: str, version: str, folder: str, target: Path) -> None:
    path = download(["npm", "pack", "--silent", f"{name}@{version}"], folder)
    target.mkdir()
    subprocess.run(["tar", "-xf", str(path), "-C", str(target)], check=True, timeout=TIMEOUT_S)


def debian(name: str, version: str, folder: str, target: Path) -> None:
    path = download(["apt-get", "download", "-q", f"{name}={version}"], folder)
    subprocess.run(["dpkg", "-x", str(path), str(target)], check=True, timeout=TIMEOUT_S)


INDEXES: dict[str, Callable[[str, str, str, Path], None]] = {"pypi": wheel, "npm": npm, "debian": debian}


def fetch(index: str, name: str, version: str, folder: Path) -> None:
    """Put one package into a folder of its own below `folder`, unless it is there."""
    target = folder / f"{index}-{name.replace('/', '-').removeprefix('@')}-{version}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as scratch:
            (Path(scratch) / "archive").mkdir()
            INDEXES[index](name, version, f"{scratch}/archive", Path(scratch) / "package")
            (Path(scratch) / "package").rename(target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", type=Path, default=LIST)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for line in tqdm(args.list.read_text(encoding="utf-8").splitlines(), "fetching", unit="package", disable=None):
        try:
            index, name, version = line.split()
            fetch(index, name, version, args.folder)
        except (OSError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
            failed.append(f"{line} ({error})")
    print(*failed, f"{len(failed)} packages could not be had.", sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
