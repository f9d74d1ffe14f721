"""From the decoder's last state to the logits of the words that may come next.

The graph multiplies the state only with the rows of a shortlist of words, in 4 bits. What that leaves open is settled
here by rows of the embedding, which is the same matrix: the leaders of the shortlist get exact logits, and so do words
that stand in the prompt or agree with the healed text, whether they are on the shortlist or not. So a name that the
prompt spells can be said again in one piece, however rare it is.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flash_ls.engine.embedding import Embedding, FloatArray
from flash_ls.engine.manifest import SHORTLIST_FILE

IdArray = NDArray[np.int64]

LEAD = 3.0
"""Words this close to the leader, in nats, get exact logits: several times the error of 4 bits."""
MOST_LEADERS = 64
MOST_OTHERS = 512
"""Words taken besides the shortlist; of more, those with the lowest ids, which are the most frequent."""


class Logits(NamedTuple):
    """What may come next, and how likely it is, after each of some tokens."""

    words: IdArray
    """[words], token ids."""
    values: FloatArray
    """[rows, words]."""
    precise: bool = False
    """Whether they come from the path of more bits, where there are two."""
    states: FloatArray | None = None
    """[rows, hidden], what the head read; None of a model that does not tell."""


class _Beside(NamedTuple):
    """What is taken besides the shortlist for the sake of a prompt."""

    prompt: list[int]
    words: IdArray
    """The shortlist, and then what else stands in the prompt."""
    rows: FloatArray
    """[words besides the shortlist, hidden]"""


class Head:
    """The tied embedding, and the words that the graph has logits for."""

    def __init__(self, folder: Path) -> None:
        self.embedding = Embedding(folder)
        self._shortlist: IdArray = np.load(folder / SHORTLIST_FILE)
        self.shortlisted = len(self._shortlist)
        """Words of the graph's logits."""
        self._place = np.full(len(self.embedding), -1, np.int32)
        self._place[self._shortlist] = np.arange(len(self._shortlist))
        self._beside = self._besides([])

    def logits(self, listed: FloatArray, states: FloatArray, prompt: list[int], words: IdArray | None) -> Logits:
        """Logits of `words`, by default of the shortlist and of what stands in `prompt`, whose words go first.

        `listed` [rows, shortlist] is what the graph says, `states` [rows, hidden] is what it says it of; both are
        copied.
        """
        states = states.copy()
        if not len(states):
            return Logits(self._shortlist, listed, states=states)  # a chunk of a prefill, of which nobody asks for more
        if words is None:
            _, ids, rows = self._of_prompt(prompt)
            values = np.concatenate([listed, states @ rows.T], axis=1)
        else:
            ids, values = self._of_these(words, self._unlisted(prompt), listed, states)
        for row, state in zip(values, states, strict=True):
            leaders = _leaders(row)
            row[leaders] = self.embedding.rows(ids[leaders]) @ state
        return Logits(ids, values, states=states)

    def _of_prompt(self, prompt: list[int]) -> _Beside:
        """What was found for the pass before, if the prompt has only grown since, by words of the shortlist."""
        known = len(self._beside.prompt)
        if prompt[:known] != self._beside.prompt or len(self._unlisted(prompt[known:])):
            self._beside = self._besides(prompt)
        return self._beside

    def _besides(self, prompt: list[int]) -> _Beside:
        others = self._unlisted(prompt)[:MOST_OTHERS]
        return _Beside(prompt.copy(), np.concatenate([self._shortlist, others]), self.embedding.rows(others))

    def _unlisted(self, prompt: list[int]) -> IdArray:
        """Its words that are not on the shortlist, each once, in ascending order."""
        tokens = np.array(prompt, np.int64)
        rare = tokens[self._place[tokens] < 0]
        return np.unique(rare) if len(rare) else rare

    def _of_these(
        self, words: IdArray, rare: IdArray, listed: FloatArray, states: FloatArray
    ) -> tuple[IdArray, FloatArray]:
        """Of those of `words` on the shortlist, of those that are `rare` words of the prompt, then of others."""
        places = self._place[words]
        allowed = words[places < 0]
        others = np.concatenate([np.intersect1d(rare, allowed), np.setdiff1d(allowed, rare)])[:MOST_OTHERS]
        values = [listed[:, places[places >= 0]], states @ self.embedding.rows(others).T]
        return np.concatenate([words[places >= 0], others]), np.concatenate(values, axis=1)


def _leaders(row: FloatArray) -> NDArray[np.intp]:
    """Places of those that may turn out to be the most likely."""
    places = np.flatnonzero(row > row.max() - LEAD)
    return (
        places if len(places) <= MOST_LEADERS else places[np.argpartition(row[places], -MOST_LEADERS)[-MOST_LEADERS:]]
    )
