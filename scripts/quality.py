#!/usr/bin/env python3
"""What rounding costs: each precision against float32 of the same weights, on the same answers. The last line is JSON.

    pip install 'flash-ls[model]'
    scripts/quality.py                               220 answers: about half an hour on two cores
    scripts/quality.py --tasks 20 --precisions int4  a first look
    scripts/quality.py --reference FOLDER            keeps the float32 model there, for scripts/eval.py --model

A prompt is built as for an editor, and its true answer (the text taken back for healing, and the middle, 64 tokens at
most) is fed after it token by token, as it is served: the prompt in the engine's chunks, its last pass precise; then
one token a pass, and where the two best words lie closer than `recheck_below` the pass is repeated precisely; only
words that agree with the healed text count until it is spelt. float32 takes the same tokens in one pass. Cases are
those of --bench: half of them lines and blocks of real repositories, half single lines of HumanEval.

- nll: mean negative log-likelihood of the answers' tokens in nats. float32's is taken over the same words.
- relative: the difference to float32's nll over that, with its standard error over the cases.
- agreement: how often the likeliest word is float32's, of all its words.
- rechecked: the share of passes repeated.
- unreachable: tokens that the shortlist and the prompt do not hold; left out of both likelihoods.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact import store
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.cache import KVCache
from flash_ls.engine.decode import prefill
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.head import IdArray, Logits
from flash_ls.engine.manifest import TOKENIZER_FILE, ModelManifest, graph_file
from flash_ls.engine.model import Model
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import FlashLsError
from flash_ls.prompt import build_prompt
from flash_ls.tuning import load_model
from scripts.bench.weights import REFERENCE, build_reference, gguf_file, weight_bytes
from scripts.cases import BENCH, Case, load_cases, spread
from scripts.report import table

MOST_TOKENS = 64
"""Of an answer."""


class Task(NamedTuple):
    """A prompt, and the tokens of its true answer."""

    prompt: list[int]
    answer: list[int]
    allowed: list[IdArray | None]
    """The words that may come at each place of the answer; None for any."""


class Score(NamedTuple):
    """One precision on an answer or one token of it; likelihoods in nats, summed over the reachable tokens."""

    tokens: int
    """Reachable ones."""
    unreachable: int
    nll: float
    reference_nll: float
    agreed: int
    rechecked: int


class Served(NamedTuple):
    """The logits of one place, as the decoder has them."""

    logits: Logits
    rechecked: bool


def load_tasks(bench: Path, count: int, tokenizer: Tokenizer, described: ModelManifest) -> list[Task]:
    fresh = spread([*load_cases("fresh", bench), *load_cases("fresh-blocks", bench)], count - count // 2)
    cases = fresh + spread(load_cases("humaneval-single", bench), count // 2)
    return [task_of(case, tokenizer, described) for case in cases]


def task_of(case: Case, tokenizer: Tokenizer, described: ModelManifest) -> Task:
    prompt = build_prompt(case.before, case.after, described.prompt, tokenizer, Config())
    answer, _ = tokenizer.encode(prompt.healed.decode("utf-8", "replace") + case.middle)
    answer = answer[:MOST_TOKENS]
    return Task(prompt.token_ids, answer, list(allowed_words(prompt.healed, answer, tokenizer)))


def allowed_words(healed: bytes, answer: Sequence[int], tokenizer: Tokenizer) -> Iterator[IdArray | None]:
    """What agrees with the rest of the healed text before each token of the answer."""
    for token in answer:
        yield tokenizer.agreeing(healed) if healed else None
        healed = healed[len(tokenizer.token_bytes(token)) :]


def load_reference(folder: Path, gguf: Path, model: str) -> OnnxModel:
    """The model in float32 over all words, from a folder that has it, or which it is built into."""
    if not folder.exists():
        with tqdm(total=100, desc="float32 model", unit="%", disable=None) as bar:
            build_reference(folder, gguf, model, lambda label, done: show(bar, label, done))
    return OnnxModel(folder, manifest.read(folder), REFERENCE)


def show(bar: Any, label: str, done: float) -> None:
    bar.set_description(label)
    bar.update(round(100 * done) - bar.n)


def reference_logits(model: Model, cache: KVCache, task: Task) -> FloatArray:
    """Logits [answer, vocabulary] at each place of the answer, in one pass; `model` has all words."""
    cache.tokens.clear()
    tokens = [*task.prompt, *task.answer[:-1]]
    return model.forward(tokens, cache, len(task.answer), Deadline()).values


def served_logits(model: Model, cache: KVCache, task: Task) -> Iterator[Served]:
    """Each place of the answer as a decoder meets it that chooses these tokens."""
    cache.tokens.clear()
    prefill(model, cache, task.prompt, Deadline())
    rest, first = task.prompt[len(cache.tokens) :], task.allowed[0]
    yield Served(model.forward(rest, cache, 1, Deadline(), first, precise=True), False)
    for token, words in zip(task.answer, task.allowed[1:], strict=False):
        logits = model.forward([token], cache, 1, Deadline(), words)
        if close := lead(logits) < model.recheck_below:
            cache.tokens.pop()
            logits = model.forward([token], cache, 1, Deadline(), words, precise=True)
        yield Served(logits, close)


def lead(logits: Logits) -> float:
    """How far the best of one row is before the second best, in nats."""
    row = logits.values[0]
    others = np.delete(row, row.argmax())
    return float(row.max() - others.max()) if len(others) else np.inf


def loss(row: FloatArray, place: int) -> float:
    """Negative log-likelihood of the word at `place`, in nats."""
    behind = row.astype(np.float64) - row[place]
    top = behind.max()
    return float(top + np.log(np.exp(behind - top).sum()))


def score_token(token: int, allowed: IdArray | None, reference: FloatArray, served: Served) -> Score:
    """Compare one row of float32's logits [vocabulary] with what is served there, over the served words."""
    words, (row, *_), *_ = served.logits
    candidates = np.arange(len(reference)) if allowed is None else allowed
    agreed = words[row.argmax()] == candidates[reference[candidates].argmax()]
    found = np.flatnonzero(words == token)
    if not len(found):
        return Score(0, 1, 0.0, 0.0, int(agreed), int(served.rechecked))
    place = int(found[0])
    return Score(1, 0, loss(row, place), loss(reference[words], place), int(agreed), int(served.rechecked))


def score(model: Model, cache: KVCache, task: Task, reference: FloatArray) -> Score:
    """One precision on one answer."""
    places = zip(task.answer, task.allowed, reference, served_logits(model, cache, task), strict=True)
    return Score(*map(sum, zip(*(score_token(*place) for place in places), strict=True)))


def summary(scores: Sequence[Score], megabytes: float) -> dict[str, float]:
    """Figures of one precision over all answers."""
    sums = np.array(scores, np.float64)
    tokens, unreachable, nll, reference_nll, agreed, rechecked = sums.sum(axis=0)
    relative = (nll - reference_nll) / reference_nll
    errors = sums[:, 2] - (1 + relative) * sums[:, 3]
    places = tokens + unreachable
    return {
        "nll": round(nll / tokens, 5),
        "reference_nll": round(reference_nll / tokens, 5),
        "relative": round(relative, 5),
        "relative_se": round(float(np.sqrt(np.square(errors).sum())) / reference_nll, 5),
        "agreement": round(agreed / places, 5),
        "rechecked": round(rechecked / max(1, places - len(scores)), 5),
        "unreachable": int(unreachable),
        "tokens": int(tokens),
        "weights_mb": round(megabytes, 1),
    }


def evaluate(args: argparse.Namespace, gguf: Path) -> dict[str, Any]:
    folder = store.ensure(args.model, lambda label, done: None)
    described = manifest.read(folder)
    tasks = load_tasks(args.bench, args.tasks, Tokenizer(folder / TOKENIZER_FILE), described)
    models = {name: load_model(folder, described, Config(precision=name))[0] for name in args.precisions}
    caches = {name: model.new_cache() for name, model in models.items()}
    scores: dict[str, list[Score]] = {name: [] for name in models}
    with tempfile.TemporaryDirectory() as scratch:
        kept = args.reference or Path(scratch) / REFERENCE
        reference = load_reference(kept, gguf, args.model)
        cache = reference.new_cache()
        for task in tqdm(tasks, "answers", unit="answer", disable=None):
            expected = reference_logits(reference, cache, task)
            for name, model in models.items():
                scores[name].append(score(model, caches[name], task, expected))
        whole = weight_bytes(kept / graph_file(REFERENCE)) / 1e6
    bytes_of = {name: weight_bytes(folder / graph_file(name)) for name in models}
    figures = {name: summary(scores[name], bytes_of[name] / 1e6) for name in models}
    return {"tasks": len(tasks), "reference_weights_mb": round(whole, 1), "precisions": figures}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precisions", type=lambda names: names.split(","), default=["mixed", "int8", "int4"])
    parser.add_argument("--tasks", type=int, default=220, help="default: %(default)s")
    parser.add_argument("--model", default=Config().model, help="default: %(default)s")
    parser.add_argument("--gguf", type=Path, help="upstream weights (default: those of the model)")
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="where the model in float32 is, or shall be")
    parser.add_argument("--bench", type=Path, default=BENCH, help="folder of the cases (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        with gguf_file(args.gguf, args.model) as gguf:
            said = evaluate(args, gguf)
    except FlashLsError as error:
        sys.exit(str(error))
    figures = said["precisions"]
    names = list(next(iter(figures.values())))
    print(table([["", *figures], *([name, *(one[name] for one in figures.values())] for name in names)]))
    print(json.dumps(said))


if __name__ == "__main__":
    main()
