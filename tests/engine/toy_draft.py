"""A draft model beside the toy: random weights, and what its graph computes, in numpy."""

from pathlib import Path

import numpy as np

from flash_ls.artifact.draft import Draft, write_draft
from flash_ls.artifact.quantise import FloatArray
from flash_ls.engine.draft_model import LAST
from tests.toy_model import SHAPE, ToyWeights

WORDS = np.arange(1, SHAPE.vocabulary, 3)
INNER = 128


def toy_draft(seed: int = 0, spread: float = 0.2) -> Draft:
    """With a `spread` of 0 the state stays as it is."""
    random = np.random.default_rng(seed)
    shapes = {"gate_up": (2 * INNER, (1 + LAST) * SHAPE.hidden), "down": (SHAPE.hidden, INNER)}
    return Draft(WORDS, **{name: random.normal(0, spread, size).astype(np.float32) for name, size in shapes.items()})


def write_toy_draft(folder: Path, draft: Draft) -> None:
    """Add it to the artifact of the toy in `folder`."""
    write_draft(folder, SHAPE, ToyWeights(), draft)


def following(draft: Draft, state: FloatArray, embedded: FloatArray) -> FloatArray:
    """The next state [hidden] after `state` [hidden] and the rows [LAST, hidden] of the last tokens, newest first."""
    both = np.concatenate([normed(state), *map(normed, embedded)])
    gate, up = np.split(draft.gate_up @ both, 2)
    change: FloatArray = draft.down @ (gate / (1 + np.exp(-gate)) * up)
    return state + change


def normed(x: FloatArray) -> FloatArray:
    result: FloatArray = x / np.sqrt(np.mean(np.square(x)) + SHAPE.norm_epsilon)
    return result
