"""One completion request from end to end: scope, prompt, generation, and what of the text is worth showing."""

from dataclasses import dataclass
from pathlib import Path

from flash_ls import process
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine import manifest
from flash_ls.engine.decode import Generation, GenerationParams, GenerationStats
from flash_ls.engine.drafter import LookupDrafter
from flash_ls.engine.engine import Engine
from flash_ls.engine.manifest import TOKENIZER_FILE, PromptFormat
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.language import language_of
from flash_ls.postprocess import BlockRule, CutRule, LineRule, closers_taken, is_auto_closed, trim_overlap
from flash_ls.prompt import Prompt, build_prompt
from flash_ls.syntax import CursorScope, scope_at
from flash_ls.tuning import load_model


@dataclass(frozen=True, slots=True)
class Completion:
    """What to show, and why; an empty `text` means nothing."""

    text: str
    start: int
    end: int
    """Code point offsets in the snapshot's text of what `text` replaces: on one line, around the cursor."""
    reason: str
    """How it ended: a `decode.Finish`, or why there is nothing to show: disabled, comment, string, empty."""
    stats: GenerationStats | None = None


class Completer:
    """Answers requests one at a time, on the engine's thread."""

    def __init__(self, engine: Engine, form: PromptFormat, config: Config) -> None:
        self.config = config
        """May be replaced between requests."""
        self._engine = engine
        self._form = form
        self._stop_ids = frozenset(form.stop_ids)

    def complete(self, snapshot: Snapshot, deadline: Deadline) -> Completion:
        """The completion at the snapshot's cursor. Raises `Cancelled` and `ModelError`."""
        config = self.config
        language = language_of(snapshot.path, snapshot.language_id)
        scope = scope_at(snapshot.text, snapshot.cursor, language)
        if silence := _silence(scope, config):
            return _nothing(snapshot, silence)
        rule = _rule(scope, snapshot, language)
        prompt = build_prompt(snapshot.before, _text_after(snapshot), self._form, self._engine.tokenizer, config)
        generation = self._engine.generate(prompt.token_ids, self._params(prompt, rule, config), deadline)
        return _shown(snapshot, rule, generation)

    def warm(self, snapshot: Snapshot, deadline: Deadline) -> None:
        """Read the text around the cursor ahead of a request. Raises `Cancelled` and `ModelError`."""
        prompt = build_prompt(snapshot.before, _text_after(snapshot), self._form, self._engine.tokenizer, self.config)
        self._engine.warm(prompt.token_ids, deadline)

    def _params(self, prompt: Prompt, rule: CutRule, config: Config) -> GenerationParams:
        most = config.max_block_tokens if isinstance(rule, BlockRule) else config.max_line_tokens
        return GenerationParams(most + prompt.healed_tokens, self._stop_ids, prompt.healed, rule.complete)


def load_completer(folder: Path, config: Config) -> Completer:
    """A completer for the artifact in `folder`. Raises `ModelError`. Takes a second or two."""
    described = manifest.read(folder)
    model, costs = load_model(folder, described, config)
    engine = Engine(model, Tokenizer(folder / TOKENIZER_FILE), LookupDrafter(costs.best), config.cache_mb)
    process.release_memory()
    return Completer(engine, described.prompt, config)


def _silence(scope: CursorScope, config: Config) -> str:
    """Why nothing may be shown at such a place, or the empty string."""
    if not config.enabled:
        return "disabled"
    wanted = {"code": True, "comment": config.complete_comments, "string": config.complete_strings}
    return "" if wanted[scope.kind] else scope.kind


def _rule(scope: CursorScope, snapshot: Snapshot, language: str) -> CutRule:
    return BlockRule(scope.indent, language, snapshot.after) if scope.opens_block else LineRule()


def _text_after(snapshot: Snapshot) -> str:
    """The text after the cursor without brackets that an editor closed by itself: the model shall close them."""
    automatic = len(snapshot.line_suffix) if is_auto_closed(snapshot.line_suffix) else 0
    return snapshot.after[automatic:]


def _shown(snapshot: Snapshot, rule: CutRule, generation: Generation) -> Completion:
    finished = generation.finish in ("stop", "rule")
    line_prefix = snapshot.before.rpartition("\n")[2]
    text = trim_overlap(rule.cut(generation.text, finished), snapshot.after, line_prefix).rstrip()
    taken = closers_taken(text, snapshot.line_suffix)
    if not text.strip() or text == snapshot.line_suffix[:taken]:
        return _nothing(snapshot, "empty" if finished else generation.finish, generation.stats)
    end = snapshot.cursor + taken
    return Completion(_line_ends(text, snapshot), snapshot.cursor, end, generation.finish, generation.stats)


def _line_ends(text: str, snapshot: Snapshot) -> str:
    """Line ends as the buffer has them."""
    return text.replace("\n", "\r\n") if "\r\n" in snapshot.text else text


def _nothing(snapshot: Snapshot, reason: str, stats: GenerationStats | None = None) -> Completion:
    return Completion("", snapshot.cursor, snapshot.cursor, reason, stats)
