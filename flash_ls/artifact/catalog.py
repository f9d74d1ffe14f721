"""The models flash_ls knows by name: upstream weights, licence, sources and prompt format, each described once."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flash_ls.artifact import adapter, vocabulary
from flash_ls.artifact.source import KINDS, Source
from flash_ls.artifact.vocabulary import Vocabulary
from flash_ls.engine.manifest import PromptFormat
from flash_ls.errors import ModelMissing

RECIPE = 5
"""Counts changes of the build that change the artifact."""
REVISION_DIGITS = 12
IDS = ("fim_prefix", "fim_middle", "fim_suffix", "repo_name", "file_sep", "first_special")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model: what the upstream file is, and what is made of it."""

    name: str
    title: str
    licence: str
    file: str
    bytes: int
    sha256: str
    sources: tuple[Source, ...]
    prompt: dict[str, Any]
    """Ids as upstream has them."""
    vocabulary: str | None = None
    """The data file of the words kept; all of them without one."""
    shortlist: str | None = None
    """The data file of the words that the head scores at each step; all that are kept without one."""
    adapter: str | None = None
    """The data file of what was learnt beside the upstream weights."""
    scales: str | None = None
    """The data file of what was learnt of the scales of four bits."""
    draft: str | None = None
    """The data file of the draft model that goes with it."""
    precisions: tuple[str, ...] = ("int4", "int8", "mixed")
    extra: str = "model"
    """The extra of this package that brings the weights."""

    @property
    def revision(self) -> str:
        """Changes when the weights, the prompt format or the build change."""
        words = [name and _digest(vocabulary.load(name)) for name in (self.vocabulary, self.shortlist)]
        made_from = [RECIPE, self.sha256, self.prompt, words, self.precisions]
        made_from += [adapter.digest(file) for file in (self.adapter, self.scales, self.draft) if file]
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:REVISION_DIGITS]

    def kept(self, words: int = 0) -> Vocabulary:
        """The vocabulary kept of `words` upstream ones."""
        return vocabulary.load(self.vocabulary) if self.vocabulary else vocabulary.whole(words)

    def listed(self, kept: Vocabulary) -> NDArray[np.int64]:
        """Served ids of the shortlist."""
        words = vocabulary.load(self.shortlist).ids if self.shortlist else kept.ids
        return np.array([kept.served_id(word) for word in words.tolist()])

    def prompt_format(self, kept: Vocabulary) -> PromptFormat:
        """The prompt in ids of the served model; every special token ends an answer."""
        ids = self.prompt | {name: kept.served_id(self.prompt[name]) for name in IDS}
        stop_ids = tuple(range(ids.pop("first_special"), len(kept.ids)))
        return PromptFormat(**ids, stop_ids=stop_ids)


@cache
def catalog() -> dict[str, CatalogEntry]:
    """All known models by name."""
    raw = json.loads(resources.files(__package__).joinpath("catalog.json").read_text(encoding="utf-8"))
    described: dict[str, dict[str, Any]] = {}
    for entry in raw["models"]:
        described[entry["name"]] = described.get(entry.pop("like", ""), {}) | entry
    return {name: _entry(entry) for name, entry in described.items()}


def find(name: str) -> CatalogEntry:
    """Raises `ModelMissing` naming the models there are."""
    try:
        return catalog()[name]
    except KeyError:
        known = ", ".join(catalog())
        message = f"There is no model {name!r}; set `model` to one of: {known}, or to the path of an artifact folder."
        raise ModelMissing(message) from None


def _digest(words: Vocabulary) -> str:
    return hashlib.sha256(words.ids.tobytes()).hexdigest()


def _entry(raw: dict[str, Any]) -> CatalogEntry:
    sources = [dict(source) for source in raw["sources"]]
    for source in sources:
        if "parts" in source:
            source["parts"] = tuple(source["parts"])
    if "precisions" in raw:
        raw["precisions"] = tuple(raw["precisions"])
    return CatalogEntry(**raw | {"sources": tuple(KINDS[source.pop("kind")](**source) for source in sources)})
