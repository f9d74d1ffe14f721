"""The log of a server, on stderr: one JSON object a line, with `time`, `level`, `event` and what else is known of it.

    log.info("complete", {"file": "a.py", "ms": 80})
    log.warning("The model is lost (%(error)s); the next request loads it.", {"error": error})

An event of level `warning` or `error` is a sentence; another is a word. Nobody's code, folders or keys are in a line,
whatever is logged: an error of somebody else is told by its kind alone, and so is a library's line.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flash_ls import secrets, trace
from flash_ls.errors import FlashLsError

OURS = "flash_ls"
_FOLDERS = re.compile(r"(?<![\w.])(?:file:/+|~|[A-Za-z]:)?[\\/](?:[^\\/\n'\"]*[\\/])+")

_QUOTED = re.compile(r"(?<!\w)(['\"]).*?\1(?!\w)")
"""Values, which may be of settings; apostrophes quote nothing."""


def start(level: str) -> None:
    """Log to stderr from this level on, and no more than warnings of libraries."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(_is_news)
    logging.getLogger().addHandler(handler)
    logging.getLogger("pygls").setLevel(logging.CRITICAL)  # it logs whole messages
    set_level(level)


def set_level(level: str) -> None:
    logging.getLogger(OURS).setLevel(level.upper())


class JsonLines(logging.Formatter):
    """See above."""

    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.split(".")[0] == OURS
        event, fields = _said(record) if ours else (f"{record.name} reports a fault.", {})
        when = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "event": event, **fields}
        if record.exc_info and record.exc_info[1]:
            line["trace"] = trace.steps(record.exc_info[1])
        return json.dumps(line)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is more than that asyncio has cancelled something at the end of the process."""
    error = record.exc_info[1] if record.exc_info else None
    return error is None or isinstance(error, Exception)


def _said(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """The event and its fields."""
    given = record.args if isinstance(record.args, Mapping) else {}
    fields = {name: _harmless(value) for name, value in given.items()}
    return _clean(str(record.msg) % fields if fields else record.getMessage()), fields


def _harmless(value: object) -> object:
    """A field as JSON has it."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException) and not isinstance(value, FlashLsError):
        return (isinstance(value, OSError) and value.strerror) or type(value).__name__
    return _clean(str(value))


def _clean(text: str) -> str:
    """Without folders, values and keys."""
    return secrets.mask(_QUOTED.sub("'...'", _FOLDERS.sub(".../", text)))
