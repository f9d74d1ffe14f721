#!/usr/bin/env python3
"""A server that asks as llama.vim does, with its defaults, to be replayed beside others (--server llama.vim).

What is modelled, after llama.vim as of 2025:

- 256 lines before and 64 after the cursor, up to 128 tokens; nothing is asked with more than 8 characters behind it.
- One request at a time. No key stops it; the next is tried 100 ms later.
- 250 ms of decoding, counted once there is a whole line; 1,000 ms for the speculative request that follows each shown
  text and takes it as accepted.
- A cache of 250 answers. One is found again when up to 128 characters were typed along it, or up to three lines were
  scrolled away.
- Answers that repeat what follows are dropped.
- 16 chunks of 32 lines as extra context: around the cursor when a file is entered or left, and far from it when a
  request is made more than 32 lines from where that was done last. Those like the surroundings are dropped.
- One chunk a second is read ahead while the user does not type: from a jump to the next key, or after 3 s without any.

What is not: yanks and saves, the samplers, and windows. It is one process, while llama.vim has a server beside the
editor. It speaks enough of the protocol for `scripts.replaying.editor` and logs as flash-ls does.
"""

import argparse
import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench.weights import gguf_file
from scripts.replaying.buffer import Buffer
from scripts.replaying.llama_model import Answer, Chunk, Infill, LlamaModel

LINES_BEFORE, LINES_AFTER = 256, 64
MOST_TOKENS = 128
MOST_BEHIND = 8
FIRST_MS, SPECULATIVE_MS = 250.0, 1000.0
RETRY_S = 0.1
CACHED = 250
NEARBY = 128
SCROLLED = 3
CHUNKS, CHUNK_LINES = 16, 64
SCOPE = 1024
FAR = 32
UPDATE_S, STILL_S = 1.0, 3.0
MODEL = "qwen2.5-coder-0.5b"


class Local(NamedTuple):
    """The lines around a cursor."""

    prefix: str
    middle: str
    suffix: str
    indent: int
    behind: int
    """Characters behind the cursor on its line."""


def local(lines: Sequence[str], row: int, column: int, accepted: Sequence[str] = ()) -> Local:
    """`accepted` are the lines of a suggestion that is taken as inserted there."""
    line = lines[row]
    before = list(lines[max(0, row - LINES_BEFORE) : row])
    after = "\n".join(lines[row + 1 : row + 1 + LINES_AFTER])
    if accepted:
        inserted = [line[:column] + accepted[0], *accepted[1:]]
        before, middle, behind = before + inserted[:-1], inserted[-1], ""
    else:
        middle, behind = ("", "") if not line.strip() else (line[:column], line[column:])
    indent = 0 if not line.strip() else len(line) - len(line.lstrip())
    return Local("".join(f"{one}\n" for one in before), middle, f"{behind}\n{after}\n", indent, len(behind))


class Cache:
    """Answers by what stood around them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._answers: dict[tuple[str, str], Answer] = {}

    def put(self, around: Local, answer: Answer) -> None:
        for place in _places(around):
            if len(self._answers) >= CACHED and place not in self._answers:
                del self._answers[self._rng.choice(list(self._answers))]
            self._answers[place] = answer

    def has(self, around: Local) -> bool:
        return any(place in self._answers for place in _places(around))

    def find(self, around: Local) -> Answer | None:
        """The one for this place, or the longest rest of one that was typed along."""
        written = around.prefix + around.middle
        if exact := self._answers.get((written, around.suffix)):
            return exact
        rests = (self._rest(written, count, around.suffix) for count in range(1, min(NEARBY, len(written)) + 1))
        return max((rest for rest in rests if rest), key=lambda rest: len(rest.text), default=None)

    def _rest(self, written: str, count: int, suffix: str) -> Answer | None:
        found = self._answers.get((written[:-count], suffix))
        typed = written[-count:]
        if found is None or not found.text.startswith(typed) or found.text == typed:
            return None
        return Answer(found.text[count:], 0, 0)


def _places(around: Local) -> list[tuple[str, str]]:
    """Where an answer is found again: here, and with the first lines scrolled away."""
    prefix, places = around.prefix, [(around.prefix + around.middle, around.suffix)]
    for _ in range(SCROLLED):
        prefix = prefix.partition("\n")[2]
        if not prefix:
            break
        places.append((prefix + around.middle, around.suffix))
    return places


class Ring:
    """Chunks of files that were seen: some are read already, some wait for that."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.chunks: list[Chunk] = []
        self._waiting: list[Chunk] = []

    def pick(self, path: str, lines: Sequence[str], evict: bool) -> None:
        if len(lines) < 3:
            return
        chunk = Chunk(path, "".join(f"{line}\n" for line in self._part(lines)))
        if chunk.text in {one.text for one in (*self.chunks, *self._waiting)}:
            return
        if not evict and any(alike(one.text, chunk.text) > 0.9 for one in (*self.chunks, *self._waiting)):
            return
        self.forget(chunk.text, 0.9)
        self._waiting = [*(one for one in self._waiting if alike(one.text, chunk.text) <= 0.9), chunk][-CHUNKS:]

    def forget(self, text: str, likeness: float) -> None:
        self.chunks = [one for one in self.chunks if alike(one.text, text) <= likeness]

    def update(self) -> bool:
        """Take over one that waits; False if there is none."""
        if not self._waiting:
            return False
        self.chunks = [*self.chunks, self._waiting.pop(0)][-CHUNKS:]
        return True

    def near(self, lines: Sequence[str]) -> str:
        """A part of the surroundings, to compare with."""
        return "".join(f"{line}\n" for line in self._part(lines))

    def _part(self, lines: Sequence[str]) -> Sequence[str]:
        if len(lines) + 1 < CHUNK_LINES:
            return lines
        start = self._rng.randint(0, max(0, len(lines) - CHUNK_LINES // 2))
        return lines[start : start + CHUNK_LINES // 2]


def alike(one: str, other: str) -> float:
    """0 to 1: how many lines two chunks share."""
    left, right = one.splitlines(), other.splitlines()
    known = set(right)
    return 2.0 * sum(line in known for line in left) / max(1, len(left) + len(right))


def shown(text: str, lines: Sequence[str], row: int, column: int) -> tuple[str, int] | None:
    """What of an answer is shown, and the column where it begins; None if it repeats what is there, or is empty."""
    content = text.rstrip("\n").split("\n")
    line, start = lines[row], column
    if not line.strip():  # the answer brings the indentation itself
        lead = min(len(content[0]) - len(content[0].lstrip()), len(line))
        start, content[0] = (column, content[0][lead:]) if lead >= column else (0, content[0])
    repeated = _repeats(content, line[:column], line[column:], lines, row)
    return None if repeated or not "".join(content).strip() else ("\n".join(content), start)


def _repeats(content: list[str], before: str, behind: str, lines: Sequence[str], row: int) -> bool:
    first, more = content[0], content[1:]
    if not first and more and more == list(lines[row + 1 : row + len(content)]):
        return True
    if not more and first == behind:
        return True
    below = next((place for place in range(row + 1, len(lines)) if lines[place].strip()), len(lines) - 1)
    if before + first != lines[below]:
        return False
    following = list(lines[below + 1 : below + len(content)])
    return not more or following == more or (len(more) == 1 and bool(following) and following[0].startswith(more[0]))


@dataclass
class Asked:
    """A request of the editor that waits for its answer."""

    id: int
    uri: str
    version: int
    row: int
    column: int
    began: float


class Job(NamedTuple):
    """A request to the model: for what, and what came of it."""

    around: Local
    answer: Answer


class LlamaVim:
    """The plugin. Everything here runs in one thread; the model answers into its queue."""

    def __init__(self, model: LlamaModel, send: Callable[[dict[str, Any]], None]) -> None:
        self._model, self._send = model, send
        rng = random.Random(0)
        self._cache, self._ring = Cache(rng), Ring(rng)
        self._events: queue.Queue[dict[str, Any] | Job | None] = queue.Queue()
        self._work: queue.Queue[Callable[[], None]] = queue.Queue()
        self._buffers: dict[str, Buffer] = {}
        self._edited: set[str] = set()
        self._asked: Asked | None = None
        self._uri, self._row, self._column = "", 0, 0
        self._busy = False
        self._shows = False
        self._retry: tuple[float, tuple[str, ...]] | None = None
        self._picked = -9999
        self._normal = True
        self._moved = self._updated = time.monotonic()

    def put(self, message: dict[str, Any] | None) -> None:
        """A message of the editor, or None at the end."""
        self._events.put(message)

    def run(self) -> None:
        threading.Thread(target=self._serve, daemon=True).start()
        while True:
            try:
                event = self._events.get(timeout=self._pause())
            except queue.Empty:
                self._tick()
                continue
            if event is None:
                return
            self._answered(event) if isinstance(event, Job) else self._take(event)
            self._tick()

    def _serve(self) -> None:
        while True:
            self._work.get()()

    def _pause(self) -> float:
        wait = self._updated + UPDATE_S - time.monotonic()
        return max(0.001, min(wait, self._retry[0] - time.monotonic()) if self._retry else wait)

    def _tick(self) -> None:
        """What timers do."""
        now = time.monotonic()
        if self._retry and now >= self._retry[0]:
            accepted = self._retry[1]
            self._retry = None
            self._fim(accepted)
            self._give_up()
        if now >= self._updated + UPDATE_S:
            self._updated = now
            if (self._normal or now - self._moved >= STILL_S) and self._ring.update():
                chunks = list(self._ring.chunks)
                self._work.put(lambda: self._model.read(chunks))

    def _take(self, message: dict[str, Any]) -> None:
        params = message.get("params") or {}
        match message.get("method"):
            case "initialize":
                self._send({"id": message["id"], "result": {"capabilities": {"textDocumentSync": 2}}})
            case "initialized":
                _log("load reason=ready")
                _log("index files=0 ms=0")
            case "shutdown":
                self._send({"id": message["id"], "result": None})
            case "exit":
                self._events.put(None)
            case "textDocument/didOpen":
                document = params["textDocument"]
                self._edited.discard(document["uri"])
                self._buffers[document["uri"]] = Buffer(document["uri"], document["text"], 0, document["version"])
            case "textDocument/didChange":
                self._change(params)
            case "flashLs/didMoveCursor":
                self._jump(params)
            case "textDocument/inlineCompletion":
                self._moved_to(message["id"], params)
            case "$/cancelRequest":
                if self._asked and self._asked.id == params["id"]:
                    self._reply(None, "cancelled")

    def _change(self, params: dict[str, Any]) -> None:
        buffer = self._buffers[params["textDocument"]["uri"]]
        buffer.version = params["textDocument"]["version"]
        self._normal = False
        self._edited.add(buffer.uri)
        for change in params["contentChanges"]:
            start, end = (buffer.offset(change["range"][edge]) for edge in ("start", "end"))
            buffer.replace(start or 0, end or 0, change["text"])

    def _jump(self, params: dict[str, Any]) -> None:
        """The cursor goes elsewhere, as it does in normal mode."""
        uri = params["textDocument"]["uri"]
        if uri != self._uri and self._uri in self._buffers:
            self._pick_around()
        entered = uri != self._uri
        self._uri, self._row = uri, params["position"]["line"]
        if entered:
            self._pick_around()
        self._normal, self._moved, self._retry = True, time.monotonic(), None

    def _pick_around(self) -> None:
        """Files that are changed and not saved are left out."""
        if self._uri not in self._edited:
            lines, half = self._lines(), CHUNK_LINES // 2
            self._ring.pick(self._name(), lines[max(0, self._row - half) : self._row + half], evict=True)

    def _moved_to(self, id: int, params: dict[str, Any]) -> None:
        """The cursor has moved while typing."""
        if self._asked:
            self._reply(None, "superseded")
        self._uri, place = params["textDocument"]["uri"], params["position"]
        buffer = self._buffers[self._uri]
        offset = buffer.offset(place) or 0
        self._row, self._column = place["line"], offset - (buffer.text.rfind("\n", 0, offset) + 1)
        self._moved = time.monotonic()
        self._asked = Asked(id, self._uri, buffer.version, self._row, self._column, self._moved)
        self._shows = False
        self._try_hint(None)
        self._fim(())
        self._give_up()

    def _try_hint(self, answer: Answer | None) -> None:
        """Show what the cache has for the cursor; `answer` is what has just come from the model."""
        lines = self._lines()
        found = self._cache.find(local(lines, self._row, self._column))
        said = shown(found.text, lines, self._row, self._column) if found else None
        if said is None or self._asked is None:
            return
        self._shows = True
        self._reply(said, "shown" if answer else "cached", answer)
        self._fim(tuple(said[0].split("\n")))

    def _fim(self, accepted: tuple[str, ...]) -> None:
        """Ask the model for the cursor, or as if a suggestion was accepted there."""
        if self._busy:
            self._retry = (time.monotonic() + RETRY_S, accepted)
            return
        lines = self._lines()
        around = local(lines, self._row, self._column, accepted)
        if around.behind > MOST_BEHIND or self._cache.has(around):
            return
        half = CHUNK_LINES // 2
        self._ring.forget(self._ring.near(lines[max(0, self._row - half) : self._row + half]), 0.5)
        most_ms = SPECULATIVE_MS if accepted else FIRST_MS
        chunks = list(self._ring.chunks)
        asked = Infill(chunks, around.prefix, around.middle, around.suffix, MOST_TOKENS, around.indent, most_ms)
        self._busy = True
        self._work.put(lambda: self._events.put(Job(around, self._model.complete(asked))))
        self._gather(lines)

    def _gather(self, lines: Sequence[str]) -> None:
        """Chunks from above and below what a request has, once the cursor has gone far."""
        row = self._row
        if abs(row - self._picked) > FAR:
            self._ring.pick(self._name(), lines[max(0, row - SCOPE) : max(0, row - LINES_BEFORE)], evict=False)
            below = row + LINES_AFTER
            self._ring.pick(self._name(), lines[below : below + CHUNK_LINES], evict=False)
            self._picked = row

    def _answered(self, job: Job) -> None:
        self._busy = False
        self._cache.put(job.around, job.answer)
        if self._asked and not self._shows:
            self._try_hint(job.answer)
            self._give_up()

    def _give_up(self) -> None:
        """Nothing more will come for the request."""
        if self._asked and not self._busy and self._retry is None:
            self._reply(None, "empty")

    def _reply(self, said: tuple[str, int] | None, reason: str, answer: Answer | None = None) -> None:
        asked, self._asked = self._asked, None
        if asked is None:
            return
        self._send({"id": asked.id, "result": [self._item(asked, *said)] if said else None})
        prompt, cached = (answer.prompt_tokens, answer.cached_tokens) if answer else (0, 0)
        tokens = f"prompt_tokens={prompt} cached_tokens={cached}"
        ms = (time.monotonic() - asked.began) * 1e3
        name = PurePosixPath(asked.uri).name
        _log(f"complete file={name} version={asked.version} reason={reason} ms={ms:.0f} {tokens}")

    def _item(self, asked: Asked, text: str, column: int) -> dict[str, Any]:
        buffer = self._buffers[asked.uri]
        start = sum(len(line) + 1 for line in self._lines()[: asked.row])
        span = {"start": buffer.place(start + column), "end": buffer.place(start + asked.column)}
        return {"insertText": text, "range": span}

    def _lines(self) -> list[str]:
        return self._buffers[self._uri].text.split("\n")

    def _name(self) -> str:
        return PurePosixPath(self._uri).name


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def read_messages(put: Callable[[dict[str, Any] | None], None]) -> None:
    """The frames on stdin, and None at the end."""
    stdin, length = sys.stdin.buffer, 0
    while header := stdin.readline():
        if header.startswith(b"Content-Length:"):
            length = int(header.partition(b":")[2])
        elif header == b"\r\n":
            put(json.loads(stdin.read(length)))
    put(None)


def send(message: dict[str, Any]) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    sys.stdout.buffer.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, metavar="FILE", help="the weights (default: those that flash-ls fetches)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: %(default)s")
    args = parser.parse_args()
    with gguf_file(args.gguf, MODEL) as weights:
        model = LlamaModel(weights, args.threads)
    plugin = LlamaVim(model, send)
    threading.Thread(target=read_messages, args=[plugin.put], daemon=True).start()
    plugin.run()
    os._exit(0)  # the thread of the model may be in the middle of a pass


if __name__ == "__main__":
    main()
