"""The scripts that measure: what they compute from what was measured, and that they measure what they say."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import numpy as np
import pytest

from flash_ls.artifact import catalog
from flash_ls.artifact.source import FileSource, PackageSource
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.decode import PREFILL_CHUNK, Generation, GenerationParams, generate
from flash_ls.engine.drafter import Drafter, NoDrafter
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.head import IdArray, Logits
from flash_ls.engine.manifest import TOKENIZER_FILE, ModelManifest, graph_file
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import ModelMissing
from scripts import bench_engine, quality
from scripts.bench import cancels, speculation
from scripts.bench.cancels import cancel_ms, measure_cancels
from scripts.bench.floor import Bandwidth, Floor, measure_bandwidth
from scripts.bench.passes import BURST, PAST, PREFILLS, WIDTHS, Ours, Samples, compare, cpu_s_per_million
from scripts.bench.peer import PEER, Peer, PeerFailed
from scripts.bench.processes import SETTLE_S, Process, measure_itself, measure_processes, probe, resident_mb
from scripts.bench.report import COMPARED, Results, summary, tables
from scripts.bench.sample import Sample, quantiles
from scripts.bench.speculation import BLOCK_TOKENS, LINE_TOKENS, Outcome, Run, Speculation, repeats
from scripts.bench.weights import gguf_file, weight_bytes
from scripts.cases import FRESH, FRESH_FILES, Case
from tests.artifact.toy_build import toy_entry
from tests.engine.toy_drafters import TYPICAL
from tests.toy_model import SHAPE, ToyWeights, write_artifact, write_gguf

ROOM = replace(SHAPE, context=2048)
"""The toy with room for all that the bench puts before a step."""
BEFORE = "def f(self):\n    return self.value\n\n" * 8


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
    monkeypatch.setattr("scripts.bench.passes.PAUSE_S", 0.0)
    monkeypatch.setattr("scripts.bench.processes.SETTLE_S", 0.0)
    monkeypatch.setattr("scripts.bench.cancels.DECODE_S", 0.01)


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
    return Outcome(group, [slow, slow], [fast, fast], [slow, fast])


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
    figures = {"repetitive": 2.0, "worst": 2.0, "acceptance": 0.75, "mismatch": 0, "rechecked": 0.2, "over_copies": 1.5}
    assert figures.items() <= said["speculation"].items()
    assert said["cancel_ms"]["p50"] == 2.0
    assert "verify16" in tables(said)


def test_the_worst_group_is_one_of_many_cases() -> None:
    many, few = [outcome("line", 100, 80)] * 10, [outcome("block", 100, 125, said="other")]
    said = speculation.summary([*many, *few])
    assert said["worst"] == 1.25
    assert said["groups"]["block"] == {"cases": 1, "ratio": 0.8, "over_copies": 0.9}
    assert said["repetitive"] is None
    assert said["mismatch"] == pytest.approx(1 / 11, abs=1e-4)


def test_weights_are_counted_as_the_file_has_them(folder: Path, described: ModelManifest) -> None:
    matrices = [tensor for tensor in ToyWeights(ROOM).tensors.values() if tensor.ndim == 2]
    once = sum(matrix.nbytes for matrix in matrices[1:])  # the embedding is the head
    assert weight_bytes(folder / graph_file("fp32")) == once


class Pass(NamedTuple):
    """What a model was given."""

    past: int
    tokens: list[int]
    rows: int
    precise: bool


class WatchedModel:
    """Computes nothing, and notes each pass."""

    recheck_below = 0.0

    def __init__(self) -> None:
        self.passes: list[Pass] = []

    def new_cache(self) -> KVCache:
        return KVCache(None, ROOM.context)

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        self.passes.append(Pass(len(cache.tokens), tokens, rows, precise))
        cache.append(tokens)
        return Logits(np.arange(0), np.zeros((rows, 0), np.float32))


TOKENS = [place % 250 for place in range(ROOM.context)]


def test_our_steps_come_after_the_same_tokens_with_all_logits() -> None:
    model = WatchedModel()
    ours = Ours(model, TOKENS)
    ours.step(4)
    ours.step(1)
    assert model.passes[-2:] == [
        Pass(PAST, TOKENS[PAST : PAST + 4], 4, False),
        Pass(PAST, TOKENS[PAST : PAST + 1], 1, False),
    ]


def test_our_prefill_is_from_empty_in_chunks_with_the_last_logits_alone() -> None:
    model = WatchedModel()
    ours = Ours(model, TOKENS)
    ours.step(1)
    model.passes.clear()
    ours.prefill(PREFILL_CHUNK + 36)
    first, last = TOKENS[:PREFILL_CHUNK], TOKENS[PREFILL_CHUNK : PREFILL_CHUNK + 36]
    assert model.passes == [Pass(0, first, 0, True), Pass(PREFILL_CHUNK, last, 1, True)]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upstream") / "toy.gguf"
    write_gguf(path, ROOM)
    return path


def test_the_peer_is_given_the_same_passes(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    peer, decode, passes = Peer(gguf, TOKENS, 1), llama_cpp.llama_decode, []

    def watched(context: Any, batch: Any) -> Any:
        fed = slice(batch.n_tokens)
        assert batch.token[fed] == TOKENS[batch.pos[0] :][fed]
        passes.append((batch.pos[0], batch.n_tokens, sum(batch.logits[fed])))
        return decode(context, batch)

    monkeypatch.setattr(llama_cpp, "llama_decode", watched)
    samples = [peer.step(4), peer.step(2), peer.prefill(64), peer.step(1)]
    before = (0, PAST, 1)
    assert passes == [before, (PAST, 4, 4), (PAST, 2, 2), (0, 64, 1), before, (PAST, 1, 1)]
    assert min(sample.ms for sample in samples) > 0


def test_the_peer_takes_its_turns_where_it_has_weights(
    gguf: Path, fast_turns: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llama_cpp")
    monkeypatch.setattr(bench_engine, "measure_bandwidth", lambda threads: Bandwidth(20, 30))
    monkeypatch.setattr(bench_engine, "default_threads", lambda: 1)
    samples, bandwidth = bench_engine.time_passes({"int4": WatchedModel()}, TOKENS, gguf, 1)
    assert list(samples) == ["int4", PEER]
    assert bandwidth == (20, 30)


def test_what_the_peer_cannot_do_is_said(gguf: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    with pytest.raises(PeerFailed, match="--gguf"):
        Peer(tmp_path / "none.gguf", TOKENS, 1)
    with pytest.raises(PeerFailed, match="batch"):
        Peer(gguf, [ROOM.vocabulary] * PAST, 1).prefill(4)


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a model of the catalog with these sources, and a cache folder; returns where its fetched weights would be.

    Its upstream file holds `right`.
    """
    right = tmp_path / "right"
    right.write_bytes(b"right")
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "home"))

    def put(*sources: FileSource | PackageSource) -> Path:
        entry = toy_entry(right, *sources)
        monkeypatch.setattr(catalog, "catalog", lambda: {entry.name: entry})
        fetched = tmp_path / "home" / "weights" / entry.file
        fetched.parent.mkdir(parents=True)
        return fetched

    return put


def test_weights_given_are_taken_as_they_are(tmp_path: Path) -> None:
    with gguf_file(tmp_path / "mine.gguf", "no such model") as path:
        assert path == tmp_path / "mine.gguf"


def test_weights_fetched_before_are_used(offer: Callable[..., Path]) -> None:
    fetched = offer(PackageSource(("no-such-package:file",)))
    fetched.write_bytes(b"right")
    with gguf_file(None, "toy") as path:
        assert path == fetched
    assert fetched.exists()


@pytest.mark.parametrize("altered", [b"wrong", b"longer than right"])
def test_else_weights_are_put_together_for_a_while(offer: Callable[..., Path], tmp_path: Path, altered: bytes) -> None:
    (tmp_path / "altered").write_bytes(altered)
    missing = PackageSource(("no-such-package:file",))
    fetched = offer(missing, FileSource(tmp_path / "altered"), FileSource(tmp_path / "right"))
    fetched.write_bytes(altered)
    with gguf_file(None, "toy") as path:
        assert path.read_bytes() == b"right"
        assert path not in (fetched, tmp_path / "right")
    assert not path.exists()


def test_without_weights_it_is_said_how_to_get_them(offer: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "altered").write_bytes(b"wrong")
    offer(FileSource(tmp_path / "altered"), FileSource(tmp_path / "gone"))
    with pytest.raises(ModelMissing, match="flash-ls model fetch"), gguf_file(None, "toy"):
        pass


def test_the_network_is_not_asked_for_weights(offer: Callable[..., Path]) -> None:
    hub = Mock(local=False)
    offer(hub)
    with pytest.raises(ModelMissing), gguf_file(None, "toy"):
        pass
    hub.pieces.assert_not_called()


def test_the_probe_asks_for_the_rest_of_a_line_late_in_a_long_file() -> None:
    snapshot = probe()
    assert snapshot.before.endswith(" return ")
    assert snapshot.line_suffix == ""
    assert len(snapshot.before) > 6_000
    assert len(snapshot.after) > 2_000


CHILD = "import sys; idle = float(sys.argv[4]); print([idle and 9.0, 100.0 * len(sys.argv[2]), idle])"
"""Stands in for a process that measures itself; its arguments are --child NAME --idle SECONDS."""


def test_processes_of_each_name_are_started_and_the_last_waits() -> None:
    said = measure_processes([sys.executable, "-c", CHILD], ["a", "bb"], 3, idle_s=0.5)
    assert said == {"a": Process(0.0, 100.0, 0.5), "bb": Process(0.0, 200.0, 0.5)}


def test_a_process_measures_itself(folder: Path, described: ModelManifest, fast_turns: None) -> None:
    said = measure_itself("fp32", folder, None, 0.0)
    assert said.load_s > 0
    assert said.rss_mb == pytest.approx(resident_mb(), rel=0.2)
    assert said.idle_cpu_s == 0


def test_a_process_of_the_peer_reads_a_prompt_as_long_and_then_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    peer, clock = Mock(), Mock(perf_counter=Mock(side_effect=[10.0, 12.5]), process_time=Mock(side_effect=[1.0, 1.5]))
    monkeypatch.setattr("scripts.bench.processes.Peer", peer)
    monkeypatch.setattr("scripts.bench.processes.time", clock)
    said = measure_itself(PEER, Path("artifact"), Path("a.gguf"), 10.0)
    assert (said.load_s, said.idle_cpu_s) == (2.5, 3.0)
    assert [call.args for call in clock.sleep.call_args_list] == [(SETTLE_S,), (10.0,)]
    assert peer.call_args.args[0] == Path("a.gguf")
    peer.return_value.prefill.assert_called_once_with(Config().prefix_tokens + Config().suffix_tokens)


@pytest.fixture
def decoder(model: OnnxModel, tokenizer: Tokenizer, described: ModelManifest) -> Speculation:
    return Speculation(model, tokenizer, described.prompt, TYPICAL)


def test_a_case_is_decoded_both_ways_to_the_same_text(decoder: Speculation) -> None:
    said = decoder.outcome(Case("1", "/a.py", BEFORE, "\n", "def f(self):", "line"))
    assert said.group == "repetitive"
    assert not said.mismatches
    assert all(run.drafted == 0 for run in said.plain)
    assert all(run.drafted > 0 for run in said.speculative)
    assert min(run.ms for run in (*said.plain, *said.speculative)) > 0


@pytest.mark.parametrize(("kind", "most"), [("line", LINE_TOKENS), ("block", BLOCK_TOKENS)])
def test_only_decoding_is_timed_and_each_drafter_meets_a_case_once(
    decoder: Speculation, monkeypatch: pytest.MonkeyPatch, kind: str, most: int
) -> None:
    given: list[GenerationParams] = []
    drafters: list[Drafter] = []
    missing: list[int] = []

    def watched(*args: Any) -> Generation:
        done = generate(*args)
        given.append(args[4])
        drafters.append(args[5])
        missing.append(done.stats.prompt_tokens - done.stats.cached_tokens)
        return done

    monkeypatch.setattr("scripts.bench.speculation.generate", watched)
    decoder.outcome(Case("1", "/a.py", BEFORE, "\n", "other", kind))
    assert missing[0] > 100
    assert missing[1:] == [1, 1, 1, 1]
    assert drafters[0] is drafters[1] is drafters[4]
    assert len(set(map(id, drafters))) == 3
    assert all(0 <= params.max_tokens - most < 10 for params in given[1:])
    assert given[1].complete("a\n") is (kind == "line")


class SlowModel(OnnxModel):
    """Takes ten milliseconds for a pass."""

    def forward(self, *args: Any, **options: Any) -> Logits:
        time.sleep(0.01)
        return super().forward(*args, **options)


def test_a_cancel_ends_the_answer_soon(folder: Path, described: ModelManifest, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(SlowModel(folder, described, "fp32", threads=1), tokenizer, NoDrafter())
    assert 0 < cancel_ms(engine, list(range(100)), delay_s=0.01) < 1000


def test_cancels_of_both_kinds_are_counted(model: OnnxModel, tokenizer: Tokenizer, fast_turns: None) -> None:
    times = measure_cancels(LocalEngine(model, tokenizer, NoDrafter()), ROOM.vocabulary, 2)
    assert {kind: len(taken) for kind, taken in times.items()} == {"prefill": 2, "decode": 2}
    assert all(0 <= ms < 1000 for taken in times.values() for ms in taken)


def test_percentiles_of_cancels_are_of_each_kind_and_of_all() -> None:
    said = cancels.summary({"prefill": [1.0, 1.0, 1.0], "decode": [3.0, 3.0]})
    assert (said["p50"], said["p95"]) == (1.0, 3.0)
    assert (said["prefill"], said["decode"]) == ({"p50": 1.0, "p95": 1.0}, {"p50": 3.0, "p95": 3.0})


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A line and a body to decode."""
    case = {"path": "a.py", "prefix": BEFORE, "suffix": "\n", "middle": "def f(self):"}
    rows = [case | {"id": kind, "kind": kind} for kind in ("line", "block")]
    (tmp_path / FRESH).write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / FRESH_FILES).write_text("")
    return tmp_path


def test_the_script_ends_with_all_figures(
    bench: Path, fast_turns: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    artifact, plot = bench / "artifact", bench / "steps.png"
    write_artifact(artifact, ("int4", "int8"), ROOM)
    monkeypatch.setattr(bench_engine, "measure_bandwidth", Mock(side_effect=[Bandwidth(20, 30), Bandwidth(25, 10)]))
    monkeypatch.setattr(bench_engine, "type_text", Mock(return_value=Mock(rss_mb=450.4)))
    monkeypatch.setattr(bench_engine, "child_command", lambda folder, gguf: [sys.executable, "-c", CHILD])
    options = f"--quick --precisions int4 --model {artifact} --bench {bench} --plot {plot}"
    monkeypatch.setattr(sys, "argv", ["bench", *options.split()])
    bench_engine.main()
    *read, last = capsys.readouterr().out.splitlines()
    said = json.loads(last)
    assert read[0].split() == ["ms", "int4"]
    assert said["precision"] == "int4"
    assert said["idle_cpu_s"] == 2.0
    assert said["rss_mb"] == 450
    assert (said["floor"]["read_gb_s"], said["floor"]["copy_gb_s"]) == (25, 30)
    assert said["floor"]["mb"] == round(weight_bytes(artifact / graph_file("int4")) / 1e6, 1) > 0
    assert said["speculation"]["groups"]["repetitive"]["cases"] == 2
    assert said["cancel_ms"].keys() == {"p50", "p95", "prefill", "decode"}
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_child_is_the_script_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    measured = Mock(return_value=Process(1.0, 2.0, 3.0))
    monkeypatch.setattr(bench_engine, "measure_itself", measured)
    python, *argv = bench_engine.child_command(Path("artifact"), Path("a.gguf"))
    monkeypatch.setattr(sys, "argv", [*argv, "--child", "int4", "--idle", "0.5"])
    bench_engine.main()
    assert (python, argv[0]) == (sys.executable, bench_engine.__file__)
    measured.assert_called_once_with("int4", Path("artifact"), Path("a.gguf"), 0.5)
    assert json.loads(capsys.readouterr().out) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("option", [["--peer", PEER], ["--plot", "steps.png"]])
def test_an_extra_that_is_missing_is_said_at_once(
    option: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_engine, "find_spec", lambda module: None)
    monkeypatch.setattr(sys, "argv", ["bench", *option])
    with pytest.raises(SystemExit):
        bench_engine.main()
    assert "flash-ls[bench]" in capsys.readouterr().err


def test_a_model_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--model", "no-such-model"])
    with pytest.raises(SystemExit, match="no-such-model"):
        bench_engine.main()


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
