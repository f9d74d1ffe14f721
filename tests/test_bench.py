"""The scripts that measure: what they compute from what was measured, and that they measure what they say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flash_ls.engine.drafter import NoDrafter
from flash_ls.engine.engine import Engine
from flash_ls.engine.head import Logits
from flash_ls.engine.manifest import TOKENIZER_FILE, ModelManifest, graph_file
from flash_ls.engine.model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from scripts import quality
from scripts.bench_engine import (
    BURST,
    COMPARED,
    PAST,
    PEER,
    PREFILLS,
    WIDTHS,
    Bandwidth,
    Floor,
    Ours,
    Outcome,
    Process,
    Results,
    Run,
    Sample,
    Samples,
    Speculation,
    cancel_ms,
    compare,
    cpu_s_per_million,
    measure_bandwidth,
    quantiles,
    repeats,
    report,
    resident_mb,
    speculation_summary,
    summary,
    weight_bytes,
)
from scripts.cases import Case
from tests.engine.toy_drafters import TYPICAL
from tests.toy_model import SHAPE, ToyWeights, write_artifact

ROOM = replace(SHAPE, context=1024)
"""The toy with room for the tokens before a step."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toy") / "artifact"


@pytest.fixture(scope="module")
def described(folder: Path) -> ModelManifest:
    return write_artifact(folder, ("fp32",), ROOM)


@pytest.fixture(scope="module")
def model(folder: Path, described: ModelManifest) -> OnnxModel:
    return OnnxModel(folder, described, "fp32", threads=1)


@pytest.fixture(scope="module")
def tokenizer(folder: Path, described: ModelManifest) -> Tokenizer:
    return Tokenizer(folder / TOKENIZER_FILE)


class FakeContender:
    """Takes a fixed time for each token, and notes whose turn it was."""

    def __init__(self, name: str, ms: float, turns: list[str]) -> None:
        self._name, self._ms, self._turns = name, ms, turns

    def step(self, width: int) -> Sample:
        self._turns.append(self._name)
        return Sample(self._ms * width, 2 * self._ms * width)

    def prefill(self, length: int) -> Sample:
        return self.step(length)


@pytest.fixture
def fast_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.bench_engine.PAUSE_S", 0.0)


@pytest.fixture
def samples(fast_turns: None) -> Samples:
    """Four contenders, the last one three times as slow as the default."""
    speeds = {"int4": 1.0, "int8": 3.0, "mixed": 2.0, PEER: 6.0}
    return compare({name: FakeContender(name, ms, []) for name, ms in speeds.items()}, 2)


def results(samples: Samples) -> Results:
    return Results(
        0.1,
        "mixed",
        samples,
        Floor(Bandwidth(400.0, 300.0), bytes=200_000_000),
        {name: Process(1.5, 400.0, 0.01) for name in samples},
        450.4,
        [outcome("repetitive", 100, 50)] * 10,
        {"prefill": [1.0, 3.0], "decode": [2.0, 2.0]},
    )


def outcome(group: str, plain_ms: float, speculative_ms: float, said: str = "same") -> Outcome:
    slow, fast = Run("same", 10, plain_ms, 10, 2, 0, 0), Run(said, 10, speculative_ms, 4, 1, 8, 6)
    return Outcome(group, [slow, slow], [fast, fast])


def test_percentiles_are_those_of_the_values() -> None:
    assert quantiles(list(range(101))) == (10, 50, 90)


def test_contenders_take_turns_and_another_begins_each_round(fast_turns: None) -> None:
    turns: list[str] = []
    samples = compare({name: FakeContender(name, 1.0, turns) for name in ("a", "b")}, 2)
    warm, first, second = turns[:2], turns[2 : len(turns) // 2 + 1], turns[len(turns) // 2 + 1 :]
    assert warm == first[:2] == ["a", "b"]
    assert second[:2] == ["b", "a"]
    assert len(first) == len(second)
    assert {len(taken) for taken in samples["a"].values()} == {2 * BURST, 2}


def test_the_floor_is_bytes_over_bandwidth() -> None:
    assert Floor(Bandwidth(20.0, 25.0), bytes=200_000_000).ms == pytest.approx(8.0)


def test_the_bandwidth_is_that_of_memory() -> None:
    assert all(0.1 < rate < 10_000 for rate in measure_bandwidth(threads=2, size=1 << 22, repeats=2))


def test_resident_memory_is_that_of_this_process() -> None:
    assert 20 < resident_mb() < 20_000


REPETITIVE = [
    ([1, 2, 3, 4], [1, 2, 3, 4], True),
    ([1, 2, 3, 4], [9, 1, 2, 3], True),  # one of two trigrams
    ([1, 2, 3, 4], [9, 9, 1, 2, 3], False),  # one of three
    ([1, 2, 3, 4], [1, 2], False),  # too short to have any
]


@pytest.mark.parametrize(("prompt", "answer", "expected"), REPETITIVE)
def test_an_answer_is_repetitive_if_half_of_its_trigrams_are_known(
    prompt: list[int], answer: list[int], expected: bool
) -> None:
    assert repeats(prompt, answer) is expected


def test_ratios_are_of_medians(samples: Samples) -> None:
    said = summary(results(samples))
    assert said["ratio_to_peer"] == said["ratio_to_peer_by_precision"]["mixed"] == dict.fromkeys(COMPARED, 3.0)
    assert said["ratio_to_peer_by_precision"]["int8"] == dict.fromkeys(COMPARED, 2.0)
    assert said["floor_ratio"] == 2.0
    assert cpu_s_per_million(samples["mixed"]) == {"decode": 4000, "prefill512": 4000}


def test_without_a_peer_its_ratios_are_null(samples: Samples) -> None:
    alone = {name: taken for name, taken in samples.items() if name != PEER}
    assert summary(results(alone))["ratio_to_peer"] == dict.fromkeys(COMPARED)


def test_the_summary_has_every_figure_and_is_json(samples: Samples) -> None:
    said = json.loads(json.dumps(summary(results(samples))))
    wanted = {"ratio_to_peer", "floor_ratio", "rss_mb", "speculation", "cancel_ms", "idle_cpu_s", "steps_ms"}
    assert wanted <= said.keys()
    assert said["rss_mb"] == 450
    assert said["steps_ms"]["int4"].keys() == WIDTHS.keys() | PREFILLS.keys()
    figures = {"repetitive": 2.0, "worst": 2.0, "acceptance": 0.75, "mismatch": 0, "rechecked": 0.2}
    assert figures.items() <= said["speculation"].items()
    assert said["cancel_ms"]["p50"] == 2.0
    assert "verify16" in report(said)


def test_the_worst_group_is_one_of_many_cases() -> None:
    many, few = [outcome("line", 100, 80)] * 10, [outcome("block", 100, 125, said="other")]
    said = speculation_summary([*many, *few])
    assert said["worst"] == 1.25
    assert said["groups"]["block"] == {"cases": 1, "ratio": 0.8}
    assert said["repetitive"] is None
    assert said["mismatch"] == pytest.approx(1 / 11, abs=1e-4)


def test_weights_are_counted_as_the_file_has_them(folder: Path, described: ModelManifest) -> None:
    matrices = [tensor for tensor in ToyWeights(ROOM).tensors.values() if tensor.ndim == 2]
    once = sum(matrix.nbytes for matrix in matrices[1:])  # the embedding is the head
    assert weight_bytes(folder / graph_file("fp32")) == once


def test_ours_feeds_the_tokens_it_says(model: OnnxModel) -> None:
    tokens = list(range(40)) * 20
    ours = Ours(model, tokens)
    for width in (4, 1):
        assert ours.step(width).ms > 0
        assert ours._cache.tokens == tokens[: PAST + width]
    ours.prefill(100)
    assert ours._cache.tokens == tokens[:100]


def test_a_case_is_decoded_both_ways_to_the_same_text(
    model: OnnxModel, tokenizer: Tokenizer, described: ModelManifest
) -> None:
    speculation = Speculation(model, tokenizer, described.prompt, TYPICAL)
    before = "def f(self):\n    return self.value\n\n" * 8
    said = speculation.outcome(Case("1", "/a.py", before, "\n", "def f(self):", "line"))
    assert said.group == "repetitive"
    assert len({run.text for run in (*said.plain, *said.speculative)}) == 1
    assert all(run.drafted == 0 for run in said.plain)
    assert min(run.ms for run in (*said.plain, *said.speculative)) > 0


def test_a_cancel_ends_the_answer_soon(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer, NoDrafter())
    assert 0 <= cancel_ms(engine, list(range(100)), delay_s=0.01) < 1000


def served(*values: float, rechecked: bool = False) -> quality.Served:
    """Logits of words 0, 1, ... at one place."""
    return quality.Served(Logits(np.arange(len(values)), np.array([values], np.float32)), rechecked)


def test_the_same_logits_lose_nothing() -> None:
    said = quality.score_token(1, None, np.array([1, 3, 2], np.float32), served(1, 3, 2))
    assert said.nll == said.reference_nll == pytest.approx(np.log(1 + np.exp(-1) + np.exp(-2)))
    assert (said.tokens, said.unreachable, said.agreed) == (1, 0, 1)


def test_an_unreachable_token_counts_in_neither_likelihood() -> None:
    said = quality.score_token(2, None, np.array([0, 0, 5], np.float32), served(1, 0, rechecked=True))
    assert said == quality.Score(0, 1, 0, 0, agreed=0, rechecked=1)


def test_the_reference_counts_the_served_words_only() -> None:
    said = quality.score_token(0, None, np.array([0, 0, 5], np.float32), served(0, 0))
    assert said.nll == said.reference_nll == pytest.approx(np.log(2))


def test_while_text_is_healed_the_reference_must_agree_with_it_too() -> None:
    said = quality.score_token(0, np.array([0, 1]), np.array([1, 0, 5], np.float32), served(1, 0))
    assert said.agreed


def test_the_words_allowed_follow_the_healed_text(tokenizer: Tokenizer) -> None:
    answer, _ = tokenizer.encode(" return self")
    healed = b" ret"
    first, second = quality.allowed_words(healed, answer[:2], tokenizer)
    assert first is not None
    assert answer[0] in first
    assert second is None


def test_the_relative_difference_is_that_of_the_sums() -> None:
    scores = [quality.Score(10, 0, 11.0, 10.0, 9, 1), quality.Score(10, 0, 11.0, 10.0, 10, 2)]
    said = quality.summary(scores, 1.0)
    assert (said["relative"], said["relative_se"]) == (0.1, 0.0)
    assert (said["agreement"], said["nll"]) == (0.95, 1.1)
    assert said["rechecked"] == round(3 / 18, 5)


def test_served_one_by_one_the_logits_are_those_of_one_pass(model: OnnxModel) -> None:
    task = quality.Task(list(range(150)), [5, 6, 7, 8], [None] * 4)
    cache = model.new_cache()
    expected = quality.reference_logits(model, cache, task)
    for row, place in zip(expected, quality.served_logits(model, cache, task), strict=True):
        assert np.allclose(place.logits.values[0], row, atol=1e-4)
        assert not place.rechecked
    said = quality.score(model, cache, task, expected)
    assert said.tokens == said.agreed == 4
    assert said.nll == pytest.approx(said.reference_nll, abs=1e-4)


def test_close_words_are_told_apart_by_a_second_pass(model: OnnxModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "recheck_below", np.inf)
    task = quality.Task(list(range(10)), [5, 6, 7], [None] * 3)
    cache = model.new_cache()
    assert [place.rechecked for place in quality.served_logits(model, cache, task)] == [False, True, True]
    assert cache.tokens == [*task.prompt, 5, 6]


@pytest.mark.parametrize(("values", "expected"), [((0, 2, 1.5), 0.5), ((3,), np.inf)])
def test_the_lead_is_over_the_second_best(values: tuple[float, ...], expected: float) -> None:
    assert quality.lead(served(*values).logits) == expected
