"""Samples are what the server would send for a place in a file, and what stood there."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from flash_ls.config import Config
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.prompt import build_prompt
from models.corpus import SourceText
from models.data import KINDS, MOST_TARGET_TOKENS, Coder, card, cases, load, mixed, samples, save
from scripts.cases import Case
from scripts.project import Project
from tests.toy_model import FORM, write_tokenizer

CODE = "\n".join(
    f"def total_{number}(values):\n    size = len(values) + {number}\n    print(size)\n    return sum(values) / size\n"
    for number in range(40)
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("toy") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path)


def source(name: str = "a.py") -> SourceText:
    return SourceText("toy-1.0", name, "python", CODE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_of_each_kind_is_a_hole_in_the_file(kind: str) -> None:
    found = list(cases(source(), {kind: 1.0}, Random(3)))
    assert found
    for case in found:
        assert case.before + case.middle + case.after == CODE
        assert case.middle
        assert case.kind == kind


def test_lines_begin_with_their_indentation_or_after_it() -> None:
    starts = Counter(
        case.before.endswith("\n") for seed in range(20) for case in cases(source(), {"line": 1.0}, Random(seed))
    )
    assert min(starts.values()) > 10
    assert len(starts) == 2


def test_a_sample_is_the_prompt_of_the_server_and_the_answer_with_its_end(tokenizer: Tokenizer) -> None:
    case = Case("x", "a.py", "def f(self):\n    return se", "\n\nprint(f)\n", "lf", "mid-line", repo="toy-1.0")
    sample = Coder(tokenizer, FORM, Random(0)).sample(case, Project({}, "toy-1.0"))
    prompt = build_prompt(case.before, case.after, FORM, tokenizer, Config())
    assert sample is not None
    assert sample.tokens[: sample.prompt] == prompt.token_ids
    assert tokenizer.decode(sample.tokens[sample.prompt : -1]) == prompt.healed.decode() + "lf" == " self"
    assert sample.tokens[-1] == FORM.stop_ids[0]


def test_closers_that_an_editor_would_have_typed_are_to_be_learnt(tokenizer: Tokenizer) -> None:
    case = Case("x", "a.py", "print(f(", "))\nprint(g)\n", "self", "api-call", repo="toy-1.0")
    sample = Coder(tokenizer, FORM, Random(0)).sample(case, Project({}, "toy-1.0"))
    assert sample is not None
    prompt = build_prompt(case.before, "\nprint(g)\n", FORM, tokenizer, Config())
    assert sample.tokens[: sample.prompt] == prompt.token_ids
    assert tokenizer.decode(sample.tokens[sample.prompt : -1]) == prompt.healed.decode() + "self))"


def test_half_of_the_samples_are_told_of_the_package_and_none_of_its_own_hole(tokenizer: Tokenizer) -> None:
    coder, random = Coder(tokenizer, FORM, Random(1)), Random(2)
    files = [source(), SourceText("toy-1.0", "b.py", "python", CODE.replace("total", "mean"))]
    found = list(samples(files, 40, KINDS, coder, random))
    told = [FORM.repo_name in sample.tokens[: sample.prompt] for sample in found]
    assert 0.25 < sum(told) / len(told) < 0.75
    assert all(len(sample.tokens) - sample.prompt <= MOST_TARGET_TOKENS + 1 for sample in found)


def test_answers_too_long_to_learn_are_left_out(tokenizer: Tokenizer) -> None:
    case = Case("x", "a.py", "x = ", "", "é" * 2 * MOST_TARGET_TOKENS, "span", repo="toy-1.0")
    assert Coder(tokenizer, FORM, Random(0)).sample(case, Project({}, "toy-1.0")) is None


def test_a_file_keeps_the_samples(tokenizer: Tokenizer, tmp_path: Path) -> None:
    found = list(samples([source()], 12, KINDS, Coder(tokenizer, FORM, Random(1)), Random(2)))
    save(tmp_path / "samples.npz", found)
    assert load(tmp_path / "samples.npz") == found
    assert card(found, [source()])["learnt"] == sum(len(sample.tokens) - sample.prompt for sample in found)


def test_languages_have_the_same_share_however_many_files_they_have(tokenizer: Tokenizer) -> None:
    go = SourceText("other-1", "a.go", "go", "package a\n" + "\nfunc f(x int) int {\n\treturn x + 1\n}\n" * 30)
    files = [source(f"{number}.py") for number in range(20)] + [go]
    made = samples(files, 8, KINDS, Coder(tokenizer, FORM, Random(1)), Random(2))
    found = Counter(sample.language for sample in made)
    assert min(found["go"], found["python"]) >= 2


def test_a_share_of_the_samples_is_synthetic_and_none_unless_asked_for(tokenizer: Tokenizer) -> None:
    for share, synthetic in ((0.0, 0), (0.25, 16)):
        found = list(mixed([source()] * 60, share, 64, KINDS, Coder(tokenizer, FORM, Random(1)), Random(2)))
        assert len(found) >= 64
        assert sum(sample.language != "python" for sample in found) == pytest.approx(synthetic * 7 / 8, abs=3)
        assert sum(b"synthetic" in tokenizer.decode(sample.tokens).encode() for sample in found) <= synthetic
