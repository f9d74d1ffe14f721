"""A completer whose model is on a team's server."""

import logging

from flash_ls.artifact import store
from flash_ls.completer import Completer
from flash_ls.config import Config
from flash_ls.deadline import Progress
from flash_ls.engine import manifest
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import EngineAway, EngineBusy
from flash_ls.team.client import TeamEngine
from flash_ls.team.frames import fingerprint
from flash_ls.team.site import site

log = logging.getLogger(__name__)


def load_completer(config: Config, progress: Progress) -> Completer:
    """The completer for the server at `config.engine_url`; one that is away may come back.

    Raises `ModelError` and `ConfigError`.
    """
    where = site(config.engine_url, config.engine_unencrypted)
    folder = store.ensure(config.model, progress)
    described = manifest.read(folder)
    engine = TeamEngine(where, fingerprint(described), Tokenizer(folder / TOKENIZER_FILE))
    precision = config.precision
    try:
        precision = engine.hello().precision
    except (EngineAway, EngineBusy) as error:
        log.warning(str(error))
    return Completer(engine, described.prompt, config, precision=precision)
