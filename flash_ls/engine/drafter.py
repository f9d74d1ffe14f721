"""Guesses of what the target model will say next, to be verified several at a time (arXiv 2211.17192)."""

from typing import Protocol


class Drafter(Protocol):
    """Anything that can guess a continuation. A wrong guess costs time, never correctness."""

    def propose(self, tokens: list[int]) -> list[int]:
        """Draft tokens after the committed `tokens`; empty when guessing does not pay."""


class NoDrafter:
    """Plain greedy decoding."""

    def propose(self, tokens: list[int]) -> list[int]:
        return []
