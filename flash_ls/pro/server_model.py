"""A model behind a completions API as something that completes: what it is told of a place, and what is taken of it.

The prompt is text, with the special words of Qwen2.5-Coder (arXiv 2409.12186) unless the API has a parameter for what
follows. The word or the indentation at the cursor is left to the model to spell again, as its tokenizer would cut it
elsewhere; an answer that begins otherwise is of no use.
"""

from __future__ import annotations

import re
from functools import partial

from flash_ls.completer import MOST_BODY_TOKENS, Completion, silence
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.place import Place
from flash_ls.pro.api import CompletionsServer
from flash_ls.prompt import SHOWN_CHARACTERS, surroundings

ORDERS = {
    "spm": "<|fim_prefix|><|fim_suffix|>{after}<|fim_middle|>{before}",
    "psm": "<|fim_prefix|>{before}<|fim_suffix|>{after}<|fim_middle|>",
}
ENDS = ("<|endoftext|>", "<|fim_prefix|>", "<|file_sep|>", "<|repo_name|>")
"""What no answer has in it; the API takes four."""
_SPECIAL = re.compile(r"<\|(?=\w+\|>)")
_RESPELT = re.compile(r"(?:\w{1,32}|[ \t]+)\Z")


class ServerModel:
    """Completes by asking a server."""

    def __init__(self, server: CompletionsServer, config: Config, context: Context | None = None) -> None:
        self.config = config
        """May be replaced between requests, as may `context`."""
        self.context = context
        self._server = server

    def complete(self, snapshot: Snapshot, deadline: Deadline) -> Completion:
        """What the server's model would write at the cursor, or why nothing. Raises `ProFailed` and `Cancelled`."""
        place = Place(snapshot)
        if reason := silence(place, self.config):
            return Completion("", snapshot.cursor, snapshot.cursor, reason)
        before, after = surroundings(snapshot.before, place.after, self.config)
        respelt = found[0] if (found := _RESPELT.search(before)) else ""
        request = self._request(place, before.removesuffix(respelt), after)
        said = self._server.complete(request, partial(_is_enough, place, respelt), deadline)
        if not said.text.startswith(respelt):
            return Completion("", snapshot.cursor, snapshot.cursor, "empty")
        text = said.text.removeprefix(respelt)
        whole = said.finished or place.rule.complete(text)
        fitted = place.fit(text, whole)
        reason = fitted.fault if not fitted.text else "stop" if whole else "limit"
        return Completion(fitted.text, snapshot.cursor, snapshot.cursor + fitted.taken, reason)

    def _request(self, place: Place, before: str, after: str) -> dict[str, object]:
        """Parameters of the API."""
        config = self.config
        line = min(config.max_block_tokens, config.max_line_tokens + MOST_BODY_TOKENS)
        request = {"max_tokens": line if place.asks_for_a_line else config.max_block_tokens}
        if config.pro_prompt == "suffix":
            return request | {"prompt": before, "suffix": after}
        prompt = ORDERS[config.pro_prompt].format(before=_plain(before), after=_plain(after))
        return request | {"prompt": self._project(place.snapshot) + prompt, "stop": ENDS}

    def _project(self, snapshot: Snapshot) -> str:
        """Excerpts of the project as files of a repository."""
        if self.context is None or not self.config.context_tokens:
            return ""
        shown = SHOWN_CHARACTERS * self.config.prefix_tokens
        choice = self.context.choose(snapshot, lambda: (len(snapshot.before) - shown, snapshot.cursor + shown))
        files, left = "", SHOWN_CHARACTERS * self.config.context_tokens
        for path, text in choice.excerpts:
            file = f"<|file_sep|>{_plain(path)}\n{_plain(text)}\n"
            if (left := left - len(file)) < 0:
                break
            files += file
        return f"<|repo_name|>{_plain(choice.project)}\n{files}<|file_sep|>{_plain(choice.path)}\n"


def _is_enough(place: Place, respelt: str, text: str) -> bool:
    if len(text) < len(respelt):
        return not respelt.startswith(text)
    return not text.startswith(respelt) or place.rule.complete(text.removeprefix(respelt))


def _plain(text: str) -> str:
    """Text that has no special words, which the server would take for its own."""
    return _SPECIAL.sub("<| ", text)
