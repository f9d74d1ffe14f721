"""A completer whose model is in the process that all servers share."""

import json
import os
import site
import sys
from functools import partial
from pathlib import Path

from flash_ls import process
from flash_ls.completer import Completer
from flash_ls.config import Config
from flash_ls.deadline import Progress
from flash_ls.engine import manifest
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.shared.launch import Launch, meeting
from flash_ls.shared.remote import RemoteEngine

SETTINGS = ("precision", "threads", "cache_mb", "log_level")
"""Those that the process has to know."""


def load_completer(
    home: Path, folder: Path, config: Config, progress: Progress, background: bool = False
) -> Completer | None:
    """A completer for the artifact in `folder`; None if there is no safe place to share it.

    `background`: if the process has to be started, it lets all others of the machine go first.

    Raises `ModelError`, and what `progress` raises.
    """
    described = manifest.read(folder)
    place = meeting(home, folder, described.revision, config)
    if not place.is_private:
        return None
    settings = json.dumps({name: getattr(config, name) for name in SETTINGS})
    command = [sys.executable, "-P", "-m", "flash_ls", "engine", str(folder.resolve()), settings]
    command += ["--background"] if background else []
    launch = Launch(place, command, environment(home))
    engine = RemoteEngine(launch.connect, Tokenizer(folder / TOKENIZER_FILE))
    process.release_memory()
    engine.connect(partial(progress, "Starting the model", 0.0))
    return Completer(engine, described.prompt, config, precision=engine.precision)


def environment(home: Path) -> dict[str, str]:
    """For a process whose working folder is another, so that nothing is imported from that of an editor."""
    checkout = str(Path(__file__).parents[2])
    known = [] if checkout in site.getsitepackages() else [checkout]
    path = os.pathsep.join([*known, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"FLASH_LS_HOME": str(home.resolve()), "PYTHONPATH": path}
