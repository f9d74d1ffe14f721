"""The model in this process: an engine, and a completer of it."""

from pathlib import Path

from flash_ls import process
from flash_ls.completer import Completer
from flash_ls.config import Config
from flash_ls.engine import manifest
from flash_ls.engine.draft_model import load_draft
from flash_ls.engine.drafter import Gain
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.model_drafter import drafter_for
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.tuning import load_model


def load_completer(folder: Path, config: Config) -> Completer:
    """A completer for the artifact in `folder`. Raises `ModelError`. Takes a second or two."""
    described = manifest.read(folder)
    model, costs = load_model(folder, described, config)
    drafter = drafter_for(load_draft(folder, described), Gain(costs.best))
    engine = LocalEngine(model, Tokenizer(folder / TOKENIZER_FILE), drafter, config.cache_mb)
    process.release_memory()
    return Completer(engine, described.prompt, config, precision=model.precision)
