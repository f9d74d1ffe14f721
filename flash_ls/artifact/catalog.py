"""The models flash_ls knows by name: upstream weights, licence, sources and prompt format, each described once."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from flash_ls.artifact.source import KINDS, Source
from flash_ls.engine.manifest import ModelShape, PromptFormat
from flash_ls.errors import ModelMissing

RECIPE = 1
"""Counts changes of the build that change the artifact."""
REVISION_DIGITS = 12


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
    precision: str = "int8"

    @property
    def revision(self) -> str:
        """Changes when the weights, the prompt format or the build change."""
        made_from = json.dumps([RECIPE, self.sha256, self.prompt, self.precision], sort_keys=True)
        return hashlib.sha256(made_from.encode()).hexdigest()[:REVISION_DIGITS]

    def prompt_format(self, shape: ModelShape) -> PromptFormat:
        """The ids of the prompt; every special token ends an answer."""
        ids = dict(self.prompt)
        stop_ids = tuple(range(ids.pop("first_special"), shape.vocabulary))
        return PromptFormat(**ids, stop_ids=stop_ids)


@cache
def catalog() -> dict[str, CatalogEntry]:
    """All known models by name."""
    raw = json.loads(resources.files(__package__).joinpath("catalog.json").read_text(encoding="utf-8"))
    return {entry["name"]: _entry(entry) for entry in raw["models"]}


def find(name: str) -> CatalogEntry:
    """Raises `ModelMissing` naming the models there are."""
    try:
        return catalog()[name]
    except KeyError:
        known = ", ".join(catalog())
        message = f"There is no model {name!r}; set `model` to one of: {known}, or to the path of an artifact folder."
        raise ModelMissing(message) from None


def _entry(raw: dict[str, Any]) -> CatalogEntry:
    sources = [dict(source) for source in raw["sources"]]
    for source in sources:
        if "parts" in source:
            source["parts"] = tuple(source["parts"])
    return CatalogEntry(**raw | {"sources": tuple(KINDS[source.pop("kind")](**source) for source in sources)})
