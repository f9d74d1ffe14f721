"""llama.cpp answering as its server does at /infill, with the settings that it has for small models of this family.

Prompt: the extra chunks as files of a repository, then prefix, suffix and middle, cut to three and one quarters of a
batch of 1,024 tokens. What a prompt shares with the last one from its beginning is not read again; the server's reuse
of chunks that have only moved is left out, as it does not apply to typing, and its samplers are replaced by the most
likely token.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

BATCH = 1024
CONTEXT = 8192
_TOKENS = {name: f"<|{name}|>" for name in ("repo_name", "file_sep", "fim_prefix", "fim_suffix", "fim_middle")}


class Chunk(NamedTuple):
    """Extra context."""

    path: str
    text: str


class Infill(NamedTuple):
    """A request."""

    extra: Sequence[Chunk]
    prefix: str
    middle: str
    """What stands before the cursor on its line."""
    suffix: str
    most_tokens: int
    indent: int
    """A line with less ends the answer."""
    most_ms: float
    """After the first token, once there is a whole line."""


class Answer(NamedTuple):
    text: str
    prompt_tokens: int
    cached_tokens: int


class LlamaModel:
    """One slot."""

    def __init__(self, gguf: Path, threads: int) -> None:
        import llama_cpp  # an extra

        self._model: Any = llama_cpp.Llama(
            str(gguf),
            n_ctx=CONTEXT,
            n_batch=BATCH,
            n_ubatch=BATCH,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
        self._special = {name: self._tokens(text, special=True) for name, text in _TOKENS.items()}

    def complete(self, asked: Infill) -> Answer:
        prompt = self._prompt(asked)
        cached = self._shared(prompt)
        return Answer(self._generated(prompt, asked), len(prompt), cached)

    def read(self, extra: Sequence[Chunk]) -> None:
        """Only read the extra context, for a request that is to come."""
        if prompt := self._extra(extra):
            next(self._model.generate(prompt, temp=0.0))

    def _generated(self, prompt: list[int], asked: Infill) -> str:
        data, text, first = b"", "", 0.0
        for count, token in enumerate(self._answer_tokens(prompt), 1):
            data += self._model.detokenize([token])
            first = first or time.monotonic()
            text = str(data, "utf-8", "ignore")
            end = dedent(text, asked.indent)
            if end is not None:
                return text[:end]
            late = "\n" in text and (time.monotonic() - first) * 1e3 > asked.most_ms
            if late or count == asked.most_tokens:
                break
        return text

    def _answer_tokens(self, prompt: list[int]) -> Iterator[int]:
        """Until the end of the answer, which is any special token."""
        ends = {token for tokens in self._special.values() for token in tokens} | {self._model.token_eos()}
        for token in self._model.generate(prompt, temp=0.0, repeat_penalty=1.0):
            if token in ends or not self._model.detokenize([token]):
                return
            yield token

    def _prompt(self, asked: Infill) -> list[int]:
        prefix, middle, suffix = map(self._tokens, (asked.prefix, asked.middle, asked.suffix))
        quarter = BATCH // 4
        extra = self._extra(asked.extra)
        extra = extra[max(0, len(extra) - (CONTEXT - BATCH - 2 * asked.most_tokens)) :]
        return [
            *extra,
            *self._special["fim_prefix"],
            *prefix[max(0, len(prefix) - 3 * quarter) :],
            *middle,
            *self._special["fim_suffix"],
            *suffix[: max(0, quarter - 2 - len(middle))],
            *self._special["fim_middle"],
        ]

    def _extra(self, chunks: Sequence[Chunk]) -> list[int]:
        tokens = self._special["repo_name"] + self._tokens("myproject\n")
        for chunk in (*chunks, Chunk("filename", "")):
            tokens += self._special["file_sep"] + self._tokens(f"{chunk.path}\n") + self._tokens(chunk.text)
        return tokens

    def _tokens(self, text: str, special: bool = False) -> list[int]:
        return list(self._model.tokenize(text.encode(), add_bos=False, special=special))

    def _shared(self, prompt: list[int]) -> int:
        """How many tokens of the last prompt the cache has."""
        held = self._model.input_ids[: self._model.n_tokens].tolist()
        pairs = enumerate(zip(held, prompt[:-1], strict=False))
        return next((place for place, (one, other) in pairs if one != other), min(len(held), len(prompt) - 1))


def dedent(text: str, indent: int) -> int | None:
    """The offset of the line end before the first line with less indentation, the very first line aside."""
    place = text.find("\n")
    while place >= 0:
        line = text[place + 1 :].partition("\n")[0]
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            return place
        place = text.find("\n", place + 1)
    return None
