"""What the scripted server says next, and what it has heard: the two files of `tests.editors.scripted_server`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flash_ls import __version__
from tests.lsp_client import python_module

Answer = dict[str, Any]
INLINE = "textDocument/inlineCompletion"
SILENT: Answer = {"silent": True}


class Script:
    """Answers by the line before the cursor, `*` for any other. `server` is said of the server itself, at its start."""

    def __init__(self, folder: Path, **server: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._script, self._log = folder / "script.json", folder / "messages.jsonl"
        self._log.touch()
        self._begin = 0
        self.server = {"info": {"name": "flash-ls", "version": __version__}, **server}
        self.play({})

    @property
    def command(self) -> list[str]:
        return python_module("tests.editors.scripted_server", str(self._script), str(self._log))

    def play(self, answers: Mapping[str, str | Answer]) -> None:
        """Have the server answer so from now on; a string is short for its one text."""
        rules = {key: {"texts": [rule]} if isinstance(rule, str) else rule for key, rule in answers.items()}
        new = self._script.with_suffix(".new")
        new.write_text(json.dumps({**self.server, "answers": rules}), encoding="utf-8")
        new.replace(self._script)

    def forget(self) -> None:
        """Count what is heard from here."""
        self._begin = len(self._lines())

    def heard(self, method: str) -> list[Any]:
        """The parameters of every message of this kind that the server got."""
        messages = [json.loads(line) for line in self._lines()[self._begin :]]
        return [message.get("params") for message in messages if message.get("method") == method]

    def answers_to(self, identifier: str) -> list[Any]:
        """The results of a request of the server's own."""
        messages = [json.loads(line) for line in self._lines()]
        return [message["result"] for message in messages if message.get("id") == identifier and "result" in message]

    def _lines(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").split("\n")[:-1]
