#!/usr/bin/env python3
"""Let several people type for long, and say what grows meanwhile. The last line is JSON.

    scripts/soak.py --repo PATH… [--minutes 60] [--clients 4] [--plot FILE.png]

Each client has a server process of its own with a folder open, types the sessions of its share of the git repositories
at human speed (scripts/replay.py), and closes the files of one before it opens those of the next; all servers share one
engine process. Every 10 s a sample is taken of all these processes. Growth is the median of the last 5 minutes against
that of the minutes 5 to 10.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls import presence
from flash_ls.artifact.store import home
from flash_ls.config import Config
from scripts.cases import EvalError
from scripts.replaying.commits import commits
from scripts.replaying.process import memory_mb, open_files, proportional_mb, threads
from scripts.replaying.server import Contender, Server
from scripts.replaying.sessions import Session, session, varied
from scripts.replaying.typist import Habits
from scripts.report import check_plot, table
from tests.lsp_client import flash_ls

SERVER = flash_ls()
SAMPLE_S = 10.0
WARM_MIN, WINDOW_MIN = 5, 5
WRITTEN_S = 3.0
"""After which servers and engine have said what they hold."""
SESSION_KEYS = 300
LOST = ("error", "restarting")
"""Reasons for which the engine gave no answer."""
MEASURES = ("rss_mb", "pss_mb", "files", "threads", "slots", "slots_mb", "documents")
BAD_USE = 2
Sample = dict[str, float]


class Client:
    """Somebody who types one session after the other until it is time to stop."""

    def __init__(self, root: Path, sessions: Sequence[Session], options: dict[str, object]) -> None:
        root.mkdir()
        self.keys = self.sessions = self.lost = 0
        self._todo = cycle(sessions)
        self._server = Server(Contender(root.name, SERVER, options), root, False, sessions[0])
        self.pid = self._server.pid

    def work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            played = self._server.play(next(self._todo), Habits())
            self.keys += len(played.keys)
            self.sessions += 1
            self.lost += sum(stroke.reason in LOST for stroke in played.keys)

    def close(self) -> None:
        self._server.close()


def sessions_of(repos: Sequence[Path], most_typed: int) -> list[Session]:
    """In a varied order. Raises `EvalError`."""
    found = [one for repo in repos for commit in commits(repo) if (one := session(commit, commit.texts(), most_typed))]
    if not found:
        raise EvalError(f"Nobody typed in {', '.join(map(str, repos))}; give other repositories.")
    return varied(found, 0)


def sample(servers: Sequence[int], began: float) -> Sample:
    """What all processes take, and what they say that they hold."""
    said = presence.running(presence.folder_in(home()))
    engines = [int(str(report["pid"])) for report in said if "slots" in report]
    first = min(engines, default=0)
    pids = [*servers, *engines]
    held = {name: sum(float(str(report.get(name, 0))) for report in said) for name in MEASURES[4:]}
    return {
        "minute": round((time.monotonic() - began) / 60, 3),
        "engines": len(engines),
        "engine": first,
        "engine_rss_mb": sum(memory_mb(pid)[0] for pid in engines),
        "rss_mb": sum(memory_mb(pid)[0] for pid in pids),
        "pss_mb": sum(map(proportional_mb, pids)),
        "files": sum(map(open_files, pids)),
        "threads": sum(map(threads, pids)),
        **held,
    }


def sampled(servers: Sequence[int], minutes: float, out: Path | None) -> Iterator[Sample]:
    """For so long, one at a time; kept in a file as JSON lines too, if there is to be one."""
    began = time.monotonic()
    for number in tqdm(range(round(minutes * 60 / SAMPLE_S)), "typing", unit="sample", disable=None):
        time.sleep(max(0.0, began + (number + 1) * SAMPLE_S - time.monotonic()))
        with suppress(OSError, IndexError):  # a process has just ended, which the next sample tells
            taken = sample(servers, began)
            if out:
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(taken) + "\n")
            yield taken


def growth(samples: Sequence[Sample], name: str) -> dict[str, float | None]:
    """The median early and late, and by what share it has grown."""
    last = samples[-1]["minute"]
    early = [one[name] for one in samples if WARM_MIN <= one["minute"] <= WARM_MIN + WINDOW_MIN] or [samples[0][name]]
    late = [one[name] for one in samples if one["minute"] > last - WINDOW_MIN]
    before, after = median(early), median(late)
    share = round(after / before - 1, 4) if before else None
    return {
        "early": round(before, 1),
        "late": round(after, 1),
        "growth": share,
        "most": max(one[name] for one in samples),
    }


def soak(args: argparse.Namespace, folder: Path) -> tuple[list[Sample], list[Client], Sample]:
    """The samples, who typed, and a sample after all have closed their files."""
    with ExitStack() as stack:
        clients = []
        for number in range(args.clients):
            mine = sessions_of(args.repo[number :: args.clients], args.session_keys)
            clients.append(Client(folder / f"client-{number}", mine, {"model": args.model}))
            stack.callback(clients[-1].close)
        samples = type_on(clients, args)
        time.sleep(WRITTEN_S)
        return samples, clients, sample([client.pid for client in clients], time.monotonic())


def type_on(clients: Sequence[Client], args: argparse.Namespace) -> list[Sample]:
    """Raises what a client raises."""
    stop, samples = threading.Event(), []
    with ThreadPoolExecutor(len(clients)) as pool:
        typing = [pool.submit(client.work, stop) for client in clients]
        try:
            for taken in sampled([client.pid for client in clients], args.minutes, args.samples):
                samples.append(taken)
                if any(one.done() for one in typing):
                    break
        finally:
            stop.set()
        for one in typing:
            one.result()
    return samples


def draw(samples: Sequence[Sample], path: Path) -> None:
    """Each measure over time."""
    import matplotlib  # an extra

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(11, 5), dpi=150, layout="constrained")
    names = ("rss_mb", "engine_rss_mb", *MEASURES[1:])
    for axes, name in zip(figure.subplots(2, len(names) // 2).flat, names, strict=True):
        axes.plot([one["minute"] for one in samples], [one[name] for one in samples], color="#0072b2", linewidth=1)
        axes.set(title=name, xlabel="minutes", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.savefig(path)
    pyplot.close(figure)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", type=Path, nargs="+", required=True, metavar="PATH")
    parser.add_argument("--minutes", type=float, default=60, help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--model", default=Config().model, help="a name, or an artifact folder (default: %(default)s)")
    parser.add_argument("--session-keys", type=int, default=SESSION_KEYS, help="default: %(default)s")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="append a JSON line for each sample")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        if args.plot:
            check_plot(args.plot)
        with TemporaryDirectory() as folder:
            samples, clients, end = soak(args, Path(folder).resolve())
    except EvalError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_USE)
    if args.plot:
        draw(samples, args.plot)
    said = {name: growth(samples, name) for name in (*MEASURES, "engine_rss_mb", "engines")}
    print(table([["", *said["files"]], *([name, *one.values()] for name, one in said.items())]))
    typed = {"engines_in_turn": len({one["engine"] for one in samples if one["engine"]})}
    typed |= {name: sum(getattr(client, name) for client in clients) for name in ("keys", "sessions", "lost")}
    print(json.dumps({"minutes": samples[-1]["minute"], "clients": len(clients), **typed, **said, "closed": end}))


if __name__ == "__main__":
    main()
