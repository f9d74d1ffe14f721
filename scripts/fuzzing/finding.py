"""What a fuzzer has found, made as small as it goes, and as a file that shows it again."""

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

Steps = list[dict[str, Any]]
TRIES, LONGEST_S = 400, 60.0
"""Runs and seconds that may be spent on making a case smaller."""


class Fault(Exception):
    """The server did what it must not; its `kind` is how it counts."""

    kind = "crashes"


class Hang(Fault):
    """Nothing came in time."""

    kind = "hangs"


class Differs(Fault):
    """A document is not what the client has."""

    kind = "differing"


@dataclass
class Finding:
    """A case that fails."""

    kind: str
    """Of the case: who runs it."""
    fault: str
    text: str
    steps: Steps

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.kind}-{len(list(folder.iterdir()))}.json"
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        return path


def read(path: Path) -> Finding:
    return Finding(**json.loads(path.read_text(encoding="utf-8")))


def fault_of(run: Callable[[Steps], object], steps: Steps) -> BaseException | None:
    """What goes wrong with these steps, if anything does."""
    try:
        run(steps)
    except Exception as error:
        return error
    return None


def smallest(run: Callable[[Steps], object], steps: Steps) -> Steps:
    """The fewest steps found that fail in the same way: parts are left out, ever smaller ones (ddmin)."""
    wanted, left, end = type(fault_of(run, steps)), TRIES, time.monotonic() + LONGEST_S

    def fails(tried: Sequence[dict[str, Any]]) -> bool:
        nonlocal left
        left = left - 1 if time.monotonic() < end else 0
        return left > 0 and type(fault_of(run, list(tried))) is wanted

    size = len(steps) // 2
    while size and left > 0:
        for start in range(0, len(steps), size):
            shorter = steps[:start] + steps[start + size :]
            if left > 0 and shorter and fails(shorter):
                steps = shorter
                break
        else:
            size //= 2
        size = min(size, len(steps) // 2 or (size and 1 if len(steps) > 1 else 0))
    return [_shorter(step, number, steps, fails) for number, step in enumerate(steps)]


def _shorter(step: dict[str, Any], number: int, steps: Steps, fails: Callable[[Steps], bool]) -> dict[str, Any]:
    """A step with less text in it, as far as it still fails."""
    for key in [key for key in ("raw", "text") if key in step]:
        size = len(step[key]) // 2
        while size:
            for start in range(0, len(step[key]), size):
                shorter = step | {key: step[key][:start] + step[key][start + size :]}
                if fails([*steps[:number], shorter, *steps[number + 1 :]]):
                    step = steps[number] = shorter
                    break
            else:
                size //= 2
    return step


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `Hang` in the block when it takes too long, in the middle of a regular expression too."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"it takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
