"""What the model is told: token ids whose beginning stays the same from one keystroke to the next.

    <|repo_name|>project <|file_sep|>path, excerpt … <|file_sep|>path
    <|fim_prefix|><|fim_suffix|>suffix<|fim_middle|>prefix

The project comes first, then suffix, prefix last (SPM order, arXiv 2207.14255): typing appends to the prompt, so nearly
all of it is already in the cache. The prefix window starts at a quantised line for the same reason. Keys and passwords
are masked. Training builds its samples here too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from flash_ls.config import Config
from flash_ls.context import Choice
from flash_ls.engine.manifest import PromptFormat
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.secrets import mask

ANCHOR_LINES = 16
"""The prefix window starts at a multiple of so many lines: it moves, and the cache is lost, once in so many."""
ANCHOR_CHARACTERS = 256
"""The window's steps in a line that is longer than the window."""
LINE_SHARE = 8
"""One part in so many of the window is kept free for the cursor's line; if that needs more, the front gives way."""
MOST_CHARACTERS_PER_TOKEN = 4
"""More than code has on average: windows are cut to this many characters before their tokens are counted."""
SHOWN_CHARACTERS = 3
"""Characters of a token of code, about."""
LONGEST_SECRET = 4000
"""Characters of the longest text that is a secret as a whole, a private key."""
MOST_HEALED_BYTES = 32
"""A longer last word is not taken back whole, only its last token."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids up to the healing cut, and the text that the answer has to spell again."""

    token_ids: list[int]
    stable_len: int
    """Tokens before the prefix: they change only with the text after the cursor and with the excerpts."""
    healed: bytes
    healed_tokens: int


def build_prompt(
    before: str, after: str, form: PromptFormat, tokenizer: Tokenizer, config: Config, choice: Choice | None = None
) -> Prompt:
    """The prompt for the cursor between `before` and `after`, with what the project says if there is a `choice`."""
    before, after = _masked(before.replace("\r\n", "\n"), after.replace("\r\n", "\n"), config)
    suffix = _suffix_ids(after, tokenizer, config.suffix_tokens)
    budget, share = config.prefix_tokens, config.prefix_tokens // LINE_SHARE
    prefix, healed = _heal(before[_window_start(before, tokenizer, config) :], tokenizer)
    prefix = prefix[_rounded_up(max(0, len(prefix) - budget), share) :]
    context = _context_ids(choice, form, tokenizer, config.context_tokens) if choice else []
    stable = [*context, form.fim_prefix, form.fim_suffix, *suffix, form.fim_middle]
    text = b"".join(map(tokenizer.token_bytes, healed))
    return Prompt(stable + prefix, len(stable), text, len(healed))


def surroundings(before: str, after: str, config: Config) -> tuple[str, str]:
    """What a prompt shows of the text before and after the cursor, for a model whose tokens are not known."""
    before, after = _masked(before.replace("\r\n", "\n"), after.replace("\r\n", "\n"), config)
    budget = config.prefix_tokens - config.prefix_tokens // LINE_SHARE
    start = window_start(before, budget, lambda text: len(text) // SHOWN_CHARACTERS)
    return before[start:], after[: SHOWN_CHARACTERS * config.suffix_tokens]


def visible_span(before: str, tokenizer: Tokenizer, config: Config) -> tuple[int, int]:
    """Which characters of the buffer the prompt shows, at least: no excerpt should repeat them."""
    start = _window_start(before, tokenizer, config)
    return start, len(before) + SHOWN_CHARACTERS * config.suffix_tokens


def _window_start(before: str, tokenizer: Tokenizer, config: Config) -> int:
    budget = config.prefix_tokens - config.prefix_tokens // LINE_SHARE
    return window_start(before, budget, lambda text: len(tokenizer.encode(text)[0]))


def _masked(before: str, after: str, config: Config) -> tuple[str, str]:
    """Both texts without secrets, as far as they are looked at."""
    start = max(0, len(before) - MOST_CHARACTERS_PER_TOKEN * config.prefix_tokens - LONGEST_SECRET)
    window = before[start:] + after[: MOST_CHARACTERS_PER_TOKEN * config.suffix_tokens + LONGEST_SECRET]
    masked = mask(window)
    if masked == window:
        return before, after
    return before[:start] + masked[: len(before) - start], masked[len(before) - start :]


@lru_cache(maxsize=4)
def _context_ids(choice: Choice, form: PromptFormat, tokenizer: Tokenizer, budget: int) -> list[int]:
    """The excerpts as files of a repository, as many as `budget` tokens hold, the most alike last."""
    files: list[list[int]] = []
    for path, text in choice.excerpts:
        files.append([form.file_sep, *tokenizer.encode(f"{path}\n{text}\n")[0]])
        if (budget := budget - len(files[-1])) < 0:
            files.pop()
            break
    project = [form.repo_name, *tokenizer.encode(f"{choice.project}\n")[0]]
    return [*project, *chain(*files), form.file_sep, *tokenizer.encode(f"{choice.path}\n")[0]]


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
