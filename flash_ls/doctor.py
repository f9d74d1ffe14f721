"""What is installed, which model it would run, how fast this machine runs it, and what is wrong."""

import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from flash_ls import __version__, crash
from flash_ls.artifact import store
from flash_ls.artifact.catalog import find
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.decode import PREFILL_CHUNK
from flash_ls.engine.model import Model
from flash_ls.engine.onnx_model import default_threads
from flash_ls.errors import FlashLsError
from flash_ls.tuning import load_model

RUNS = 7
SLOW_PREFILL, SLOW_STEP_MS = 150, 60
"""Tokens a second and milliseconds beyond which completions come too late to be useful."""
NEEDED_BYTES = 1_300_000_000
"""What a build writes at most."""
PACKAGES = ("onnxruntime", "pygls", "tokenizers", "tree-sitter", "numpy")


@dataclass(slots=True)
class Report:
    """Facts in the order they are shown, and sentences about what is wrong."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def examine(config: Config) -> Report:
    """Look at everything a completion needs, and time the model. Takes a few seconds; builds nothing."""
    report = Report()
    report.facts += [("flash-ls", __version__), ("python", platform.python_version())]
    report.facts += [(name, metadata.version(name)) for name in PACKAGES]
    report.facts.append(("machine", f"{platform.machine()}, {os.cpu_count()} cores, {default_threads()} threads used"))
    _examine_folder(report)
    _examine_model(report, config)
    _examine_crashes(report)
    return report


def _examine_folder(report: Report) -> None:
    folder = store.home()
    existing = _existing(folder)
    free = shutil.disk_usage(existing).free
    report.facts.append(("cache folder", f"{folder}, {free / 1e9:.1f} GB free"))
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        report.problems.append(f"{existing} cannot be written; mend its permissions or set FLASH_LS_HOME.")


def _examine_model(report: Report, config: Config) -> None:
    try:
        folder = Path(config.model)
        if not (folder / manifest.FILE_NAME).is_file():
            folder = store.folder_of(find(config.model))
        described = store.verify(folder, lambda label, done: None)
        report.facts.append(("model", f"{described.name}, revision {described.revision}"))
        model, _ = load_model(folder, described, config)
        report.facts.append(("precision", model.precision))
        _time_model(report, model)
    except FlashLsError as error:
        report.facts.append(("model", f"{config.model}, not usable"))
        report.problems.append(str(error))
        _examine_space(report)


def _examine_crashes(report: Report) -> None:
    if (found := crash.newest(store.home())) is not None:
        path, said = found
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
        report.problems.append(
            f"flash-ls met an error of its own ({said.get('error')}, {when}); open an issue with {path}, which has "
            "none of your code in it, then delete the file."
        )


def _examine_space(report: Report) -> None:
    free = shutil.disk_usage(_existing(store.home())).free
    if free < NEEDED_BYTES:
        needed = f"{NEEDED_BYTES / 1e9:.1f} GB"
        report.problems.append(
            f"A build needs {needed} and {free / 1e9:.1f} GB are free; free some or set FLASH_LS_HOME."
        )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in [folder, *folder.parents] if path.exists())


def _time_model(report: Report, model: Model) -> None:
    cache, deadline = model.new_cache(), Deadline()
    chunk = list(range(100, 100 + PREFILL_CHUNK))
    prefill = PREFILL_CHUNK / _median_s(lambda: model.forward(chunk, cache, 0, deadline))
    step_ms = 1e3 * _median_s(lambda: model.forward([100], cache, 1, deadline))
    report.facts.append(("speed", f"prefill {prefill:.0f} tokens/s, {step_ms:.1f} ms a token after that"))
    if prefill < SLOW_PREFILL or step_ms > SLOW_STEP_MS:
        report.problems.append("This machine is slow for the model; close other programs, or lower prefix_tokens.")


def _median_s(run: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
