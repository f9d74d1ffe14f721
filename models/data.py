#!/usr/bin/env python3
"""Make training samples: the prompts that the server would build for places in source files, and what stood there.

    models/data.py CORPUS --out samples.npz [--samples 4000] [--held-out PACKAGE …] [--bench FOLDER] [--synthetic 0.05]

CORPUS is a folder of unpacked packages. A sample is a cursor, the prompt that `flash_ls.prompt` builds for it, with
excerpts of the package for half of them, and the tokens of what is missing, its healed word first, up to the token that
ends an answer. The sizes of the windows vary, so that the model learns to do with little. Places are what `--kinds`
says, as many of each language. Packages `--held-out` give the samples of a second file, to stop by. A share
`--synthetic` of the samples to learn from is made of files of `models.synthetic`.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from flash_ls.config import Config
from flash_ls.engine import manifest
from flash_ls.engine.manifest import TOKENIZER_FILE, PromptFormat
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.grammar import Node, parse
from flash_ls.place import Place
from flash_ls.prompt import build_prompt, visible_span
from models import synthetic
from models.corpus import LANGUAGES, Seen, SourceText, is_permissive, licence_of, read
from scripts.cases import BENCH, Case, load_suite
from scripts.holes import Hole, line_holes, tree_holes
from scripts.project import Project

KINDS = {"line": 0.15, "mid-line": 0.2, "api-call": 0.05, "block": 0.2, "lines": 0.25, "span": 0.15}
"""Shares of the kinds of places: those of `scripts.holes`, some whole lines, and any span of characters."""
MOST_PER_FILE = 4
MOST_FILES = 300
"""Of a package: what the others say is chosen from so many."""
WITH_PROJECT = 0.5
HELD = 400
"""Samples of the packages held out."""
MOST_TARGET_TOKENS = 160
PREFIX_TOKENS, SUFFIX_TOKENS, CONTEXT_TOKENS = (80, 480), (16, 160), (100, 450)
"""Smallest and largest windows."""
SPAN_CHARACTERS = (8, 500)
SYNTHETIC_SEED = 0
"""Below `synthetic.HELD_OUT`: no case to score on is of these files."""


class Sample(NamedTuple):
    """Token ids, and how many of them are the prompt: the rest is to be learnt."""

    tokens: list[int]
    prompt: int
    language: str
    kind: str


class Coder:
    """Cases to samples."""

    def __init__(self, tokenizer: Tokenizer, form: PromptFormat, random: Random) -> None:
        self._tokenizer = tokenizer
        self._form = form
        self._random = random

    def sample(self, case: Case, project: Project) -> Sample | None:
        """None if the tokens are no text, or too many."""
        snapshot, config = case.snapshot, self._windows()
        context = project.context_for(case) if self._random.random() < WITH_PROJECT else None
        visible = partial(visible_span, snapshot.before, self._tokenizer, config)
        choice = context.choose(snapshot, visible) if context else None
        after = Place(snapshot).after
        hidden = case.after.removesuffix(after)  # closers that an editor typed: the model has to close them
        prompt = build_prompt(case.before, after, self._form, self._tokenizer, config, choice)
        try:
            target = self._tokenizer.encode(prompt.healed.decode() + case.middle + hidden)[0]
        except UnicodeDecodeError:
            return None
        if len(target) > MOST_TARGET_TOKENS:
            return None
        tokens = [*prompt.token_ids, *target, self._form.stop_ids[0]]
        return Sample(tokens, len(prompt.token_ids), case.language, case.kind)

    def _windows(self) -> Config:
        prefix, suffix, context = (
            self._random.randint(*sizes) for sizes in (PREFIX_TOKENS, SUFFIX_TOKENS, CONTEXT_TOKENS)
        )
        return Config(prefix_tokens=prefix, suffix_tokens=suffix, context_tokens=context)


def cases(source: SourceText, kinds: Mapping[str, float], random: Random) -> Iterator[Case]:
    """Some places in one file."""
    root = parse(source.text, source.language)
    found = [*line_holes(source.text, root), *tree_holes(source.text, root)]
    for kind in random.choices(list(kinds), list(kinds.values()), k=MOST_PER_FILE):
        if hole := _place(kind, source.text, found, root, random):
            start, end = hole
            text = source.text
            name = f"{source.path}:{start}"
            yield Case(name, source.path, text[:start], text[end:], text[start:end], kind, repo=source.package)


def _place(kind: str, text: str, found: Sequence[Hole], root: Node, random: Random) -> tuple[int, int] | None:
    """Where the missing text begins and ends."""
    if kind == "span":
        low, high = SPAN_CHARACTERS
        start = random.randrange(len(text))
        return start, min(len(text), start + int(low * (high / low) ** random.random()))
    like = [hole for hole in found if hole.kind == ("line" if kind == "lines" else kind)]
    if not like:
        return None
    start, end, *_ = random.choice(like)
    if kind == "lines":
        end = _some_lines(text, end, root, random)
    if kind in ("line", "lines") and random.random() < 0.5:
        start = text.rfind("\n", 0, start) + 1
    return start, end


def _some_lines(text: str, end: int, root: Node, random: Random) -> int:
    """The end of a line below; half of the time that of the innermost block around."""
    node = root.descendant_for_byte_range(end - 1, end)
    while node and not (node.end_point.row > text.count("\n", 0, end) and node.parent):
        node = node.parent
    if node and node.parent and random.random() < 0.5:
        last = node.named_children[-1].end_byte if node.named_children else node.end_byte
        return max(end, last) if last - end < 400 else end
    for _ in range(random.randint(1, 5)):
        end = text.find("\n", end + 1) if text.find("\n", end + 1) > 0 else end
    return len(text[:end].rstrip())


def samples(
    sources: Sequence[SourceText], count: int, kinds: Mapping[str, float], coder: Coder, random: Random
) -> Iterator[Sample]:
    """`count` samples, as many of each language as there can be, in random order."""
    packages = groupby(sources, lambda source: source.package)
    taken = {package: _shuffled(list(files), random)[:MOST_FILES] for package, files in packages}
    projects = {
        package: Project({source.path: source.text for source in files}, package) for package, files in taken.items()
    }
    sources = [source for files in taken.values() for source in files]
    pools = {language: [source for source in sources if source.language == language] for language in LANGUAGES}
    left = {language: iter(_shuffled(pool, random)) for language, pool in pools.items() if pool}
    made = 0
    while made < count and left:
        for language in list(left):
            if not (source := next(left[language], None)):
                del left[language]
                continue
            for case in cases(source, kinds, random):
                if sample := coder.sample(case, projects[source.package]):
                    made += 1
                    yield sample


def synthetic_sources(count: int) -> list[SourceText]:
    """Files for `count` samples, as many of each language."""
    each = -(-2 * count // (MOST_PER_FILE * len(LANGUAGES)))  # not every place in a file gives a sample
    return [source for language in LANGUAGES for source in synthetic.files(language, each, SYNTHETIC_SEED)]


def mixed(
    sources: Sequence[SourceText],
    share: float,
    count: int,
    kinds: Mapping[str, float],
    coder: Coder,
    random: Random,
) -> Iterator[Sample]:
    """`count` samples; the synthetic share of them comes last."""
    made = round(share * count)
    yield from samples(sources, count - made, kinds, coder, random)
    yield from islice(samples(synthetic_sources(made), made, kinds, coder, random), made)


def _shuffled(pool: list[SourceText], random: Random) -> list[SourceText]:
    return random.sample(pool, len(pool))


def save(path: Path, found: Sequence[Sample]) -> None:
    """Ids one after the other, where each sample ends, and where its prompt does."""
    np.savez_compressed(
        path,
        tokens=np.array([token for sample in found for token in sample.tokens], np.uint32),
        ends=np.cumsum([len(sample.tokens) for sample in found]),
        prompts=np.array([sample.prompt for sample in found]),
        languages=np.array([sample.language for sample in found]),
        kinds=np.array([sample.kind for sample in found]),
    )


def load(path: Path) -> list[Sample]:
    """What `save` wrote."""
    with np.load(path) as stored:
        tokens = np.split(stored["tokens"].astype(np.int64), stored["ends"][:-1])
        rest = zip(stored["prompts"].tolist(), stored["languages"].tolist(), stored["kinds"].tolist(), strict=True)
    return [Sample(ids.tolist(), *others) for ids, others in zip(tokens, rest, strict=True)]


def scored_texts(bench: Path) -> Iterator[str]:
    """All texts that models are scored on, and the files around them."""
    for name in ("fresh-all", "humaneval-single"):
        suite = load_suite(name, bench)
        yield from (case.before + case.middle + case.after for case in suite.cases)
        yield from (text for files in suite.files.values() for text in files.values())


def permitted(corpus: Path, seen: Seen, left_out: Counter[str]) -> list[SourceText]:
    """The files of packages whose licence is permissive."""
    allowed = {path.name for path in corpus.iterdir() if path.is_dir() and is_permissive(licence_of(path))}
    reading = tqdm(read(corpus, seen, left_out), "reading", unit="file", disable=None)
    return [source for source in reading if source.package in allowed]


def card(found: Sequence[Sample], sources: Sequence[SourceText]) -> dict[str, object]:
    """What the samples are made of."""
    return {
        "samples": len(found),
        "tokens": sum(len(sample.tokens) for sample in found),
        "learnt": sum(len(sample.tokens) - sample.prompt for sample in found),
        "packages": len({source.package for source in sources}),
        "files": len(sources),
        "languages": dict(Counter(sample.language for sample in found)),
        "kinds": dict(Counter(sample.kind for sample in found)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--artifact", type=Path, required=True, help="the folder of the model: `flash-ls model path`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=4000, help="default: %(default)s")
    parser.add_argument("--held-out", nargs="*", default=[], metavar="PACKAGE", help="beginnings of names")
    parser.add_argument("--kinds", type=json.loads, default=KINDS, help="shares of the kinds, as JSON")
    parser.add_argument("--synthetic", type=float, default=0.0, metavar="SHARE", help="default: %(default)s")
    parser.add_argument("--bench", type=Path, default=BENCH, help="files that models are scored on")
    args = parser.parse_args()
    left_out: Counter[str] = Counter()
    sources = permitted(args.corpus, Seen(scored_texts(args.bench)), left_out)
    print(json.dumps({"left_out": left_out}))
    described, random = manifest.read(args.artifact), Random(0)
    coder = Coder(Tokenizer(args.artifact / TOKENIZER_FILE), described.prompt, random)
    apart = tuple(args.held_out)
    held = [source for source in sources if source.package.startswith(apart)]
    taught = [source for source in sources if not source.package.startswith(apart)]
    parts = ((args.out, taught, args.samples, args.synthetic), (args.out.with_suffix(".held.npz"), held, HELD, 0.0))
    for path, part, count, share in parts:
        making = mixed(part, share, count, args.kinds, coder, random)
        found = list(tqdm(making, "samples", count, unit="sample", disable=None))
        random.shuffle(found)
        save(path, found)
        print(json.dumps(card(found, part) | {"synthetic": share}))


if __name__ == "__main__":
    main()
