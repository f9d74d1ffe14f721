#!/usr/bin/env python3
"""Teach a draft model what the target says next, from the target's own states.

    models/draft.py STATES --held STATES --artifact FOLDER --samples FILE.npz … --out draft.npz --minutes 20

STATES are folders of `models/states.py`. The draft (`flash_ls.artifact.draft`) is unrolled as it is served: from the
target's state before a token, over the tokens that follow. Of each step the loss is the cross-entropy with the target's
own distribution over the draft's words, and the distance of its state to the target's. Steps count fully as long as
the text is what the target would have said, as drafts are made there only, and by chance otherwise.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from flash_ls.artifact.draft import Draft, save
from flash_ls.engine.draft_model import LAST
from flash_ls.engine.embedding import Embedding
from flash_ls.engine.manifest import SHORTLIST_FILE
from models.data import load
from models.distill import schedule

STEPS = 4
"""Drafts in a row that are learnt from."""
OFF_PATH = 0.2
"""Share of the steps off the target's own path that are learnt from."""
STATE_WEIGHT = 0.2
"""Of the distance of states, beside the cross-entropy."""
BLOCK = 2048
"""Rows whose likeliest word is looked for at a time."""


class DraftNet(nn.Module):
    """See `flash_ls.artifact.draft`, in float32 with products in bfloat16."""

    def __init__(self, hidden: int, inner: int, head: Tensor) -> None:
        """`head`: rows [words, hidden] of the target's, which stay as they are."""
        super().__init__()
        self.gate_up = nn.Parameter(torch.randn(2 * inner, (1 + LAST) * hidden) * 0.02)
        self.down = nn.Parameter(torch.zeros(hidden, inner))
        self.register_buffer("head", head.bfloat16())

    def forward(self, state: Tensor, embedded: Tensor) -> Tensor:
        """The state [rows, hidden] after one token more; `embedded` [rows, LAST, hidden] are the last, newest first."""
        size = state.shape[-1:]
        both = torch.cat([functional.rms_norm(state, size), functional.rms_norm(embedded, size).flatten(1)], dim=-1)
        gate, up = functional.linear(both.bfloat16(), self.gate_up.bfloat16()).chunk(2, dim=-1)
        return state + functional.linear(functional.silu(gate) * up, self.down.bfloat16()).float()

    def logits(self, state: Tensor) -> Tensor:
        """[rows, words]"""
        return functional.linear(state.bfloat16(), self.head).float()


class Corpus:
    """Tokens, the target's state after each, and what it would have said next; the latter is kept beside the states."""

    def __init__(self, folder: Path, embedding: Embedding, shortlist: NDArray[np.int64]) -> None:
        """`shortlist`: the words among which the target's choice is looked for."""
        self.states = np.load(folder / "states.npy", mmap_mode="r")
        self.tokens = np.load(folder / "tokens.npy").astype(np.int64)
        self.places = np.load(folder / "places.npy")
        found, self.row = np.unique(self.tokens, return_inverse=True)
        self.embedded = torch.tensor(embedding.rows(found))
        kept = folder / "choices.npy"
        if not kept.exists() or kept.stat().st_mtime_ns < (folder / "places.npy").stat().st_mtime_ns:
            np.save(kept, self._choices(torch.tensor(embedding.rows(shortlist)).bfloat16(), shortlist))
        self.choice = np.load(kept)

    def _choices(self, head: Tensor, words: NDArray[np.int64]) -> NDArray[np.int64]:
        blocks = np.array_split(np.arange(len(self.tokens)), 1 + len(self.tokens) // BLOCK)
        best = [
            functional.linear(self.state(block).bfloat16(), head).argmax(dim=1).numpy()
            for block in tqdm(blocks, "choices", disable=None)
        ]
        chosen: NDArray[np.int64] = words[np.concatenate(best)]
        return chosen

    def state(self, places: NDArray[np.int64]) -> Tensor:
        return torch.tensor(self.states[places].astype(np.float32))

    def starts(self, steps: int) -> NDArray[np.int64]:
        """Places that have as many tokens behind them in their own sample."""
        begin = np.arange(max(0, len(self.tokens) - steps - 1))
        found: NDArray[np.int64] = begin[self.places[begin + steps + 1] == self.places[begin] + steps + 1]
        return found


class Step(NamedTuple):
    """Of one step: which rows of the batch are left, what the draft says and what the target does."""

    alive: Tensor
    logits: Tensor
    state: Tensor
    target: Tensor
    place: NDArray[np.int64]


def unrolled(net: DraftNet, corpus: Corpus, starts: NDArray[np.int64], steps: int, off_path: float) -> Iterator[Step]:
    """The steps from `starts` on. A row is given up where the text leaves what the target would have said."""
    rng = np.random.default_rng(int(starts[0]))
    place, state = starts, corpus.state(starts)
    for _ in range(steps):
        kept = (corpus.choice[place] == corpus.tokens[place + 1]) | (rng.random(len(place)) < off_path)
        place, alive = place[kept] + 1, torch.tensor(np.flatnonzero(kept))
        if not len(place):
            return
        last = np.maximum(place[:, None] - np.arange(LAST), 0)
        state = net(state[alive], corpus.embedded[torch.tensor(corpus.row[last])])
        yield Step(alive, net.logits(state), state, corpus.state(place), place)


def loss_of(net: DraftNet, corpus: Corpus, starts: NDArray[np.int64]) -> Tensor:
    """Mean over all rows of all steps."""
    total, rows = torch.zeros(()), 0
    for step in unrolled(net, corpus, starts, STEPS, OFF_PATH):
        with torch.no_grad():
            wanted = net.logits(step.target).softmax(dim=1)
        total = total + functional.cross_entropy(step.logits, wanted, reduction="sum")
        apart = functional.smooth_l1_loss(step.state, step.target, reduction="none").mean(dim=1).sum()
        total, rows = total + STATE_WEIGHT * apart, rows + len(step.place)
    return total / max(1, rows)


def acceptance(net: DraftNet, corpus: Corpus, words: NDArray[np.int64], starts: NDArray[np.int64]) -> list[float]:
    """Of each step, how many of the drafts are right where all before them were and the text is the target's."""
    right, judged = np.zeros(STEPS), np.zeros(STEPS)
    with torch.no_grad():
        for some in np.array_split(starts, max(1, len(starts) // 2048)):
            hits = np.ones(len(some), bool)
            for number, step in enumerate(unrolled(net, corpus, some, STEPS, off_path=0.0)):
                before = hits[step.alive.numpy()]
                hits = before & (words[step.logits.argmax(dim=1).numpy()] == corpus.choice[step.place])
                right[number] += hits.sum()
                judged[number] += before.sum()
    return [round(float(share), 4) for share in right / np.maximum(1, judged)]


def frequent(paths: Sequence[Path], count: int, vocabulary: int) -> NDArray[np.int64]:
    """The words of the samples that come most often, ascending; those to be filled in count twenty times."""
    counts = np.zeros(vocabulary, np.int64)
    for sample in (sample for path in paths for sample in load(path)):
        np.add.at(counts, sample.tokens, 1)
        np.add.at(counts, sample.tokens[sample.prompt :], 20)
    return np.sort(np.argsort(-counts, kind="stable")[:count])


def teach(net: DraftNet, corpus: Corpus, held: Corpus, words: NDArray[np.int64], args: argparse.Namespace) -> None:
    """Until the time is over; every line of OUT.jsonl is a score."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
    starts, judged = corpus.starts(STEPS), held.starts(STEPS)[:: args.every]
    rng, began, step, losses = np.random.default_rng(0), time.monotonic(), 0, [0.0]
    bar = tqdm(total=round(60 * args.minutes), unit="s", disable=None)
    while (spent := time.monotonic() - began) < 60 * args.minutes:
        for group in optimiser.param_groups:
            group["lr"] = args.rate * schedule(spent / (60 * args.minutes))
        loss = loss_of(net, corpus, np.sort(rng.choice(starts, args.batch, replace=False)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
        if step % args.save == 0:
            note(args.out, step, spent, losses, acceptance(net, held, words, judged))
        step += 1
        bar.update(round(time.monotonic() - began) - bar.n)
    note(args.out, step, spent, losses, acceptance(net, held, words, judged))


def note(out: Path, step: int, seconds: float, losses: list[float], accepted: list[float]) -> None:
    recent = round(float(np.mean(losses[-20:])), 4)
    record = {"step": step, "seconds": round(seconds, 1), "loss": recent, "accepted": accepted}
    print(json.dumps(record), flush=True)
    with out.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
        print(json.dumps(record), file=file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("states", type=Path)
    parser.add_argument("--held", type=Path, required=True)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="to choose the draft's words by")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--words", type=int, default=12_288, help="default: %(default)s")
    parser.add_argument("--inner", type=int, default=1024, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=1e-3, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=1024, help="default: %(default)s")
    parser.add_argument("--save", type=int, default=50, help="steps between two scores; default: %(default)s")
    parser.add_argument("--every", type=int, default=5, help="of the held places are judged; default: %(default)s")
    args = parser.parse_args()
    torch.manual_seed(0)
    embedding = Embedding(args.artifact)
    shape = (len(embedding), embedding.rows(np.array([0])).shape[1])
    shortlist = np.load(args.artifact / SHORTLIST_FILE)
    words = frequent(args.samples, args.words, shape[0])
    corpus, held = (Corpus(folder, embedding, shortlist) for folder in (args.states, args.held))
    net = DraftNet(shape[1], args.inner, torch.tensor(embedding.rows(words)))
    teach(net, corpus, held, words, args)
    save(args.out, Draft(words, **{name: value.detach().numpy() for name, value in net.named_parameters()}))


if __name__ == "__main__":
    main()
