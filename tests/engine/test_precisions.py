"""What each precision computes: with which matrices, how near to full precision, and by which path a pass goes.

No 4-bit model of random weights says what the weights say; so it is compared with a reference whose matrices are
rounded as its own are.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import GenerationParams, generate
from flash_ls.engine.drafter import NoDrafter
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from tests.engine.conftest import ROUNDED
from tests.reference_model import Array, ReferenceModel
from tests.rounded_weights import RoundedWeights, Rounding, in_eight_bits, in_eight_bits_by_output, in_four_bits
from tests.toy_model import SHAPE, ToyWeights, write_artifact

TOKENS = [int(token) for token in np.random.default_rng(1).integers(0, SHAPE.vocabulary, 90)]
FORMS: dict[str, Rounding] = {
    "int4": in_four_bits,
    "int8": in_eight_bits_by_output,
    "mixed": in_eight_bits_by_output,
}
"""What becomes of the matrices on the precise path."""
NEVER = 10_000
"""Tokens; no pass is so wide."""


def fed(
    model: OnnxModel, widths: Sequence[int] = (90,), precise: bool = False, tokens: Sequence[int] = TOKENS
) -> NDArray[np.float32]:
    """Logits of all rows of `tokens`, fed in passes of these widths."""
    cache, rows, rest = model.new_cache(), [], list(tokens)
    for width in widths:
        rows.append(model.forward(rest[:width], cache, width, Deadline(), precise=precise).values)
        del rest[:width]
    return np.concatenate(rows)


WIDTHS = pytest.mark.parametrize(
    "widths", [[90], [1] * 90, [32, 32, 20, 4, 1, 1]], ids=["wide", "one by one", "in passes"]
)


def off(actual: Array | NDArray[np.float32], expected: Array) -> float:
    """The root of the mean squared difference."""
    return float(np.sqrt(np.mean(np.square(actual - expected))))


@pytest.fixture(scope="module")
def exact() -> Array:
    """Logits in full precision."""
    return ReferenceModel(SHAPE, ToyWeights()).logits(TOKENS)


@pytest.fixture
def narrow(rounded: dict[str, OnnxModel], monkeypatch: pytest.MonkeyPatch) -> OnnxModel:
    """The mixed model, with no pass too wide for the fast path."""
    monkeypatch.setattr(rounded["mixed"], "precise_from", NEVER)
    return rounded["mixed"]


@pytest.mark.parametrize("precision", ROUNDED)
def test_the_graph_computes_with_the_rounded_matrices(
    rounded: dict[str, OnnxModel], exact: Array, precision: str
) -> None:
    states = ReferenceModel(SHAPE, RoundedWeights(ToyWeights(), FORMS[precision])).states(TOKENS)
    head = in_eight_bits(ToyWeights().tensors["output.weight"])
    # What is left are activations in 8 bits, and 4 bits in the head of the words that do not lead.
    actual, expected = fed(rounded[precision], precise=True), states @ in_four_bits(head).T
    led = np.abs(actual - states @ head.T) < np.abs(actual - expected)
    expected[led] = (states @ head.T)[led]
    assert off(actual, expected) < 0.25
    assert off(actual, expected) < 0.5 * off(actual, exact)


@pytest.mark.parametrize("widths", [[1] * 90, [64, 20, 5, 1]], ids=["one by one", "in passes"])
def test_in_eight_bits_a_token_does_not_feel_what_is_fed_with_it(
    rounded: dict[str, OnnxModel], widths: list[int]
) -> None:
    model = rounded["int8"]
    np.testing.assert_allclose(fed(model, widths), fed(model), atol=2e-5)


def test_eight_bits_stay_close_to_full_precision(rounded: dict[str, OnnxModel], exact: Array) -> None:
    logits = fed(rounded["int8"], [64, 26])
    assert np.corrcoef(logits.ravel(), exact.ravel())[0, 1] > 0.98
    assert np.mean(logits.argmax(axis=1) == exact.argmax(axis=1)) > 0.8


@pytest.mark.parametrize("precision", ["int8", "mixed"])
def test_a_word_of_nothing_but_zeros_spoils_no_logits(tmp_path: Path, precision: str) -> None:
    weights = ToyWeights()
    weights.tensors["output.weight"][7] = 0
    described = write_artifact(tmp_path / "zeros", [precision, "int4"], weights=weights)
    logits = fed(OnnxModel(tmp_path / "zeros", described, precision), precise=True, tokens=[7, *TOKENS[1:]])
    assert np.isfinite(logits).all()


@WIDTHS
def test_the_fast_path_of_the_mixed_precision_is_four_bits(
    rounded: dict[str, OnnxModel], narrow: OnnxModel, widths: list[int]
) -> None:
    np.testing.assert_allclose(fed(narrow, widths), fed(rounded["int4"], widths), atol=1e-5)


@WIDTHS
def test_the_precise_path_of_the_mixed_precision_is_eight_bits(
    rounded: dict[str, OnnxModel], narrow: OnnxModel, widths: list[int]
) -> None:
    np.testing.assert_allclose(fed(narrow, widths, precise=True), fed(rounded["int8"], widths), atol=1e-5)


def test_the_precise_path_is_nearer_to_full_precision(narrow: OnnxModel, exact: Array) -> None:
    assert off(fed(narrow, precise=True), exact) < 0.5 * off(fed(narrow), exact)


def test_a_wide_pass_takes_the_precise_path(rounded: dict[str, OnnxModel], monkeypatch: pytest.MonkeyPatch) -> None:
    model = rounded["mixed"]
    monkeypatch.setattr(model, "precise_from", 20)
    wide, narrow = [20] * 4 + [10], [19] * 4 + [14]
    np.testing.assert_array_equal(fed(model, wide)[:80], fed(model, wide, precise=True)[:80])
    np.testing.assert_allclose(fed(model, narrow), fed(rounded["int4"], narrow), atol=1e-5)


@pytest.mark.parametrize(("precise_from", "repeated"), [(1, 0), (NEVER, 5)])
def test_a_pass_that_is_precise_by_its_width_is_not_repeated(
    rounded: dict[str, OnnxModel],
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
    precise_from: int,
    repeated: int,
) -> None:
    model, params = rounded["mixed"], GenerationParams(6, frozenset())
    monkeypatch.setattr(model, "recheck_below", np.inf)
    monkeypatch.setattr(model, "precise_from", precise_from)
    answer = generate(model, tokenizer, model.new_cache(), TOKENS, params, NoDrafter(), Deadline())
    assert (answer.stats.target_steps, answer.stats.precise_steps) == (6, repeated)


def test_only_the_mixed_precision_has_passes_to_repeat(model: OnnxModel, rounded: dict[str, OnnxModel]) -> None:
    assert rounded["mixed"].recheck_below > 0
    assert [model.recheck_below, rounded["int4"].recheck_below, rounded["int8"].recheck_below] == [0, 0, 0]


@pytest.mark.parametrize("precision", ROUNDED)
def test_a_precision_by_itself_is_what_it_is_among_others(
    rounded: dict[str, OnnxModel], tmp_path: Path, precision: str
) -> None:
    described = write_artifact(tmp_path / "alone", [precision])
    alone = OnnxModel(tmp_path / "alone", described, precision, threads=1)
    np.testing.assert_array_equal(fed(alone), fed(rounded[precision]))
