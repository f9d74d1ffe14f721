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


class Head:
    """The tied embedding, and the words that the graph has logits for."""

    def __init__(self, folder: Path) -> None:
        self.embedding = Embedding(folder)
        self._shortlist: IdArray = np.load(folder / SHORTLIST_FILE)
        self.shortlisted = len(self._shortlist)
        """Words of the graph's logits."""
        self._place = np.full(len(self.embedding), -1, np.int32)
        self._place[self._shortlist] = np.arange(len(self._shortlist))

    def logits(self, listed: FloatArray, states: FloatArray, prompt: list[int], words: IdArray | None) -> Logits:
        """Logits of `words`, by default of the shortlist and of what stands in `prompt`, whose words go first.

        `listed` [rows, shortlist] is what the graph says, `states` [rows, hidden] is what it says it of.
        """
        if not len(states):
            return Logits(self._shortlist, listed, states=states)  # a chunk of a prefill, of which nobody asks for more
        others = self._unlisted(np.array(prompt))
        ids, values = self._shortlist, listed
        if words is not None:
            places = self._place[words]
            ids, values = words[places >= 0], listed[:, places[places >= 0]]
            allowed = self._unlisted(words)
            others = np.concatenate([np.intersect1d(others, allowed), np.setdiff1d(allowed, others)])
        if len(others := others[:MOST_OTHERS]):
            ids = np.concatenate([ids, others])
            values = np.concatenate([values, states @ self.embedding.rows(others).T], axis=1)
        for row, state in zip(values, states, strict=True):
            leaders = _leaders(row)
            row[leaders] = self.embedding.rows(ids[leaders]) @ state
        return Logits(ids, values, states=states)

    def _unlisted(self, tokens: IdArray) -> IdArray:
        """Those that are not on the shortlist, each once, in ascending order."""
        return np.unique(tokens[self._place[tokens] < 0])


def _leaders(row: FloatArray) -> NDArray[np.intp]:
    """Places of those that may turn out to be the most likely."""
    places = np.flatnonzero(row > row.max() - LEAD)
    return (
        places if len(places) <= MOST_LEADERS else places[np.argpartition(row[places], -MOST_LEADERS)[-MOST_LEADERS:]]
    )
