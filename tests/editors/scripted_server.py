"""A language server of few lines that answers as a file says and writes down what it is asked.

`python -m tests.editors.scripted_server SCRIPT LOG`. SCRIPT is JSON and is read again at every request: `answers` has
what to say by the line before the cursor, `says` what is said at the start, `later` what once a file is there. Every
message that comes is a line of LOG. With more words it is a sub-command, and does what `commands` has for the first of
them. Knows nothing of flash_ls.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

Json = dict[str, Any]
DIES_WITH = 7
INFO = {"name": "scripted", "version": "1"}
POLL_S = 0.02
SILENCE = object()
"""Instead of an answer."""


def read_message() -> Json | None:
    """The next message on stdin, or None at its end."""
    length = 0
    while header := sys.stdin.buffer.readline().strip():
        name, _, value = header.partition(b":")
        length = int(value) if name == b"Content-Length" else length
    return dict(json.loads(sys.stdin.buffer.read(length))) if length else None


def send(message: Json) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    sys.stdout.buffer.flush()


def say(messages: list[Json]) -> None:
    for message in messages:
        send(message)


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(POLL_S)


class ScriptedServer:
    """Documents are kept whole; positions count bytes of UTF-8, or what the script has as `encoding`."""

    def __init__(self, script: Path, log: Path) -> None:
        self._script = script
        self._log = log
        self._texts: dict[str, str] = {}

    def serve(self) -> None:
        """Until the client leaves."""
        while (message := read_message()) is not None and message.get("method") != "exit":
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(message) + "\n")
            self._handle(message, json.loads(self._script.read_text(encoding="utf-8")))

    def _handle(self, message: Json, script: Json) -> None:
        method, params = message.get("method"), message.get("params") or {}
        if method == "textDocument/didOpen":
            self._texts[params["textDocument"]["uri"]] = params["textDocument"]["text"]
        elif method == "textDocument/didChange":
            self._texts[params["textDocument"]["uri"]] = params["contentChanges"][-1]["text"]
        elif method == "initialized":
            say(script.get("says", []))
            if "later" in script:
                threading.Thread(target=self._say_later, args=(script["later"],), daemon=True).start()
        elif "id" in message and method and (result := self._result(method, params, script)) is not SILENCE:
            send({"id": message["id"], "result": result})

    def _say_later(self, later: Json) -> None:
        """What it says once a file is there."""
        wait_for(later["waits_for"])
        say(later["says"])

    def _result(self, method: str, params: Json, script: Json) -> object:
        if method == "initialize":
            return {"capabilities": capabilities(script), "serverInfo": script.get("info", INFO)}
        if method == "textDocument/inlineCompletion":
            return self._items(params, script)
        return script.get("told") if method == "workspace/executeCommand" else None

    def _items(self, params: Json, script: Json) -> object:
        """By the line before the cursor, or `*`; somebody who asks for them gets all texts, others the first."""
        place = params["position"]
        line = self._texts[params["textDocument"]["uri"]].split("\n")[place["line"]]
        before = before_place(line, place["character"], script.get("encoding", "utf-8"))
        rule = script["answers"].get(before, script["answers"].get("*"))
        if rule is None:
            return None
        if rule.get("dies"):
            os._exit(DIES_WITH)
        if rule.get("silent"):
            return SILENCE
        time.sleep(rule.get("delay_s", 0))
        if "raw" in rule:
            return rule["raw"]
        texts = rule["texts"] if params["context"]["triggerKind"] == 1 else rule["texts"][:1]
        start, end = (place["character"] + units for units in rule.get("range", [0, 0]))
        span = {side: {"line": place["line"], "character": at} for side, at in (("start", start), ("end", end))}
        more = {"command": rule["command"]} if "command" in rule else {}
        return [{"insertText": text, "range": span, **more} for text in texts]


def before_place(line: str, character: int, encoding: str) -> str:
    if encoding == "utf-8":
        return line.encode()[:character].decode()
    return line.encode("utf-16-le")[: 2 * character].decode("utf-16-le")


def capabilities(script: Json) -> Json:
    told = {"executeCommandProvider": {"commands": ["flashLs.status"]}} if "told" in script else {}
    encoding = script.get("encoding", "utf-8")
    folders = {"workspaceFolders": {"supported": True, "changeNotifications": True}}
    return {
        "positionEncoding": encoding,
        "textDocumentSync": 1,
        "inlineCompletionProvider": {},
        "workspace": folders,
        **told,
    }


def run_command(words: list[str], script: Path, log: Path) -> int:
    """Print, write a page into the file that is named last, and wait for a file, as the script says; the exit code."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"method": "command", "params": words}) + "\n")
    rule = json.loads(script.read_text(encoding="utf-8")).get("commands", {}).get(words[0], {})
    print(rule.get("prints", ""), flush=True)
    if "page" in rule:
        Path(words[-1]).write_text(rule["page"], encoding="utf-8")
    if "waits_for" in rule:
        wait_for(rule["waits_for"])
    return int(rule.get("code", 0))


if __name__ == "__main__":
    files = Path(sys.argv[1]), Path(sys.argv[2])
    if sys.argv[3:]:
        sys.exit(run_command(sys.argv[3:], *files))
    ScriptedServer(*files).serve()
