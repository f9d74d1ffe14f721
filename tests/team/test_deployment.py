"""Two replicas of a toy model under Ray Serve, over TLS: nothing is lost when one is killed, nobody else is let in."""

import http.client
import os
import random
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'flash-ls[serve]'")

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import GenerationParams
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled, EngineBusy, EngineRefused
from flash_ls.team import client
from flash_ls.team.frames import MOST_BYTES, PATH
from tests.shared.test_remote import PARAMS, PROMPT, ask, essence, tokens_of
from tests.team.team_process import TOKEN, TeamProcess, write_certificate

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]
WAIT_S = 120.0
OPTIONS = ["--replicas", "2", "--at-once", "4", "--queue", "8", "--precision", "fp32", "--threads", "1"]


@pytest.fixture(scope="module")
def server(toy_folder: Path, model: OnnxModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamProcess]:
    folder = tmp_path_factory.mktemp("team")
    certificate = folder / "tls.pem"
    write_certificate(certificate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        patch.setattr(client, "CONNECT_S", WAIT_S)  # this machine may have much else to do
        patch.setattr(client, "SILENCE_S", WAIT_S)
        with TeamProcess(folder / "home", toy_folder, OPTIONS, certificate) as process:
            wait_until(lambda: len(process.replicas()) == 2)
            yield process


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_answers_are_those_of_the_model_here(server: TeamProcess, model: OnnxModel, tokenizer: Tokenizer) -> None:
    here = LocalEngine(model, tokenizer)
    for seed in range(4):
        prompt = tokens_of(seed, 100)
        assert essence(ask(server.engine(), prompt)) == essence(ask(here, prompt))


def test_a_user_meets_the_same_replica_and_its_caches(server: TeamProcess) -> None:
    for seed in range(4):
        engine, prompt = server.engine(), tokens_of(10 + seed, 100)
        assert len({engine.hello().pid for _ in range(10)}) == 1
        ask(engine, prompt)
        assert [ask(engine, prompt).stats.cached_tokens for _ in range(3)] == [len(prompt)] * 3


def test_nobody_is_let_in_without_a_token(server: TeamProcess) -> None:
    with pytest.raises(EngineRefused, match="does not know your token"):
        server.engine("another-token-of-the-tests").hello()
    assert [status(server, token, PATH, b"") for token in ("", TOKEN[:-1])] == [401, 401]
    assert status(server, TOKEN, "/else", b"") == 404


def test_a_long_request_is_refused(server: TeamProcess) -> None:
    assert status(server, TOKEN, PATH, b"a" * (MOST_BYTES + 1)) == 413
    assert status(server, TOKEN, PATH, b"a" * (MOST_BYTES + 1), chunked=True) == 413
    assert status(server, TOKEN, PATH, b"a") == 400


def status(server: TeamProcess, token: str, path: str, body: bytes, chunked: bool = False) -> int:
    """Of a request as some other program may make it."""
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=ssl.create_default_context(), timeout=30)
    headers = server.engine()._headers | {"Authorization": f"Bearer {token}", "Flash-Ls-Route": "1"}
    connection.request("POST", path, iter([body]) if chunked else body, headers, encode_chunked=chunked)
    found = connection.getresponse().status
    connection.close()
    return found


def test_who_does_not_speak_tls_is_not_answered(server: TeamProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", PATH)
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.getresponse()


def test_a_certificate_nobody_vouches_for_is_refused(server: TeamProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(EngineRefused, match=r"is not trusted .*; set SSL_CERT_FILE"):
        server.engine().hello()


def test_cancelled_work_ends_there(server: TeamProcess) -> None:
    engine, deadline = server.engine(), Deadline()

    def give_up(text: str) -> bool:
        deadline.cancel()
        return False

    params = GenerationParams(300, frozenset(), complete=give_up)
    with pytest.raises(Cancelled):
        engine.generate(PROMPT, params, deadline)
    wait_until(lambda: server.metrics().get('requests_total outcome="cancelled"', 0) > 0)


def test_metrics_count_requests_and_tokens(server: TeamProcess) -> None:
    engine = server.engine()
    ask(engine, PROMPT)
    ask(engine, PROMPT)
    wanted = ['requests_total outcome="done"', 'tokens_total kind="cached"', 'tokens_total kind="decoded"']
    wanted += ['tokens_total kind="prompt"', "seconds_count", "under_way"]
    wait_until(lambda: all(name in server.metrics() for name in wanted))


def test_a_killed_replica_loses_no_request(server: TeamProcess, model: OnnxModel, tokenizer: Tokenizer) -> None:
    texts = {seed: [tokens_of(seed, 60 + length) for length in range(30)] for seed in range(6)}
    right = {seed: [ask(LocalEngine(model, tokenizer), text).tokens for text in texts[seed]] for seed in texts}
    said: dict[int, list[list[int]]] = {seed: [] for seed in texts}
    before = server.replicas()
    victim = min(before)

    def type_along(seed: int) -> None:
        engine, chance = server.engine(), random.Random(seed)
        for text in texts[seed]:
            said[seed].append(ask(engine, text).tokens)
            time.sleep(0.02 * chance.random())

    typists = [threading.Thread(target=type_along, args=(seed,)) for seed in texts]
    for typist in typists:
        typist.start()
    wait_until(lambda: sum(map(len, said.values())) > 30)
    os.kill(victim, signal.SIGKILL)
    for typist in typists:
        typist.join(WAIT_S)
    assert said == right
    wait_until(lambda: len(server.replicas() - {victim}) == 2)


def test_who_finds_the_queue_full_is_told_at_once(server: TeamProcess) -> None:
    outcomes: list[str] = []

    def ask_long(seed: int) -> None:
        try:
            server.engine().generate(tokens_of(seed, 300), GenerationParams(200, frozenset()), Deadline())
            outcomes.append("done")
        except EngineBusy as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask_long, args=(seed,)) for seed in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert set(outcomes) == {"done", "The team's server 127.0.0.1 is busy; ask again in a moment."}
    assert ask(server.engine(), PROMPT, PARAMS).tokens


def test_all_of_it_ends(server: TeamProcess) -> None:
    """The last test: the server is gone after it."""
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(WAIT_S) == 0
    wait_until(lambda: not server.processes())
