"""The benchmark of routing: which answer stays, what of the gain it has, and what a threshold asks."""

from dataclasses import asdict

import pytest

from flash_ls.confidence import Evidence
from flash_ls.pro import routing
from scripts.bench_routing import compared, fitted, routed, threshold
from scripts.predictions import Record
from scripts.scores import Scores

LOW, HIGH = routing.ASK_BELOW / 2, 0.9


def record(probability: float, right: bool, milliseconds: float = 100.0) -> Record:
    scores = Scores(right, 100.0 * right, float(right), float(right), float(right), True)
    evidence = asdict(Evidence())
    said = "right" if right else "wrong"
    return Record(
        "id", "", "line", "python", False, said, 0, milliseconds, "stop", 1, 0, evidence, probability, None, scores
    )


def test_the_larger_model_answers_where_the_first_is_unsure_and_it_is_surer() -> None:
    right, wrong = record(HIGH, True), record(HIGH, False)
    assert routed((record(LOW, False), right)) is right
    assert routed((wrong, right)) is wrong
    assert routed((unsure := record(LOW, True), record(0.0, False))) is unsure


def test_the_share_of_the_gain_and_of_the_requests() -> None:
    pairs = [
        (record(LOW, False), record(HIGH, True, 1000)),
        (record(HIGH, False), record(HIGH, True, 1000)),
        (record(HIGH, True), record(HIGH, True, 1000)),
        (record(HIGH, True), record(HIGH, True, 1000)),
    ]
    said = compared(pairs)
    assert said["asked"] == 0.25
    assert [said[way]["exact_match"] for way in ("first", "larger", "routed")] == [0.5, 1.0, 0.75]
    assert said["share_of_gain"]["exact_match"] == 0.5
    assert [said[way]["latency_ms"] for way in ("first", "larger", "routed")] == [100, 1000, 350]
    assert compared(pairs[2:])["share_of_gain"]["exact_match"] is None


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_no_more_than_the_share_is_below_the_threshold(share: float) -> None:
    records = [record(number / 100, number > 50) for number in range(100)]
    below = sum(one.probability < threshold(records, share) for one in records)
    assert share * 100 - 2 <= below <= share * 100


def test_each_code_base_is_judged_by_the_others() -> None:
    low, high = ([record(base + number / 1000, False) for number in range(100)] for base in (0.0, 0.5))
    assert fitted([low, high], 0.3)["asked_of_each"] == [1.0, 0.0]
