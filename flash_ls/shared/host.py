"""A model that many use at once: the turns they take and the caches they share."""

from pathlib import Path
from typing import NamedTuple

from flash_ls import process
from flash_ls.config import Config
from flash_ls.engine.costs import StepCosts
from flash_ls.engine.decode import PREFILL_CHUNK
from flash_ls.engine.draft_model import DraftModel, load_draft
from flash_ls.engine.drafter import Gain
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.manifest import TOKENIZER_FILE, ModelManifest
from flash_ls.engine.model_drafter import drafter_for
from flash_ls.engine.shared_model import SharedModel
from flash_ls.engine.slots import MOST_SLOTS, Slots
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.engine.turns import Turns
from flash_ls.tuning import load_model


class Host(NamedTuple):
    """All there is one of in a process that has a model."""

    model: SharedModel
    tokenizer: Tokenizer
    costs: StepCosts
    turns: Turns
    slots: Slots
    draft: DraftModel | None
    precision: str

    @property
    def pass_s(self) -> float:
        """What the longest pass takes."""
        return self.costs.at(PREFILL_CHUNK) / 1000

    def engine(self) -> LocalEngine:
        """One for one thread."""
        drafter = drafter_for(self.draft, Gain(self.costs, company=lambda: self.turns.at_work))
        return LocalEngine(self.model, self.tokenizer, drafter, slots=self.slots)


def load(folder: Path, described: ModelManifest, config: Config, most_slots: int = MOST_SLOTS) -> Host:
    """The model of an artifact, with room for so many prompts. Raises `ModelError`. Takes a second or two."""
    model, costs = load_model(folder, described, config)
    turns = Turns()
    shared = SharedModel(model, turns)
    slots = Slots(shared.new_cache, config.cache_mb, most_slots)
    draft, tokenizer = load_draft(folder, described), Tokenizer(folder / TOKENIZER_FILE)
    process.release_memory()
    return Host(shared, tokenizer, costs.best, turns, slots, draft, model.precision)
