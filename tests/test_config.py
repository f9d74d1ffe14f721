"""Settings: what a client may send, what it is told when it sends something else, and how the table describes them."""

import json
import re
from typing import Any

import pytest

from flash_ls.artifact.catalog import find
from flash_ls.config import MOST_TOKENS, Config, parse, schema

PROPERTIES: dict[str, dict[str, Any]] = schema()["properties"]
WRONG_TYPES: dict[str, list[object]] = {
    "boolean": [1, "true", None],
    "integer": [True, 1.5, "1"],
    "number": [False, "0.5", [0.5]],
    "string": [None, 1, ["auto"]],
    "array": ["a", [1], {"a": 1}],
}


def is_refused(name: str, value: object) -> bool:
    """Whether the value is refused with a sentence that names the setting and says what to do."""
    config, told = parse({name: value})
    if not told:
        return False
    [sentence] = told
    assert config == Config()
    return sentence.startswith(f"Setting {name} must be ") and f"; correct flashLs.{name} in" in sentence


def test_known_settings_are_laid_over_the_base_and_unknown_ones_named() -> None:
    config, unknown = parse({"threads": 4, "colour": "red"}, Config(budget_ms=5))
    assert config == Config(threads=4, budget_ms=5)
    assert unknown == ["flash-ls has no setting flashLs.colour; correct your editor's settings."]


def test_json_of_every_type_is_taken() -> None:
    sent = json.loads('{"enabled": false, "threads": 3, "min_confidence": 1, "model": "m", "exclude": ["a/", "*.b"]}')
    config, _ = parse(sent)
    assert config == Config(enabled=False, threads=3, min_confidence=1.0, model="m", exclude=("a/", "*.b"))
    assert type(config.min_confidence) is float


def test_the_schema_says_what_the_defaults_are() -> None:
    defaults = {name: rules["default"] for name, rules in PROPERTIES.items()}
    assert parse(json.loads(json.dumps(defaults))) == (Config(), [])
    assert schema()["additionalProperties"] is False


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_setting_is_described_and_of_one_type(name: str) -> None:
    rules = PROPERTIES[name]
    assert rules["description"].endswith(".")
    assert "\n" not in rules["description"]
    assert all(is_refused(name, value) for value in WRONG_TYPES[rules["type"]])


@pytest.mark.parametrize("name", [name for name, rules in PROPERTIES.items() if rules["type"] in ("integer", "number")])
def test_a_number_has_bounds(name: str) -> None:
    least, most = PROPERTIES[name]["minimum"], PROPERTIES[name]["maximum"]
    assert getattr(parse({name: least})[0], name) == least
    assert least <= PROPERTIES[name]["default"] <= most
    assert is_refused(name, least - 1)
    assert is_refused(name, most + 1)
    assert is_refused(name, 10**400)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_probability_is_one(value: float) -> None:
    assert is_refused("min_confidence", value)


def test_a_choice_is_one_of_those_there_are() -> None:
    choices = PROPERTIES["precision"]["enum"]
    assert set(choices) == {"auto", *find(Config().model).precisions}
    assert len(PROPERTIES["precision"]["enumDescriptions"]) == len(choices)
    assert [parse({"precision": choice})[0].precision for choice in choices] == choices
    [sentence] = parse({"precision": "int16"})[1]
    assert re.match(r"Setting precision must be one of auto, .*, not 'int16'; correct", sentence)


def test_a_long_value_is_not_repeated_in_full() -> None:
    assert len(parse({"enabled": "x" * 10_000})[1][0]) < 200
    assert len(parse({"x" * 10_000: 1, **{f"y{number}": 1 for number in range(10_000)}})[1][0]) < 1000
    assert len(parse(["x" * 10_000])[1][0]) < 200


def test_one_bad_setting_costs_no_other() -> None:
    now = Config(budget_ms=7, threads=3)
    config, told = parse({"flashLs": {"budget_ms": "fast", "model": "m", "exclude": 5}}, Config(cache_mb=9), now)
    assert config == Config(cache_mb=9, budget_ms=7, model="m")
    assert [sentence.partition(" must")[0] for sentence in told] == ["Setting budget_ms", "Setting exclude"]


@pytest.mark.parametrize("sent", [5, "fast", ["fast"], {"flashLs": ["fast"]}])
def test_settings_that_are_no_object_change_nothing(sent: object) -> None:
    now = Config(budget_ms=7)
    config, [sentence] = parse(sent, Config(), now)
    assert config == now
    assert sentence.startswith("Settings must be an object, not ")


@pytest.mark.parametrize("sent", [None, {}, [], {"flashLs": None}, {"flashLs": []}])
def test_no_settings_are_the_base(sent: object) -> None:
    assert parse(sent, Config(budget_ms=5), Config(budget_ms=7)) == (Config(budget_ms=5), [])


def test_what_the_model_sees_has_to_fit_in_a_prompt() -> None:
    assert parse({"prefix_tokens": MOST_TOKENS - 160 - 600 - 192})[1] == []
    now = Config(prefix_tokens=50)
    config, [sentence] = parse({"prefix_tokens": MOST_TOKENS - 160 - 600 - 191, "threads": 2}, Config(), now)
    assert re.match(f"Settings prefix_tokens, .* may be {MOST_TOKENS} together; lower one", sentence)
    assert config == Config(prefix_tokens=50, threads=2)


@pytest.mark.parametrize(
    "url", ["https://host/v1", "http://localhost:8080/v1", "http://[::1]:8080", "http://10.0.0.2/a/b/"]
)
def test_a_server_is_an_address(url: str) -> None:
    assert parse({"pro_url": url})[0].pro_url == url


SECRET = "sk-secret"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "ftp://host/v1",
        "http://",
        "http://host:99999/v1",
        "http://[::1/v1",
        f"https://user:{SECRET}@host/v1",
        f"https://{SECRET}@host/v1",
        f"https://host/v1?key={SECRET}",
        f"https://host/v1#{SECRET}",
        SECRET,
    ],
)
def test_anything_else_is_refused_without_repeating_it(url: str) -> None:
    config, [sentence] = parse({"pro_url": url, "threads": 2}, Config(), Config(pro_url="http://host/v1"))
    assert re.match(r"^Setting pro_url must .*; correct it in your editor's settings\.$", sentence)
    assert SECRET not in sentence
    assert config == Config(pro_url="http://host/v1", threads=2)


@pytest.mark.parametrize("settings", [{"pro": "a", "pro_url": "http://host/v1"}, {"pro": "flash"}])
def test_there_is_one_larger_model_and_it_is_another(settings: dict[str, object]) -> None:
    config, [sentence] = parse(settings)
    assert re.match(r"^Settings? pro ", sentence)
    assert config == Config()
