"""A server under test: its process, the lines of its log, and the sessions that it lived through."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from scripts.replaying.clock import FastClock, HumanClock
from scripts.replaying.commits import files_at
from scripts.replaying.editor import Editor, Keystroke
from scripts.replaying.process import cpu_s, memory_mb
from scripts.replaying.sessions import Session
from scripts.replaying.typist import Habits, Typist
from scripts.replaying.workspace import check_out
from scripts.replaying.writing import keys_alone
from tests.lsp_client import INLINE, LspProcess

REQUEST = re.compile(
    r"complete file=.* version=(?P<version>\d+) reason=(?P<reason>.+) ms=\d+"
    r" prompt_tokens=(?P<prompt>\d+) cached_tokens=(?P<cached>\d+)"
)
READY, INDEXED = "reason=ready", re.compile(r"\bindex files=")
START_S = 900
"""A first start may build a model."""
INDEX_S = 10
SETTLE_S = 0.5
"""After which the log has all of a session."""


class Contender(NamedTuple):
    """A server and its settings."""

    name: str
    command: Sequence[str]
    options: Mapping[str, Any]


@dataclass
class Played:
    """What one server did with one session, or with several."""

    keys: list[Keystroke] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    keys_alone: int = 0
    """How many keys the sessions take if nothing is accepted."""
    typing_s: float = 0.0
    """Of the day; a fast run leaves the pauses out."""
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    """At the end, and at most: the highest of all processes."""
    peak_rss_mb: float = 0.0

    def add(self, other: "Played") -> None:
        self.keys += other.keys
        names = self.counts.keys() | other.counts.keys()
        self.counts = {name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in sorted(names)}
        self.sessions += other.sessions
        self.keys_alone += other.keys_alone
        self.typing_s += other.typing_s
        self.cpu_s += other.cpu_s
        self.rss_mb = max(self.rss_mb, other.rss_mb)
        self.peak_rss_mb = max(self.peak_rss_mb, other.peak_rss_mb)


class Server:
    """One process of a contender with a folder open."""

    def __init__(self, contender: Contender, root: Path, fast: bool, first: Session) -> None:
        """Starts it in the files of a session and waits until it can answer."""
        self._root, self._fast = root, fast
        check_out(root, files_at(first.commit.repo, first.commit.parent))
        self._process = LspProcess(contender.command, START_S)
        folder = {"uri": root.as_uri(), "name": root.name}
        self._process.request("initialize", _parameters(folder, contender.options))
        self._process.notify("initialized", {})
        self._process.wait_until(lambda: any(READY in line for line in self._process.log))
        self._await_index()

    @property
    def pid(self) -> int:
        return self._process.process.pid

    def close(self) -> None:
        self._process.close()

    def play(self, session: Session, habits: Habits) -> Played:
        """Let somebody make the edits of a session in the files of the commit before it."""
        changed = check_out(self._root, files_at(session.commit.repo, session.commit.parent))
        self._process.notify("workspace/didChangeWatchedFiles", {"changes": changed})
        time.sleep(0.0 if self._fast else SETTLE_S)
        editor = Editor(self._process, self._root, FastClock() if self._fast else HumanClock())
        logged, pid = len(self._process.log), self._process.process.pid
        began, busy = time.monotonic(), cpu_s(pid)
        Typist(editor, habits).play(session)
        typed_s, busy = time.monotonic() - began, cpu_s(pid) - busy
        time.sleep(SETTLE_S)
        self._join_log(editor.keys, logged)
        for stroke in editor.keys:
            stroke.session = session.id
        alone = keys_alone(session, habits.closing)
        return Played(editor.keys, dict(editor.counts), 1, alone, typed_s, busy, *memory_mb(pid))

    def _join_log(self, keys: Sequence[Keystroke], logged: int) -> None:
        """Take over what the log says of each request. Versions count on from file to file."""
        found = (REQUEST.search(line) for line in self._process.log[logged:])
        said = {int(match["version"]): match for match in found if match}
        for stroke in keys:
            if match := said.get(stroke.version or 0):
                stroke.reason = match["reason"]
                stroke.prompt_tokens, stroke.cached_tokens = int(match["prompt"]), int(match["cached"])

    def _await_index(self) -> None:
        """Wait until the project is read, if the server says when."""
        end = time.monotonic() + INDEX_S
        while time.monotonic() < end and not any(INDEXED.search(line) for line in self._process.log):
            time.sleep(0.05)


def _parameters(folder: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    """What an editor says of itself."""
    return {
        "processId": None,
        "rootUri": folder["uri"],
        "workspaceFolders": [folder],
        "capabilities": {**INLINE, "workspace": {"workspaceFolders": True}},
        "initializationOptions": {"statistics": False, **options},
    }
