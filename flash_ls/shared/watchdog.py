"""Whether a pass of the model will never end."""

from flash_ls.engine.turns import Turns

LONGEST_PASS_S = 5.0
SLOWEST = 50
"""Times what the longest pass takes here on a quiet machine, but at least `LONGEST_PASS_S`: it will never end."""


class Watchdog:
    """Looks again and again which pass runs. Looks are counted, as there are none while the process is stopped."""

    def __init__(self, turns: Turns, pass_s: float) -> None:
        """`pass_s`: what the longest pass takes."""
        self._turns = turns
        self._pass_s = pass_s
        self._pass: int | None = None
        self._seen_s = 0.0

    def is_stuck(self, since_s: float) -> bool:
        """Whether the same pass runs as at too many looks before; the last was so many seconds ago."""
        before, self._pass = self._pass, self._turns.running
        self._seen_s = self._seen_s + since_s if self._pass is not None and self._pass == before else 0.0
        return self._seen_s > max(LONGEST_PASS_S, SLOWEST * self._pass_s)
