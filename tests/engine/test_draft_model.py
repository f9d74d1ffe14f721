"""The draft model: its graph computes what it says, and its guesses are probabilities of its own words."""

from pathlib import Path

import numpy as np
import pytest

from flash_ls.engine.draft_model import DraftModel, load_draft
from flash_ls.engine.manifest import DRAFT_FILE, ModelManifest
from flash_ls.errors import ModelError, ModelFailed
from tests.engine.toy_draft import WORDS, following, toy_draft
from tests.toy_model import SHAPE, ToyWeights, write_artifact

HEAD = ToyWeights().tensors["output.weight"]
STATES = np.random.default_rng(1).normal(0, 2, (20, 1, SHAPE.hidden)).astype(np.float32)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelManifest]:
    folder = tmp_path_factory.mktemp("draft") / "artifact"
    return folder, write_artifact(folder, draft=toy_draft())


@pytest.fixture(scope="module")
def draft(described: tuple[Path, ModelManifest]) -> DraftModel:
    found = load_draft(*described)
    assert found
    return found


@pytest.mark.parametrize("state", STATES)
def test_a_guess_is_what_the_weights_say(draft: DraftModel, state: np.ndarray) -> None:
    token, chance, after = draft.guess([90, 70, 6, 5], state)
    wanted = following(toy_draft(), state[0], HEAD[[5, 6, 70]])
    assert np.allclose(after[0], wanted, atol=0.04 * np.abs(wanted).max())
    logits = HEAD[WORDS] @ after[0]
    likely = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert likely[WORDS.tolist().index(token)] >= likely.max() - 0.1
    assert chance == pytest.approx(likely.max(), abs=0.1)


@pytest.mark.parametrize("tokens", [[7, 6, 9], [7, 9, 5], [9, 6, 5]])
def test_each_of_the_last_tokens_counts(draft: DraftModel, tokens: list[int]) -> None:
    assert not np.allclose(draft.guess([7, 6, 5], STATES[0]).state, draft.guess(tokens, STATES[0]).state)


def test_of_a_short_text_the_first_token_stands_for_those_before(draft: DraftModel) -> None:
    assert np.array_equal(draft.guess([5], STATES[0]).state, draft.guess([5, 5, 5], STATES[0]).state)


def test_a_guess_that_fails_is_one_sentence(draft: DraftModel) -> None:
    with pytest.raises(ModelFailed, match="restart the server"):
        draft.guess([5], STATES[0][:, :-1])


def test_its_time_is_known(draft: DraftModel) -> None:
    assert 0 < draft.ms < 1000


def test_an_artifact_may_have_none(tmp_path: Path) -> None:
    assert load_draft(tmp_path / "artifact", write_artifact(tmp_path / "artifact")) is None


def test_a_broken_one_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    described = write_artifact(folder, draft=toy_draft())
    (folder / DRAFT_FILE).write_bytes(b"no graph")
    with pytest.raises(ModelError, match="run `flash-ls model build`"):
        load_draft(folder, described)
