"""A real server process around the toy model, which it builds as it would the real one: to be killed or doubled.

    python -m tests.toy_server WEIGHTS [--until FILE]

tells each step of a load on stderr; `--until` waits in the middle of a build until there is such a file.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from flash_ls import cli
from flash_ls.artifact import catalog, store
from flash_ls.completer import Completer
from flash_ls.config import Config
from flash_ls.deadline import Progress
from flash_ls.server import serve
from tests.artifact.toy_build import BUILDING, toy_entry


def main() -> NoReturn:
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    parser.add_argument("--until", type=Path)
    args = parser.parse_args()

    def load(config: Config, progress: Progress) -> Completer:
        def show(label: str, fraction: float) -> None:
            print(f"toy: {label}", file=sys.stderr, flush=True)
            progress(label, fraction)
            while label == BUILDING and args.until and not args.until.exists():
                time.sleep(0.01)

        return cli.load(config, show)

    entry = toy_entry(args.weights)
    with patch.object(catalog, "catalog", lambda: {entry.name: entry}):
        serve(load, store.home(), Config(log_level="info"))


if __name__ == "__main__":
    main()
