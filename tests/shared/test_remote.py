"""An engine in another process answers as one in this process does, whatever was asked, cancelled or lost before."""

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from flash_ls import crash, process
from flash_ls.crash import CrashReports
from flash_ls.deadline import Deadline, Spent
from flash_ls.engine.decode import Generation, GenerationParams, Step
from flash_ls.engine.engine import Engine, LocalEngine
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled, EngineLost, ModelError, ModelFailed
from flash_ls.shared import engine_process, messages, watchdog
from flash_ls.shared.channel import Channel, connect
from flash_ls.shared.remote import RemoteEngine
from tests.engine.toy_drafters import WatchedModel
from tests.shared.shared_toy import CACHE_MB, NAME, SharedToy
from tests.toy_model import FIRST_SPECIAL, SHAPE

PARAMS = GenerationParams(8, frozenset())
WAIT_S = 20.0


def tokens_of(seed: int, length: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(0, FIRST_SPECIAL, length)]


PROMPT = tokens_of(2, 200)


def ask(engine: Engine, prompt: list[int], params: GenerationParams = PARAMS) -> Generation:
    return engine.generate(prompt, params, Deadline())


def essence(answer: Generation) -> tuple[object, ...]:
    """Without what it took, and without what rounding may change."""
    odds = [round(value, 3) for value in answer.log_probabilities]
    return answer.tokens, answer.text, answer.ends, answer.finish, odds, [step.token for step in answer.runners_up]


def test_all_parameters_cross_over(shared: SharedToy) -> None:
    here, there = shared.beside(), shared.engine()
    plain = ask(here, PROMPT)
    other = Step(plain.runners_up[0].token, -1.25)
    for params in (
        PARAMS,
        replace(PARAMS, max_tokens=3),
        replace(PARAMS, stop_ids=frozenset(plain.tokens[4:5])),
        replace(PARAMS, healed=b"self."),
        replace(PARAMS, forced=(other,)),
        replace(PARAMS, least_likelihood=sum(plain.log_probabilities[:3])),
        replace(PARAMS, complete=lambda text: len(text) >= len(plain.text) // 2),
    ):
        assert essence(ask(there, PROMPT, params)) == essence(ask(here, PROMPT, params))


def test_the_budget_crosses_over(shared: SharedToy) -> None:
    assert shared.engine().generate(PROMPT, PARAMS, Deadline(0)).finish == "deadline"


def test_what_is_read_stays(shared: SharedToy) -> None:
    engine = shared.engine()
    assert engine.missing(PROMPT) == len(PROMPT)
    engine.warm(PROMPT, Deadline())
    assert engine.missing(PROMPT) == 0
    assert shared.engine().missing(PROMPT) == 0
    assert ask(engine, PROMPT).stats.cached_tokens == len(PROMPT) - 1


def test_errors_cross_over(shared: SharedToy) -> None:
    engine = shared.engine()
    with pytest.raises(ModelError, match="longer than"):
        ask(engine, tokens_of(1, SHAPE.context + 1))
    assert ask(engine, PROMPT).tokens


@pytest.mark.parametrize("number", range(1, 12))
def test_cancelled_at_any_pass_then_asked_again(
    shared: SharedToy, model: OnnxModel, tokenizer: Tokenizer, number: int
) -> None:
    deadline = Deadline()
    shared.model = WatchedModel(model, before=lambda reached: deadline.cancel() if reached == number else None)
    engine = shared.engine()
    with pytest.raises(Cancelled):
        engine.generate(PROMPT, PARAMS, deadline)
    assert ask(engine, PROMPT).tokens == ask(LocalEngine(model, tokenizer), PROMPT).tokens
    assert shared.connections == 1


def test_cancelled_before_it_is_asked(shared: SharedToy) -> None:
    engine, deadline = shared.engine(), Deadline()
    engine.connect(lambda: None)
    deadline.cancel()
    with pytest.raises(Cancelled):
        engine.generate(PROMPT, PARAMS, deadline)
    assert ask(engine, PROMPT).tokens


def test_a_released_request_is_read_to_its_end(shared: SharedToy, model: OnnxModel) -> None:
    deadline = Deadline()
    shared.model = WatchedModel(model, before=lambda reached: deadline.release() if reached == 1 else None)
    engine = shared.engine()
    with pytest.raises(Cancelled):
        engine.generate(PROMPT, PARAMS, deadline)
    assert engine.missing(PROMPT) <= 1


def test_several_at_once(shared: SharedToy, model: OnnxModel, tokenizer: Tokenizer) -> None:
    """Each types its own text, and some are cancelled: all answers are those of an engine that is new."""
    texts = {seed: [tokens_of(seed, 60 + 2 * length) for length in range(15)] for seed in range(4)}
    right = {seed: [ask(LocalEngine(model, tokenizer), text).tokens for text in texts[seed]] for seed in texts}
    said: dict[int, list[list[int]]] = {seed: [] for seed in texts}

    def type_along(seed: int) -> None:
        chance, engine = random.Random(seed), shared.engine()
        for text, answer in zip(texts[seed], right[seed], strict=True):
            deadline = Deadline(gives_way=chance.random() < 0.3)
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
        assert not typist.is_alive()
    assert said == right


@pytest.mark.parametrize("there", [False, True])
def test_what_an_answer_has_cost_is_known(
    shared: SharedToy, model: OnnxModel, tokenizer: Tokenizer, there: bool
) -> None:
    """In this process or another; of one that nobody waited for, what was done of it."""
    engine: Engine = shared.engine() if there else LocalEngine(model, tokenizer)
    whole = Deadline()
    answer = engine.generate(PROMPT, PARAMS, whole)
    decoded = len(answer.tokens)
    assert whole.spent == Spent(len(PROMPT), 0, decoded, whole.spent.cpu_ms)
    assert (whole.spent.cpu_ms > 0) == there
    engine.generate(PROMPT, PARAMS, whole)
    assert whole.spent == Spent(len(PROMPT), 0, 2 * decoded, whole.spent.cpu_ms), "another answer to the same prompt"

    part = Deadline()

    def cancel(text: str) -> bool:
        part.cancel()
        return False

    with pytest.raises(Cancelled):
        engine.generate([*PROMPT, 7], replace(PARAMS, complete=cancel), part)
    assert (part.spent.prompt_tokens, part.spent.cached_tokens) == (len(PROMPT) + 1, len(PROMPT))
    assert 1 <= part.spent.decoded_tokens < decoded

    never = Deadline()
    never.cancel()
    with pytest.raises(Cancelled):
        engine.generate(tokens_of(9, 300), PARAMS, never)
    assert never.spent == Spent(cpu_ms=never.spent.cpu_ms)


def test_a_fault_of_the_stop_rule_is_not_the_next_requests(shared: SharedToy) -> None:
    engine = shared.engine()
    with pytest.raises(ZeroDivisionError):
        ask(engine, PROMPT, replace(PARAMS, complete=lambda text: 1 // 0 == 0))
    assert ask(engine, PROMPT).tokens


def test_an_error_nobody_expected_fails_one_request_and_is_reported(
    shared: SharedToy, model: OnnxModel, tmp_path: Path
) -> None:
    reports = CrashReports(tmp_path, "engine", dict)
    logging.getLogger().addHandler(reports)
    shared.model = WatchedModel(model, before=Mock(side_effect=ZeroDivisionError("planted")))
    with pytest.raises(ModelError, match="flash-ls doctor"):
        ask(shared.engine(), PROMPT)
    logging.getLogger().removeHandler(reports)
    found = crash.newest(tmp_path)
    assert found is not None
    assert (found[1]["role"], found[1]["error"]) == ("engine", "ZeroDivisionError")
    assert "planted" not in found[0].read_text()


@pytest.mark.parametrize("error", [ModelFailed("broken"), MemoryError()])
def test_a_process_whose_model_fails_ends(shared: SharedToy, model: OnnxModel, error: Exception) -> None:
    shared.model = WatchedModel(model, before=Mock(side_effect=error))
    with pytest.raises(EngineLost):
        ask(shared.engine(), PROMPT)
    assert shared.ended.wait(WAIT_S)


def test_a_process_whose_pass_never_ends_does(
    shared: SharedToy, model: OnnxModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LONGEST_PASS_S", 2 * engine_process.LOOK_S)
    hold = threading.Event()
    shared.model = WatchedModel(model, before=lambda number: hold.wait(WAIT_S))
    channel, _ = shared.connect()
    channel.send(_generate(PROMPT))
    assert shared.ended.wait(WAIT_S)
    hold.set()


def test_a_slow_machine_gets_more_time(shared: SharedToy, model: OnnxModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LONGEST_PASS_S", engine_process.LOOK_S)
    shared.process._watchdog = watchdog.Watchdog(shared.turns, pass_s=1.0)
    hold = threading.Event()
    shared.model = WatchedModel(model, before=lambda number: hold.wait(WAIT_S))
    channel, _ = shared.connect()
    channel.send(_generate(PROMPT))
    assert not shared.ended.wait(4 * engine_process.LOOK_S)
    hold.set()


def test_passes_that_end_are_not_taken_for_one_that_does_not(
    shared: SharedToy, model: OnnxModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LONGEST_PASS_S", engine_process.LOOK_S)
    shared.model = WatchedModel(model, before=lambda number: time.sleep(0.7 * engine_process.LOOK_S))
    assert ask(shared.engine(), PROMPT[:8], replace(PARAMS, max_tokens=5)).tokens
    assert not shared.ended.is_set()


def test_the_time_in_which_a_process_starts_is_not_the_requests(shared: SharedToy) -> None:
    def connect_late(check: Callable[[], object]) -> tuple[Channel[messages.ToServer], messages.Hello]:
        time.sleep(2.1)
        return shared.connect(check)

    engine = RemoteEngine(connect_late, shared.tokenizer)
    assert engine.generate(PROMPT, PARAMS, Deadline(2000)).finish != "deadline"


LOOKS = {
    "wakes later than its server": ([False, True], [True], True),
    "rests": ([False] * 9, [True] * 9, False),
    "is kept from working": ([False] * 5 + [True], [False] * 9, True),
    "works for ever": ([False] * 99, [False] * 99, False),
}


@pytest.mark.parametrize("what", LOOKS)
def test_a_silent_process_is_looked_at(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    speaks, rests, alive = LOOKS[what]
    monkeypatch.setattr(process, "rests", Mock(side_effect=rests))
    monkeypatch.setattr(os, "kill", kill := Mock())
    monkeypatch.setattr(Channel, "has_more", Mock(side_effect=speaks))
    with nullcontext() if alive else pytest.raises(TimeoutError):
        Channel(Mock(), messages.TO_SERVER).await_or_kill(77)
    assert kill.called == (not alive)


def test_what_a_process_holds_is_known(shared: SharedToy) -> None:
    engine = shared.engine()
    ask(engine, PROMPT)
    assert shared.process.report()["slots"] == 1
    assert shared.process.report()["connections"] == 1


def test_a_lost_connection_costs_one_answer(shared: SharedToy, model: OnnxModel) -> None:
    engine = shared.engine()
    lose = [True]

    def drop(text: str) -> bool:
        if lose.pop() if lose else False:
            assert engine._channel is not None
            engine._channel._connection.close()
        return False

    with pytest.raises(EngineLost):
        ask(engine, PROMPT, replace(PARAMS, complete=drop))
    assert ask(engine, PROMPT).tokens
    assert shared.connections == 2


def test_a_server_that_dies_stops_its_work(shared: SharedToy, model: OnnxModel) -> None:
    reached = threading.Event()
    shared.model = WatchedModel(model, before=lambda number: reached.set())
    channel, _ = shared.connect()
    channel.send(_generate(PROMPT))
    assert reached.wait(WAIT_S)
    channel.close()
    assert ask(shared.engine(), PROMPT).tokens


def test_a_server_that_is_stopped_keeps_nobody_waiting(shared: SharedToy) -> None:
    channel, _ = shared.connect()
    channel.send(_generate(PROMPT, 200.0))
    while not isinstance(channel.receive(), messages.Text):
        pass
    answer = shared.engine().generate(PROMPT, PARAMS, Deadline(gives_way=True))
    assert answer.tokens


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x81\xa4type\xa4Nope", os.urandom(100)])
def test_who_speaks_nonsense_is_hung_up_on(shared: SharedToy, garbage: bytes) -> None:
    connection = connect(shared.folder, NAME)
    channel = Channel(connection, messages.TO_SERVER)
    channel.receive()
    connection.send_bytes(garbage)
    with pytest.raises((EOFError, OSError)):
        channel.receive()
    assert ask(shared.engine(), PROMPT).tokens


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a pipe of Windows has no file descriptor")
def test_a_connection_is_not_closed_while_another_thread_uses_it(
    shared: SharedToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, _ = shared.connect()
    dup, closed_meanwhile = os.dup, list[bool]()

    def slow(number: int) -> int:
        if threading.current_thread() is threading.main_thread():
            closing.start()
            closing.join(0.3)
            closed_meanwhile.append(channel._connection.closed)
        return dup(number)

    closing = threading.Thread(target=channel.close)
    monkeypatch.setattr(os, "dup", slow)
    channel.hang_up()
    closing.join(WAIT_S)
    assert closed_meanwhile == [False]
    assert channel._connection.closed


def test_no_more_connect_than_there_is_room_for(shared: SharedToy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_process, "MOST_CONNECTIONS", 1)
    channel, _ = shared.connect()
    with pytest.raises((EOFError, OSError)):
        shared.connect()
    channel.close()
    until(lambda: shared.process.report()["connections"] == 0)
    assert ask(shared.engine(), PROMPT).tokens


def test_connections_that_cannot_be_accepted_keep_no_core_busy(shared: SharedToy) -> None:
    broken = Mock()
    broken.accept.side_effect = OSError("too many open files")
    shared.process._accept(broken)
    time.sleep(0.35)
    assert 1 <= broken.accept.call_count <= 5
    shared.process._failed.set()


def test_who_asks_without_end_is_hung_up_on(shared: SharedToy) -> None:
    channel, _ = shared.connect()
    for _ in range(2 * engine_process.MOST_WAITING):
        with suppress(OSError):
            channel.send(_generate(PROMPT))
    with pytest.raises((EOFError, OSError)):
        deque(iter(channel.receive, None))
    assert ask(shared.engine(), PROMPT).tokens


def test_memory_for_prompts_grows_with_the_servers_up_to_a_limit(shared: SharedToy) -> None:
    connected, caps = [], []
    for _ in range(2 + engine_process.MOST_SHARES):
        connected.append(shared.connect())
        caps.append(shared.slots.cap_mb // CACHE_MB)
    assert caps == [*range(1, 1 + engine_process.MOST_SHARES), *2 * [engine_process.MOST_SHARES]]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def _generate(prompt: list[int], budget_ms: float = 60_000.0) -> messages.Generate:
    return messages.Generate(
        1, prompt, budget_ms, False, max_tokens=100, stop_ids=frozenset(), healed=b"", forced=(), least_likelihood=-1e9
    )
