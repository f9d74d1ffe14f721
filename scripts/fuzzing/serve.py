"""A real server process with the echoing completer and one request more, which tells the text of a document."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flash_ls import server
from flash_ls.config import Config
from flash_ls.errors import DocumentError
from flash_ls.session import FlashServer
from scripts.fuzzing.echo import load

TEXT = "fuzz/text"


def text_of(ls: FlashServer, params: Any) -> list[object] | None:
    """Text and version, or None for one that is not open."""
    try:
        document = ls.documents.get(params["uri"])
    except DocumentError:
        return None
    return [document.text, document.version, document.too_large]


def main() -> None:
    made = server.create_server

    def create_server(*given: Any) -> FlashServer:
        ls = made(*given)
        ls.feature(TEXT)(text_of)
        return ls

    with patch.object(server, "create_server", create_server):
        server.serve(load, Path(os.environ["FLASH_LS_HOME"]), Config())


if __name__ == "__main__":
    main()
