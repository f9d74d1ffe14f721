"""Where the larger model is: in a process of this machine, or behind a server's address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flash_ls.credential import credential
from flash_ls.pro.api import CompletionsServer
from flash_ls.pro.server_model import ServerModel

if TYPE_CHECKING:
    from flash_ls.completer import Completer
    from flash_ls.config import Config
    from flash_ls.deadline import Progress
    from flash_ls.loading import Loader
    from flash_ls.pro.pro import Answers

KEY_VARIABLE = "FLASH_LS_PRO_KEY"


def name_of(config: Config) -> str:
    """What people call the larger model that is wanted; empty if none is."""
    if not config.enabled:
        return ""
    if config.pro_url:
        return f"{config.pro_model or 'The model'} at {urlsplit(config.pro_url).netloc}"
    return config.pro


def loader(load: Loader[Completer]) -> Loader[Answers]:
    """Brings the larger model; `load` does it for one of this machine, by the setting `model`."""

    def load_pro(config: Config, progress: Progress) -> Answers:
        if config.pro_url:
            return server_model(config)
        return load(replace(config, model=config.pro, precision="auto", engine_url=""), progress)

    return load_pro


def server_model(config: Config) -> ServerModel:
    """The one behind the configured address."""
    key = credential(KEY_VARIABLE, urlsplit(config.pro_url).hostname or "")
    return ServerModel(CompletionsServer(config.pro_url, config.pro_model, key), config)
