"""Statistics: sums, the file they are kept in, the page they are shown on, and the threshold they move."""

import json
import logging
import math
import os
import random
import re
import stat
import subprocess
import sys
from collections import Counter
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.calibration import HIGHEST, offset, threshold
from flash_ls.deadline import Spent
from flash_ls.journal import Entry, Reason
from flash_ls.outcomes import Outcome, Record
from flash_ls.statistics import (
    BUCKETS,
    EARLIER,
    MOST_DAYS,
    Days,
    Statistics,
    acceptance,
    added,
    bounded,
    cost_per_million,
    latencies,
    latency_bucket,
    latency_of,
    outcomes,
    probability_counts,
    quantile,
    total,
)
from flash_ls.statistics_page import MOST_WEEKS, by_week, page

ROOT = Path(__file__).resolve().parents[1]
NOON = datetime(2026, 3, 4, 12).timestamp()
DAY = "2026-03-04"
OUTCOMES: list[Outcome] = ["accepted", "partly accepted", "typed", "rejected", "withdrawn"]


def record(outcome: Outcome, language: str = "python", odds: float = 0.65, time: float = NOON) -> Record:
    taken = 10 if outcome in ("accepted", "partly accepted") else 0
    kept = True if taken else None
    return Record(time, language, "line", 12, taken, outcome, 80.0, odds, kept, kept and False)


def entry(milliseconds: float, reason: Reason = Reason.SHOWN, called: bool = True) -> Entry:
    return Entry(NOON, "secret_name.py", "python", 1, reason, "stop", milliseconds, 700, 600, 12, called)


def filled(folder: Path | None = None) -> Statistics:
    statistics = Statistics(folder)
    for outcome in OUTCOMES:
        statistics.add(record(outcome))
    statistics.answered(entry(100))
    statistics.answered(entry(2, called=False))
    statistics.answered(entry(9000, Reason.SUPERSEDED))
    statistics.typed(NOON, 30)
    statistics.spent(NOON, Spent(prompt_tokens=700, cached_tokens=600, decoded_tokens=12))
    statistics.spent(NOON, Spent(cpu_ms=2500.4))
    return statistics


def test_what_is_counted() -> None:
    counts = filled().load()[DAY]
    assert outcomes(counts) == {"python": Counter(OUTCOMES)}
    assert acceptance(outcomes(counts)["python"]) == 0.5
    assert (counts["characters/shown"], counts["characters/saved"], counts["characters/typed"]) == (60, 20, 30)
    assert (counts["tokens/prompt"], counts["tokens/cached"], counts["tokens/decoded"]) == (700, 600, 12)
    assert (counts["kept/30s/yes"], counts["kept/30s/no"]) == (2, 0)
    assert (counts["kept/5min/yes"], counts["kept/5min/no"]) == (0, 2)
    assert probability_counts(counts) == [(4, 3) if bucket == 6 else (0, 0) for bucket in range(BUCKETS)]
    assert counts["reason/superseded"] == 1
    assert sum(latencies(counts, "model")) == sum(latencies(counts, "memory")) == 1
    assert counts["cpu/ms"] == 2500


def test_the_file_has_no_names_of_files(tmp_path: Path) -> None:
    filled(tmp_path).flush()
    assert "secret" not in (tmp_path / "statistics.json").read_text()


def test_a_day_has_its_own_counters() -> None:
    statistics = Statistics(None)
    statistics.typed(NOON, 1)
    statistics.typed(NOON + 86_400, 2)
    assert [counts["characters/typed"] for counts in statistics.load().values()] == [1, 2]


@pytest.mark.parametrize(("odds", "bucket"), [(0.0, 0), (0.0999, 0), (0.1, 1), (0.95, 9), (1.0, 9)])
def test_the_tenth_of_a_probability(odds: float, bucket: int) -> None:
    statistics = Statistics(None)
    statistics.add(record("rejected", odds=odds))
    assert probability_counts(statistics.load()[DAY])[bucket] == (1, 0)


def test_a_language_is_one_part_of_a_name() -> None:
    statistics = Statistics(None)
    for language in ("a/b", "", "c++", "x" * 1000):
        statistics.add(record("typed", language))
    assert outcomes(statistics.load()[DAY]).keys() == {"a-b", "unknown", "c++", "x" * 40}


def test_what_is_flushed_is_read_by_the_next(tmp_path: Path) -> None:
    statistics = filled(tmp_path / "new" / "folder")
    before = statistics.load()
    statistics.flush()
    assert statistics.load() == Statistics(tmp_path / "new" / "folder").load() == before == filled().load()


def test_flushing_twice_counts_once(tmp_path: Path) -> None:
    statistics = filled(tmp_path)
    statistics.flush()
    statistics.flush()
    assert statistics.load() == filled().load()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    filled(tmp_path / "folder").flush()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in sorted((tmp_path / "folder").iterdir())]
    assert modes == [0o600, 0o600]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    statistics = filled(None)
    statistics.flush()
    statistics.delete()
    assert statistics.load() == {}
    assert list(tmp_path.iterdir()) == []


def test_servers_at_once_add_up(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from flash_ls.statistics import Statistics\n"
    code += "statistics = Statistics(Path(sys.argv[1]))\n"
    code += f"for _ in range(40): statistics.typed({NOON}, 1); statistics.flush()"
    run = [sys.executable, "-c", code, str(tmp_path)]
    for child in [subprocess.Popen(run, cwd=ROOT) for _ in range(3)]:
        assert child.wait() == 0
    assert Statistics(tmp_path).load() == {DAY: Counter({"characters/typed": 120})}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"version": 2, "days": {}}',
        '{"version": 1, "days": []}',
        '{"version": 1, "days": {"2026-03-04": 1}}',
        '{"version": 1, "days": {"2026-03-04": {"a": "b"}}}',
        '{"version": 1, "days": {"2026-03-04": {"a": -1}}}',
        '{"version": 1, "days": {"2026-03-04": {"a": NaN}}}',
        '{"version": 1, "days": {"2026-03-04": {"a": 1e999}}}',
        '{"version": 1, "days": {"yesterday": {"a": 1}}}',
        '{"version": 1, "days": {"2026-03-04": {"a": ' + "9" * 400 + "}}}",
    ],
)
def test_a_corrupt_file_is_set_aside(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "statistics.json").write_text(text)
    statistics = filled(tmp_path)
    statistics.flush()
    assert Statistics(tmp_path).load() == filled().load()
    assert (tmp_path / "statistics.json.corrupt").read_text() == text
    assert ["begins anew" in one.message for one in caplog.records if one.levelno == logging.WARNING] == [True]


def test_bytes_that_are_no_text_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / "statistics.json").write_bytes(b"\xff\xfe\x00")
    assert Statistics(tmp_path).load() == {}
    assert (tmp_path / "statistics.json.corrupt").exists()


def test_where_nothing_can_be_written_numbers_stay_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    statistics = filled(tmp_path / "file" / "folder")
    with caplog.at_level(logging.INFO):
        statistics.flush()
        statistics.flush()
    assert statistics.load() == filled().load()
    assert [one.levelno for one in caplog.records] == [logging.INFO]
    (tmp_path / "file").unlink()
    statistics.flush()
    assert Statistics(tmp_path / "file" / "folder").load() == filled().load()


def test_deleted(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("")
    (tmp_path / "statistics.json").write_text("{")
    statistics = filled(tmp_path)
    statistics.flush()
    statistics.typed(NOON, 1)
    statistics.delete()
    assert statistics.load() == {}
    assert {path.name for path in tmp_path.iterdir()} - {"statistics.lock"} == {"other.txt"}
    Statistics(tmp_path / "missing").delete()
    assert not (tmp_path / "missing").exists()


COUNTERS = st.dictionaries(st.sampled_from(["a", "b/c", "outcome/python/typed"]), st.integers(1, 9), max_size=3)
ALL_DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1)).map(date.isoformat)
DAYS = st.dictionaries(st.one_of(st.just(EARLIER), ALL_DAYS), COUNTERS.map(Counter), max_size=5)


@given(DAYS, DAYS, DAYS)
def test_sums_do_not_depend_on_who_adds_first(one: Days, two: Days, three: Days) -> None:
    assert added(one, two) == added(two, one)
    assert added(added(one, two), three) == added(one, added(two, three))
    assert total(added(one, two)) == total(one) + total(two)


@given(DAYS)
def test_few_days_stay(days: Days) -> None:
    assert {day: counts for day, counts in bounded(days).items() if counts} == {
        day: counts for day, counts in days.items() if counts
    }


def test_old_days_are_summed() -> None:
    first = date(2025, 1, 1)
    days: Days = {(first + timedelta(days=day)).isoformat(): Counter(a=1) for day in range(MOST_DAYS + 5)}
    once = bounded(days)
    assert once[EARLIER] == Counter(a=5)
    assert len(once) == MOST_DAYS + 1
    assert max(once.keys() - {EARLIER}) == max(days)
    assert bounded(once) == once
    assert total(once) == total(days)


def test_the_file_is_bounded(tmp_path: Path) -> None:
    statistics = Statistics(tmp_path)
    for day in range(MOST_DAYS + 5):
        statistics.typed(NOON - 86_400 * day, 1)
    statistics.flush()
    assert len(json.loads((tmp_path / "statistics.json").read_text())["days"]) == MOST_DAYS + 1


@given(st.floats(0, 1e7))
def test_a_latency_lies_in_its_interval(milliseconds: float) -> None:
    bucket = latency_bucket(milliseconds)
    assert bucket >= 0
    assert latency_of(bucket) <= max(1.0, milliseconds) * (1 + 1e-9)
    assert milliseconds < latency_of(bucket + 1) * (1 + 1e-9) or bucket == latency_bucket(1e9)


@given(st.lists(st.floats(1, 20_000), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_right_within_an_interval(times: list[float], share: float) -> None:
    histogram = [0] * (latency_bucket(1e9) + 1)
    for time in times:
        histogram[latency_bucket(time)] += 1
    exact = sorted(times)[math.ceil(share * len(times) - 1e-9) - 1]
    found = quantile(histogram, share)
    assert found is not None
    assert exact / 1.42 <= found <= exact * 1.42


def test_no_quantile_of_nothing() -> None:
    assert quantile([0, 0], 0.5) is None
    assert acceptance(Counter()) is None


def test_the_cost_of_tokens() -> None:
    """An hour of a core of 10 W is 0.01 kWh."""
    assert cost_per_million(3600, 1e6) == pytest.approx(0.003)
    assert cost_per_million(3600, 1e6, watts=20, price=0.6) == pytest.approx(0.012)
    assert cost_per_million(3600, 0) is None


class Checker(HTMLParser):
    """What a page refers to, and the tags it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attributes


@given(st.one_of(DAYS, st.just({}), st.just(filled().load())))
def test_a_page_needs_nothing_else_and_can_be_read(days: Days) -> None:
    text = page(days)
    found = Checker(text)
    assert not {"script", "link", "img", "iframe"} & found.tags.keys()
    assert not {name for name, _ in found.attributes} & {"href", "src"}
    assert "url(" not in text
    assert "@import" not in text
    figures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert len(figures) == 6
    for figure in figures:
        assert "<table>" in figure
        for svg in re.findall(r"<svg .*?</svg>", figure, re.DOTALL):
            ElementTree.fromstring(svg)
        assert re.search(r'role="img"><title>[^<]+</title><desc>[^<]+</desc>', figure)
    assert "prefers-color-scheme: dark" in text


def test_a_page_shows_what_was_counted() -> None:
    text = page(filled().load())
    tiles = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)<small>", text))
    assert tiles["Suggestions"] == "5"
    assert tiles["Accepted"] == "50 %"
    assert tiles["Kept"] == "100 %"
    assert tiles["Characters saved"] == "20"
    assert tiles["A million tokens"] == "0.29 ct"
    assert '<th scope="row">superseded</th><td>1</td>' in text
    assert '<th scope="row">0.65</th><td>75 %</td>' in text


def test_a_page_says_what_electricity_it_assumes() -> None:
    text = page(filled().load(), watts=25, price=0.5)
    assert "at 25 W a busy core and 0.50 EUR a kWh" in text


def test_a_page_takes_no_names_for_tags() -> None:
    statistics = Statistics(None)
    statistics.add(record("accepted", "<script>"))
    assert "<script>" not in page(statistics.load())


def test_columns_are_as_high_as_their_values() -> None:
    days: Days = {DAY: Counter({"characters/saved": 10, "characters/typed": 30})}
    figure = re.findall(r"<figure><h2>Characters saved.*?</figure>", page(days), re.DOTALL)[0]
    heights = [float(height) for height in re.findall(r'<rect x=[^>]* height="([\d.]+)"', figure)]
    assert len(heights) == 2
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.3)
    tops = [float(top) for top in re.findall(r'<rect x=[^>]* y="([\d.]+)"', figure)]
    assert tops[1] + heights[1] == pytest.approx(tops[0], abs=0.3)


def test_rare_reasons_are_summed() -> None:
    statistics = Statistics(None)
    for number, reason in enumerate(Reason):
        for _ in range(number + 1):
            statistics.answered(entry(1, reason))
    rows = re.findall(r'<tr><th scope="row">([^<]*)</th><td>(\d+)</td></tr>', page(statistics.load()))
    counted = dict(rows[-7:])
    assert counted["others"] == str(sum(range(1, len(Reason) - 5)))
    assert rows[-7][1] == str(len(Reason))


def test_only_the_last_weeks_are_drawn() -> None:
    first = date(2025, 1, 1)
    days: Days = {(first + timedelta(days=day)).isoformat(): Counter(a=1) for day in range(MOST_DAYS)}
    assert len(by_week(days)) == MOST_WEEKS
    assert max(by_week(days)) == "2026-02-02"


def test_languages_come_by_use() -> None:
    counts = Counter({"outcome/a/typed": 1, "outcome/b/typed": 2, "outcome/b/rejected": 1, "outcome/c/typed": 1})
    assert list(outcomes(counts)) == ["b", "a", "c"]


def test_weeks_begin_on_monday_and_none_is_left_out() -> None:
    days: Days = {"2026-03-01": Counter(a=1), "2026-03-02": Counter(a=2), "2026-03-20": Counter(a=4)}
    days[EARLIER] = Counter(a=100)
    weeks = {week: counts["a"] for week, counts in by_week(days).items()}
    assert weeks == {"2026-02-23": 1, "2026-03-02": 2, "2026-03-09": 0, "2026-03-16": 4}


SHOWN = st.integers(0, 2000)
COUNTS = st.lists(
    st.tuples(SHOWN, st.floats(0, 1)).map(lambda pair: (pair[0], int(pair[0] * pair[1]))),
    min_size=BUCKETS,
    max_size=BUCKETS,
)


@given(st.floats(0.01, 0.99), COUNTS)
def test_a_threshold_stays_within_its_bounds(base: float, counts: list[tuple[int, int]]) -> None:
    assert base / 2 <= threshold(base, counts) <= max(base, min(HIGHEST, 2 * base))


@given(st.floats(0.01, 0.99), COUNTS, st.integers(0, BUCKETS - 1), st.integers(1, 500))
def test_acceptance_lowers_a_threshold_and_rejection_raises_it(
    base: float, counts: list[tuple[int, int]], bucket: int, more: int
) -> None:
    shown, used = counts[bucket]
    accepted, rejected = list(counts), list(counts)
    accepted[bucket], rejected[bucket] = (shown + more, used + more), (shown + more, used)
    assert threshold(base, accepted) <= threshold(base, counts) + 1e-9
    assert threshold(base, rejected) >= threshold(base, counts) - 1e-9
    assert offset(accepted) > offset(counts) > offset(rejected)


@pytest.mark.parametrize("base", [0.0, 1.0])
def test_all_or_nothing_stays(base: float) -> None:
    assert threshold(base, [(100, 0)] * BUCKETS) == base


@given(st.floats(0.01, 0.99))
def test_nothing_counted_changes_nothing(base: float) -> None:
    assert threshold(base, [(0, 0)] * BUCKETS) == pytest.approx(base)


@pytest.mark.parametrize("used", [0, 5])
def test_few_suggestions_move_a_threshold_little(used: int) -> None:
    """Five in a row count a tenth of what is believed before."""
    counts = [(5, used) if bucket == 5 else (0, 0) for bucket in range(BUCKETS)]
    assert threshold(0.3, counts) == pytest.approx(0.3, abs=0.06)
    assert threshold(0.3, counts) != pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("truth", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_offset_of_a_user_is_found(truth: float, seed: int) -> None:
    """Of a user whose logits are higher or lower by so much than was thought."""
    chance = random.Random(seed)
    counts = [(0, 0)] * BUCKETS
    for _ in range(4000):
        odds = chance.uniform(0.15, 0.95)
        used = chance.random() < 1 / (1 + math.exp(-math.log(odds / (1 - odds)) - truth))
        bucket = int(odds * BUCKETS)
        counts[bucket] = (counts[bucket][0] + 1, counts[bucket][1] + used)
    assert offset(counts) == pytest.approx(truth, abs=0.15)
    wanted = 1 / (1 + math.exp(-math.log(0.4 / 0.6) + truth))
    assert threshold(0.4, counts) == pytest.approx(min(max(wanted, 0.2), 0.8), abs=0.035)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="who may do everything may write everywhere")
def test_a_folder_that_may_only_be_read(tmp_path: Path) -> None:
    filled(tmp_path).flush()
    tmp_path.chmod(0o500)
    statistics = Statistics(tmp_path)
    statistics.typed(NOON, 1)
    statistics.flush()
    tmp_path.chmod(0o700)
    assert statistics.load()[DAY]["characters/typed"] == 31
