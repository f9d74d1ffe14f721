"""Where an error came from, with nothing of the user's in it: no values, no source text, no folders of theirs."""

import re
import sysconfig
from pathlib import Path, PurePath
from traceback import walk_tb

PACKAGE = Path(__file__).parent
MOST_STEPS = 40
"""Of one error, or one thread: the last ones, as a recursion has thousands."""
_ROOTS = [Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib")), PACKAGE.parent]
"""Below these, paths are the same on every machine."""
_NATIVE = re.compile(r'File "(.*)", line (\d+) in (.*)')


def steps(error: BaseException) -> list[str]:
    """`ErrorType` and `file:line function` of each call up to it; then the same of what it came from."""
    lines: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        frames = list(walk_tb(one.__traceback__))[-MOST_STEPS:]
        calls = [_step(frame.f_code.co_filename, line, frame.f_code.co_qualname) for frame, line in frames]
        lines += [type(one).__qualname__, *calls]
        one = one.__cause__ or one.__context__
    return lines


def native_steps(dump: str) -> list[str]:
    """The same from what `faulthandler` writes, in its order: the last call of each thread first."""
    calls = [call for thread in dump.split("\n\n") for call in _NATIVE.findall(thread)[:MOST_STEPS]]
    return [_step(file, int(line), function) for file, line, function in calls]


def _step(file: str, line: int, function: str) -> str:
    return f"{_known(PurePath(file))}:{line} {function}"


def _known(file: PurePath) -> str:
    """A path without what tells whose machine it is."""
    root = next((root for root in _ROOTS if file.is_relative_to(root)), file.parent)
    return file.relative_to(root).as_posix()
