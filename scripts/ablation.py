#!/usr/bin/env python3
"""Score what the completer does around the model, one part after the other. The last line of the output is JSON.

    scripts/ablation.py [--single 300] [--predictions FOLDER]    on fresh-all, then on humaneval-single
    scripts/ablation.py --model qwen2.5-coder-1.5b --steps usual --single 0

Each step has what the one before has, and one part more:

    raw      what follows and what precedes the cursor; the likeliest answer, cut where its line or block ends
    healed   the word at the cursor is spelt again (token healing)
    project  excerpts of other files, where the case has any
    sound    what an answer repeats is trimmed, and it has to fit the syntax and the indentation around it
    retried  where the first answer does not fit, others are tried, and of lines that fit the likeliest is taken: the
             completer as it is
    silent   of that, what is shown to somebody who did not ask

Beside them, `usual` is raw with what precedes the cursor first (prefix-suffix-middle, as models are published): how far
one gets without any of this. The same question to the model has the same answer in each step, so that a difference is
due to the part alone; the latencies tell nothing. gained and lost are cases against the step before, p is that of the
exact McNemar test. A run that finds its own --predictions goes on where it stopped; scripts/eval.py --report reads
those of single steps.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact.store import ensure
from flash_ls.completer import Completer, Completion
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine import manifest
from flash_ls.engine.decode import Generation, GenerationParams
from flash_ls.engine.draft_model import load_draft
from flash_ls.engine.drafter import Gain
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.manifest import TOKENIZER_FILE, PromptFormat
from flash_ls.engine.model_drafter import drafter_for
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import FlashLsError
from flash_ls.place import Fitted, Place
from flash_ls.postprocess import CutRule
from flash_ls.prompt import Prompt
from flash_ls.tuning import load_model
from scripts import eval as evaluation
from scripts import predictions, report
from scripts.cases import BENCH, load_suite, spread
from scripts.comparison import compare, pairs
from scripts.eval import BAD_USE, settings_of
from scripts.predictions import Record
from scripts.report import Figures
from scripts.scores import load_metrics

Runs = dict[str, list[Record]]
"""The records of each step."""
SLICES: Mapping[str, Callable[[Record], bool]] = {
    "all": lambda record: True,
    "one line": lambda record: record.kind != "block",
    "one line, other file needed": lambda record: record.kind != "block" and record.cross_file,
    "bodies": lambda record: record.kind == "block",
}


class Once(Place):
    """A place where no answer but the likeliest is tried."""

    def may_go_on(self, text: str) -> bool:
        return False

    def telling(self, text: str) -> int:
        return -sys.maxsize


class Bare(Once):
    """A place that the model sees as it stands, and that takes an answer up to the end of its line or block."""

    @property
    def after(self) -> str:
        return self.snapshot.after

    def fit(self, text: str, finished: bool, rule: CutRule | None = None) -> Fitted:
        cut = (rule or self.rule).cut(text, finished)
        return Fitted(cut, 0, "" if cut.strip() else "empty")


class Step(NamedTuple):
    """Which parts are at work."""

    name: str
    heals: bool = True
    has_project: bool = True
    place: type[Place] = Place
    prefix_first: bool = False


STEPS = (
    Step("raw", heals=False, has_project=False, place=Bare),
    Step("healed", has_project=False, place=Bare),
    Step("project", place=Bare),
    Step("sound", place=Once),
    Step("retried"),
)
USUAL = Step("usual", heals=False, has_project=False, place=Bare, prefix_first=True)
KNOWN = {step.name: step for step in (USUAL, *STEPS)}
DEFAULT = [step.name for step in STEPS]


class Ablated(Completer):
    """The completer without the parts that a step lacks."""

    def __init__(self, step: Step, engine: LocalEngine, form: PromptFormat, config: Config) -> None:
        super().__init__(engine, form, config if step.has_project else replace(config, context_tokens=0))
        self._step, self._form = step, form

    def candidates(self, snapshot: Snapshot, deadline: Deadline, most: int) -> list[Completion]:
        if self._step.place is Place:
            return super().candidates(snapshot, deadline, most)
        return self._candidates(self._step.place(snapshot), deadline, most, insist=True)

    def _prompt(self, place: Place, leisure: bool = False, hurry: bool = False) -> Prompt:
        prompt = super()._prompt(place, leisure, hurry)
        if self._step.heals:
            return prompt
        word = self._engine.tokenizer.encode(prompt.healed.decode("utf-8", "replace"))[0]
        tokens = prompt.token_ids + word
        if self._step.prefix_first:
            tokens = usual(tokens, prompt.stable_len, self._form)
        return Prompt(tokens, prompt.stable_len, b"", 0)


def usual(tokens: list[int], stable: int, form: PromptFormat) -> list[int]:
    """A prompt without excerpts, of which `stable` tokens come before the prefix, with the prefix before the suffix."""
    suffix, prefix = tokens[2 : stable - 1], tokens[stable:]
    return [form.fim_prefix, *prefix, form.fim_suffix, *suffix, form.fim_middle]


class Remembering(LocalEngine):
    """An engine that gives the same answer to the same question, the second time at no cost."""

    def generate(self, prompt: list[int], params: GenerationParams, deadline: Deadline) -> Generation:
        rule = getattr(params.complete, "__self__", params.complete)
        asked = (tuple(prompt), params.max_tokens, params.healed, params.forced, rule)
        if asked not in self._known:
            self._known[asked] = super().generate(prompt, params, deadline)
        return self._known[asked]

    @cached_property
    def _known(self) -> dict[tuple[object, ...], Generation]:
        return {}


def load_completers(folder: Path, config: Config, steps: Sequence[str] = DEFAULT) -> dict[str, Completer]:
    """A completer for each of the steps, on one engine. Raises `ModelError`."""
    described = manifest.read(folder)
    model, costs = load_model(folder, described, config)
    drafter = drafter_for(load_draft(folder, described), Gain(costs.best))
    engine = Remembering(model, Tokenizer(folder / TOKENIZER_FILE), drafter, config.cache_mb)
    return {name: Ablated(KNOWN[name], engine, described.prompt, config) for name in steps}


def run(args: argparse.Namespace) -> Iterator[tuple[str, Runs]]:
    """The records of one suite after the other. Raises `EvalError` and `ModelError`."""
    load_metrics(args.bench)
    suites = [load_suite("fresh-all", args.bench)]
    if args.single:
        single = load_suite("humaneval-single", args.bench)
        suites.append(single._replace(cases=spread(single.cases, args.single)))
    folder = ensure(args.model, lambda label, done: None)
    completers = load_completers(folder, Config(model=args.model), args.steps)
    for suite in suites:
        runs: Runs = {}
        for step, completer in completers.items():
            path = args.predictions / f"{suite.name}-{step}.jsonl" if args.predictions else None
            settings = settings_of(suite, completer.config, folder) | {"step": step}
            done = predictions.begin(path, settings) if path else []
            runs[step] = evaluation.run(completer, suite, args.bench, path, done)
        yield suite.name, runs


def summary(runs: Runs) -> Figures:
    """The figures of each slice, of each step in it against the one before, and of what is shown unasked."""
    said: Figures = {}
    for name, belongs in SLICES.items():
        parts = {step: [one for one in records if belongs(one)] for step, records in runs.items()}
        first = next(iter(parts))
        if parts[first] and (name == "all" or len(parts[first]) < len(runs[first])):
            said[name] = {step: report.figures(records) for step, records in parts.items()}
            for before, step in pairwise(parts):
                said[name][step]["against"] = compare(pairs(parts[step], parts[before]))
            said[name]["silent"] = report.automatic(parts.get("retried", []), Config().min_confidence)
    return said


def table(said: Figures) -> str:
    """In Markdown: one row for each step, and a line on what is shown unasked."""
    tests = "pass@1 gained lost p " * (next(iter(said.values()))["pass_at_1"] is not None)
    heading = f"step exact gained lost p {tests}edit saved syntax".split()
    rows = [heading, ["---"] * len(heading), *(row(step, said[step]) for step in KNOWN if step in said)]
    silent = ", ".join(f"{key} {value}" for key, value in (said["silent"] or {}).items())
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows) + f"\nsilent: {silent or 'nothing is sure'}\n"


def row(step: str, said: Figures) -> list[str]:
    cells = [step]
    for rate, paired in (("exact_match", "exact_match"), ("pass_at_1", "passed")):
        if said[rate] is not None:
            against = said["against"][paired] if "against" in said else {}
            cells += [f"{said[rate]:.3f}", *(str(against.get(key, "")) for key in ("wins", "losses", "p"))]
    return [*cells, *(str(said[rate]) for rate in ("edit_similarity", "characters_saved", "syntax_valid"))]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=BENCH, help="folder of the cases (default: %(default)s)")
    parser.add_argument("--single", type=int, default=300, help="so many of humaneval-single (default: %(default)s)")
    parser.add_argument(
        "--steps", nargs="+", choices=KNOWN, default=DEFAULT, metavar="STEP", help="default: all but usual"
    )
    parser.add_argument("--model", default=Config().model, help="default: %(default)s")
    parser.add_argument("--predictions", type=Path, metavar="FOLDER", help="write a file for each suite and step there")
    return parser.parse_args()


def main() -> None:
    said: Figures = {}
    try:
        for suite, runs in run(arguments()):
            said[suite] = summary(runs)
            for name, part in said[suite].items():
                print(f"{suite}, {name}: {next(iter(part.values()))['n']} cases\n\n{table(part)}", flush=True)
    except FlashLsError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_USE)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
