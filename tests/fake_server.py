"""A real server process around a completer without a model: what it does is written before the cursor.

`python -m tests.fake_server MODE`: `ready` loads at once, `slow` works for it and shows its progress, `endless` loads
until stopped, `missing` has no model, `broken` has a bug.
"""

import re
import sys
import time
from dataclasses import replace
from typing import cast

from flash_ls.artifact import store
from flash_ls.completer import Completer, Completion, Watch
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline, Progress, Spent
from flash_ls.document import Snapshot
from flash_ls.engine.decode import GenerationStats
from flash_ls.errors import Cancelled, ModelError, ModelMissing
from flash_ls.loading import Loader
from flash_ls.server import serve

STUBBORN_S = 0.4


class FakeCompleter:
    """Shows what stands on both sides of the cursor, unless a word in its line asks for something else."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.precision = "int8"
        self.context: Context | None = None

    def candidates(self, snapshot: Snapshot, deadline: Deadline, most: int) -> list[Completion]:
        text = self._answer(snapshot, deadline, most)
        texts = [text, f"{text}2", f"{text}3"] if "SEVERAL" in _line(snapshot) else [text]
        return [self._completion(text, snapshot) for text in texts[:most]]

    def unasked(self, snapshot: Snapshot, deadline: Deadline, watch: Watch | None = None) -> Completion:
        if watch and "LINES" in _line(snapshot):
            watch.offer(self._completion("LINES", snapshot))
            time.sleep(STUBBORN_S)
        return self._completion(self._answer(snapshot, deadline, 0), snapshot)

    def complete(self, snapshot: Snapshot, deadline: Deadline) -> Completion:
        return self._completion(f"larger: {_line(snapshot)}", snapshot)

    def sure(self, completion: Completion) -> Completion:
        return completion if "UNSURE" not in completion.text else replace(completion, text="", reason="unsure")

    def settles(self, rest: Completion) -> bool:
        return True

    def _answer(self, snapshot: Snapshot, deadline: Deadline, asked: int) -> str:
        line = _line(snapshot)
        deadline.spent.add(Spent(prompt_tokens=7, cached_tokens=3))
        self._misbehave(line, deadline)
        say(f"asked for {asked}")
        return "" if "EMPTY" in line else self._text(line, snapshot)

    def _completion(self, text: str, snapshot: Snapshot) -> Completion:
        end = snapshot.cursor + (len(snapshot.line_suffix) if "CLOSE" in _line(snapshot) else 0)
        return Completion(text, snapshot.cursor, end, "stop", GenerationStats(prompt_tokens=7, cached_tokens=3))

    def warm(self, snapshot: Snapshot, deadline: Deadline) -> None:
        say(f"reads to {snapshot.cursor}")
        if "SLOWLY" in snapshot.before:
            _work(deadline)

    def _text(self, line: str, snapshot: Snapshot) -> str:
        if "SETTINGS" in line:
            return f"{self.config.model} {self.config.budget_ms}"
        if "CONFIDENCE" in line:
            return f"{self.config.min_confidence:.3f}"
        if "PROJECT" in line:
            excerpts = self.context.choose(snapshot, lambda: (0, len(snapshot.text))).excerpts if self.context else ()
            return " ".join(f"{path}={text}" for path, text in excerpts) or "nothing"
        return f"{line}|{snapshot.line_suffix}"

    def _misbehave(self, line: str, deadline: Deadline) -> None:
        if "BUSY" in line:
            say("busy")
            _work(deadline)
        if "STUBBORN" in line:
            say("stubborn")
            time.sleep(STUBBORN_S)
        if "PRINT" in line:
            print("this must not come between the frames", flush=True)
        if "RAISE" in line:
            raise ModelError("The model is broken; run `flash-ls model verify`.")
        if "CRASH" in line:
            raise ZeroDivisionError(f"a bug in {line}")


def _line(snapshot: Snapshot) -> str:
    return re.split(r"[\r\n]", snapshot.before)[-1]


def say(what: str) -> None:
    """Tell the test what happens, in one write: the log is written by other threads."""
    sys.stderr.write(f"fake: {what}\n")


def _work(deadline: Deadline) -> None:
    """Work until the budget is spent or the request is cancelled."""
    try:
        while not deadline.expired:
            deadline.check()
            time.sleep(0.005)
        say("budget spent")
    except Cancelled:
        say("cancelled")
        raise


def ready(config: Config, progress: Progress) -> Completer:
    say(f"loads {config.model}")
    return cast(Completer, FakeCompleter(config))


def slow(config: Config, progress: Progress) -> Completer:
    for step in range(100):
        progress("building", step / 100)
        end = time.process_time() + 0.003
        while time.process_time() < end:
            pass
    return ready(config, progress)


def endless(config: Config, progress: Progress) -> Completer:
    say(f"builds {config.model}")
    try:
        while True:
            progress("building", 0.5)
            time.sleep(0.005)
    except Cancelled:
        say("build stopped")
        raise


def missing(config: Config, progress: Progress) -> Completer:
    raise ModelMissing(f"There is no model {config.model}; run `flash-ls model build`.")


def broken(config: Config, progress: Progress) -> Completer:
    raise ZeroDivisionError("a bug")


MODES: dict[str, Loader[Completer]] = {
    "ready": ready,
    "slow": slow,
    "endless": endless,
    "missing": missing,
    "broken": broken,
}

if __name__ == "__main__":
    serve(MODES[sys.argv[1]], store.home(), Config(log_level="info"))
