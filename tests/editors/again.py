"""Tests that have failed once and are tried once more: the report tells which."""

import pytest

AGAIN = pytest.StashKey[list[str]]()


def note(config: pytest.Config, test: str, why: str) -> None:
    config.stash.setdefault(AGAIN, []).append(f"{test}: {why}")


def noted(config: pytest.Config) -> list[str]:
    return config.stash.get(AGAIN, [])
