"""An engine behind HTTP answers as one in this process does, whatever was asked, cancelled or lost before."""

import math
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from unittest.mock import Mock

import pytest

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import GenerationParams, Step
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled, EngineAway, EngineBusy, EngineRefused, ModelError, ModelFailed
from flash_ls.team import client
from flash_ls.team.client import TeamEngine
from flash_ls.team.site import Site, site
from tests.engine.toy_drafters import WatchedModel
from tests.shared.test_remote import PARAMS, PROMPT, WAIT_S, ask, essence, tokens_of
from tests.team.toy_team import AT_ONCE, TOKEN, ToyTeam
from tests.toy_model import SHAPE


@pytest.fixture
def here(team: ToyTeam) -> LocalEngine:
    return team.beside()


def test_all_parameters_cross_over(team: ToyTeam, here: LocalEngine) -> None:
    there = team.engine()
    plain = ask(here, PROMPT)
    other = Step(plain.runners_up[0].token, -1.25)
    forced = tuple(Step(*step) for step in zip(plain.tokens, plain.log_probabilities, strict=True))
    for params in (
        PARAMS,
        replace(PARAMS, max_tokens=3),
        replace(PARAMS, stop_ids=frozenset(plain.tokens[4:5])),
        replace(PARAMS, healed=b"self."),
        replace(PARAMS, forced=(other,)),
        replace(PARAMS, forced=forced),
        replace(PARAMS, least_likelihood=sum(plain.log_probabilities[:3])),
        replace(PARAMS, complete=lambda text: len(text) >= len(plain.text) // 2),
    ):
        assert essence(ask(there, PROMPT, params)) == essence(ask(here, PROMPT, params))


def test_no_token_waits_for_a_verdict(team: ToyTeam, here: LocalEngine) -> None:
    """All of an answer is made while the first token is still judged."""
    judged = threading.Event()
    lengths = []

    def slow(text: str) -> bool:
        lengths.append(len(text))
        wait_until(lambda: bool(team.accounts))
        judged.set()
        return False

    assert ask(team.engine(), PROMPT, replace(PARAMS, complete=slow)).tokens == ask(here, PROMPT).tokens
    assert judged.is_set()
    assert team.accounts[0].decoded_tokens == len(lengths) == PARAMS.max_tokens


def test_who_has_enough_ends_the_work(team: ToyTeam) -> None:
    params = replace(PARAMS, max_tokens=300, complete=lambda text: True)
    assert ask(team.engine(), PROMPT, params).finish == "rule"
    wait_until(lambda: bool(team.accounts))
    assert team.accounts[0].outcome == "cancelled"
    assert team.accounts[0].decoded_tokens < 300


def test_the_budget_crosses_over(team: ToyTeam, model: OnnxModel) -> None:
    deadline = Deadline(300)
    team.model = WatchedModel(model, before=lambda number: wait_until(lambda: deadline.expired))
    assert team.engine().generate(PROMPT, PARAMS, deadline).finish == "deadline"
    assert team.engine().generate(PROMPT, PARAMS, Deadline(0)).finish == "deadline"


def test_what_is_read_stays(team: ToyTeam) -> None:
    engine = team.engine()
    assert engine.missing(PROMPT) == len(PROMPT)
    engine.warm(PROMPT, Deadline())
    assert engine.missing(PROMPT) == 0
    assert ask(engine, PROMPT).stats.cached_tokens == len(PROMPT)
    assert len(set(team.routes)) == 1


def test_what_nobody_waits_for_takes_nobodys_place(team: ToyTeam, model: OnnxModel) -> None:
    held = threading.Event()
    team.model = WatchedModel(model, before=lambda number: wait_until(held.is_set))
    asking = [threading.Thread(target=ask, args=(team.engine(), tokens_of(seed, 30))) for seed in range(AT_ONCE // 2)]
    for thread in asking:
        thread.start()
    wait_until(lambda: team.worker.under_way == AT_ONCE // 2)
    with pytest.raises(EngineBusy):
        team.engine().warm(PROMPT, Deadline(gives_way=True))
    held.set()
    for thread in asking:
        thread.join(WAIT_S)
    wait_until(lambda: team.worker.under_way == 0)
    team.engine().warm(PROMPT, Deadline(gives_way=True))


def test_errors_cross_over(team: ToyTeam) -> None:
    engine = team.engine()
    with pytest.raises(ModelError, match="longer than"):
        ask(engine, tokens_of(1, SHAPE.context + 1))
    assert ask(engine, PROMPT).tokens


@pytest.mark.parametrize("number", range(1, 12))
def test_cancelled_at_any_pass_then_asked_again(
    team: ToyTeam, model: OnnxModel, here: LocalEngine, number: int
) -> None:
    deadline = Deadline()
    team.model = WatchedModel(model, before=lambda reached: deadline.cancel() if reached == number else None)
    engine = team.engine()
    with pytest.raises(Cancelled):
        engine.generate(PROMPT, replace(PARAMS, max_tokens=300), deadline)
    assert ask(engine, PROMPT).tokens == ask(here, PROMPT).tokens
    assert len(set(team.routes)) == 1


def test_cancelled_before_it_is_asked(team: ToyTeam) -> None:
    engine, deadline = team.engine(), Deadline()
    deadline.cancel()
    with pytest.raises(Cancelled):
        engine.generate(PROMPT, PARAMS, deadline)
    assert ask(engine, PROMPT).tokens


def test_a_released_request_is_read_to_its_end(team: ToyTeam, model: OnnxModel) -> None:
    deadline = Deadline()
    team.model = WatchedModel(model, before=lambda reached: deadline.release() if reached == 1 else None)
    with pytest.raises(Cancelled):
        team.engine().generate(PROMPT, PARAMS, deadline)
    assert team.slots.missing(PROMPT) <= 1


def test_several_at_once(team: ToyTeam, model: OnnxModel, tokenizer: Tokenizer) -> None:
    texts = {seed: [tokens_of(seed, 60 + 2 * length) for length in range(10)] for seed in range(4)}
    right = {seed: [ask(LocalEngine(model, tokenizer), text).tokens for text in texts[seed]] for seed in texts}
    said: dict[int, list[list[int]]] = {seed: [] for seed in texts}

    def type_along(seed: int) -> None:
        chance, engine = random.Random(seed), team.engine()
        for text, answer in zip(texts[seed], right[seed], strict=True):
            deadline = Deadline()
            if chance.random() < 0.3:
                threading.Timer(chance.random() * 0.02, deadline.cancel).start()
            try:
                said[seed].append(engine.generate(text, PARAMS, deadline).tokens)
            except Cancelled:
                said[seed].append(answer)

    typists = [threading.Thread(target=type_along, args=(seed,)) for seed in texts]
    for typist in typists:
        typist.start()
    for typist in typists:
        typist.join(WAIT_S)
    assert said == right


def test_a_fault_of_the_stop_rule_is_not_the_next_requests(team: ToyTeam) -> None:
    engine = team.engine()
    with pytest.raises(ZeroDivisionError):
        ask(engine, PROMPT, replace(PARAMS, complete=lambda text: 1 // 0 == 0))
    assert ask(engine, PROMPT).tokens


@pytest.mark.parametrize("frames", range(5))
def test_what_is_cut_off_is_asked_again_elsewhere(team: ToyTeam, here: LocalEngine, frames: int) -> None:
    team.cut = [frames]
    engine = team.engine()
    assert essence(ask(engine, PROMPT)) == essence(ask(here, PROMPT))
    assert len(team.routes) == len(set(team.routes)) == 2


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_a_dead_replica_costs_nothing(team: ToyTeam, here: LocalEngine, status: int) -> None:
    team.statuses = [status]
    assert ask(team.engine(), PROMPT).tokens == ask(here, PROMPT).tokens


def test_what_is_cut_off_twice_is_lost(team: ToyTeam) -> None:
    team.cut = [3, 3]
    engine = team.engine()
    with pytest.raises(EngineAway, match="does not answer"):
        ask(engine, PROMPT)
    assert len(team.routes) == 2
    assert ask(engine, PROMPT).tokens


def test_after_a_loss_nothing_is_taken_to_be_read(team: ToyTeam) -> None:
    engine = team.engine()
    engine.warm(PROMPT, Deadline())
    team.cut = [1, 1]
    with pytest.raises(EngineAway):
        ask(engine, tokens_of(7, 50))
    assert engine.missing(PROMPT) == len(PROMPT)


def test_who_is_busy_is_not_asked_again(team: ToyTeam) -> None:
    team.statuses = [503]
    with pytest.raises(EngineBusy, match="busy"):
        ask(team.engine(), PROMPT)
    assert len(team.routes) == 1


@pytest.mark.parametrize("error", [ModelFailed("broken"), MemoryError()])
def test_a_replica_whose_model_fails_ends(team: ToyTeam, model: OnnxModel, error: Exception) -> None:
    team.model = WatchedModel(model, before=Mock(side_effect=error))
    with pytest.raises(EngineAway):
        ask(team.engine(), PROMPT)
    assert team.failed.is_set()
    assert [account.outcome for account in team.accounts] == ["failed", "failed"]


def test_a_wrong_token_is_refused(team: ToyTeam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_LS_ENGINE_TOKEN", TOKEN + "x")
    with pytest.raises(EngineRefused, match=r"\(401\): It does not know your token"):
        ask(team.engine(), PROMPT)
    assert len(team.routes) == 1


def test_another_model_is_refused(team: ToyTeam, tokenizer: Tokenizer) -> None:
    engine = TeamEngine(site(team.url, False), "f" * 32, tokenizer)
    with pytest.raises(EngineRefused, match=r"\(409\): It runs the model toy .* and yours is another"):
        engine.hello()


def test_the_server_tells_who_it_is(team: ToyTeam) -> None:
    assert team.engine().hello().precision == "fp32"


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """Somebody who listens and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.setblocking(False)
        yield server


def engine_at(server: socket.socket, tokenizer: Tokenizer) -> TeamEngine:
    return TeamEngine(Site(False, "127.0.0.1", server.getsockname()[1], "", TOKEN), "", tokenizer)


def test_silence_is_waited_for_no_longer_than_wanted(
    mute: socket.socket, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENCE_S", 0.05)
    with pytest.raises(EngineAway):
        engine_at(mute, tokenizer).generate(PROMPT, PARAMS, Deadline(100))
    mute.accept()
    with pytest.raises(BlockingIOError):  # asked once
        mute.accept()


def test_who_waits_in_silence_may_be_cancelled(mute: socket.socket, tokenizer: Tokenizer) -> None:
    deadline = Deadline(math.inf)
    threading.Timer(0.1, deadline.cancel).start()
    with pytest.raises(Cancelled):
        engine_at(mute, tokenizer).generate(PROMPT, PARAMS, deadline)


def test_nobody_there(tokenizer: Tokenizer) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        engine = engine_at(server, tokenizer)
    with pytest.raises(EngineAway, match=r"127\.0\.0\.1:\d+ does not answer"):
        engine.generate(PROMPT, PARAMS, Deadline())


def wait_until(condition: Callable[[], bool]) -> None:
    ended = threading.Event()
    end = Deadline(WAIT_S * 1000)
    while not condition():
        assert not end.expired
        ended.wait(0.005)


def test_params_need_not_tell(here: LocalEngine) -> None:
    told: list[int] = []
    params = GenerationParams(4, frozenset(), chosen=lambda choice: told.append(choice.token))
    assert ask(here, PROMPT, params).tokens == told
