"""What became of requests, and what other processes learn of it."""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls import private_file
from flash_ls.config import Config
from flash_ls.journal import Entry, Journal, Reason, reason_of, sentence
from flash_ls.presence import Presence, running

ROOT = Path(__file__).resolve().parents[1]


def entry(version: int, reason: Reason = Reason.SHOWN) -> Entry:
    return Entry(1000.0 + version, "a.py", "python", version, reason, "stop", 80.0, 700, 690, 12, True)


@given(st.lists(st.sampled_from(Reason), max_size=20))
def test_the_last_entries_are_kept(reasons: list[Reason]) -> None:
    journal = Journal(most=5)
    for version, reason in enumerate(reasons):
        journal.add(entry(version, reason))
    kept = [entry(version, reason) for version, reason in enumerate(reasons)][-5:]
    said = json.loads(json.dumps(journal.as_dict()))
    assert [(one["version"], one["reason"]) for one in said["entries"]] == [(one.version, one.reason) for one in kept]
    assert sum(said["reasons"].values()) == len(kept)
    assert journal.last == (kept[-1] if kept else None)


def test_as_few_entries_as_wanted() -> None:
    journal = Journal()
    for version in range(30):
        journal.add(entry(version))
    said = json.loads(json.dumps(journal.as_dict(2)))
    assert [one["version"] for one in said["entries"]] == [28, 29]
    assert said["reasons"] == {"shown": 30}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_one_sentence(reason: Reason) -> None:
    text = sentence(reason)
    assert text[-1] == "."
    assert ". " not in text
    assert "\n" not in text


def test_sentences_differ_and_name_settings_that_exist() -> None:
    sentences = [sentence(reason) for reason in Reason]
    assert len(set(sentences)) == len(sentences)
    named = {word.strip(".,;:") for text in sentences for word in text.split() if word.startswith("flashLs.")}
    assert len(named) > 4
    assert all(hasattr(Config(), name.partition(".")[2]) for name in named)


@pytest.mark.parametrize("reason", set(Reason) - {Reason.SHOWN, Reason.TYPED_THROUGH})
def test_a_completion_without_text_has_its_own_reason(reason: Reason) -> None:
    assert reason_of(str(reason), shown=False, called=True) is reason


@pytest.mark.parametrize("finish", ["stop", "rule", "limit", "deadline"])
def test_a_completion_with_text_is_shown_however_it_ended(finish: str) -> None:
    assert reason_of(finish, shown=True, called=True) is Reason.SHOWN
    assert reason_of(finish, shown=True, called=False) is Reason.TYPED_THROUGH


@pytest.mark.parametrize("finish", ["stop", "rule", "", "something new"])
def test_a_completion_that_ended_without_text_is_empty(finish: str) -> None:
    assert reason_of(finish, shown=False, called=True) is Reason.EMPTY


def test_what_a_server_says_is_read_by_others(tmp_path: Path) -> None:
    presence = Presence(tmp_path / "run")
    assert running(tmp_path / "run") == []
    presence.write({"state": "loading"})
    presence.write({"state": "ready"})
    assert running(tmp_path / "run") == [{"state": "ready", "pid": os.getpid()}]
    presence.remove()
    assert running(tmp_path / "run") == []
    assert list((tmp_path / "run").iterdir()) == []


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    presence = Presence(tmp_path / "run")
    presence.write({})
    modes = {
        path.suffix: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "run", *(tmp_path / "run").iterdir()]
    }
    assert modes == {"": 0o700, ".json": 0o600, ".lock": 0o600}
    presence.remove()


def test_what_was_said_already_is_not_written_again(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    presence.write({"state": "ready"})
    path = tmp_path / f"{os.getpid()}.json"
    before = path.stat().st_ino
    presence.write({"state": "ready"})
    assert path.stat().st_ino == before
    presence.remove()


def test_the_file_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from flash_ls.presence import Presence\n"
    code += "presence = Presence(Path(sys.argv[1])); presence.write({}); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert running(tmp_path) == [{"pid": child.pid}]
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="there are no such links")
def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("all")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="link"):
        private_file.begin(tmp_path / "link")
    assert (tmp_path / "precious").read_text() == "all"


def test_nothing_of_a_killed_process_stays_when_the_next_comes(tmp_path: Path) -> None:
    for name in ("1.json", ".1.json.partial", "1.lock"):
        (tmp_path / name).write_text("{}")
    Presence(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_another_process_has_by_now_means_nothing(tmp_path: Path) -> None:
    (tmp_path / f"{os.getppid()}.json").write_text("{}")
    assert running(tmp_path) == []
    assert not (tmp_path / f"{os.getppid()}.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "1", '{"a": '])
def test_what_cannot_be_read_is_ignored(tmp_path: Path, text: str) -> None:
    presence = Presence(tmp_path)
    presence.write({})
    (tmp_path / f"{os.getpid()}.json").write_text(text)
    assert running(tmp_path) == []
    presence.remove()


def test_a_folder_that_cannot_be_made_is_tolerated(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "run", tmp_path / "file"):
        presence = Presence(folder)
        presence.write({"state": "ready"})
        presence.remove()
        assert running(folder) == []


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    """As it is where two containers share a folder."""
    first, second = Presence(tmp_path), Presence(tmp_path)
    first.write({"state": "ready"})
    second.write({"state": "error"})
    second.remove()
    assert [report["state"] for report in running(tmp_path)] == ["ready"]
    first.remove()


def test_what_cannot_be_locked_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text("{}")
    (tmp_path / "1.lock").mkdir()
    assert running(tmp_path) == []


def test_a_disk_that_is_full_is_tolerated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    presence = Presence(tmp_path)

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(private_file, "write", full)
        presence.write({"state": "ready"})
    presence.write({"state": "ready"})
    assert [report["state"] for report in running(tmp_path)] == ["ready"]
    presence.remove()


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    private_file.write(path, "before")
    with pytest.raises(UnicodeEncodeError):
        private_file.write(path, "\ud800")
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_a_file_that_others_could_read_is_replaced_by_one_they_cannot(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("before")
    path.chmod(0o644)
    private_file.write(path, "after")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "after"


def test_nothing_is_logged_above_information(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    Presence(tmp_path / "file")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
