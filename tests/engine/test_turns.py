"""Threads that share a model take turns: nobody waits for the whole answer of another."""

import threading
import time
from collections.abc import Callable

import pytest

from flash_ls.deadline import Deadline
from flash_ls.engine.turns import Turns
from flash_ls.errors import Cancelled

PASS_S = 0.005
WAIT_S = 20.0


class Office:
    """Whose passes ran, in order."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.passes: list[str] = []
        self._inside = 0

    def work(self, name: str, passes: int, deadline: Deadline) -> None:
        with self.turns.work(deadline):
            for _ in range(passes):
                with self.turns.turn(deadline):
                    self._inside += 1
                    assert self._inside == 1
                    self.passes.append(name)
                    time.sleep(PASS_S)
                    self._inside -= 1

    def start(self, name: str, passes: int, deadline: Deadline | None = None) -> threading.Thread:
        thread = threading.Thread(target=self.work, args=(name, passes, deadline or Deadline()), daemon=True)
        thread.start()
        return thread


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def finish(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_passes_alternate() -> None:
    office = Office()
    long = office.start("long", 40)
    until(lambda: len(office.passes) > 2)
    short = office.start("short", 5)
    finish(short)
    assert len(office.passes) < 25
    finish(long)


def test_who_gives_way_waits_for_all_others() -> None:
    office = Office()
    ahead = office.start("ahead", 50, Deadline(gives_way=True))
    until(lambda: len(office.passes) > 2)
    asked = office.start("asked", 10)
    finish(asked)
    first = office.passes.index("asked")
    assert office.passes[first : first + 10] == ["asked"] * 10
    finish(ahead)
    assert office.passes.count("ahead") == 50


@pytest.mark.parametrize("gives_way", [False, True])
def test_who_waits_may_be_cancelled(gives_way: bool) -> None:
    office, deadline = Office(), Deadline(gives_way=gives_way)
    raised = threading.Event()

    def wait() -> None:
        with pytest.raises(Cancelled), office.turns.turn(deadline):
            pass
        raised.set()

    with office.turns.work(Deadline()), office.turns.turn(Deadline()):
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        time.sleep(0.02)
        deadline.cancel()
        assert raised.wait(WAIT_S)
    finish(waiting, office.start("next", 1))


def test_a_pass_that_fails_gives_its_turn_back() -> None:
    office = Office()
    with pytest.raises(ZeroDivisionError), office.turns.turn(Deadline()):
        raise ZeroDivisionError
    finish(office.start("next", 1))
    assert office.turns.running is None


def test_which_pass_runs_is_known() -> None:
    office = Office()
    numbers = []
    for _ in range(2):
        with office.turns.turn(Deadline()):
            numbers.append(office.turns.running)
    assert None not in numbers
    assert numbers[0] != numbers[1]
