"""A smaller vocabulary says the same of the words it keeps, and every text still has tokens."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.artifact.catalog import catalog
from flash_ls.artifact.gguf_file import GgufFile
from flash_ls.artifact.vocabulary import Vocabulary, whole
from flash_ls.deadline import Deadline
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from tests.artifact.toy_build import toy_entry
from tests.toy_model import FORM, SHAPE, write_artifact, write_gguf

FEWER = Vocabulary(np.array([*range(258), *range(262, 266), *range(FORM.stop_ids[0], SHAPE.vocabulary)]))
"""All bytes, some words with all that they are merged from, and the special tokens of the toy."""
BYTES = list(b"def f(a): return")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("vocabulary") / "toy.gguf"
    write_gguf(path)
    return path


@pytest.fixture(scope="module")
def tokenizer(weights: Path) -> Tokenizer:
    path = weights.with_name("tokenizer.json")
    GgufFile(weights, lambda words: FEWER).write_tokenizer(path)
    return Tokenizer(path)


def logits(weights: Path, folder: Path, kept: Vocabulary) -> FloatArray:
    """What the model built with these words says after each of the bytes."""
    upstream = GgufFile(weights, lambda words: kept)
    described = write_artifact(folder, shape=upstream.model_shape(), weights=upstream)
    model = OnnxModel(folder, described, "fp32", threads=1)
    served = [kept.served_id(byte) for byte in BYTES]
    return model.forward(served, model.new_cache(), len(BYTES), Deadline()).values


def test_kept_words_are_as_likely_as_before(weights: Path, tmp_path: Path) -> None:
    before = logits(weights, tmp_path / "all", whole(SHAPE.vocabulary))
    after = logits(weights, tmp_path / "fewer", FEWER)
    assert after.shape[1] == len(FEWER.ids) < SHAPE.vocabulary
    np.testing.assert_allclose(after, before[:, FEWER.ids], atol=1e-4)


@given(st.text(max_size=40))
def test_every_text_still_has_tokens(tokenizer: Tokenizer, text: str) -> None:
    ids, _ = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(token < len(FEWER.ids) for token in ids)


def test_the_prompt_has_the_served_ids(weights: Path) -> None:
    form = toy_entry(weights).prompt_format(FEWER)
    assert FEWER.ids[[form.fim_prefix, form.fim_middle, form.fim_suffix]].tolist() == [
        FORM.fim_prefix,
        FORM.fim_middle,
        FORM.fim_suffix,
    ]
    assert len(form.stop_ids) == len(FORM.stop_ids)


def test_a_word_that_is_not_kept_has_no_served_id() -> None:
    with pytest.raises(KeyError):
        FEWER.served_id(258)


@pytest.mark.parametrize("name", catalog())
def test_the_vocabulary_of_the_catalog_keeps_all_bytes(name: str) -> None:
    entry = catalog()[name]
    kept = entry.kept(151_936)
    assert kept.ids[:256].tolist() == list(range(256))
    assert (np.diff(kept.ids) > 0).all()
    assert kept.ids[kept.served_id(entry.prompt["first_special"])] == entry.prompt["first_special"]
