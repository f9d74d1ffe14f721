"""What an engine process does: load the model, listen, work, end."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import filelock

from flash_ls import process
from flash_ls.config import Config
from flash_ls.engine import manifest
from flash_ls.engine.drafter import LookupDrafter
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.manifest import TOKENIZER_FILE, ModelManifest
from flash_ls.engine.slots import Slots
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.engine.turns import SharedModel, Turns
from flash_ls.errors import FlashLsError
from flash_ls.shared.channel import is_known, listen
from flash_ls.shared.engine_process import EngineProcess
from flash_ls.shared.launch import REFUSED, TAKEN, Meeting, meeting
from flash_ls.tuning import load_model


def run(home: Path, folder: Path, settings: Mapping[str, object], background: bool = False) -> NoReturn:
    """Be the engine process of a model and these settings, unless another is."""
    process.log_to_stderr()
    if background:
        process.give_way()
    stdout = process.reserve_stdout()
    config = replace(Config(), **settings)  # type: ignore[arg-type]
    try:
        described = manifest.read(folder)
        place = meeting(home, folder, described.revision, config)
        with filelock.FileLock(place.folder / f"{place.name}.lock", timeout=0, mode=0o600):
            _serve(folder, described, config, place)
    except filelock.Timeout:
        os._exit(TAKEN)
    except (FlashLsError, OSError) as error:
        stdout.write(f"{error}\n".encode())
        stdout.flush()
        os._exit(REFUSED)
    os._exit(0)


def _serve(folder: Path, described: ModelManifest, config: Config, place: Meeting) -> None:
    model, costs = load_model(folder, described, config)
    turns = Turns()
    shared, tokenizer = SharedModel(model, turns), Tokenizer(folder / TOKENIZER_FILE)
    slots = Slots(shared.new_cache, config.cache_mb)
    process.release_memory()

    def new_engine() -> LocalEngine:
        return LocalEngine(shared, tokenizer, LookupDrafter(costs.best), slots=slots)

    engine_process = EngineProcess(new_engine, turns, slots, model.precision)
    engine_process.serve(partial(listen, *place), partial(is_known, *place))
