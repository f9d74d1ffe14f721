"""Which precision and which provider a machine gets, and that it is measured once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flash_ls import tuning
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.costs import WIDTHS, PassCosts, StepCosts, measure
from flash_ls.engine.head import Logits
from flash_ls.engine.manifest import DATA_FILE, ModelManifest
from flash_ls.engine.model import Model
from flash_ls.engine.onnx_model import CPU, OnnxModel
from flash_ls.errors import ConfigError, ModelError
from flash_ls.tuning import (
    MOST_TRIES,
    RECHECKED,
    SMALL_MACHINE,
    WORTH_IT,
    choose_precision,
    four_bits_pay,
    load_model,
    machine,
    memory_bytes,
    preemptions,
)
from tests.mapped import resident_kb
from tests.toy_model import write_artifact

SERVED = ("int4", "int8", "mixed")
INTEGERS_ARE_EXACT = tuning.integers_are_exact
CUDA, COREML = "CUDAExecutionProvider", "CoreMLExecutionProvider"


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor whose 8-bit products are exact, whatever this machine has."""
    monkeypatch.setattr(tuning, "integers_are_exact", lambda: True)


# --- the precision ---


@pytest.mark.parametrize(
    ("wanted", "offered", "memory", "chosen"),
    [
        ("auto", SERVED, SMALL_MACHINE, "mixed"),
        ("auto", SERVED, SMALL_MACHINE - 1, "int4"),
        ("auto", ("int4", "int8"), SMALL_MACHINE, "int8"),
        ("auto", ("mixed", "int8"), SMALL_MACHINE - 1, "mixed"),
        ("auto", ("int8",), SMALL_MACHINE, "int8"),
        ("auto", ("fp32",), SMALL_MACHINE, "fp32"),
        ("auto", ("fp32",), 0, "fp32"),
        ("int8", SERVED, 0, "int8"),
        ("mixed", SERVED, 0, "mixed"),
    ],
)
def test_the_precision_is_the_one_asked_for_or_the_one_that_the_memory_allows(
    wanted: str, offered: tuple[str, ...], memory: int, chosen: str
) -> None:
    assert choose_precision(wanted, offered, memory) == chosen


@pytest.mark.parametrize("wanted", ["int5", "", "fp32"])
def test_a_precision_that_is_not_offered_is_named_with_those_that_are(wanted: str) -> None:
    with pytest.raises(ConfigError, match=rf"no precision '{wanted}'; set `precision` to one of: auto, int4, int8, m"):
        choose_precision(wanted, SERVED, SMALL_MACHINE)


def test_the_memory_is_that_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 << 28 < memory_bytes() < 1 << 50

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", unknown)
    assert memory_bytes() >= SMALL_MACHINE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what of a file is in memory")
@pytest.mark.parametrize("precision", SERVED)
def test_what_a_model_packs_as_it_is_loaded_is_in_memory_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path))
    described = write_artifact(tmp_path / "toy", [precision])
    model, _ = load_model(tmp_path / "toy", described, Config(precision=precision))
    assert resident_kb(tmp_path / "toy" / DATA_FILE) == 0
    assert model.forward([1, 2, 3], model.new_cache(), 3, Deadline()).values.any()


# --- measured once ---


class Measurements:
    """Counts what is measured, and says what it wants of it."""

    def __init__(self) -> None:
        self.models: list[Model] = []
        self.costs: Callable[[Model], PassCosts] = measure

    def __call__(self, model: Model) -> PassCosts:
        self.models.append(model)
        return self.costs(model)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def measured(home: Path, monkeypatch: pytest.MonkeyPatch) -> Measurements:
    measurements = Measurements()
    monkeypatch.setattr(tuning, "measure", measurements)
    monkeypatch.setattr(tuning, "preemptions", lambda: 0)
    return measurements


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toy") / "artifact"


@pytest.fixture(scope="module")
def described(folder: Path) -> ModelManifest:
    return write_artifact(folder, SERVED)


CONFIG = Config(threads=1, precision="mixed")


def only_file(home: Path) -> Path:
    (path,) = (home / "tuning").iterdir()
    return path


@pytest.mark.parametrize("precision", SERVED)
def test_what_was_measured_is_read_the_next_time(
    folder: Path, described: ModelManifest, home: Path, measured: Measurements, precision: str
) -> None:
    config = replace(CONFIG, precision=precision)
    first, costs = load_model(folder, described, config)
    before = only_file(home).stat().st_mtime_ns
    second, again = load_model(folder, described, config)
    assert costs == again
    assert (first.precise_from, first.precision) == (second.precise_from, second.precision)
    assert first.precise_from == costs.precise_from
    assert first.precision == precision
    assert len(measured.models) == 1
    assert only_file(home).stat().st_mtime_ns == before


def test_other_precisions_and_other_threads_are_measured_by_themselves(
    folder: Path, described: ModelManifest, home: Path, measured: Measurements
) -> None:
    for config in [CONFIG, replace(CONFIG, threads=2), replace(CONFIG, precision="int4"), CONFIG]:
        load_model(folder, described, config)
    assert len(measured.models) == len(list((home / "tuning").iterdir())) == 3


def test_another_processor_or_runtime_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {machine(1), machine(2)}
    monkeypatch.setattr(tuning, "_processor", lambda: "another one")
    names.add(machine(1))
    monkeypatch.setattr(tuning, "VERSION", "0.0")
    assert len(names | {machine(1)}) == 4


def disturbed(monkeypatch: pytest.MonkeyPatch, *loads: bool) -> None:
    """Whether other programs have the processor at each of the next measurements."""
    counts = iter([count for busy in loads for count in (0, 10**9 * busy)])
    monkeypatch.setattr(tuning, "preemptions", lambda: next(counts))


def always(costs: PassCosts) -> Callable[[Model], PassCosts]:
    return lambda model: costs


def per_token(ms: float) -> PassCosts:
    return PassCosts(StepCosts((1, 2), (ms, 2 * ms)), StepCosts((1, 2), (2 * ms, 3 * ms)))


def test_what_was_measured_beside_other_programs_is_measured_again_until_it_was_not(
    folder: Path, described: ModelManifest, measured: Measurements, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbed(monkeypatch, True, False)
    found = []
    for ms in (5.0, 3.0, 1.0):
        measured.costs = always(per_token(ms))
        found.append(load_model(folder, described, CONFIG)[1])
    assert found == [per_token(5), per_token(3), per_token(3)]


def test_where_the_machine_is_never_idle_the_fastest_of_some_measurements_stays(
    folder: Path, described: ModelManifest, measured: Measurements, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbed(monkeypatch, *[True] * MOST_TRIES)
    uneven = PassCosts(StepCosts((1, 2), (2.5, 9.0)), StepCosts((1, 2), (9.0, 7.0)))
    for costs in [per_token(3), uneven, *[per_token(4)] * MOST_TRIES]:
        measured.costs = always(costs)
        _, found = load_model(folder, described, CONFIG)
    assert found == PassCosts(StepCosts((1, 2), (2.5, 6.0)), StepCosts((1, 2), (6.0, 7.0)))
    assert len(measured.models) == MOST_TRIES


def test_other_programs_are_noticed() -> None:
    """The system tells of them, as it does on the systems that the tests run on."""
    threads = 4 * (os.cpu_count() or 1)
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(threads)]
    try:
        began, before = time.perf_counter(), preemptions()
        while time.perf_counter() - began < 10 and preemptions() - before < 20:
            sum(range(10_000))
        assert preemptions() - before >= 20
    finally:
        for program in programs:
            program.kill()
            program.wait()


def keeping(**changes: object) -> Callable[[str], str]:
    """Changes below "costs" in a file of costs."""

    def edit(text: str) -> str:
        raw = json.loads(text)
        raw["costs"] |= changes
        return json.dumps(raw)

    return edit


BROKEN = {
    "empty": lambda text: "",
    "cut": lambda text: text[:-20],
    "a list": lambda text: "[]",
    "a number": lambda text: "1",
    "not UTF-8": lambda text: "\udcff",
    "no provider": lambda text: text.replace("provider", "supplier"),
    "no fast path": lambda text: text.replace("fast", "slow"),
    "no widths": keeping(fast={"ms": [1.0, 2.0]}),
    "widths that do not begin with one": keeping(fast={"widths": [2, 4], "ms": [1.0, 2.0]}),
    "fewer costs than widths": keeping(fast={"widths": [1, 2], "ms": [1.0]}),
}
UNNOTICED = {
    "a fast path of nothing": keeping(fast=None),
    "no figures": keeping(fast={"widths": [], "ms": []}),
    "figures in words": keeping(fast={"widths": [1, 2], "ms": ["one", "two"]}),
}


@pytest.mark.parametrize(
    "damage",
    [
        *(pytest.param(edit, id=name) for name, edit in BROKEN.items()),
        *(pytest.param(edit, id=name) for name, edit in UNNOTICED.items()),
    ],
)
def test_a_file_that_makes_no_sense_is_measured_anew(
    folder: Path, described: ModelManifest, home: Path, measured: Measurements, damage: Callable[[str], str]
) -> None:
    load_model(folder, described, CONFIG)
    path = only_file(home)
    path.write_text(damage(path.read_text()), encoding="utf-8", errors="surrogateescape")
    _, costs = load_model(folder, described, CONFIG)
    assert len(measured.models) == 2
    assert costs.best.at(8) > 0
    load_model(folder, described, CONFIG)
    assert len(measured.models) == 2, "what is measured anew is kept"


@pytest.mark.parametrize("in_the_way", ["home", "home/tuning"])
def test_a_folder_that_cannot_be_written_means_measuring_again(
    folder: Path, described: ModelManifest, measured: Measurements, tmp_path: Path, in_the_way: str
) -> None:
    (tmp_path / in_the_way).parent.mkdir(exist_ok=True)
    (tmp_path / in_the_way).write_text("a file")
    for _ in range(2):
        model, _ = load_model(folder, described, CONFIG)
        assert model.precision == "mixed"
    assert len(measured.models) == 2


def test_each_path_is_measured_at_every_width(
    folder: Path, described: ModelManifest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = set()
    forward = OnnxModel.forward

    def noting(model: OnnxModel, tokens: list[int], cache: KVCache, *others: Any, **named: Any) -> Logits:
        logits = forward(model, tokens, cache, *others, **named)
        taken.add((len(tokens), bool(cache.buffers.precise)))  # type: ignore[attr-defined]
        return logits

    monkeypatch.setattr(OnnxModel, "forward", noting)
    load_model(folder, described, CONFIG)
    assert taken == {(width, precise) for width in WIDTHS for precise in (False, True)}


def test_nothing_but_the_costs_is_left_in_the_folder(
    folder: Path, described: ModelManifest, home: Path, measured: Measurements
) -> None:
    load_model(folder, described, CONFIG)
    assert only_file(home).name == f"toy-0-mixed-{machine(1)}.json"
    assert json.loads(only_file(home).read_text())["provider"] == CPU


# --- whether four bits pay ---

AUTO = replace(CONFIG, precision="auto")


def two_paths(fast: float, precise: float) -> PassCosts:
    return PassCosts(StepCosts((1, 8), (fast, 8 * fast)), StepCosts((1, 8), (precise, precise)))


PAYING, NOT_PAYING = two_paths(3, 10), two_paths(6, 10)


@pytest.mark.parametrize(
    ("costs", "pays"),
    [
        pytest.param(PAYING, True, id="a third of the time"),
        pytest.param(NOT_PAYING, False, id="more than half of it"),
        pytest.param(two_paths(11, 10), False, id="longer"),
        pytest.param(two_paths(10 / WORTH_IT, 10), False, id="but for the passes that are repeated"),
        pytest.param(two_paths(10 / WORTH_IT - 10 * RECHECKED - 0.01, 10), True, id="just fast enough with them"),
        pytest.param(PassCosts(StepCosts((1,), (1.0,))), False, id="one path"),
    ],
)
def test_four_bits_pay_when_they_are_far_faster(costs: PassCosts, pays: bool) -> None:
    assert four_bits_pay(costs) == pays


@pytest.mark.parametrize(
    ("config", "costs", "loaded", "measurements"),
    [
        pytest.param(AUTO, PAYING, "mixed", 1, id="they pay"),
        pytest.param(AUTO, NOT_PAYING, "int8", 2, id="they do not pay"),
        pytest.param(CONFIG, NOT_PAYING, "mixed", 1, id="they are asked for"),
    ],
)
def test_a_model_of_two_forms_is_loaded_where_four_bits_pay(
    folder: Path,
    described: ModelManifest,
    measured: Measurements,
    config: Config,
    costs: PassCosts,
    loaded: str,
    measurements: int,
) -> None:
    measured.costs = lambda model: costs if model.recheck_below else PassCosts(costs.fast)
    for _ in range(2):
        model, told = load_model(folder, described, config)
        assert model.precision == loaded
        assert (told.precise is not None) == (loaded == "mixed")
    assert len(measured.models) == measurements


def test_where_four_bits_do_not_pay_there_may_be_nothing_else(tmp_path: Path, measured: Measurements) -> None:
    measured.costs = lambda model: NOT_PAYING
    described = write_artifact(tmp_path / "toy", ["mixed"])
    assert load_model(tmp_path / "toy", described, AUTO)[0].precision == "mixed"


# --- the provider ---


class FakeModel:
    """A graph on a provider, which may fail to load it."""

    broken: frozenset[str] = frozenset()

    def __init__(
        self, folder: Path, described: ModelManifest, precision: str, threads: int = 0, provider: str = CPU
    ) -> None:
        if provider in self.broken:
            raise ModelError(f"{provider} is broken.")
        self.precision, self.provider, self.threads = precision, provider, threads
        self.precise_from = 0


def taking(**ms: float) -> Callable[[Model], PassCosts]:
    """Costs by provider, whose name begins like this."""

    def costs(model: Model) -> PassCosts:
        assert isinstance(model, FakeModel)
        one = next(ms for name, ms in ms.items() if model.provider.startswith(name))
        if one < 0:
            raise ModelError(f"{model.provider} cannot run this.")
        return PassCosts(StepCosts(WIDTHS, tuple(one * width for width in WIDTHS)))

    return costs


@pytest.fixture
def providers(measured: Measurements, monkeypatch: pytest.MonkeyPatch) -> Measurements:
    monkeypatch.setattr(tuning, "OnnxModel", FakeModel)
    monkeypatch.setattr(tuning, "available_providers", lambda: [COREML, "AzureExecutionProvider", CUDA, CPU])
    return measured


@pytest.mark.parametrize(
    ("costs", "broken", "chosen"),
    [
        pytest.param(taking(CPU=5, CUDA=1, CoreML=2), [], CUDA, id="the fastest of three"),
        pytest.param(taking(CPU=5, CUDA=2, CoreML=1), [], COREML, id="whichever it is"),
        pytest.param(taking(CPU=1, CUDA=2, CoreML=3), [], CPU, id="the processor where others are slower"),
        pytest.param(taking(CPU=5, CUDA=-1, CoreML=2), [], COREML, id="not one that fails to run"),
        pytest.param(taking(CPU=5, CUDA=1, CoreML=2), [CUDA], COREML, id="not one that fails to load"),
        pytest.param(taking(CPU=5, CUDA=-1, CoreML=2), [COREML], CPU, id="the processor where all others fail"),
    ],
)
def test_the_provider_is_the_fastest_that_works(
    providers: Measurements,
    described: ModelManifest,
    monkeypatch: pytest.MonkeyPatch,
    costs: Callable[[Model], PassCosts],
    broken: list[str],
    chosen: str,
) -> None:
    monkeypatch.setattr(FakeModel, "broken", frozenset(broken))
    providers.costs = costs
    for _ in range(2):  # measured, and as it was kept
        model, told = load_model(Path(), described, CONFIG)
        assert isinstance(model, FakeModel)
        assert (model.provider, model.threads) == (chosen, 1)
        assert told == costs(model)
        assert model.precise_from == told.precise_from


def test_providers_that_are_no_faster_way_to_run_it_are_not_tried(
    providers: Measurements, described: ModelManifest
) -> None:
    providers.costs = taking(CPU=5, CUDA=1, CoreML=2)
    load_model(Path(), described, CONFIG)
    assert {model.provider for model in providers.models} == {CPU, CUDA, COREML}  # type: ignore[attr-defined]


def test_a_provider_that_was_not_there_before_is_tried(
    providers: Measurements, described: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers.costs = taking(CPU=5, CUDA=1)
    monkeypatch.setattr(tuning, "available_providers", lambda: [CPU])
    load_model(Path(), described, CONFIG)
    monkeypatch.setattr(tuning, "available_providers", lambda: [CUDA, CPU])
    model, _ = load_model(Path(), described, CONFIG)
    assert model.provider == CUDA  # type: ignore[attr-defined]


def test_where_the_processor_fails_there_is_no_model(
    providers: Measurements, described: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeModel, "broken", frozenset([CPU]))
    with pytest.raises(ModelError):
        load_model(Path(), described, CONFIG)


def test_what_is_measured_and_served_lies_in_huge_pages(
    providers: Measurements, described: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    class Loaded(FakeModel):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            happened.append("loaded")

    providers.costs = taking(CPU=1, CUDA=2, CoreML=3)
    monkeypatch.setattr(tuning, "OnnxModel", Loaded)
    monkeypatch.setattr(tuning, "use_huge_pages", lambda: happened.append("huge"))
    load_model(Path(), described, CONFIG)
    assert happened == 4 * ["loaded", "huge"], "three providers, and the fastest of them again"


def test_the_toy_is_loaded_for_what_it_is(folder: Path, described: ModelManifest, home: Path) -> None:
    model, costs = load_model(folder, described, CONFIG)
    assert isinstance(model, OnnxModel)
    assert costs.precise is not None
    assert model.precise_from == costs.precise_from


@pytest.mark.parametrize(
    ("architecture", "processor", "exact"),
    [("x86_64", "flags: avx2", False), ("AMD64", "", False), ("x86_64", "flags: avx_vnni", True), ("arm64", "", True)],
)
def test_where_integers_overflow_four_bits_are_taken(
    architecture: str,
    processor: str,
    exact: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: architecture)
    monkeypatch.setattr(tuning, "_processor", lambda: processor)
    assert INTEGERS_ARE_EXACT() == exact
    monkeypatch.setattr(tuning, "integers_are_exact", lambda: exact)
    assert choose_precision("auto", SERVED, SMALL_MACHINE) == ("mixed" if exact else "int4")
