"""The engine process's own channel: frames that no server sends, each on a connection of its own.

Only that connection may end: another one, which is there all the time, must go on being served.
"""

import atexit
import shutil
import socket
import struct
import tempfile
import time
from os import dup
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import GenerationParams
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.shared import messages
from flash_ls.shared.channel import Channel, connect
from scripts.fuzzing import mutations
from scripts.fuzzing.finding import Fault, Hang, Steps
from tests.shared.shared_toy import NAME, SharedToy
from tests.toy_model import write_artifact

PATIENCE_S = 20.0
SIZE = 20
"""Frames of a case."""
PROMPT = [1, 2, 3, 4, 5]
NUMBERS = (-1, 0, 1, 2**31, 2**40, 2**63 - 1, -(2**63), float("nan"), float("inf"), -1e300, 10**6)


def case(chance: Random) -> Steps:
    """Frames as Latin-1, with what stands before them as their length."""
    return [{"raw": _frame(chance).decode("latin-1")} for _ in range(SIZE)]


def _frame(chance: Random) -> bytes:
    data = _body(chance)
    length = chance.choice((len(data),) * 9 + (0, -5, len(data) + 1, 2**31 - 1))
    head = struct.pack("!i", length)
    return head if not chance.randrange(50) else head + data


def _body(chance: Random) -> bytes:
    if not chance.randrange(10):
        return chance.randbytes(chance.choice((0, 1, 10, 1000)))
    content = chance.choice(_messages(chance))
    for _ in range(chance.randrange(3)):
        mutations.mutate(content, chance)
    try:
        data = msgspec.msgpack.encode(content)
    except (OverflowError, UnicodeEncodeError):
        data = b"\x81"
    return data if chance.randrange(8) else mutations.garbled(data or b"\0", chance)


def _messages(chance: Random) -> list[dict[str, Any]]:
    number, odd = chance.randrange(3), chance.choice(NUMBERS)
    request = {"number": number, "prompt": list(PROMPT), "budget_ms": 50.0, "gives_way": False}
    generate = {
        **{"max_tokens": 3, "stop_ids": [], "healed": b"", "forced": [], "least_likelihood": -1e9},
        **request,
    }
    wrong = {
        "prompt": chance.choice(([], [odd], [0] * 5000, [1, -1], [10**6])),
        "budget_ms": odd,
        "max_tokens": odd,
        "stop_ids": [odd],
        "healed": b"\xff" * chance.choice((1, 100_000)),
        "forced": [[odd, odd]],
        "least_likelihood": odd,
    }
    field = chance.choice(list(wrong))
    return [
        {"type": "Generate", **generate},
        {"type": "Generate", **generate, field: wrong[field]},
        {"type": "Warm", **request},
        {"type": "Missing", **request},
        {"type": "Cancel", "number": number},
        {"type": "Release", "number": number},
        {"type": "Enough", "enough": bool(number)},
        {"type": "Ping"},
        {"type": "Pong"},
    ]


class Engines:
    """An engine process of a toy model, in this process, and the connection that must live."""

    def __init__(self, home: Path) -> None:
        artifact = home / "toy"
        model = OnnxModel(artifact, write_artifact(artifact), "fp32", threads=1)
        self._folder = tempfile.mkdtemp()  # a socket's path is short
        atexit.register(self._close)
        self._toy = SharedToy(Path(self._folder), model, Tokenizer(artifact / TOKENIZER_FILE)).__enter__()
        self._honest = self._toy.engine()
        self._wanted = self._answer()

    def run(self, steps: Steps) -> None:
        """Raises `Fault`."""
        connection = connect(self._toy.folder, NAME)
        channel = cast(Any, Channel(connection, messages.TO_SERVER))
        channel.receive()
        with socket.socket(fileno=dup(connection.fileno())) as end:
            end.settimeout(PATIENCE_S)
            try:
                for step in steps:
                    end.sendall(step["raw"].encode("latin-1"))
            except (BrokenPipeError, ConnectionResetError):
                pass
            except TimeoutError:
                raise Hang("the engine reads no more") from None
        channel.close()
        began = time.monotonic()
        if self._answer() != self._wanted:
            raise Fault("another server gets another answer")
        if time.monotonic() - began > PATIENCE_S:
            raise Hang("another server waits")
        if self._toy.ended.is_set():
            raise Fault("the engine process has ended")

    def _close(self) -> None:
        self._toy.__exit__()
        shutil.rmtree(self._folder)

    def _answer(self) -> list[int]:
        return self._honest.generate(PROMPT, GenerationParams(4, frozenset()), Deadline(60_000)).tokens
