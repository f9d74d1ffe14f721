"""The ONNX graph against a numpy reference, whichever way the tokens are fed; what is refused; cancelling a pass."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from flash_ls.deadline import Deadline
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.manifest import DATA_FILE, EMBEDDING_FILE, SCALES_FILE, SHORTLIST_FILE, graph_file
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.errors import Cancelled, ModelError
from tests.reference_model import Array, ReferenceModel
from tests.toy_model import SHAPE, ToyWeights, write_artifact

TOLERANCE = 2e-4
"""On logits of about 10: float32 against float64."""
TOKENS = [int(token) for token in np.random.default_rng(1).integers(0, SHAPE.vocabulary, 90)]
FOREVER = Deadline()


@pytest.fixture(scope="module")
def expected() -> Array:
    """Reference logits of `TOKENS`, every row."""
    return ReferenceModel(SHAPE, ToyWeights()).logits(TOKENS)


def assert_close(actual: FloatArray, expected: Array) -> None:
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE)


def fed(model: OnnxModel, *widths: int) -> FloatArray:
    """Logits of all rows of `TOKENS`, fed in passes of these widths and then the rest in one."""
    cache, parts, start = model.new_cache(), [], 0
    for width in [*widths, len(TOKENS) - sum(widths)]:
        parts.append(model.forward(TOKENS[start : start + width], cache, width, FOREVER).values)
        start += width
    assert cache.tokens == TOKENS
    return np.concatenate(parts)


@pytest.mark.parametrize(
    "widths",
    [
        pytest.param([], id="one pass"),
        pytest.param([64], id="a chunk and the rest"),
        pytest.param([32, 32, 20, 1, 1, 1], id="chunks, then single tokens"),
        pytest.param([1] * 89, id="token by token"),
        pytest.param([80, 4, 2], id="a verification of four with a past"),
    ],
)
def test_any_way_of_feeding_gives_the_reference_logits(model: OnnxModel, expected: Array, widths: list[int]) -> None:
    assert_close(fed(model, *widths), expected)


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_only_the_rows_asked_for_are_computed(model: OnnxModel, expected: Array, rows: int) -> None:
    cache = model.new_cache()
    words, values, *_ = model.forward(TOKENS, cache, rows, FOREVER)
    assert words.tolist() == list(range(SHAPE.vocabulary))
    assert_close(values, expected[len(TOKENS) - rows :])
    assert cache.tokens == TOKENS


@pytest.mark.parametrize(("rows", "computed"), [(0, 1), (1, 1), (7, 7), (20, 20)])
def test_the_last_layer_goes_on_with_the_rows_asked_for_alone(toy_folder: Path, rows: int, computed: int) -> None:
    graph = onnx.load(toy_folder / graph_file("fp32"))
    last = f"{SHAPE.layers - 1}.attended"
    graph.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    given: dict[str, Any] = {
        "embedded": np.ones((1, 20, SHAPE.hidden), np.float32),
        "seqlens_k": np.array([19], np.int32),
        "total": np.array(20, np.int32),
        "first_row": np.array([20 - rows]),
        "last_from": np.array([min(20 - rows, 19)]),
    }
    past = np.zeros((1, SHAPE.kv_heads, 64, SHAPE.head_size), np.float32)
    given |= {value.name: past for value in session.get_inputs() if value.name.startswith("past")}
    logits, added = session.run(["logits", last], given)
    assert (logits.shape[1], added.shape[1]) == (rows, computed)


def test_stale_rows_are_overwritten_after_rewinding(model: OnnxModel, expected: Array) -> None:
    cache = model.new_cache()
    model.forward(TOKENS[:40] + [6] * 50, cache, 0, FOREVER)
    feed = cache.rewind_to(TOKENS)
    assert feed == TOKENS[40:]
    assert_close(model.forward(feed, cache, len(feed), FOREVER).values, expected[40:])


def test_logits_outlive_the_next_pass(model: OnnxModel, expected: Array) -> None:
    cache = model.new_cache()
    first = model.forward(TOKENS[:80], cache, 1, FOREVER)
    model.forward(TOKENS[80:], cache, 1, FOREVER)
    assert_close(first.values, expected[79:80])


def test_caches_do_not_share_rows(model: OnnxModel, expected: Array) -> None:
    cache, other = model.new_cache(), model.new_cache()
    model.forward(TOKENS[:80], cache, 0, FOREVER)
    model.forward([5] * 80, other, 0, FOREVER)
    assert_close(model.forward(TOKENS[80:], cache, 10, FOREVER).values, expected[80:])


def test_a_prompt_longer_than_the_context_is_refused(model: OnnxModel) -> None:
    cache = model.new_cache()
    model.forward(TOKENS, cache, 0, FOREVER)
    with pytest.raises(ModelError, match="longer than the model's 512 tokens"):
        model.forward([5] * (SHAPE.context - len(TOKENS) + 1), cache, 1, FOREVER)
    assert cache.tokens == TOKENS
    model.forward([5] * (SHAPE.context - len(TOKENS)), cache, 1, FOREVER)
    assert len(cache.tokens) == SHAPE.context


GRAPHS, ARRAYS = [graph_file("fp32"), DATA_FILE], [EMBEDDING_FILE, SCALES_FILE, SHORTLIST_FILE]


@pytest.mark.parametrize("file", [*GRAPHS, *ARRAYS])
def test_a_folder_without_one_of_its_files_is_refused(tmp_path: Path, file: str) -> None:
    described = write_artifact(tmp_path / "broken")
    (tmp_path / "broken" / file).unlink()
    with pytest.raises(ModelError, match="flash-ls model build"):
        OnnxModel(tmp_path / "broken", described, "fp32")


@pytest.mark.parametrize("file", [*GRAPHS, *ARRAYS])
@pytest.mark.parametrize("content", [b"", b"something else"], ids=["empty", "other"])
def test_a_folder_with_a_broken_file_is_refused(tmp_path: Path, file: str, content: bytes) -> None:
    described = write_artifact(tmp_path / "broken")
    (tmp_path / "broken" / file).write_bytes(content)
    with pytest.raises(ModelError, match="flash-ls model build"):
        OnnxModel(tmp_path / "broken", described, "fp32")


def test_a_model_that_takes_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    described = write_artifact(tmp_path / "large")
    larger = dataclasses.replace(described, shape=dataclasses.replace(described.shape, context=1 << 40))
    with pytest.raises(ModelError, match="not enough memory for toy; close other programs"):
        OnnxModel(tmp_path / "large", larger, "fp32")


def test_what_onnx_runtime_refuses_is_a_model_error(model: OnnxModel, expected: Array) -> None:
    cache = model.new_cache()
    with pytest.raises(ModelError, match="restart the server"):
        model.forward([5], cache, 2, FOREVER)
    assert cache.tokens == []
    assert_close(model.forward(TOKENS, cache, 1, FOREVER).values, expected[-1:])


class CancelsInside(Deadline):
    """Cancelled when the pass has registered its interrupt: whoever is interrupted has only that to notice by."""

    @contextmanager
    def interrupting(
        self, interrupt: Callable[[], None], released: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        with super().interrupting(interrupt):
            self.cancel()
            yield


def cancelled_before() -> Deadline:
    deadline = Deadline()
    deadline.cancel()
    return deadline


@pytest.mark.parametrize("make_deadline", [cancelled_before, CancelsInside])
def test_a_cancelled_pass_changes_nothing(
    model: OnnxModel, expected: Array, make_deadline: Callable[[], Deadline]
) -> None:
    cache = model.new_cache()
    model.forward(TOKENS[:40], cache, 0, FOREVER)
    with pytest.raises(Cancelled):
        model.forward([5] * 50, cache, 1, make_deadline())
    assert cache.tokens == TOKENS[:40]
    assert_close(model.forward(TOKENS[40:], cache, 50, FOREVER).values, expected[40:])


class CancelledByThread(Deadline):
    """Cancelled by another thread a moment after a pass has begun."""

    DELAY_S = 0.005

    @contextmanager
    def interrupting(
        self, interrupt: Callable[[], None], released: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        timer = threading.Timer(self.DELAY_S, self.cancel)
        with super().interrupting(interrupt):
            timer.start()
            yield
        timer.join()


def test_a_running_pass_is_interrupted_by_another_thread(tmp_path: Path) -> None:
    # Long enough that it cannot end before the other thread gets its turn: about half a second.
    long = dataclasses.replace(SHAPE, context=8192)
    model = OnnxModel(tmp_path / "long", write_artifact(tmp_path / "long", shape=long), "fp32", threads=1)
    cache = model.new_cache()
    tokens = [7] * long.context
    with pytest.raises(Cancelled):
        model.forward(tokens, cache, 0, CancelledByThread())
    assert cache.tokens == []
    model.forward(tokens[:64], cache, 1, FOREVER)
    assert cache.tokens == tokens[:64]
