"""Which tokens the key and value buffers hold.

One operation, `rewind_to`, is prefix reuse between keystrokes, rollback of rejected drafts and recovery after a
cancelled pass. The buffers themselves belong to the model: rows past the end are stale and are overwritten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    length = min(len(left), len(right))
    if left[:length] == right[:length]:
        return length
    return next(index for index in range(length) if left[index] != right[index])


@dataclass(slots=True, eq=False, weakref_slot=True)
class KVCache:
    """Buffers of `capacity` rows whose first `len(tokens)` rows belong to `tokens`."""

    buffers: object
    capacity: int
    row_bytes: int = 0
    bank: object = None
    """Caches of one bank can take a token each in one pass."""
    tokens: list[int] = field(default_factory=list)
    rows_used: int = 0
    """The most rows that were ever filled: their memory stays taken."""

    @property
    def bytes(self) -> int:
        """Memory the buffers take."""
        return self.rows_used * self.row_bytes

    @property
    def is_full(self) -> bool:
        return len(self.tokens) >= self.capacity

    def rewind_to(self, tokens: list[int]) -> list[int]:
        """Keep what agrees with all but the last of `tokens`; return what is still to feed, at least one token."""
        kept = common_prefix(self.tokens, tokens[:-1])
        del self.tokens[kept:]
        return tokens[kept:]

    def append(self, tokens: list[int]) -> None:
        """Record that a forward pass has filled rows for `tokens`."""
        assert len(self.tokens) + len(tokens) <= self.capacity
        self.tokens += tokens
        self.rows_used = max(self.rows_used, len(self.tokens))
