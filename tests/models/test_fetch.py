"""Packages are fetched once, whole or not at all."""

import subprocess
from pathlib import Path

import pytest

from models import fetch


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The packages asked for; those called `broken` fail half-way."""
    asked: list[str] = []

    def deliver(name: str, version: str, folder: str, target: Path) -> None:
        asked.append(f"{name} {version}")
        assert Path(folder).is_dir()
        target.mkdir()
        (target / "a.py").write_text("x = 1\n")
        if name == "broken":
            raise subprocess.CalledProcessError(1, "npm")

    monkeypatch.setitem(fetch.INDEXES, "npm", deliver)
    return asked


def test_a_package_gets_a_folder_named_for_it_and_is_not_fetched_again(tmp_path: Path, fetched: list[str]) -> None:
    for _ in range(2):
        fetch.fetch("npm", "@scope/name", "1.0", tmp_path)
    assert fetched == ["@scope/name 1.0"]
    assert [path.name for path in tmp_path.iterdir()] == ["npm-scope-name-1.0"]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, fetched: list[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        fetch.fetch("npm", "broken", "1.0", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_list_names_an_index_a_package_and_a_version_each() -> None:
    rows = [line.split() for line in fetch.LIST.read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 300
    assert {index for index, _, _ in rows} == set(fetch.INDEXES)
    assert len({(index, name) for index, name, _ in rows}) == len(rows)
