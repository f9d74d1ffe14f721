"""A completer without a model, which answers with the cursor's line and a mark in it."""

import re
from typing import cast

from flash_ls.completer import Completer, Completion, Watch
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline, Progress
from flash_ls.document import Snapshot


class Echo:
    """See `Completer`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.precision = "none"
        self.context: Context | None = None

    def unasked(self, snapshot: Snapshot, deadline: Deadline, watch: Watch | None = None) -> Completion:
        before, after = (re.split(r"[\r\n]", part) for part in (snapshot.before, snapshot.after))
        return Completion(f"{before[-1]}|{after[0]}", snapshot.cursor, snapshot.cursor, "stop")

    def candidates(self, snapshot: Snapshot, deadline: Deadline, most: int) -> list[Completion]:
        return [self.unasked(snapshot, deadline)]

    def sure(self, completion: Completion) -> Completion:
        return completion

    def settles(self, rest: Completion) -> bool:
        return True

    def warm(self, snapshot: Snapshot, deadline: Deadline) -> None:
        """There is nothing to read."""


def load(config: Config, progress: Progress) -> Completer:
    progress("loading", 0.5)
    return cast(Completer, Echo(config))
