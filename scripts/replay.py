#!/usr/bin/env python3
"""Replay editing sessions against a language server over stdio, and say what the typist gets. The last line is JSON.

    scripts/replay.py history FOLDER [--list scripts/replay.txt]     repositories out of releases of packages
    scripts/replay.py --repo PATH[@REVISION]…                        the sessions of git repositories
    scripts/replay.py --repo … --server NAME=COMMAND --server …      several servers, by turns
    scripts/replay.py --repo … --server llama.vim                    one that asks the same weights as llama.vim does

A session is a commit: its hunks are typed into the files of its parent, with the intervals of a human, slips, jumps and
changes of file, in an editor that indents and closes brackets. After each key the editor says what has changed, cancels
its request and sends another. A right suggestion that has stood for 250 ms is accepted: all of it, its first line, or a
word. With --fast, each key waits for its answer and nothing else takes time.

shown: from the key to the answer, of answers with a text to show that came before the next key; no model call: requests
whose line in the server's log has prompt_tokens=0; characters saved: the share of the keys that the same sessions take
without suggestions; flicker: what is shown changes though the key agreed with it; stale shown: an answer that repeats
what was just typed; unfit: one that cannot be shown where its range is. CPU and MB are those of the server's process.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cases import EvalError
from scripts.replaying import figures, history, llama_vim, plot
from scripts.replaying.commits import commits
from scripts.replaying.server import Contender, Played, Server
from scripts.replaying.sessions import Session, session, varied
from scripts.replaying.typist import Habits
from scripts.replaying.writing import keys_alone
from scripts.report import check_plot, table
from tests.lsp_client import flash_ls

OURS = flash_ls("--in-process")
"""With the model in the process whose CPU and memory are measured."""
PEER = "llama.vim"
SERVERS = {PEER: [sys.executable, str(Path(llama_vim.__file__))]}
SESSION_KEYS = 200
BAD_USE = 2


def make_history(args: argparse.Namespace) -> None:
    """Fetch the packages of a list. Raises `EvalError` if some cannot be had."""
    args.folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for releases in tqdm(history.read_list(args.list), "fetching", unit="package", disable=None):
        try:
            history.build(releases, args.folder)
        except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError) as error:
            failed.append(f"{releases.folder}: {error}")
    if failed:
        raise EvalError("\n".join(["These could not be had; run again, or correct the list:", *failed]))


def find_sessions(args: argparse.Namespace) -> list[Session]:
    """All that the repositories have, in a varied order. Raises `EvalError`."""
    found = []
    for place in tqdm(args.repo, "reading", unit="repository", disable=None):
        path, _, revision = place.partition("@")
        try:
            of_repo = (session(one, one.texts(), args.session_keys) for one in commits(Path(path), revision or "HEAD"))
            found += [one for one in of_repo if one][: args.per_repo]
        except (OSError, subprocess.SubprocessError) as error:
            raise EvalError(f"Cannot read {place}; give a git repository, and a revision that it has.") from error
    if not found:
        raise EvalError("No commit of these repositories was typed by hand in a known language; give others.")
    return varied(found, args.seed)


def chosen(sessions: Sequence[Session], args: argparse.Namespace, habits: Habits) -> list[Session]:
    """The first sessions, until the limits are reached."""
    taken: list[Session] = []
    keys = 0
    for one in sessions[: args.sessions]:
        if keys >= args.keys:
            break
        taken.append(one)
        keys += keys_alone(one, habits.closing)
    return taken


def contenders(args: argparse.Namespace) -> list[Contender]:
    """Raises `EvalError`."""
    options = dict(_pair(text) for text in args.options)
    servers = dict(_pair(text) if "=" in text else (text, "") for text in args.server or ["flash-ls"])
    if unknown := options.keys() - servers.keys():
        raise EvalError(f"There is no server {', '.join(unknown)} to give options to; name it with --server.")
    try:
        settings = {name: json.loads(options.get(name, "{}")) for name in servers}
    except ValueError as error:
        raise EvalError(f"--options takes NAME=JSON ({error}).") from error
    commands = {name: shlex.split(command) or SERVERS.get(name, OURS) for name, command in servers.items()}
    return [Contender(name, commands[name], settings[name]) for name in servers]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise EvalError(f"{text} is not of the form NAME=VALUE.")
    return name, value


def replay(sessions: Sequence[Session], servers: Sequence[Contender], fast: bool, habits: Habits) -> dict[str, Played]:
    """Every session with every server, one server after the other, those of a repository in the same process."""
    played = {contender.name: Played() for contender in servers}
    order = sorted(sessions, key=lambda one: str(one.commit.repo))
    with tqdm(total=len(order) * len(played), desc="typing", unit="session", disable=None) as bar:
        for _, of_repo in groupby(order, key=lambda one: one.commit.repo):
            for name, one in _play_repo(list(of_repo), servers, fast, habits):
                played[name].add(one)
                bar.update()
    return played


def _play_repo(
    sessions: Sequence[Session], servers: Sequence[Contender], fast: bool, habits: Habits
) -> Iterator[tuple[str, Played]]:
    with TemporaryDirectory() as folder:
        open_servers: dict[str, Server] = {}
        try:
            for contender in servers:
                root = Path(folder).resolve() / str(len(open_servers)) / sessions[0].commit.repo.name
                root.mkdir(parents=True)
                open_servers[contender.name] = Server(contender, root, fast, sessions[0])
            for one in sessions:
                for name, server in open_servers.items():
                    yield name, server.play(one, habits)
        finally:
            for server in open_servers.values():
                server.close()


def write_keys(path: Path, played: dict[str, Played]) -> None:
    """A JSON line for each key of each server."""
    with path.open("w", encoding="utf-8") as file:
        for name, one in played.items():
            file.writelines(json.dumps({"server": name, **stroke.as_json()}) + "\n" for stroke in one.keys)


def show(said: dict[str, dict[str, Any]], path: Path | None, played: dict[str, Played]) -> None:
    for rows in (figures.table(said), figures.moments_table(said), figures.reasons_table(said)):
        print(table(rows))
    if path:
        plot.draw(played, said, path)
    first = next(iter(said.values()))
    print(json.dumps(first if len(said) == 1 else {**first, "servers": said}))


def arguments() -> argparse.Namespace:
    if sys.argv[1:2] == ["history"]:
        parser = argparse.ArgumentParser(prog="replay.py history", description=history.__doc__)
        parser.add_argument("folder", type=Path, help="outside of the checkout")
        parser.add_argument("--list", type=Path, default=history.LIST, help="default: %(default)s")
        return parser.parse_args(sys.argv[2:], argparse.Namespace(command=make_history))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", nargs="+", required=True, metavar="PATH[@REVISION]")
    parser.add_argument("--server", action="append", metavar="NAME=COMMAND", help="default: this flash-ls")
    parser.add_argument("--options", action="append", default=[], metavar="NAME=JSON", help="initializationOptions")
    parser.add_argument(
        "--keys", type=int, default=4000, help="about how many, in whole sessions (default: %(default)s)"
    )
    parser.add_argument("--sessions", type=int, help="at most so many")
    parser.add_argument(
        "--session-keys", type=int, default=SESSION_KEYS, help="characters of one (default: %(default)s)"
    )
    parser.add_argument("--per-repo", type=int, help="sessions of one repository at most, the newest")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of sessions (default: %(default)s)")
    parser.add_argument("--fast", action="store_true", help="as fast as the server answers")
    parser.add_argument("--no-accept", dest="accepts", action="store_false", help="everything is typed")
    parser.add_argument("--words", action=argparse.BooleanOptionalAction, default=True, help="accept single words")
    parser.add_argument("--closing", action=argparse.BooleanOptionalAction, default=True, help="brackets and quotes")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a JSON line for each key")
    return parser.parse_args(namespace=argparse.Namespace(command=run))


def run(args: argparse.Namespace) -> None:
    """Raises `EvalError`."""
    if args.plot:
        check_plot(args.plot)
    habits = Habits(args.accepts, args.words, args.closing)
    servers = contenders(args)
    played = replay(chosen(find_sessions(args), args, habits), servers, args.fast, habits)
    if args.json:
        write_keys(args.json, played)
    show({name: figures.summary(one) for name, one in played.items()}, args.plot, played)


def main() -> None:
    args = arguments()
    try:
        args.command(args)
    except EvalError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_USE)


if __name__ == "__main__":
    main()
