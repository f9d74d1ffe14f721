"""The settings a user may change: the default of each, what it means and which values it takes, in one table.

Names are those of the LSP configuration section. The checks of a value, and what editors and the readme show of a
setting, come from the table.
"""

import dataclasses
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

SECTION = "flashLs"
PRECISIONS = {
    "auto": "What suits the machine.",
    "int8": "Most exact.",
    "mixed": "Fewest milliseconds a word, 200 MB more.",
    "int4": "Least memory.",
}
LEVELS = {
    "error": "What has failed.",
    "warning": "And what is not as it should be.",
    "info": "And a line for each request.",
    "debug": "And all else.",
}
PRO_PROMPTS = {
    "psm": "Special words of Qwen2.5-Coder, what precedes first, as its base models were taught.",
    "spm": "The same words, what follows first, which its instruct models do better.",
    "suffix": "The API's own parameter, which llama.cpp and vLLM do not have.",
}
MOST_TOKENS = 4000
"""What a prompt and its answer may take together; a little less than the graph can place."""
PROMPT_SIZES = ("prefix_tokens", "suffix_tokens", "context_tokens", "max_block_tokens")
"""Settings that are limited together."""
PRO = ("model", "pro", "pro_url")
"""Settings that say together which larger model there is."""
MOST_SHOWN = 40
"""Settings that are unknown, and characters of the name of one, that a message repeats."""
SCHEMA_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
TYPE_NAMES = {tuple: "list of strings", float: "number"}

Value = TypeVar("Value")


def _setting(
    default: Value,
    description: str,
    within: tuple[float, float] | None = None,
    choices: Mapping[str, str] | None = None,
) -> Value:
    """A field of `Config`. A description is one line, with code in backticks, as is what a choice means."""
    rules: dict[str, object] = {"description": description}
    if within:
        rules["minimum"], rules["maximum"] = within
    if choices:
        rules["enum"], rules["enumDescriptions"] = list(choices), list(choices.values())
    return field(default=default, metadata=rules)


@dataclass(frozen=True, slots=True)
class Config:
    """One immutable set of settings."""

    enabled: bool = _setting(True, "Suggest anything at all; `false` frees the memory of the model.")
    model: str = _setting("flash", "A name from `flash-ls model list`, or the path of an artifact folder.")
    engine_url: str = _setting(
        "", "Where a team's server runs the model, as `https://host:8443`; empty: this machine does."
    )
    engine_unencrypted: bool = _setting(
        False, "Let `engine_url` be `http` on other machines too: who is on the way can read your code."
    )
    precision: str = _setting("auto", "How exactly the model computes.", choices=PRECISIONS)
    cache_mb: int = _setting(
        64, "MB of memory for the prompts of recent requests; one of 1,300 tokens takes 32.", (1, 100_000)
    )
    threads: int = _setting(
        0, "Threads of one forward pass; 0: half of the logical processors, at least two.", (0, 256)
    )
    budget_ms: int = _setting(
        4000, "After so many milliseconds a request answers with the whole lines it has.", (1, 600_000)
    )
    max_line_tokens: int = _setting(48, "The longest answer where one line is completed, in tokens.", (1, MOST_TOKENS))
    max_block_tokens: int = _setting(192, "The longest answer where a body is offered, in tokens.", (1, MOST_TOKENS))
    prefix_tokens: int = _setting(640, "Tokens before the cursor that the model sees.", (32, MOST_TOKENS))
    suffix_tokens: int = _setting(160, "Tokens after the cursor that the model sees.", (1, MOST_TOKENS))
    context_tokens: int = _setting(
        600, "Tokens of the project's other files that the model sees; 0: none, and none is read.", (0, MOST_TOKENS)
    )
    exclude: tuple[str, ...] = _setting(
        (), "Files of the project that the model never sees, as lines of a `.gitignore`."
    )
    min_confidence: float = _setting(
        0.3, "What is shown unasked has to be right with this probability; 0 shows all.", (0, 1)
    )
    pro: str = _setting("", "A larger model on this machine, which is asked where `model` is unsure; a name as there.")
    pro_url: str = _setting(
        "",
        "Instead of that, a server of the OpenAI completions API, like `http://localhost:8080/v1`; the code around the"
        " cursor goes there. Its key: `FLASH_LS_PRO_KEY` in the environment, or a keyring.",
    )
    pro_model: str = _setting("", "What that server calls the model.")
    pro_prompt: str = _setting("psm", "How that server is told what surrounds the cursor.", choices=PRO_PROMPTS)
    pro_per_hour: int = _setting(60, "How often an hour each window may ask the larger model.", (0, 100_000))
    pro_budget_ms: int = _setting(
        10_000, "After so many milliseconds without an answer of the larger model the first one stays.", (1, 600_000)
    )
    complete_comments: bool = _setting(True, "Suggest inside comments.")
    complete_strings: bool = _setting(True, "Suggest inside strings.")
    max_file_bytes: int = _setting(4_000_000, "Files of more bytes get no suggestions.", (1, 25_000_000))
    statistics: bool = _setting(
        True, "Count what becomes of suggestions; `false` counts nothing, and `min_confidence` stays as it is set."
    )
    log_level: str = _setting("warning", "What the server logs: JSON lines on stderr, without code.", choices=LEVELS)


SETTINGS = {setting.name: setting for setting in dataclasses.fields(Config)}


def schema() -> dict[str, Any]:
    """The settings as a JSON schema, in the order of `Config`."""
    properties = {name: _described(setting) for name, setting in SETTINGS.items()}
    return {"title": SECTION, "type": "object", "properties": properties, "additionalProperties": False}


def parse(settings: object, base: Config | None = None, now: Config | None = None) -> tuple[Config, list[str]]:
    """What a client sent laid over `base`, bare or under the section, and a sentence for whatever cannot be used.

    A setting that cannot be used stays as it is `now`, and so do all if they are no object.
    """
    base = base or Config()
    now = now or base
    ours = settings.get(SECTION, settings) if isinstance(settings, dict) else settings
    ours = ours or {}  # Lua clients send an empty table as a list
    if not isinstance(ours, dict):
        where = f"correct {SECTION} in your editor's settings"
        return now, [f"Settings must be an object, not {reprlib.repr(ours)}; {where}."]
    known = {key: value for key, value in ours.items() if key in SETTINGS}
    faults = {key: fault for key, value in known.items() if (fault := _fault(SETTINGS[key], value))}
    told = [_refused(key, fault, known[key]) for key, fault in faults.items()]
    if unknown := [key for key in ours if key not in SETTINGS]:
        told.append(_unknown(unknown))
    used = {key: getattr(now, key) if key in faults else _converted(key, value) for key, value in known.items()}
    config, told = _fitting(dataclasses.replace(base, **used), now, told)
    return _with_one_pro(config, now, told)


def plain(config: Config) -> dict[str, object]:
    """The settings, but for the words that a user has chosen: they may be names of folders."""
    return {name: _plain(setting, getattr(config, name)) for name, setting in SETTINGS.items()}


def _converted(name: str, value: object) -> Any:
    """The value as `Config` has it."""
    kind: Callable[[object], object] = type(SETTINGS[name].default)
    return kind(value)


def _fitting(config: Config, now: Config, told: list[str]) -> tuple[Config, list[str]]:
    """The same, but with the sizes of the prompt as they are `now` if those that were sent are too large together."""
    if sum(getattr(config, name) for name in PROMPT_SIZES) <= MOST_TOKENS:
        return config, told
    names = f"{', '.join(PROMPT_SIZES[:-1])} and {PROMPT_SIZES[-1]}"
    told = [*told, f"Settings {names} may be {MOST_TOKENS} together; lower one in your editor's settings."]
    return _kept(config, now, PROMPT_SIZES), told


def _with_one_pro(config: Config, now: Config, told: list[str]) -> tuple[Config, list[str]]:
    """The same, but with the larger model as it is `now` if it cannot be where the settings say."""
    if fault := _fault_of_pro(config):
        return _kept(config, now, PRO), [*told, f"{fault}; correct it in your editor's settings."]
    return config, told


def _kept(config: Config, now: Config, names: Sequence[str]) -> Config:
    return dataclasses.replace(config, **{name: getattr(now, name) for name in names})


def _refused(name: str, fault: str, value: object) -> str:
    fix = f"correct {SECTION}.{name} in your editor's settings"
    return f"Setting {name} must be {fault}, not {reprlib.repr(value)}; {fix}."


def _unknown(names: list[str]) -> str:
    shown = ", ".join(f"{SECTION}.{name[:MOST_SHOWN]}" for name in names[:MOST_SHOWN])
    return f"flash-ls has no setting {shown}; correct your editor's settings."


def _plain(setting: "dataclasses.Field[Any]", value: object) -> object:
    told = isinstance(value, int | float) or "enum" in setting.metadata or value == setting.default
    return value if told else "set by the user"


def _fault_of_pro(config: Config) -> str | None:
    """What is wrong with where the larger model is. The address itself is not told: there may be a key in it."""
    if config.pro and config.pro_url:
        return "Settings pro and pro_url exclude each other"
    if config.pro == config.model:
        return "Setting pro must be another model than the setting model"
    try:
        url = urlsplit(config.pro_url)
        known = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        url, known = urlsplit(""), False
    if config.pro_url and not known:
        return "Setting pro_url must be an address like http://localhost:8080/v1"
    if url.username or url.password or url.query or url.fragment:
        return "Setting pro_url must have no key in it, which FLASH_LS_PRO_KEY in the environment is for"
    return None


def _described(setting: "dataclasses.Field[Any]") -> dict[str, Any]:
    """One setting in JSON schema."""
    default: Any = setting.default
    if isinstance(default, tuple):
        return {"type": "array", "items": {"type": "string"}, "default": list(default), **setting.metadata}
    return {"type": SCHEMA_TYPES[type(default)], "default": default, **setting.metadata}


def _fault(setting: "dataclasses.Field[Any]", value: Any) -> str | None:
    """What the value should be and is not."""
    kind, rules = type(setting.default), setting.metadata
    if not _is_a(kind, value):
        return f"of type {TYPE_NAMES.get(kind, kind.__name__)}"
    if "enum" in rules and value not in rules["enum"]:
        return f"one of {', '.join(rules['enum'])}"
    if "minimum" in rules and not rules["minimum"] <= value <= rules["maximum"]:
        return f"from {rules['minimum']} to {rules['maximum']}"
    return None


def _is_a(kind: type, value: object) -> bool:
    """Whether JSON has the value as this type; it may leave the point of a number out."""
    if kind is tuple:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    return type(value) is kind or (kind is float and type(value) is int)
