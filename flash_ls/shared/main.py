"""What an engine process does: load the model, listen, work, end."""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import filelock

from flash_ls import log, process
from flash_ls.config import Config, plain
from flash_ls.crash import CrashReports
from flash_ls.engine import manifest
from flash_ls.engine.manifest import ModelManifest
from flash_ls.errors import FlashLsError
from flash_ls.presence import Presence, folder_in
from flash_ls.shared.channel import is_known, listen, withdraw
from flash_ls.shared.engine_process import EngineProcess
from flash_ls.shared.host import load
from flash_ls.shared.launch import REFUSED, TAKEN, Meeting, meeting

logger = logging.getLogger(__name__)


def run(home: Path, folder: Path, settings: Mapping[str, object], background: bool = False) -> NoReturn:
    """Be the engine process of a model and these settings, unless another is, until it is told to end."""
    if background:
        process.give_way()
    stdout = process.reserve_stdout()
    config = replace(Config(), **settings)  # type: ignore[arg-type]
    log.start(config.log_level)
    process.keep_no_memory()
    crashes = CrashReports(home, "engine", lambda: {"settings": plain(config)})
    crashes.start()
    process.call_on_signal(sys.exit)
    code: object = 0
    try:
        _run(home, folder, config)
    except filelock.Timeout:
        code = TAKEN
    except (FlashLsError, OSError) as error:
        stdout.write(f"{error}\n".encode())
        stdout.flush()
        code = REFUSED
    except SystemExit as end:
        code = end.code
    except Exception:
        logger.exception("The engine process ended by an error of its own.")
        code = 1
    crashes.end()
    os._exit(code if isinstance(code, int) else 1)


def _run(home: Path, folder: Path, config: Config) -> None:
    described = manifest.read(folder)
    place = meeting(home, folder, described.revision, config)
    with filelock.FileLock(place.folder / f"{place.name}.lock", timeout=0, mode=0o600):
        try:
            _serve(home, folder, described, config, place)
        finally:
            withdraw(*place)


def _serve(home: Path, folder: Path, described: ModelManifest, config: Config, place: Meeting) -> None:
    host = load(folder, described, config)
    engine_process = EngineProcess(host.engine, host.turns, host.slots, host.precision, host.pass_s)
    presence = Presence(folder_in(home))

    def say(report: dict[str, object]) -> None:
        presence.write({"model": described.name} | report)

    try:
        engine_process.serve(partial(listen, *place), partial(is_known, *place), say)
    finally:
        presence.remove()
