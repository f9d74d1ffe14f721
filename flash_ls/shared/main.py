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
from flash_ls.engine.manifest import ModelManifest
from flash_ls.errors import FlashLsError
from flash_ls.shared.channel import is_known, listen
from flash_ls.shared.engine_process import EngineProcess
from flash_ls.shared.host import load
from flash_ls.shared.launch import REFUSED, TAKEN, Meeting, meeting


def run(home: Path, folder: Path, settings: Mapping[str, object]) -> NoReturn:
    """Be the engine process of a model and these settings, unless another is."""
    process.log_to_stderr()
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
    host = load(folder, described, config)
    engine_process = EngineProcess(host.engine, host.turns, host.slots, host.precision)
    engine_process.serve(partial(listen, *place), partial(is_known, *place))
