"""Other answers than the greedy one, against a search through all of them."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.branches import LEAST_LIKELIHOOD, Branches
from flash_ls.engine.decode import Generation, GenerationParams, Step
from flash_ls.engine.engine import Engine, LocalEngine
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from tests.toy_model import write_artifact

PROMPT = [5, 9, 33, 70, 12]
PARAMS = GenerationParams(6, frozenset())
FAR = 1000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder: Path = tmp_path_factory.mktemp("toy") / "artifact"
    write_artifact(folder)
    return LocalEngine(OnnxModel(folder, manifest.read(folder), "fp32", 1), Tokenizer(folder / TOKENIZER_FILE))


def answers(engine: Engine, most: int, params: GenerationParams = PARAMS, within: int = FAR) -> list[Generation]:
    """The first answers when none of them suits."""
    branches = Branches(engine, PROMPT, params)
    found: list[Generation] = []
    while len(found) < most and (answer := branches.next(Deadline())):
        found.append(answer)
        branches.branch(answer, within)
    return found


def test_the_first_answer_is_the_greedy_one(engine: Engine) -> None:
    first = answers(engine, 1)[0]
    plain = engine.generate(PROMPT, PARAMS, Deadline())
    assert first.tokens == plain.tokens
    assert first.log_probabilities == pytest.approx(plain.log_probabilities, abs=1e-4)


def test_no_answer_comes_twice(engine: Engine) -> None:
    found = [tuple(answer.tokens) for answer in answers(engine, 8)]
    assert len(set(found)) == len(found) == 8


def test_a_forced_beginning_is_followed_by_what_is_greedy_after_it(engine: Engine) -> None:
    greedy, second = answers(engine, 2)
    place = next(place for place, token in enumerate(second.tokens) if token != greedy.tokens[place])
    assert second.tokens[place] == greedy.runners_up[place].token
    rest = engine.generate(PROMPT + second.tokens[: place + 1], replace(PARAMS, max_tokens=5 - place), Deadline())
    assert second.tokens[place + 1 :] == rest.tokens
    assert second.log_probabilities[place] == pytest.approx(greedy.runners_up[place].log_probability)


def test_the_second_answer_branches_off_where_that_is_likeliest(engine: Engine) -> None:
    greedy, second = answers(engine, 2)
    odds = [
        sum(greedy.log_probabilities[:place]) + other.log_probability for place, other in enumerate(greedy.runners_up)
    ]
    place = odds.index(max(odds))
    assert second.tokens[: place + 1] == [*greedy.tokens[:place], greedy.runners_up[place].token]


def test_no_answer_is_likelier_than_was_said_before(engine: Engine) -> None:
    branches = Branches(engine, PROMPT, PARAMS)
    for _ in range(5):
        most = branches.likelihood
        answer = branches.next(Deadline())
        assert answer is not None
        assert answer.likelihood == pytest.approx(sum(answer.log_probabilities))
        assert answer.likelihood <= most <= 0
        branches.branch(answer, FAR)
    assert Branches(engine, PROMPT, PARAMS).likelihood == 0


def test_answers_differ_within_the_bytes_that_were_named(engine: Engine) -> None:
    greedy, *others = answers(engine, 6, within=1)
    assert others
    assert all(other.tokens[0] != greedy.tokens[0] for other in others)


def test_answers_agree_with_the_healed_text(engine: Engine) -> None:
    for answer in answers(engine, 8, replace(PARAMS, healed=b"re")):
        assert b"".join(map(engine.tokenizer.token_bytes, answer.tokens)).startswith(b"re")


def test_an_answer_that_ended_may_go_on(engine: Engine) -> None:
    first = answers(engine, 1)[0].tokens[0]
    params = replace(PARAMS, stop_ids=frozenset({first}))
    ended, other = answers(engine, 2, params)
    assert (ended.tokens, ended.finish) == ([], "stop")
    assert ended.likelihood == pytest.approx(answers(engine, 1)[0].log_probabilities[0])
    assert other.tokens[0] == ended.runners_up[0].token


def test_unlikely_answers_are_not_looked_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flash_ls.engine.branches.LEAST_LIKELIHOOD", 0.9999)
    assert len(answers(engine, 5)) == 1
    assert 0 < LEAST_LIKELIHOOD < 0.1


def test_a_forced_end_ends_the_answer(engine: Engine) -> None:
    params = replace(PARAMS, stop_ids=frozenset({7}), forced=(Step(3, -1.0), Step(7, -2.0)))
    answer = engine.generate(PROMPT, params, Deadline())
    assert (answer.tokens, answer.finish, answer.stats.target_steps) == ([3], "stop", 0)


def test_there_are_finitely_many(engine: Engine) -> None:
    found = answers(engine, 10_000, replace(PARAMS, max_tokens=1))
    assert len(found) == len(list(islice(found, 10_000))) < 10_000
