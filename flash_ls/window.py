"""The part of a buffer around the cursor that is parsed, so that the time for it does not grow with the file.

It knows lines and how far they stand in, and nothing of grammars.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from flash_ls.language import Blocks

_BEFORE, _AFTER = 8_000, 4_000
"""How many characters around the cursor are parsed; of what stands farther away only the enclosing headers are."""
_FAR_LINES = 6_000
"""How far away headers and their closers are looked for."""
_HEADER_LINES = 10
_CODE_LINE = re.compile(
    r"^(?P<apart>(?<=\n\n))?([ \t]*)(?P<definition>@|async |class |def |export |fn |func |pub |public )?[^\s)\]}*].*$",
    re.MULTILINE,
)
_HEADER_END = re.compile(r"[({\[:]\s*$")
_CLOSING = re.compile(r"[ \t]*(?:\}[)\]};,]*|[)\]][)\]};,]*$)")


def window(before: str, after: str, blocks: Blocks) -> tuple[str, str]:
    """The text before and after a cursor, each shortened to what is near and to the headers and closers around that.

    `blocks` is how the language ends blocks. What is short is left as it is.
    """
    return _head(before), _tail(after, blocks)


def _head(before: str) -> str:
    """The end of `before`, from a line that stands far out, after the headers that enclose that line."""
    near = len(before) - _BEFORE
    if near <= 0:
        return before
    start = _outermost(before, near, near + _BEFORE // 2)
    if start is None:
        return before[near:]
    return _headers(before[: start.start()], len(start[2])) + before[start.start() :]


def _outermost(code: str, start: int, end: int) -> re.Match[str] | None:
    """The line between two offsets that stands farthest out; a definition if possible, or one after a blank line."""
    lines = islice(_CODE_LINE.finditer(code, start, end), 1, None)
    return min(lines, key=lambda line: (len(line[2]), not line["definition"], line["apart"] is None), default=None)


def _headers(above: str, indent: int) -> str:
    lines = above.splitlines(keepends=True)[-_FAR_LINES:]
    headers = []
    for number in _outward(reversed(lines), indent):
        first = len(lines) - 1 - number
        header = lines[first : first + _HEADER_LINES]
        last = next((last for last, line in enumerate(header) if _HEADER_END.search(line)), None)
        headers += ["".join(header[: last + 1])] if last is not None else []
    return "".join(reversed(headers))


def _outward(lines: Iterable[str], indent: int) -> Iterator[int]:
    """Numbers of the lines that stand farther out than `indent` and than all lines passed."""
    for number, line in enumerate(lines):
        if not indent:
            return
        code = line.lstrip()
        if code and len(line) - len(code) < indent:
            indent = len(line) - len(code)
            yield number


def _tail(after: str, blocks: Blocks) -> str:
    """The beginning of `after`, up to a line that stands far out, with the closers of what encloses that line."""
    if len(after) <= _AFTER:
        return after
    end = _outermost(after, _AFTER // 2, _AFTER)
    if end is None or blocks == "indent":
        return after[: end.start() if end else _AFTER]
    lines = after[end.start() :].splitlines()[:_FAR_LINES]
    closers = [closer[0] for line in lines if (closer := _CLOSING.match(line))]
    return after[: end.start()] + "\n".join(closers[number] for number in _outward(closers, len(end[2])))
