"""What goes wrong, and how to bring it about. Each function returns when the fault is over or done.

Those that stop or kill the engine process choose the moment by what it does.
"""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from scripts.breaking import processes
from scripts.breaking.memory_group import MemoryGroup
from scripts.breaking.processes import ran_ticks, stopped_when, tell, writes
from scripts.breaking.scene import Scene

PATIENCE_S = 5.0
MOST_TRIES = 20
DAY_S = 86_400
SPARE = 200 << 20
"""Bytes of address space that are left to a process that runs out of it: too few for a model."""
SERVED = ("mixed.onnx", "model.data", "embedding.npy", "tokenizer.json", "manifest.json")
MOMENTS = ("idle", "in prefill", "in decode")
Fault = Callable[[Scene], None]


def stop_engine(scene: Scene, moment: str) -> int:
    """Stop the engine process while it does this, or while nobody asks; its number."""
    if moment == "idle":
        pid = scene.await_engine()
        tell([pid], signal.SIGSTOP)
        return pid
    for _ in range(MOST_TRIES):
        pid = scene.await_engine()
        ran, wrote = ran_ticks(pid), writes(pid)
        scene.begin_to_ask(triggerKind=1)
        if stopped_when(pid, partial(is_at, pid, moment, ran, wrote), PATIENCE_S):
            return pid
        scene.finish()
    raise TimeoutError(f"the engine process was never seen {moment}")


def is_at(pid: int, moment: str, ran: int, wrote: int) -> bool:
    """Whether it has worked since then and said nothing, or has said some words."""
    said = writes(pid) - wrote
    return said >= 3 if moment == "in decode" else said == 0 and ran_ticks(pid) - ran >= 2


def killed(moment: str) -> Fault:
    def inject(scene: Scene) -> None:
        tell([stop_engine(scene, moment)], signal.SIGKILL)

    return inject


def stuck(scene: Scene) -> None:
    """It stops and never goes on, idle or at work; the server has to notice."""
    stop_engine(scene, scene.chance.choice(MOMENTS))


def socket_removed(scene: Scene) -> None:
    """And the server started again, which has to find the process."""
    for path in scene.home.rglob("*.sock"):
        path.unlink()
    scene.server.close()
    scene.start()


def disk_full(scene: Scene) -> None:
    """That of the home folder, while the engine process has to start again."""
    ballast = scene.home / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    scene.undo = ballast.unlink
    tell(scene.engines(), signal.SIGKILL)


def model_corrupted(scene: Scene) -> None:
    """The process dies, and a file of the model is cut, or a small one garbled; then it is as it was.

    Weights of the right length are read as they are; `flash-ls model verify` tells that they are others.
    """
    tell(scene.engines(), signal.SIGKILL)
    path = scene.model / scene.chance.choice(SERVED)
    with replaced(path, garbled if path.suffix in (".onnx", ".json") and scene.chance.random() < 0.5 else cut):
        for _ in range(2):  # the first may find only that the process is gone
            scene.ask()


def client_killed(scene: Scene) -> None:
    """In the middle of a request: the editor with its server, or the editor alone, whose server has to end."""
    scene.begin_to_ask()
    server = scene.server
    if scene.chance.random() < 0.5:
        server.process.kill()
    assert server.process.stdin is not None
    server.process.stdin.close()
    scene.start()
    if not processes.gone([server.process.pid], PATIENCE_S):
        raise TimeoutError("the server of a dead editor does not end")


def suspended(scene: Scene) -> None:
    """Server and engine process stop for up to 5 s, at work or not, and go on in any order."""
    if scene.chance.random() < 0.7:
        scene.begin_to_ask()
        time.sleep(scene.chance.random() * 0.3)
    both = [scene.server.process.pid, *scene.engines()]
    scene.chance.shuffle(both)
    tell(both, signal.SIGSTOP)
    time.sleep(scene.chance.uniform(0.1, 5.0))
    tell(both, signal.SIGCONT)


def out_of_memory(scene: Scene) -> None:
    """The engine process asks for more than it may have and is killed, or the next one cannot even load."""
    scene.chance.choice((outgrown, too_small))(scene)


def outgrown(scene: Scene) -> None:
    """The kernel kills it in the middle of a request, as it may take no page more."""
    group = MemoryGroup()
    scene.undo = group.remove
    pid = scene.await_engine()
    group.add(pid)
    scene.begin_to_ask_elsewhere()
    if not processes.gone([pid], PATIENCE_S):
        raise TimeoutError("the engine process took no more memory")


def too_small(scene: Scene) -> None:
    """What the server starts may have little address space (ulimit -v) while its engine process has to start again."""
    server = scene.server.process.pid
    limit = processes.address_space(server) + SPARE
    _, most = resource.prlimit(server, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    tell(scene.engines(), signal.SIGKILL)
    for _ in range(2):  # the first may find only that the process is gone
        scene.ask()
    resource.prlimit(server, resource.RLIMIT_AS, (most, most))


def clock_jumped(scene: Scene) -> None:
    """A day on or back, for the server and the engine process, while somebody types."""
    assert scene.clock is not None
    scene.begin_to_ask()
    scene.clock.move(scene.chance.choice((-DAY_S, DAY_S, 0)))


@contextlib.contextmanager
def replaced(path: Path, change: Callable[[Path, Path], None]) -> Iterator[None]:
    """Another file in its place."""
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    change(kept, path)
    yield
    kept.replace(path)


def cut(whole: Path, path: Path) -> None:
    """The first half, of at most so much that it costs no time."""
    with whole.open("rb") as file:
        path.write_bytes(file.read(min(whole.stat().st_size // 2, 1 << 20)))


def garbled(whole: Path, path: Path) -> None:
    """The first part, then nothing but zeros, in the length of the whole."""
    cut(whole, path)
    os.truncate(path, whole.stat().st_size)


FAULTS: dict[str, Fault] = {
    **{f"engine killed, {moment}": killed(moment) for moment in MOMENTS},
    "engine stuck": stuck,
    "socket removed": socket_removed,
    "disk full": disk_full,
    "model file corrupted": model_corrupted,
    "client killed": client_killed,
    "machine suspended": suspended,
    "out of memory": out_of_memory,
    "clock jump": clock_jumped,
}
