"""The student in PyTorch is the model that is served, before it learns and after."""

import json
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is in the extra `models`")

from flash_ls.artifact.adapter import AdaptedWeights  # noqa: E402
from models.data import Sample  # noqa: E402
from models.distill import Trainer, losses, score  # noqa: E402
from models.student import Student  # noqa: E402
from tests.reference_model import ReferenceModel  # noqa: E402
from tests.toy_model import SHAPE, ToyWeights  # noqa: E402

POOL = ThreadPoolExecutor(2)
TOKENS = [5, 17, 80, 3, 3, 44, 260, 9]


def student() -> Student:
    torch.manual_seed(0)
    return Student(SHAPE, ToyWeights(), rank=4, dtype=torch.float32)


def logits(model: Student) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model.logits(model(torch.tensor(TOKENS))))


def test_an_untaught_student_is_the_upstream_model() -> None:
    np.testing.assert_allclose(logits(student()), ReferenceModel(SHAPE, ToyWeights()).logits(TOKENS), atol=1e-3)


def taught() -> Student:
    model = student()
    optimiser = torch.optim.AdamW(model.learnt(), lr=0.02)
    for _ in range(5):
        losses(model, Sample(TOKENS, 3, "python", "line")).mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    return model


def test_what_was_learnt_can_be_served() -> None:
    model = taught()
    served = ReferenceModel(SHAPE, AdaptedWeights(ToyWeights(), model.adapter()))
    np.testing.assert_allclose(logits(model), served.logits(TOKENS), atol=1e-3)


def test_only_the_adapters_learn() -> None:
    before, after = student(), taught()
    changed = {
        name
        for (name, old), (_, new) in zip(before.named_parameters(), after.named_parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert changed == {name for name, value in before.named_parameters() if value.requires_grad}
    assert all(name.endswith((".up", ".down")) for name in changed)


def test_teaching_lowers_the_loss_of_what_is_missing_alone() -> None:
    sample = Sample(TOKENS, 3, "python", "line")
    before, after = losses(student(), sample), losses(taught(), sample)
    assert before.shape == (len(TOKENS) - 3,)
    assert after.mean() < before.mean()


def test_exact_is_what_greedy_decoding_would_write() -> None:
    model = taught()
    tokens = TOKENS[:3]
    for _ in range(5):
        tokens = [*tokens, int(logits_after(model, tokens))]
    assert score(model, [Sample(tokens, 3, "go", "span")], POOL)["held_exact"] == 1
    wrong = [*tokens[:-1], (tokens[-1] + 1) % SHAPE.vocabulary]
    assert score(model, [Sample(wrong, 3, "go", "span")], POOL)["held_exact"] == 0


def logits_after(model: Student, tokens: list[int]) -> int:
    with torch.no_grad():
        return int(model.logits(model(torch.tensor(tokens))[-1:]).argmax())


def trainer(out: Path) -> Trainer:
    samples = [Sample([*TOKENS, number], 3, "python", "line") for number in range(7)]
    given = Namespace(out=out, minutes=1e-4, rate=0.02, batch=2, save=1, threads=1, device="cpu")
    return Trainer(student(), samples, {"few": samples[:2]}, given)


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    first = trainer(tmp_path / "adapter.npz")
    first.run()
    assert first.progress.step > 0
    again = trainer(tmp_path / "adapter.npz")
    again.resume()
    assert again.progress == first.progress
    assert again._batch() == first._batch() != trainer(tmp_path / "other.npz")._batch()
    assert all(torch.equal(old, new) for old, new in zip(first.student.learnt(), again.student.learnt(), strict=True))
    for run in (first, again):
        run._step(run._batch())
    assert all(torch.equal(old, new) for old, new in zip(first.student.learnt(), again.student.learnt(), strict=True))


def test_what_was_learnt_before_can_be_gone_on_from() -> None:
    again = student()
    again.take(taught().adapter())
    np.testing.assert_allclose(logits(again), logits(taught()), atol=1e-5)


def test_each_held_file_is_scored_before_and_after(tmp_path: Path) -> None:
    run = trainer(tmp_path / "adapter.npz")
    run.held = {"few": run.samples[:2], "more": run.samples[2:5]}
    run.run()
    notes = [json.loads(line) for line in (tmp_path / "adapter.jsonl").read_text().splitlines()]
    scores = [note for note in notes if "held" in note]
    assert [note["held"] for note in scores[:2]] == [note["held"] for note in scores[-2:]] == ["few", "more"]
    assert [len(note["exact"]) for note in scores[:2]] == [2, 3]
    assert scores[0]["step"] == 0 < scores[-1]["step"]
