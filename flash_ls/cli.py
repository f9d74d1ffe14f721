"""What people type: `flash-ls` serves an editor; its sub-commands try the model, manage it and look for faults.

What runs a model is imported where it is used: a server that shares one does without, and is smaller.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NoReturn, Self

from tqdm import tqdm

from flash_ls import __version__, presence, private_file, status_text
from flash_ls.artifact import store
from flash_ls.artifact.catalog import catalog, find
from flash_ls.completer import Completer, Completion
from flash_ls.config import LEVELS, Config, schema
from flash_ls.context import Context
from flash_ls.deadline import Deadline, Progress
from flash_ls.document import Snapshot
from flash_ls.errors import DocumentError, FlashLsError
from flash_ls.project import Project
from flash_ls.server import serve
from flash_ls.shared import loading
from flash_ls.source_file import snapshot_of_file
from flash_ls.statistics import PRICE, WATTS, Statistics, total
from flash_ls.statistics_page import page
from flash_ls.team.plan import Plan

DEFAULT_MODEL = Config().model
BAR = "{desc}: {percentage:3.0f}% |{bar:40}| {elapsed}"
PAGE = "statistics.html"
SHOWN_LINES = 6
"""Lines of code shown above and below a completion."""


class ProgressBar:
    """Progress of long work on stderr: one bar for each thing that is done, or one line if that is no terminal."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._label = ""

    def __call__(self, label: str, fraction: float) -> None:
        if label != self._label:
            self.close()
            self._label = label
            self._bar = tqdm(desc=label, total=100, bar_format=BAR, leave=False, disable=None)
            if self._bar.disable:
                print(f"{label} ...", file=sys.stderr)
        if self._bar is not None:
            self._bar.n = round(100 * fraction)
            self._bar.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def load(config: Config, progress: Progress) -> Completer:
    """The completer of the configured model, built first if need be."""
    from flash_ls.local import load_completer

    return load_completer(store.ensure(config.model, progress), config)


def share(config: Config, progress: Progress, background: bool = False) -> Completer:
    """The same, with the model on a team's server if there is one, else in a process that all servers share."""
    if config.engine_url:
        from flash_ls.team.loading import load_completer

        return load_completer(config, progress)
    folder = store.ensure(config.model, progress)
    return loading.load_completer(store.home(), folder, config, progress, background) or load(config, progress)


def run_server(args: argparse.Namespace) -> NoReturn:
    """`flash-ls` without a command, which editors run."""
    first, pro = (load, load) if args.in_process else (share, partial(share, background=True))
    serve(first, store.home(), Config(log_level=args.log_level), pro)


def run_engine(args: argparse.Namespace) -> NoReturn:
    """`flash-ls engine`, which servers run."""
    from flash_ls.shared import main

    main.run(store.home(), args.folder, args.settings, args.background)


def serve_team(args: argparse.Namespace) -> None:
    """`flash-ls serve`. Raises `FlashLsError`."""
    try:
        from flash_ls.team.deployment import run
    except ImportError as error:
        raise FlashLsError(f"A team's server needs Ray ({error}); run `pip install 'flash-ls[serve]'`.") from error
    from flash_ls.team.token import known

    given = {name: getattr(args, name) for name in TEAM_OPTIONS}
    with ProgressBar() as progress:
        plan = Plan(store.ensure(args.model, progress), known(args.tokens), **given)
    plan.check()
    run(plan)


def parse_place(place: str) -> tuple[Path, int, int]:
    """FILE:LINE:COL, numbered from 1 as editors show them."""
    try:
        path, line, column = place.rsplit(":", 2)
        return Path(path), int(line), int(column)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{place!r} is not FILE:LINE:COL, e.g. src/app.py:12:5") from None


def complete(args: argparse.Namespace) -> None:
    """`flash-ls complete`."""
    config = Config(model=args.model)
    path, line, column = args.place
    snapshot = snapshot_of_file(path, line - 1, column - 1, config.max_file_bytes)
    with ProgressBar() as progress:
        completer = load(config, progress)
    if args.project:
        completer.context = read_project(args.project)
    completion = completer.complete(snapshot, Deadline())
    print(json.dumps(asdict(completion)) if args.json else rendered(snapshot, completion, sys.stdout.isatty()))


def read_project(folder: Path) -> Context:
    """What is known of a project once all of it has been read. Raises `DocumentError`."""
    if not folder.is_dir():
        raise DocumentError(f"There is no folder {folder}; give the folder of the project.")
    project = Project([str(folder)], [], busy=lambda: False)
    project.start()
    project.wait()
    return Context(project, project.index)


def rendered(snapshot: Snapshot, completion: Completion, colour: bool) -> str:
    """The completion in its place in the code, and under it what it cost."""
    left, right = ("\x1b[1;32m", "\x1b[0m") if colour else ("⟦", "⟧")
    above = snapshot.text[: completion.start].split("\n")[-SHOWN_LINES:]
    below = snapshot.text[completion.end :].split("\n")[:SHOWN_LINES]
    code = "\n".join(above) + left + completion.text + right + "\n".join(below)
    return f"{code}\n\n{described(completion)}"


def described(completion: Completion) -> str:
    """One line on how the completion came about."""
    stats = completion.stats
    if stats is None:
        return f"finish: {completion.reason}, without a model call"
    tokens = f"prompt: {stats.prompt_tokens} tokens, {stats.cached_tokens} of them cached"
    return (
        f"{tokens} | prefill: {stats.prefill_ms:.0f} ms | decode: {stats.decode_ms:.0f} ms, "
        f"{stats.target_steps} steps | finish: {completion.reason}"
    )


def list_models(args: argparse.Namespace) -> None:
    """`flash-ls model list`."""
    for entry in catalog().values():
        state = "ready" if store.folder_of(entry).is_dir() else "not built"
        print(f"{entry.name}  {state}  {entry.licence}  {entry.title}")


def fetch_model(args: argparse.Namespace) -> None:
    """`flash-ls model fetch`."""
    with ProgressBar() as progress:
        path = store.fetch(find(args.model), progress)
    print(path)


def build_model(args: argparse.Namespace) -> None:
    """`flash-ls model build`."""
    with ProgressBar() as progress:
        folder = store.build(find(args.model), progress, args.weights)
    print(folder)


def verify_model(args: argparse.Namespace) -> None:
    """`flash-ls model verify`."""
    folder = store.folder_of(find(args.model))
    described = store.verify(folder, lambda label, done: None)
    print(f"{folder}: {len(described.files)} files are as they should be")


def remove_model(args: argparse.Namespace) -> None:
    """`flash-ls model remove`."""
    with ProgressBar() as progress:
        freed = store.remove(find(args.model), progress)
    print(f"{freed / 1e6:.0f} MB freed")


def model_path(args: argparse.Namespace) -> None:
    """`flash-ls model path`."""
    print(store.folder_of(find(args.model)))


def doctor(args: argparse.Namespace) -> None:
    """`flash-ls doctor`."""
    from flash_ls.doctor import examine

    report = examine(Config(model=args.model))
    print("\n".join(f"{name:14} {fact}" for name, fact in report.facts))
    print("\n".join(f"wrong: {problem}" for problem in report.problems) or "\nNothing is wrong.")
    sys.exit(1 if report.problems else 0)


def status(args: argparse.Namespace) -> None:
    """`flash-ls status`."""
    reports = presence.running(presence.folder_in(store.home()))
    print(json.dumps(reports) if args.json else status_text.text(reports))


def settings(args: argparse.Namespace) -> None:
    """`flash-ls settings`."""
    print(json.dumps(schema(), indent=2))


def stats(args: argparse.Namespace) -> None:
    """`flash-ls stats`. Raises `FlashLsError`."""
    if args.delete:
        delete_statistics()
        return
    days = Statistics(store.home()).load()
    if args.json:
        print(json.dumps({"total": total(days), "days": days}))
        return
    path = args.out or store.home() / PAGE
    try:
        private_file.write(path, page(days, args.watts, args.price))
    except OSError as error:
        raise FlashLsError(f"{path} cannot be written ({error.strerror}); name another file with --out.") from error
    print(f"{path}\nOpen this file in a browser.")


def delete_statistics() -> None:
    """The numbers and the page made of them. Raises `FlashLsError`."""
    home = store.home()
    try:
        Statistics(home).delete()
        (home / PAGE).unlink(missing_ok=True)
    except (OSError, NotImplementedError) as error:
        raise FlashLsError(f"The statistics in {home} cannot be deleted ({error}); delete them by hand.") from error
    print("The statistics are deleted. Set flashLs.statistics to false to have none from now on.")


def positive(number: str) -> float:
    """A number that something may cost."""
    if not 0 < (value := float(number)) < math.inf:
        raise ValueError(number)
    return value


MODEL_COMMANDS = {
    "list": (list_models, "the models flash-ls knows"),
    "fetch": (fetch_model, "download the weights into the cache folder"),
    "build": (build_model, "build the servable model from the weights"),
    "verify": (verify_model, "check every file of the model"),
    "remove": (remove_model, "delete the model and its weights"),
    "path": (model_path, "where the model is, or will be"),
}


TEAM_OPTIONS = {
    "host": "the address to listen on",
    "port": "the port to listen on",
    "certificate": "its TLS certificate, a PEM file",
    "key": "the key of the certificate, a PEM file",
    "replicas": "engines that always run",
    "most_replicas": "engines that run under load",
    "target": "requests under way in each engine at which another is started",
    "at_once": "requests of one engine at the most",
    "queue": "requests that wait for an engine; further ones are refused",
    "metrics_port": "where Prometheus finds the metrics",
    "precision": "how exactly the model computes",
    "threads": "of one forward pass; 0: half of the logical processors",
    "cache_mb": "MB of memory for the prompts of one engine",
}
"""Of `Plan`."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="flash-ls", description="Code completion that runs on your own machine.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--in-process", action="store_true", help="have a model of its own for this server")
    told = "how much to log on stderr (default: %(default)s)"
    parser.add_argument("--log-level", choices=LEVELS, default=Config().log_level, help=told)
    parser.set_defaults(command=run_server)
    commands = parser.add_subparsers(title="commands", description="without one, serve an editor on stdin and stdout")
    one = commands.add_parser("complete", help="complete the code at one place of a file")
    one.add_argument("place", type=parse_place, metavar="FILE:LINE:COL", help="numbered from 1")
    one.add_argument("--project", type=Path, metavar="FOLDER", help="let the model see excerpts of these files as well")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.add_argument("--model", default=DEFAULT_MODEL, help="a name, or an artifact folder (default: %(default)s)")
    one.set_defaults(command=complete)
    check = commands.add_parser("doctor", help="what is installed, how fast it is, what is wrong")
    check.add_argument("--model", default=DEFAULT_MODEL, help="a name, or an artifact folder (default: %(default)s)")
    check.set_defaults(command=doctor)
    commands.add_parser("settings", help="every setting, as a JSON schema").set_defaults(command=settings)
    _add_status_commands(commands)
    _add_model_commands(commands.add_parser("model", help="manage the model"))
    _add_team_options(commands.add_parser("serve"))  # no help: only for who has installed the extra
    engine = commands.add_parser("engine")  # no help: not for people
    engine.add_argument("folder", type=Path)
    engine.add_argument("settings", type=json.loads)
    engine.add_argument("--background", action="store_true", help="let everything else go first")
    engine.set_defaults(command=run_engine)
    return parser


def _add_team_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=serve_team)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a name, or an artifact folder (default: %(default)s)")
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="a token in each line (default: the environment's)")
    for name, help_text in TEAM_OPTIONS.items():
        default = Plan.__dataclass_fields__[name].default
        told = f"{help_text} (default: {default})"
        flag = f"--{name.replace('_', '-')}"
        kind = str if default is None else type(default)
        parser.add_argument(flag, dest=name, type=kind, default=default, metavar=name[0].upper(), help=told)


def _add_status_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    now = commands.add_parser("status", help="what the running servers do, and why there is no suggestion")
    now.add_argument("--json", action="store_true", help="print one JSON array")
    now.set_defaults(command=status)
    counted = commands.add_parser("stats", help="a page of what was suggested, and what became of it")
    which = counted.add_mutually_exclusive_group()
    which.add_argument("--out", type=Path, metavar="FILE", help="where to write the page (default: the cache folder)")
    which.add_argument("--json", action="store_true", help="print the numbers as one JSON object instead")
    which.add_argument("--delete", action="store_true", help="delete the numbers")
    for name, value, help_text in (("watts", WATTS, "of one busy core"), ("price", PRICE, "EUR for a kWh")):
        told = f"{help_text} (default: %(default)s)"
        counted.add_argument(f"--{name}", type=positive, default=value, metavar=name[0].upper(), help=told)
    counted.set_defaults(command=stats)


def _add_model_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (command, purpose) in MODEL_COMMANDS.items():
        sub = commands.add_parser(name, help=purpose)
        sub.set_defaults(command=command)
        if name != "list":
            sub.add_argument("model", nargs="?", default=DEFAULT_MODEL, help="default: %(default)s")
        if name == "build":
            sub.add_argument("--weights", type=Path, metavar="FILE", help="a GGUF file on this machine")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command. Errors of the user's making end it with one sentence and status 2."""
    args = arguments().parse_args(argv)
    try:
        args.command(args)
    except FlashLsError as error:
        print(f"flash-ls: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
