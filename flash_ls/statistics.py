"""What was suggested and what became of it, as numbers by day, in one file on this machine.

    FOLDER/statistics.json      {"version": 1, "days": {DAY: {COUNTER: NUMBER}}}
    FOLDER/statistics.lock

Every number is a sum, so what two servers have counted is added. Counters are named by paths such as
`outcome/python/accepted`. No code, no names of files. Without a folder, or where it cannot be written, the numbers
stay in memory.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from flash_ls import private_file
from flash_ls.deadline import Spent

if TYPE_CHECKING:
    from flash_ls.journal import Entry
    from flash_ls.outcomes import Record

Days = dict[str, Counter[str]]
"""The counters of each day, by its date (ISO 8601), and of all days before these, by `EARLIER`."""
EARLIER = "earlier"
MOST_DAYS = 400
BUCKETS = 10
"""Intervals of the probability."""
STEPS = 2
"""Intervals of the latency to its double; the first begins at 1 ms."""
_SLOWEST = 30
"""The last of them: what takes longer than half a minute is counted there."""
WATTS, PRICE = 10.0, 0.30
"""Of one busy core, and of a kWh in EUR: what is assumed where nobody says more."""
OF_USE = ("accepted", "partly accepted", "typed")
"""Outcomes of suggestions that were right, in part at least."""
ACCEPTED = OF_USE[:2]
JUDGED = (*OF_USE, "rejected")
"""Outcomes that say something about the suggestion."""
_FILE, _LOCK, _VERSION = "statistics.json", "statistics.lock", 1
_LOCK_S = 1.0
_LARGEST = 2**53

log = logging.getLogger(__name__)


class Statistics:
    """The counters of this process, until they are added to those in the file. May be used from several threads."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._new: Days = {}
        self._guard = threading.Lock()
        self._told = False

    def add(self, record: Record) -> None:
        """Count a suggestion whose outcome is known."""
        counts = Counter({f"outcome/{_part(record.language)}/{record.outcome}": 1, f"kind/{record.kind}": 1})
        counts["characters/shown"] = record.characters
        counts["characters/saved"] = record.taken
        if record.outcome in JUDGED:
            bucket = min(BUCKETS - 1, int(record.probability * BUCKETS))
            counts[f"probability/{bucket}/{'right' if record.outcome in OF_USE else 'wrong'}"] = 1
        for when, kept in (("30s", record.kept_30s), ("5min", record.kept_5min)):
            if kept is not None:
                counts[f"kept/{when}/{'yes' if kept else 'no'}"] = 1
        self._count(record.time, counts)

    def answered(self, entry: Entry) -> None:
        """Count a request."""
        counts = Counter({f"reason/{entry.reason}": 1})
        if entry.reason in ("shown", "typed through"):
            way = "model" if entry.called else "memory"
            counts[f"latency/{way}/{latency_bucket(entry.milliseconds)}"] = 1
        self._count(entry.time, counts)

    def typed(self, time: float, characters: int) -> None:
        """Count what was typed by keys."""
        self._count(time, Counter({"characters/typed": characters}))

    def spent(self, time: float, spent: Spent) -> None:
        """Count tokens and processor time, in milliseconds of one core, of whatever they were for."""
        counts = {"tokens/prompt": spent.prompt_tokens, "tokens/cached": spent.cached_tokens}
        counts |= {"tokens/decoded": spent.decoded_tokens, "cpu/ms": round(spent.cpu_ms)}
        self._count(time, Counter(counts))

    def flush(self) -> None:
        """Add what has been counted to the file. What cannot be added stays in memory for the next time."""
        if self._folder is None:
            return
        with self._guard:
            taken, self._new = self._new, {}
        if not taken:
            return
        try:
            with _locked(self._folder):
                _write(self._folder, bounded(added(_read(self._folder), taken)))
        except (OSError, NotImplementedError, filelock.Timeout) as error:
            log.log(logging.DEBUG if self._told else logging.INFO, "statistics stay in memory", {"error": error})
            self._told = True
            with self._guard:
                self._new = bounded(added(taken, self._new))

    def load(self) -> Days:
        """All there is, in the file and in memory."""
        try:
            stored = _read(self._folder) if self._folder is not None else {}
        except OSError:
            stored = {}
        with self._guard:
            return bounded(added(stored, self._new))

    def delete(self) -> None:
        """Forget everything, the file too. Raises `OSError` if that cannot be deleted."""
        with self._guard:
            self._new = {}
        if self._folder is not None and self._folder.is_dir():
            with _locked(self._folder):
                for path in self._folder.glob(f"{_FILE}*"):
                    path.unlink(missing_ok=True)

    def _count(self, time: float, counts: Counter[str]) -> None:
        day = date.fromtimestamp(time).isoformat()
        with self._guard:
            self._new.setdefault(day, Counter()).update(+counts)


def added(days: Days, more: Days) -> Days:
    """The sums of two sets of counters."""
    return {day: days.get(day, Counter()) + more.get(day, Counter()) for day in {**days, **more}}


def bounded(days: Days) -> Days:
    """With the oldest summed into one, if there are too many."""
    dates = sorted(day for day in days if day != EARLIER)
    old, kept = dates[:-MOST_DAYS], dates[-MOST_DAYS:]
    earlier = total(days, [EARLIER, *old])
    return ({EARLIER: earlier} if earlier else {}) | {day: days[day] for day in kept}


def total(days: Days, among: Iterable[str] | None = None) -> Counter[str]:
    """The sums over these days, or all."""
    counts: Counter[str] = Counter()
    for day in days if among is None else among:
        counts.update(days.get(day, {}))
    return counts


def outcomes(counts: Counter[str]) -> dict[str, Counter[str]]:
    """How often each outcome occurred, by language; the most used language first."""
    found: dict[str, Counter[str]] = {}
    for name, number in counts.items():
        kind, _, rest = name.partition("/")
        if kind == "outcome":
            language, _, outcome = rest.rpartition("/")
            found.setdefault(language, Counter())[outcome] += number
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))


def acceptance(by_outcome: Counter[str]) -> float | None:
    """The share of the suggestions with a known outcome that were accepted, wholly or in part."""
    judged = sum(by_outcome[outcome] for outcome in JUDGED)
    return sum(by_outcome[outcome] for outcome in ACCEPTED) / judged if judged else None


def probability_counts(counts: Counter[str]) -> list[tuple[int, int]]:
    """For each tenth of the probability, how many suggestions were shown and how many were of use."""
    return [
        (
            counts[f"probability/{bucket}/right"] + counts[f"probability/{bucket}/wrong"],
            counts[f"probability/{bucket}/right"],
        )
        for bucket in range(BUCKETS)
    ]


def latencies(counts: Counter[str], way: str) -> list[int]:
    """How many suggestions took so long, by interval; `way`: from the "model", or from "memory" without a call."""
    return [counts[f"latency/{way}/{bucket}"] for bucket in range(_SLOWEST + 1)]


def latency_bucket(milliseconds: float) -> int:
    return min(_SLOWEST, int(STEPS * math.log2(max(1.0, milliseconds))))


def latency_of(bucket: float) -> float:
    """Where an interval begins, in milliseconds."""
    return float(2 ** (bucket / STEPS))


def quantile(histogram: list[int], share: float) -> float | None:
    """The latency in milliseconds that so many suggestions did not exceed; within an interval it is interpolated."""
    wanted = share * sum(histogram)
    for bucket, number in enumerate(histogram):
        if number and wanted <= number:
            return latency_of(bucket + wanted / number)
        wanted -= number
    return None


def cost_per_million(cpu_s: float, tokens: float, watts: float = WATTS, price: float = PRICE) -> float | None:
    """What a million tokens cost in electricity: seconds of one core, watts of one core, and the price of a kWh."""
    return cpu_s * watts / 3.6e6 * price / tokens * 1e6 if tokens else None


def _part(name: str) -> str:
    """A name as one part of a counter's."""
    return name.replace("/", "-")[:40] or "unknown"


def _locked(folder: Path) -> filelock.BaseFileLock:
    """Raises what a folder that cannot be locked makes it raise."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return filelock.FileLock(folder / _LOCK, timeout=_LOCK_S, mode=0o600)


def _write(folder: Path, days: Days) -> None:
    private_file.write(folder / _FILE, json.dumps({"version": _VERSION, "days": days}, indent=0, sort_keys=True))


def _read(folder: Path) -> Days:
    """What the file has. One that is no file of ours is set aside. Raises `OSError`."""
    path = folder / _FILE
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        aside = path.with_suffix(".json.corrupt")
        path.replace(aside)
        names = {"file": path.name, "aside": aside.name}
        log.warning("%(file)s cannot be read; it is now %(aside)s, and counting begins anew.", names)
        return {}


def _parse(text: str) -> Days:
    """Raises `ValueError`, or `RecursionError` for a text that is nested too deep."""
    raw = json.loads(text)
    days = raw.get("days") if isinstance(raw, dict) and raw.get("version") == _VERSION else None
    if not isinstance(days, dict) or not all(isinstance(counts, dict) for counts in days.values()):
        raise ValueError("not a file of statistics")
    numbers = [number for counts in days.values() for number in counts.values()]
    if not all(type(number) is int and 0 <= number <= _LARGEST for number in numbers):
        raise ValueError("not counters")
    for day in days.keys() - {EARLIER}:
        date.fromisoformat(day)
    return {day: Counter(counts) for day, counts in days.items()}
