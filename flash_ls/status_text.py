"""What running servers say of themselves, as lines to read. Pure; tolerates reports of other versions."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from flash_ls.journal import Reason, sentence

NONE = "No flash-ls of yours is running; your editor starts one when it opens a file."
MOST_ENTRIES = 8
_NOT_SHOWN = set(Reason) - {Reason.SHOWN, Reason.TYPED_THROUGH}


def text(reports: Iterable[Mapping[str, Any]]) -> str:
    """All servers, or a sentence that there is none."""
    return "\n\n".join(map(_server, reports)) or NONE


def _server(report: Mapping[str, Any]) -> str:
    entries = [entry for entry in _list(report.get("entries")) if isinstance(entry, dict)]
    facts = [_head(report), *_said(report), *_pro(report), *_held(report), *_counts(report)]
    lines = [*facts, *map(_entry, entries[-MOST_ENTRIES:]), *_why(entries)]
    return "\n".join(map(_printable, lines))


def _head(report: Mapping[str, Any]) -> str:
    precision = report.get("precision") or "auto"
    model = f"model {report.get('model', '?')}" + (f" in {precision}" if precision != "auto" else "")
    since = _time(report.get("since"), "%Y-%m-%d %H:%M")
    return f"flash-ls {report.get('version', '?')}, process {report.get('pid', '?')}, {model}, since {since}"


def _said(report: Mapping[str, Any]) -> list[str]:
    """The state, with its sentence if that is not about a request, which `_why` tells."""
    state, message = report.get("state", "?"), report.get("message")
    return [f"  {state}: {message}" if message and state not in ("ready", "thinking") else f"  {state}"]


def _held(report: Mapping[str, Any]) -> list[str]:
    """What an engine process has for the servers."""
    if "slots" not in report:
        return []
    slots, taken_mb, servers = (report.get(name, "?") for name in ("slots", "slots_mb", "connections"))
    return [f"  has the model for {servers} connected; {slots} prompts read, in {taken_mb} MB"]


def _pro(report: Mapping[str, Any]) -> list[str]:
    pro = report.get("pro")
    return [f"  {pro}"] if isinstance(pro, str) and pro else []


def _counts(report: Mapping[str, Any]) -> list[str]:
    reasons = report.get("reasons")
    if not isinstance(reasons, dict) or not reasons:
        return []
    return ["  of the last requests: " + ", ".join(f"{number} {reason}" for reason, number in reasons.items())]


def _entry(entry: Mapping[str, Any]) -> str:
    milliseconds = entry.get("milliseconds")
    took = f"{milliseconds:5.0f} ms" if isinstance(milliseconds, int | float) else ""
    return (
        f"    {_time(entry.get('time'), '%H:%M:%S')} {took}  {entry.get('reason', '?')!s:14} {entry.get('file', '?')}"
    )


def _why(entries: list[dict[str, Any]]) -> list[str]:
    """Why the latest request that got no suggestion got none."""
    refused = [(entry, reason) for entry in entries for reason in _NOT_SHOWN if entry.get("reason") == reason]
    return [
        f"  no suggestion in {entry.get('file', '?')} at {_time(entry.get('time'), '%H:%M:%S')}: {sentence(reason)}"
        for entry, reason in refused[-1:]
    ]


def _time(seconds: object, form: str) -> str:
    """Local time."""
    try:
        return datetime.fromtimestamp(seconds).strftime(form)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _printable(line: str) -> str:
    """Names of files may have anything in them, commands to the terminal too."""
    return "".join(character if character.isprintable() else "?" for character in line)
