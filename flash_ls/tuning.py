"""How a model is run best on this machine: in which precision, by which execution provider, at what cost a pass.

Measured when a model is first loaded here, and kept in the cache folder under the names of model and machine. What was
measured while other programs had the processor too is measured again at the next load, as drafts look too dear by it.
"""

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flash_ls.artifact.store import home
from flash_ls.config import Config
from flash_ls.engine.costs import PassCosts, StepCosts, faster, measure
from flash_ls.engine.manifest import DATA_FILE, ModelManifest
from flash_ls.engine.onnx_model import CPU, VERSION, OnnxModel, available_providers, default_threads
from flash_ls.errors import ConfigError, ModelError
from flash_ls.process import forget_mapped, use_huge_pages

log = logging.getLogger(__name__)

SMALL_MACHINE = 4 << 30
"""Bytes of memory below which two forms of the weights are too much."""
RECHECKED = 0.1
"""Share of the passes of 4 bits that are repeated with 8 (models/LOG.md)."""
WORTH_IT = 2.0
"""How much faster a word of 4 bits must be to be worth a loss of quality and 180 MB.

Drafts are verified no faster: where a word took two thirds of the time, an answer took 0.94 (models/LOG.md).
"""
BUSY = 90.0
"""Times a second that a process has to leave a processor, from which on others are at work: on two cores 30 in an idle
machine, 180 beside one busy thread, 250 beside two."""
MOST_TRIES = 3
"""Loads that may measure, where the machine is never idle."""
PROVIDERS = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "DmlExecutionProvider", "OpenVINOExecutionProvider")
"""Those that may beat the CPU."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured."""

    provider: str
    costs: PassCosts
    tries: int = 1
    """How often it was measured; of each width the fastest counts."""
    calm: bool = True
    """The last time, no other program had the processor."""

    @property
    def settled(self) -> bool:
        return self.calm or self.tries >= MOST_TRIES

    def then(self, later: "Tuning") -> "Tuning":
        """What this and a later measurement say together."""
        costs = faster(self.costs, later.costs) if self.provider == later.provider else later.costs
        return replace(later, costs=costs, tries=self.tries + 1)


def load_model(folder: Path, described: ModelManifest, config: Config) -> tuple[OnnxModel, PassCosts]:
    """The model in the precision that suits, and its costs. Raises `ModelError` and `ConfigError`."""
    precision = choose_precision(config.precision, described.precisions, memory_bytes())
    tuning = _tuning(folder, described, precision, config.threads)
    free = config.precision == "auto" and precision == "mixed" and "int8" in described.precisions
    if free and not four_bits_pay(tuning.costs):
        precision = "int8"
        tuning = _tuning(folder, described, precision, config.threads)
    model = _load(folder, described, precision, config.threads, tuning.provider)
    model.precise_from = tuning.costs.precise_from
    return model, tuning.costs


def _load(folder: Path, described: ModelManifest, precision: str, threads: int, provider: str = CPU) -> OnnxModel:
    """The model, its weights where they take the least memory and time."""
    model = OnnxModel(folder, described, precision, threads, provider)
    forget_mapped(folder / DATA_FILE)  # kernels have packed what they read of it
    use_huge_pages()
    return model


def four_bits_pay(costs: PassCosts) -> bool:
    """A word of the mixed precision, its share of repeated passes included, takes far less time than one of 8 bits."""
    if costs.precise is None:
        return False
    return (costs.fast.at(1) + RECHECKED * costs.precise.at(1)) * WORTH_IT <= costs.precise.at(1)


def _tuning(folder: Path, described: ModelManifest, precision: str, threads: int) -> Tuning:
    """What is known of this model on this machine; measured if nothing is, or if others disturbed it."""
    path = home() / "tuning" / f"{described.name}-{described.revision}-{precision}-{machine(threads)}.json"
    known = _read(path)
    if known and known.settled:
        return known
    began, taken = time.perf_counter(), preemptions()
    found = _fastest(folder, described, precision, threads, available_providers())
    often = (preemptions() - taken) / (time.perf_counter() - began)
    found = replace(found, calm=often < BUSY)
    tuning = known.then(found) if known else found
    _write(path, tuning)
    return tuning


def preemptions() -> int:
    """How often this process had to leave a processor to others; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def choose_precision(wanted: str, offered: Sequence[str], memory: int) -> str:
    """The precision asked for, or with `auto` the one that this machine with `memory` bytes can run well.

    Raises `ConfigError` when the model does not have it.
    """
    if wanted == "auto":
        weak = memory < SMALL_MACHINE or not integers_are_exact()
        order = ["int4", "mixed", "int8"] if weak else ["mixed", "int8", "int4"]
        return next((precision for precision in order if precision in offered), offered[0])
    if wanted not in offered:
        choice = ", ".join(["auto", *offered])
        raise ConfigError(f"The model has no precision {wanted!r}; set `precision` to one of: {choice}.")
    return wanted


def integers_are_exact() -> bool:
    """Whether products of 8-bit integers are: without VNNI, x86 adds pairs of them in 16 bits, which may overflow."""
    return platform.machine().lower() not in ("x86_64", "amd64") or "vnni" in _processor()


def memory_bytes() -> int:
    """The machine's memory; plenty where that cannot be learnt."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 40


def machine(threads: int) -> str:
    """A name for what decides the speed: processor, threads, runtime and providers."""
    facts = [platform.machine(), _processor(), threads or default_threads(), VERSION, available_providers()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _processor() -> str:
    """The processor's name and features where the system lists them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _fastest(folder: Path, described: ModelManifest, precision: str, threads: int, available: Sequence[str]) -> Tuning:
    """The provider whose single step takes least; the CPU where others fail or are slower."""
    best = Tuning(CPU, measure(_load(folder, described, precision, threads)))
    for provider in (name for name in PROVIDERS if name in available):
        try:
            costs = measure(_load(folder, described, precision, threads, provider))
        except ModelError as error:
            log.info("provider", {"name": provider, "error": error})
            continue
        if costs.fast.at(1) < best.costs.fast.at(1):
            best = Tuning(provider, costs)
    return best


def _read(path: Path) -> Tuning | None:
    """What was measured before, if it can be made sense of."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        fast, precise = raw["costs"]["fast"], raw["costs"]["precise"]
        costs = PassCosts(_step_costs(fast), _step_costs(precise) if precise else None)
        return Tuning(str(raw["provider"]), costs, int(raw["tries"]), bool(raw["calm"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError):
        return None


def _step_costs(raw: dict[str, Any]) -> StepCosts:
    return StepCosts(tuple(map(int, raw["widths"])), tuple(map(float, raw["ms"])))


def _write(path: Path, tuning: Tuning) -> None:
    """Keep it; a folder that cannot be written only means measuring again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(asdict(tuning)), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        log.info("tuning is not kept", {"error": error})
