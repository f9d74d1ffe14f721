"""The user's project: its files as an index, which a thread of its own keeps while nobody waits for a completion.

Knows nothing of prompts, editors or the protocol.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import PurePath
from queue import SimpleQueue

from flash_ls.index import Index
from flash_ls.workspace import SourceFile, Workspace

LARGEST_TEXT = 200_000
"""Characters of an open file that is indexed; as in `Workspace`, longer ones are hardly written by hand."""
MOST_FILES = 20_000
"""Of the index, those that come later too."""
MOST_CHARACTERS = 200_000_000
"""Read into the index at the start, of the files nearest to a root."""
MOST_CHANGES = 10_000
"""Files that wait to be read again; the changes of more are lost."""
WAIT_S = 0.02
"""Between two looks at whether the machine is still needed for something more urgent."""
WORK_S, REST_S = 0.001, 0.00005
"""The thread rests for a moment after so much work: a thread that shall run next then gets the interpreter at once,
and not only after `sys.getswitchinterval()`."""

logger = logging.getLogger(__name__)


class Project:
    """Some root folders, read into an index one file at a time; later the files that change."""

    def __init__(self, roots: Sequence[str], excludes: Sequence[str], busy: Callable[[], bool]) -> None:
        self.index = Index()
        self._roots = [key(os.path.abspath(root)) for root in roots]
        self._workspace = Workspace(roots, excludes, max_files=MOST_FILES)
        self._busy = busy
        self._open: dict[str, str] = {}
        self._changes: SimpleQueue[str] = SimpleQueue()
        self._changed: dict[str, str | None] = {}
        """What is last known of the files that wait."""
        self._changing = threading.Lock()
        self._stopped = threading.Event()
        self._complete = threading.Event()
        self._rested = 0.0
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)

    @property
    def name(self) -> str:
        """Of the first root."""
        return PurePath(self._roots[0]).name if self._roots else ""

    def title(self, path: str) -> str:
        """A file's path from its root, or its name if it is in none."""
        inside = [path[len(root) + 1 :] for root in self._roots if path.startswith(f"{root}/")]
        return min(inside, key=len, default=PurePath(path).name)

    def read(self, path: str) -> str | None:
        """The text of a file, as an editor has it if one does; None when it is gone or is not to be shown."""
        return self._open.get(path) or self._workspace.read(path)

    def start(self) -> None:
        self._thread.start()

    def changed(self, path: str, text: str | None = None) -> None:
        """Read a file again that was changed, made or deleted; an editor that has it open knows its `text`."""
        with self._changing:
            waits = path in self._changed
            if not waits and len(self._changed) >= MOST_CHANGES:
                logger.warning(
                    "More than %(files)d files changed at once; the index may lack some of them.",
                    {"files": MOST_CHANGES},
                )
                return
            self._changed[path] = text
        if not waits:
            self._changes.put(path)

    @property
    def complete(self) -> bool:
        """Whether all files there were at the start have been read."""
        return self._complete.is_set()

    def wait(self) -> None:
        """Until it is complete."""
        self._complete.wait()

    def stop(self) -> None:
        """Read no more. Returns at once."""
        self._stopped.set()
        self._changes.put("")

    def join(self) -> None:
        """Wait until the thread has noticed `stop`."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        self.index.add(self._texts(self._workspace.files()), self._give_way)
        self._complete.set()
        logger.info("index", {"files": len(self.index), "ms": round(1000 * (time.monotonic() - began))})
        while not self._stopped.is_set():
            self._update(*self._next_change())

    def _next_change(self) -> tuple[str, str | None]:
        path = self._changes.get()
        with self._changing:
            return path, self._changed.pop(path, None)

    def _texts(self, files: Iterator[SourceFile]) -> Iterator[tuple[str, str]]:
        left = MOST_CHARACTERS
        for file in takewhile(lambda _: self._give_way(), files):
            if (text := self.read(key(file.path))) is None:
                continue
            if (left := left - len(text)) < 0:
                logger.warning(
                    "The project is larger than %(mb)d MB; not all is indexed.", {"mb": MOST_CHARACTERS // 1_000_000}
                )
                return
            yield key(file.path), text

    def _update(self, path: str, text: str | None) -> None:
        if not self._give_way():
            return
        self._open.pop(path, None)
        belongs = self._workspace.accepts(path)
        if belongs and text is not None and len(text) <= LARGEST_TEXT:
            self._open[path] = text
        has_room = path in self.index or len(self.index) < MOST_FILES
        if belongs and has_room and (text := self.read(path)) is not None:
            self.index.update(path, text, self._give_way)
        else:
            self.index.remove(path)

    def _give_way(self) -> bool:
        """Rest if it is time to, and wait while others are busy; whether to go on."""
        if time.monotonic() - self._rested > WORK_S:
            time.sleep(REST_S)
            self._rested = time.monotonic()
        while self._busy() and not self._stopped.wait(WAIT_S):
            pass
        return not self._stopped.is_set()


def key(path: str) -> str:
    """A path as `Snapshot.path` spells it."""
    posix = PurePath(path).as_posix()
    return posix[:1].lower() + posix[1:] if posix[1:2] == ":" else posix
