"""From the state to logits: of which words, and which of them are exact whatever the graph says."""

import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.deadline import Deadline
from flash_ls.engine.embedding import Embedding, FloatArray
from flash_ls.engine.head import LEAD, MOST_LEADERS, MOST_OTHERS, Head, IdArray, Logits
from flash_ls.engine.manifest import EMBEDDING_FILE, SCALES_FILE, SHORTLIST_FILE
from flash_ls.engine.onnx_model import OnnxModel
from tests.engine.conftest import EVEN
from tests.rounded_weights import in_eight_bits
from tests.toy_model import SHAPE, ToyWeights, write_artifact

WORDS, HIDDEN, ROWS = 2000, 16, 3
RANDOM = np.random.default_rng(8)
TABLE = RANDOM.normal(size=(WORDS, HIDDEN)).astype(np.float32)
STATES = RANDOM.normal(size=(ROWS, HIDDEN)).astype(np.float32)
LISTED = np.sort(RANDOM.permutation(WORDS)[:1000])
"""The shortlist: half of the words."""
UNLISTED = np.setdiff1d(np.arange(WORDS), LISTED)
EXACT: FloatArray = STATES @ TABLE.T
PROMPT: list[int] = LISTED[[7, 3, 7]].tolist()


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Head:
    folder: Path = tmp_path_factory.mktemp("head")
    np.save(folder / EMBEDDING_FILE, TABLE)
    np.save(folder / SCALES_FILE, np.ones((WORDS, 1), np.float32))
    np.save(folder / SHORTLIST_FILE, LISTED)
    return Head(folder)


def asked(
    head: Head, prompt: list[int] = PROMPT, words: IdArray | None = None, listed: FloatArray | None = None
) -> Logits:
    """What the head says when the graph says `listed`, by default what is exact."""
    said = EXACT[:, LISTED] if listed is None else listed
    return head.logits(said.copy(), STATES, prompt, words)


def assert_exact(logits: Logits) -> None:
    np.testing.assert_allclose(logits.values, EXACT[:, logits.words], rtol=1e-4, atol=1e-4)


def test_by_default_the_words_are_those_of_the_shortlist(head: Head) -> None:
    logits = asked(head)
    assert logits.words.tolist() == LISTED.tolist()
    assert_exact(logits)


def test_a_word_of_the_prompt_has_a_logit_once_listed_or_not(head: Head) -> None:
    prompt = [*UNLISTED[:5].tolist(), *LISTED[:5].tolist()] * 2
    logits = asked(head, prompt)
    assert sorted(logits.words.tolist()) == sorted([*LISTED.tolist(), *UNLISTED[:5].tolist()])
    assert_exact(logits)


@pytest.mark.parametrize("words", [LISTED[3:9], UNLISTED[3:9], np.array([UNLISTED[7], LISTED[7], UNLISTED[2]])])
def test_the_words_asked_for_have_logits_and_no_others(head: Head, words: IdArray) -> None:
    logits = asked(head, UNLISTED[:5].tolist(), words)
    assert sorted(logits.words.tolist()) == sorted(words.tolist())
    assert_exact(logits)


def test_leaders_are_exact_whatever_the_graph_says_of_them(head: Head) -> None:
    blurred = EXACT[:, LISTED] + RANDOM.uniform(-0.45 * LEAD, 0.45 * LEAD, (ROWS, len(LISTED))).astype(np.float32)
    values = asked(head, listed=blurred).values
    exact = EXACT[:, LISTED]
    assert (values.argmax(axis=1) == exact.argmax(axis=1)).all()
    leaders = blurred > blurred.max(axis=1, keepdims=True) - LEAD
    np.testing.assert_allclose(values[leaders], exact[leaders], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(values[~leaders], blurred[~leaders])


def test_leaders_among_the_words_asked_for_are_exact(head: Head) -> None:
    few = LISTED[::50]
    blurred = EXACT[:, LISTED] + RANDOM.uniform(-0.45 * LEAD, 0.45 * LEAD, (ROWS, len(LISTED))).astype(np.float32)
    logits = asked(head, words=few, listed=blurred)
    assert (logits.words[logits.values.argmax(axis=1)] == few[EXACT[:, few].argmax(axis=1)]).all()


@pytest.mark.parametrize("count", [MOST_LEADERS, MOST_LEADERS + 1, len(LISTED)])
def test_of_many_close_words_the_closest_are_exact(head: Head, count: int) -> None:
    close = np.full((ROWS, len(LISTED)), 90, np.float32)
    close[:, :count] = 100 + np.linspace(0, LEAD / 2, count, dtype=np.float32)
    values = asked(head, listed=close).values
    settled = values != close
    assert (settled.sum(axis=1) == MOST_LEADERS).all()
    assert settled[:, count - MOST_LEADERS : count].all()
    np.testing.assert_allclose(values[settled], EXACT[:, LISTED][settled], rtol=1e-4, atol=1e-4)


def test_no_rows_are_no_logits(head: Head) -> None:
    logits = head.logits(EXACT[:0, LISTED], STATES[:0], UNLISTED[:5].tolist(), None)
    assert logits.values.shape == (0, len(logits.words))


PROMPTS = st.lists(st.lists(st.sampled_from([*LISTED[:3].tolist(), *UNLISTED[:3].tolist()]), min_size=1), max_size=6)


@given(PROMPTS, st.booleans())
def test_what_is_said_hangs_on_no_prompt_before(head: Head, prompts: list[list[int]], growing: bool) -> None:
    """A prompt is mostly the one before and a word more, or has the same words otherwise."""
    if growing:
        prompts = [[*chain(*prompts[:count])] for count in range(1, len(prompts) + 1)]
    for prompt in prompts:
        logits = asked(head, prompt)
        assert logits.words.tolist() == [*LISTED.tolist(), *sorted({*prompt} - {*LISTED.tolist()})]
        assert_exact(logits)


def test_rows_of_the_prompt_are_read_once_while_it_grows(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt, read = UNLISTED[:5].tolist(), set[int]()
    asked(head, prompt)
    rows = head.embedding.rows

    def noting(tokens: IdArray) -> FloatArray:
        read.update(tokens.tolist())
        return rows(tokens)

    monkeypatch.setattr(head.embedding, "rows", noting)
    far_behind = np.full((ROWS, len(LISTED)), 1e6, np.float32)  # so that none of the prompt's words is a leader
    logits = asked(head, [*prompt, int(LISTED[0])], listed=far_behind)
    np.testing.assert_allclose(logits.values[:, -5:], EXACT[:, UNLISTED[:5]], rtol=1e-4, atol=1e-4)
    assert read <= {*LISTED.tolist()}


def test_of_very_many_words_in_the_prompt_the_most_frequent_are_taken(head: Head) -> None:
    logits = asked(head, UNLISTED[::-1].tolist())
    assert np.setdiff1d(logits.words, LISTED).tolist() == UNLISTED[:MOST_OTHERS].tolist()


def test_of_very_many_words_asked_for_those_of_the_prompt_are_taken(head: Head) -> None:
    """A tokenizer names the words that agree with a space in the order of their bytes."""
    spelled = UNLISTED[-3:]
    words = asked(head, spelled.tolist(), UNLISTED).words
    assert np.isin(spelled, words).all()


def test_of_very_many_words_asked_for_the_most_frequent_are_taken(head: Head) -> None:
    logits = asked(head, words=UNLISTED[::-1])
    assert sorted(logits.words.tolist()) == UNLISTED[:MOST_OTHERS].tolist()


# --- in a model ---

TOKENS = [int(token) for token in np.random.default_rng(1).choice(EVEN, 60)]
ODD = 101
"""A word that is not on the shortlist."""


def answer(model: OnnxModel, prompt: list[int]) -> dict[int, float]:
    """Logits of the words after `prompt`."""
    words, values, *_ = model.forward(prompt, model.new_cache(), 1, Deadline())
    return dict(zip(words.tolist(), values[0].tolist(), strict=True))


def test_a_graph_with_a_shortlist_says_the_same_of_its_words(halved: OnnxModel, model: OnnxModel) -> None:
    some, every = answer(halved, TOKENS), answer(model, TOKENS)
    assert list(some) == EVEN.tolist()
    assert some == pytest.approx({word: every[word] for word in some}, abs=1e-4)


def test_a_word_that_the_prompt_spells_can_be_said_again(halved: OnnxModel, model: OnnxModel) -> None:
    assert ODD not in answer(halved, TOKENS)
    prompt = [*TOKENS, ODD, *TOKENS[:5]]
    assert answer(halved, prompt)[ODD] == pytest.approx(answer(model, prompt)[ODD], abs=1e-4)
    cache = halved.new_cache()
    halved.forward(prompt[:-1], cache, 0, Deadline())
    assert ODD in halved.forward(prompt[-1:], cache, 1, Deadline()).words, "it may have been fed long before"


def test_the_leader_of_a_rounded_graph_is_the_embedding_times_the_state(rounded: dict[str, OnnxModel]) -> None:
    cache = rounded["int4"].new_cache()
    words, values, *_ = rounded["int4"].forward(TOKENS, cache, len(TOKENS), Deadline())
    states = cache.buffers.hidden[0]  # type: ignore[attr-defined]
    exact = states @ in_eight_bits(ToyWeights().tensors["output.weight"])[words].T
    np.testing.assert_allclose(values.max(axis=1), exact.max(axis=1), atol=1e-4)
    assert (values.argmax(axis=1) == exact.argmax(axis=1)).all()


# --- the table ---


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_rows_of_the_embedding_are_those_of_the_weights(tmp_path: Path, precision: str) -> None:
    write_artifact(tmp_path / "toy", [precision])
    table, tokens = ToyWeights().tensors["output.weight"], np.array([3, 0, 11, 3])
    embedding = Embedding(tmp_path / "toy")
    assert len(embedding) == SHAPE.vocabulary
    expected = table if precision == "fp32" else in_eight_bits(table)
    np.testing.assert_array_equal(embedding.rows(tokens), expected[tokens])


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no advice")
def test_all_rows_are_announced_before_the_first_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / EMBEDDING_FILE, TABLE)
    np.save(tmp_path / SCALES_FILE, np.ones((WORDS, 1), np.float32))
    announced: list[bytes] = []

    def note(file: int, start: int, length: int, advice: int) -> None:
        assert os.lseek(file, 0, os.SEEK_CUR) == before
        announced.append(os.pread(file, length, start))

    embedding = Embedding(tmp_path)
    before = embedding._file.tell()
    monkeypatch.setattr(os, "posix_fadvise", note)
    rows = embedding.rows(np.array([7, 1999, 0]))
    assert announced == [row.tobytes() for row in rows]


def test_rows_are_read_where_the_system_takes_no_advice(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    np.testing.assert_array_equal(head.embedding.rows(np.array([7, 1999, 0])), TABLE[[7, 1999, 0]])
