"""A draft model is kept, and built into the artifact of the model that it goes with."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flash_ls.artifact import draft, store
from flash_ls.engine import manifest
from flash_ls.engine.draft_model import load_draft
from tests.artifact.toy_build import Steps, toy_entry
from tests.engine.toy_draft import WORDS, toy_draft


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    draft.save(tmp_path / "toy.npz", toy_draft())
    kept, written = draft.load(str(tmp_path / "toy.npz")), toy_draft()
    assert kept.words.tolist() == WORDS.tolist()
    assert np.allclose(kept.gate_up, written.gate_up, atol=1e-3)
    assert np.allclose(kept.down, written.down, atol=1e-3)


def test_a_model_with_one_has_it_in_its_artifact(home: Path, weights: Path, tmp_path: Path) -> None:
    draft.save(tmp_path / "toy.npz", toy_draft())
    plain = toy_entry(weights)
    entry = replace(plain, draft=str(tmp_path / "toy.npz"))
    folder = store.build(entry, Steps())
    found = load_draft(folder, manifest.read(folder))
    assert found
    assert found.guess([1, 2, 3], np.ones((1, 128), np.float32)).token in WORDS
    assert entry.revision != plain.revision


def test_another_draft_is_another_revision(weights: Path, tmp_path: Path) -> None:
    for seed in range(2):
        draft.save(tmp_path / f"{seed}.npz", toy_draft(seed))
    one, other = (replace(toy_entry(weights), draft=str(tmp_path / f"{seed}.npz")) for seed in range(2))
    assert one.revision != other.revision
