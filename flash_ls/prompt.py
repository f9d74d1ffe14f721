"""What the model is told: token ids whose beginning stays the same from one keystroke to the next.

Suffix first, prefix last (SPM order, arXiv 2207.14255): typing appends to the prompt, so nearly all of it is already
in the cache. The prefix window starts at a quantised line for the same reason. Training builds its samples here too.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flash_ls.config import Config
from flash_ls.engine.manifest import PromptFormat
from flash_ls.engine.tokenizer import Tokenizer

ANCHOR_LINES = 16
"""The prefix window starts at a multiple of so many lines: it moves, and the cache is lost, once in so many."""
ANCHOR_CHARACTERS = 256
"""The window's steps in a line that is longer than the window."""
LINE_SHARE = 8
"""One part in so many of the window is kept free for the cursor's line; if that needs more, the front gives way."""
MOST_CHARACTERS_PER_TOKEN = 4
"""More than code has on average: windows are cut to this many characters before their tokens are counted."""
MOST_HEALED_BYTES = 32
"""A longer last word is not taken back whole, only its last token."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids up to the healing cut, and the text that the answer has to spell again."""

    token_ids: list[int]
    stable_len: int
    """Tokens before the prefix: they change only with the text after the cursor."""
    healed: bytes
    healed_tokens: int


def build_prompt(before: str, after: str, form: PromptFormat, tokenizer: Tokenizer, config: Config) -> Prompt:
    """The prompt for the cursor between `before` and `after`."""
    before, after = before.replace("\r\n", "\n"), after.replace("\r\n", "\n")
    suffix = _suffix_ids(after, tokenizer, config.suffix_tokens)
    budget, share = config.prefix_tokens, config.prefix_tokens // LINE_SHARE
    start = window_start(before, budget - share, lambda text: len(tokenizer.encode(text)[0]))
    prefix, healed = _heal(before[start:], tokenizer)
    prefix = prefix[_rounded_up(max(0, len(prefix) - budget), share) :]
    stable = [form.fim_prefix, form.fim_suffix, *suffix, form.fim_middle]
    text = b"".join(map(tokenizer.token_bytes, healed))
    return Prompt(stable + prefix, len(stable), text, len(healed))


def _suffix_ids(after: str, tokenizer: Tokenizer, budget: int) -> list[int]:
    return tokenizer.encode(after[: budget * MOST_CHARACTERS_PER_TOKEN])[0][:budget]


def window_start(before: str, budget: int, count: Callable[[str], int]) -> int:
    """Where the prefix window begins in `before`: at most `budget` tokens before the cursor's line.

    It depends only on what stands before the cursor's line, so that it never moves while that line is typed.
    """
    line_start = before.rfind("\n") + 1
    if (excess := len(before) - line_start - MOST_CHARACTERS_PER_TOKEN * budget) > 0:
        return line_start + _rounded_up(excess, ANCHOR_CHARACTERS)
    start = _anchor(before, max(0, line_start - MOST_CHARACTERS_PER_TOKEN * budget), line_start)
    while start < line_start and count(before[start:line_start]) > budget:
        start = _anchor(before, start + 1, line_start)
    return start


def _anchor(before: str, position: int, line_start: int) -> int:
    """The first place at or after `position` that begins a line whose number is a multiple of `ANCHOR_LINES`."""
    line = before.count("\n", 0, position)
    at_start = position == 0 or before[position - 1] == "\n"
    for _ in range(-line % ANCHOR_LINES if at_start else ANCHOR_LINES - line % ANCHOR_LINES):
        position = before.find("\n", position, line_start) + 1
        if position == 0:
            return line_start
    return position


def _rounded_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _heal(text: str, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Token ids of `text`, cut in two: what the model is fed, and the word at the cursor, which it has to spell again.

    The tokenizer would cut elsewhere if it saw what comes next. A line end is a cut it makes by itself.
    """
    ids, last = tokenizer.encode(text)
    if not ids or text.endswith("\n"):
        return ids, []
    if sum(len(tokenizer.token_bytes(token)) for token in ids[-last:]) > MOST_HEALED_BYTES:
        last = 1
    return ids[:-last], ids[-last:]
