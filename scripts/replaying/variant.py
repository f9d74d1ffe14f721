"""The server with constants of its modules set otherwise, to measure what a part of it is worth.

python -m scripts.replaying.variant completion_cache.MOST_PLACES=0 pace.PATIENCE_S=99
"""

import importlib
import json
import sys

from flash_ls.artifact import store
from flash_ls.cli import load
from flash_ls.config import Config
from flash_ls.server import serve


def main() -> None:
    for setting in sys.argv[1:]:
        name, _, value = setting.partition("=")
        module, _, constant = name.rpartition(".")
        owner = importlib.import_module(f"flash_ls.{module}")
        if not hasattr(owner, constant):
            sys.exit(f"flash_ls.{module} has no {constant}; name a constant of one of its modules.")
        setattr(owner, constant, json.loads(value))
    serve(load, store.home(), Config(log_level="info"))


if __name__ == "__main__":
    main()
