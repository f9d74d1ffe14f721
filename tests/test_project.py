"""The thread that indexes a folder, with real files."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

import pytest

from flash_ls import project as project_module
from flash_ls.project import LARGEST_TEXT, Project, key

WAIT_S = 10


class Work:
    """Whether somebody waits for a completion."""

    busy = False

    def __call__(self) -> bool:
        return self.busy


class Interruption:
    """Somebody who begins to wait when it has been asked so many times whether anybody does."""

    def __init__(self, after: int) -> None:
        self.asked = 0
        self.after = after

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.after

    @property
    def began(self) -> bool:
        return self.asked > self.after


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "price.py").write_text("def price(item): ...\n")
    (tmp_path / "main.go").write_text("func main() { window() }\n")
    (tmp_path / ".env").write_text("PASSWORD_OF_ALL=1\n")
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    (tmp_path / "ignored.py").write_text("unseen = 1\n")
    return tmp_path


@pytest.fixture
def project(root: Path, work: Work) -> Iterator[Project]:
    project = Project([str(root)], ["pkg/private*"], work)
    yield project
    project.stop()
    project.join()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)


def found(project: Project, word: str) -> list[str]:
    return [project.title(chunk.path) for chunk in project.index.nearest(word, 9)]


def test_the_files_of_the_folder_are_indexed(project: Project, root: Path) -> None:
    project.start()
    until(lambda: len(project.index) == 2)
    assert found(project, "price") == ["pkg/price.py"]
    assert found(project, "window") == ["main.go"]
    assert found(project, "unseen") == found(project, "PASSWORD_OF_ALL") == []
    assert project.name == root.name
    assert project.read(key(str(root / "main.go"))) == "func main() { window() }\n"


def test_it_waits_while_somebody_waits_for_a_completion(project: Project, work: Work) -> None:
    work.busy = True
    project.start()
    time.sleep(0.1)
    assert len(project.index) == 0
    work.busy = False
    until(lambda: len(project.index) == 2)


@pytest.mark.parametrize("changed", [False, True])
def test_it_waits_in_the_middle_of_a_file(root: Path, changed: bool) -> None:
    work = Interruption(sys.maxsize if changed else 100)
    project = Project([str(root)], [], work)
    if changed:
        project.start()
        until(lambda: project.complete)
        work.after = work.asked + 100
    (root / "large.py").write_text("enormous = 1\n" * 6000)
    if changed:
        project.changed(key(str(root / "large.py")))
    else:
        project.start()
    until(lambda: work.began)
    time.sleep(0.05)
    assert found(project, "enormous") == []
    work.after = sys.maxsize
    until(lambda: found(project, "enormous") != [])
    project.stop()
    project.join()


def test_other_threads_get_their_turn_in_the_middle_of_a_file(root: Path) -> None:
    turns, seen = [0], list[int]()
    (root / "large.py").write_text("\n".join(f"name{number} = other{number}" for number in range(7000)))

    def work() -> bool:
        seen.append(turns[0])
        return False

    project = Project([str(root)], [], work)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(WAIT_S)
    try:
        project.start()
        while not project.complete:
            time.sleep(0.0002)
            turns[0] += 1
    finally:
        sys.setswitchinterval(interval)
    project.stop()
    assert len(set(seen[20:-20])) > 3


def test_changes_on_the_disk_are_read_when_they_are_told(project: Project, root: Path) -> None:
    project.start()
    until(lambda: len(project.index) == 2)
    (root / "pkg" / "price.py").write_text("rebate = 1\n")
    (root / "new.py").write_text("novelty = 1\n")
    os.remove(root / "main.go")
    for name in ("pkg/price.py", "new.py", "main.go", "ignored.py", ".env"):
        project.changed(key(str(root / name)))
    until(lambda: found(project, "rebate novelty") != [] and found(project, "window") == [])
    assert found(project, "price unseen PASSWORD_OF_ALL") == []
    assert sorted(found(project, "rebate novelty")) == ["new.py", "pkg/price.py"]


def test_an_open_file_is_as_the_editor_has_it_until_it_is_closed(project: Project, root: Path) -> None:
    path = key(str(root / "pkg" / "price.py"))
    project.start()
    until(lambda: len(project.index) == 2)
    project.changed(path, "def unsaved(): ...\n")
    until(lambda: found(project, "unsaved") == ["pkg/price.py"])
    assert project.read(path) == "def unsaved(): ...\n"
    project.changed(path)
    until(lambda: found(project, "price") == ["pkg/price.py"])
    assert project.read(path) == "def price(item): ...\n"


def test_an_open_file_that_does_not_belong_is_not_told(project: Project, root: Path) -> None:
    project.start()
    for name in (".env", "ignored.py", "pkg/private.py", "../elsewhere.py"):
        project.changed(key(os.path.abspath(root / name)), "planted = 1\n")
    (root / "last.py").write_text("last_one = 1\n")
    project.changed(key(str(root / "last.py")))
    until(lambda: found(project, "last_one") != [])
    assert found(project, "planted") == []
    assert project.read(key(str(root / ".env"))) is None


def test_an_open_file_that_is_too_large_is_as_on_the_disk(project: Project, root: Path) -> None:
    path = key(str(root / "pkg" / "price.py"))
    project.start()
    until(lambda: len(project.index) == 2)
    project.changed(path, "unsaved = 1\n" * LARGEST_TEXT)
    (root / "last.py").write_text("last_one = 1\n")
    project.changed(key(str(root / "last.py")))
    until(lambda: found(project, "last_one") != [])
    assert found(project, "unsaved") == []
    assert found(project, "price") == ["pkg/price.py"]


def test_it_stops_in_the_middle(project: Project, work: Work) -> None:
    work.busy = True
    project.start()
    project.stop()
    project.join()
    assert len(project.index) == 0


def test_titles_are_paths_from_the_root(work: Work) -> None:
    project = Project(["/home/me/shop", "/home/me/shop/inner"], [], work)
    assert project.title("/home/me/shop/a/b.py") == "a/b.py"
    assert project.title("/home/me/shop/inner/b.py") == "b.py"
    assert project.title("/elsewhere/c.py") == "c.py"
    assert project.title("/home/me/shopping/c.py") == "c.py"


@pytest.mark.parametrize(("path", "spelled"), [("/a/b.py", "/a/b.py"), ("C:/x/y.py", "c:/x/y.py")])
def test_paths_are_spelt_as_in_snapshots(path: str, spelled: str) -> None:
    assert key(path) == spelled


def test_a_project_that_is_too_large_is_read_as_far_as_may_be(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(project_module, "MOST_CHARACTERS", 30)
    project = Project([str(root)], [], Work())
    project.start()
    until(lambda: project.complete)
    assert found(project, "window") == ["main.go"]
    assert found(project, "price") == []
    assert "not all is indexed" in caplog.text
    project.stop()
    project.join()


def test_an_index_that_is_full_takes_no_other_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_module, "MOST_FILES", 2)
    project = Project([str(root)], [], Work())
    project.start()
    until(lambda: project.complete)
    (root / "third.py").write_text("third = 1\n")
    (root / "main.go").write_text("func main() { door() }\n")
    project.changed(key(str(root / "third.py")))
    project.changed(key(str(root / "main.go")))
    until(lambda: found(project, "door") == ["main.go"])
    assert found(project, "third") == []
    project.stop()
    project.join()


def test_changes_that_wait_are_no_more_than_can_be_kept(
    project: Project, root: Path, work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(project_module, "MOST_CHANGES", 1)
    project.start()
    until(lambda: project.complete)
    work.busy = True
    for text in ("first = 1", "second = 2"):
        project.changed(key(str(root / "main.go")), text)
    until(lambda: project._changed == {})  # it has taken the first, and waits
    for name in ("pkg/price.py", "lost.py"):
        project.changed(key(str(root / name)), f"{PurePath(name).stem} = later")
    assert "changed at once" in caplog.text
    work.busy = False
    until(lambda: found(project, "later") == ["pkg/price.py"])
