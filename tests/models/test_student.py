"""The student in PyTorch is the model that is served, before it learns and after."""

import json
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is in the extra `models`")

from flash_ls.artifact.adapter import AdaptedWeights  # noqa: E402
from models.data import Sample  # noqa: E402
from models.distill import PROMPT_WEIGHT, Lesson, Trainer, alike, divergence, losses, read, score  # noqa: E402
from models.importance import in_order, influences, without  # noqa: E402
from models.student import Student  # noqa: E402
from models.teacher import TOP, Likely, Teacher, ask, likeliest, load_opinions  # noqa: E402
from tests.reference_model import ReferenceModel  # noqa: E402
from tests.toy_model import SHAPE, ToyWeights, write_artifact  # noqa: E402

POOL = ThreadPoolExecutor(2)
TOKENS = [5, 17, 80, 3, 3, 44, 260, 9]
SAMPLE = Sample(TOKENS, 3, "python", "line")


def student() -> Student:
    torch.manual_seed(0)
    return Student(SHAPE, ToyWeights(), rank=4, dtype=torch.float32)


def logits(model: Student) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model.logits(model(torch.tensor([TOKENS]))[0]))


def test_an_untaught_student_is_the_upstream_model() -> None:
    np.testing.assert_allclose(logits(student()), ReferenceModel(SHAPE, ToyWeights()).logits(TOKENS), atol=1e-3)


def losses_of(model: Student, sample: Sample) -> Any:
    (states,) = read(model, [sample])
    return losses(model, states, sample)


def taught() -> Student:
    model = student()
    optimiser = torch.optim.AdamW(model.learnt(), lr=0.02)
    for _ in range(5):
        losses_of(model, SAMPLE).mean().backward()
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
    before, after = losses_of(student(), SAMPLE), losses_of(taught(), SAMPLE)
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
        return int(model.logits(model(torch.tensor([tokens]))[0, -1:]).argmax())


def trainer(out: Path, **given: object) -> Trainer:
    lessons = [Lesson(Sample([*TOKENS, number], 3, "python", "line")) for number in range(7)]
    args = {"minutes": 1e-4, "rate": 0.02, "batch": 2, "save": 1, "threads": 1, "share": 0.7, "together": 0} | given
    few = [lesson.sample for lesson in lessons[:2]]
    return Trainer(student(), lessons, {"few": few}, Namespace(out=out, device="cpu", **args))


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
    samples = [lesson.sample for lesson in run.lessons]
    run.held = {"few": samples[:2], "more": samples[2:5]}
    run.run()
    notes = [json.loads(line) for line in (tmp_path / "adapter.jsonl").read_text().splitlines()]
    scores = [note for note in notes if "held" in note]
    assert [note["held"] for note in scores[:2]] == [note["held"] for note in scores[-2:]] == ["few", "more"]
    assert [len(note["exact"]) for note in scores[:2]] == [2, 3]
    assert scores[0]["step"] == 0 < scores[-1]["step"]


def test_samples_of_one_pass_are_read_as_each_alone() -> None:
    model = taught()
    samples = [Sample(TOKENS[:length], 3, "python", "line") for length in (8, 4, 6)]
    together, alone = read(model, samples), [states for sample in samples for states in read(model, [sample])]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_groups_hold_like_lengths_and_no_more_tokens_than_they_may() -> None:
    lessons = [Lesson(Sample([0] * length, 1, "go", "line")) for length in (3, 40, 4, 5, 38, 90)]
    lengths = [[len(lesson.sample.tokens) for lesson in group] for group in alike(lessons, 80)]
    assert lengths == [[90], [40, 38], [5, 4, 3]]
    assert len(alike(lessons, 0)) == len(lessons)


def test_a_step_is_the_same_however_its_samples_are_grouped(tmp_path: Path) -> None:
    runs = [trainer(tmp_path / f"{together}.npz", together=together) for together in (0, 1000)]
    for run in runs:
        run._step([*run.lessons, Lesson(SAMPLE)])
    assert len(alike(runs[1].lessons, 1000)) == 1
    for one, other in zip(*(run.student.learnt() for run in runs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def opinion(rows: int) -> Likely:
    """Of a teacher who knows its mind about words 0 to 19 of `rows` places."""
    return likeliest(np.random.default_rng(1).normal(0, 3, (rows, 20)).astype(np.float32))


def test_of_an_opinion_no_more_is_kept_than_it_says() -> None:
    assert all(part.base is None for part in opinion(4))


def test_divergence_is_that_of_kullback_and_leibler_with_one_word_for_all_that_the_teacher_did_not_name() -> None:
    likely, logits = opinion(4), torch.randn(4, 20)
    named = np.zeros((4, 20), bool)
    np.put_along_axis(named, likely.words, True, axis=1)
    said = logits.double().softmax(dim=1).numpy()
    for row, found in enumerate(divergence(logits, likely).tolist()):
        expected = np.exp(likely.logs[row].astype(float))
        p = np.append(expected, 1 - expected.sum())
        q = np.append(said[row, likely.words[row]], said[row, ~named[row]].sum())
        assert found == pytest.approx((p * np.log(p / q)).sum(), abs=2e-3)


def test_a_student_comes_nearer_to_its_teacher_in_the_prompt_too(tmp_path: Path) -> None:
    lessons = [Lesson(SAMPLE, opinion(len(TOKENS) - 1))]
    head = torch.arange(20)
    run = Trainer(student(), lessons, {}, trainer(tmp_path / "a.npz", share=1.0).args, head)

    def apart() -> Any:
        with torch.no_grad():
            (states,) = read(run.student, [SAMPLE])
            return divergence(run.student.logits(states, head), opinion(len(TOKENS) - 1))

    before = apart()
    for _ in range(20):
        run._step(lessons)
    assert (apart() < before).all()
    assert 0 < PROMPT_WEIGHT < 1


def test_what_a_teacher_said_comes_back_from_its_file_and_is_not_asked_again(tmp_path: Path) -> None:
    class Counting(Teacher):
        def __init__(self) -> None:
            self.shortlist, self.asked = np.arange(20), 0

        def opinion(self, sample: Sample, places: int) -> Likely:
            self.asked += 1
            return opinion(min(places, len(sample.tokens) - 1))

    teacher, samples = Counting(), [SAMPLE] * 5
    ask(teacher, samples[:2], 6, tmp_path / "said.npz")
    ask(teacher, samples, 6, tmp_path / "said.npz")
    said = load_opinions(tmp_path / "said.npz")
    assert teacher.asked == len(said.likely) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["said.npz"]
    for likely in said.likely:
        np.testing.assert_array_equal(likely.words, opinion(6).words)
        np.testing.assert_array_equal(likely.logs, opinion(6).logs)


def test_a_teacher_is_asked_for_the_words_it_would_serve(tmp_path: Path) -> None:
    write_artifact(tmp_path / "toy")
    expected = ReferenceModel(SHAPE, ToyWeights()).logits(TOKENS[:-1])
    likely = Teacher(tmp_path / "toy", "fp32").opinion(SAMPLE, 3)
    chances = torch.tensor(expected[-3:]).double().log_softmax(dim=1).numpy()
    assert (likely.words.shape, likely.logs.shape) == ((3, TOP), (3, TOP))
    for words, logs, row in zip(likely.words, likely.logs, chances, strict=True):
        assert set(words.tolist()) == set(np.argsort(-row)[:TOP].tolist())
        np.testing.assert_allclose(logs, row[words], atol=0.02)


def test_without_a_layer_it_is_the_decoder_of_the_others() -> None:
    class Fewer(ToyWeights):
        def rows(self, name: str, start: int, stop: int) -> np.ndarray:
            return super().rows(name.replace("blk.0.", "blk.1."), start, stop)

    short = student().shortened([1])
    expected = ReferenceModel(replace(SHAPE, layers=1), Fewer()).logits(TOKENS)
    np.testing.assert_allclose(logits(short), expected, atol=1e-3)
    assert len(short.adapter()) == len(student().adapter()) // SHAPE.layers


def test_a_layer_that_turns_its_input_little_has_little_influence() -> None:
    model = student()
    for part in ("output", "down"):
        model.layers[1].matrices[part].weight.mul_(0.01)
    strong, weak = influences(model, [SAMPLE])
    assert 0 <= weak < 0.01 < strong
    assert [order[0] for order in in_order([strong, weak])] == [1]


def test_what_a_student_is_without_a_layer_is_scored() -> None:
    model = taught()
    whole, short = (without(model, gone, [SAMPLE], POOL) for gone in ([], [0]))
    assert (whole["gone"], short["gone"]) == ([], [0])
    assert whole["loss"] == pytest.approx(losses_of(model, SAMPLE).mean().item(), abs=1e-3)
    assert short["loss"] == pytest.approx(losses_of(model.shortened([1]), SAMPLE).mean().item(), abs=1e-3)
