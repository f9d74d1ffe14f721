"""Settings: what a client may send, and what it is told when it sends something else."""

import dataclasses
import json
from pathlib import Path

import pytest

from flash_ls.config import Config, parse
from flash_ls.errors import ConfigError


def test_known_settings_are_laid_over_the_base_and_unknown_ones_named() -> None:
    config, unknown = parse({"threads": 4, "colour": "red"}, Config(budget_ms=5))
    assert config == Config(threads=4, budget_ms=5)
    assert unknown == ["colour"]


@pytest.mark.parametrize(
    "setting", [{"threads": "4"}, {"threads": -1}, {"budget_ms": 0}, {"enabled": 1}, {"prefix_tokens": 3900}]
)
def test_a_setting_that_cannot_be_used_is_named(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        parse(setting)


def test_the_readme_has_every_setting_and_its_default() -> None:
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    names, defaults = zip(
        *(row.split(" | ")[:2] for row in readme.split("\n") if row.startswith("| `") and row.count("|") == 4),
        strict=True,
    )
    told = dict(zip(", ".join(names).replace("| ", "").split(", "), ", ".join(defaults).split(", "), strict=True))
    assert told == {f"`{name}`": f"`{json.dumps(value)}`" for name, value in dataclasses.asdict(Config()).items()}
