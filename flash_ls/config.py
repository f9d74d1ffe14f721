"""The settings a user may change, their defaults and their checks. Names are those of the LSP configuration section."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from flash_ls.errors import ConfigError

SECTION = "flashLs"
LEAST = {"threads": 0, "prefix_tokens": 32, "context_tokens": 0}
TYPE_NAMES = {tuple: "list of strings", float: "number"}
MOST_TOKENS = 4000
"""What a prompt and its answer may take together; a little less than the graph can place."""


@dataclass(frozen=True, slots=True)
class Config:
    """One immutable set of settings."""

    enabled: bool = True
    model: str = "flash"
    """A name from `flash-ls model list`, or the path of an artifact folder."""
    precision: str = "auto"
    """int4 (least memory), int8 (most exact), mixed (both: quickest words), or auto: what suits the machine."""
    threads: int = 0
    """Threads of one forward pass; 0 lets the machine decide."""
    cache_mb: int = 64
    """Megabytes that the prompts of recent requests may take in the prefix cache."""
    budget_ms: int = 4000
    """After this many milliseconds a request answers with the whole lines it has."""
    max_line_tokens: int = 48
    max_block_tokens: int = 192
    prefix_tokens: int = 640
    """How much of the text before the cursor the model sees."""
    suffix_tokens: int = 160
    """How much of the text after the cursor the model sees."""
    context_tokens: int = 600
    """How much of the rest of the project the model sees; 0: nothing."""
    exclude: tuple[str, ...] = ()
    """Files of the project that the model never sees, as lines of a .gitignore file."""
    min_confidence: float = 0.3
    """A suggestion that nobody asked for is shown if it is right with this probability; 0 shows all."""
    complete_comments: bool = True
    complete_strings: bool = True
    max_file_bytes: int = 4_000_000
    """Larger files get no completions."""
    statistics: bool = True
    """False: nothing is counted, what suggestions become of is not followed, and `min_confidence` does not adapt."""


def parse(settings: Mapping[str, object], base: Config | None = None) -> tuple[Config, list[str]]:
    """Settings from a client laid over `base`, and the keys that mean nothing.

    Raises `ConfigError` naming the key when a value has the wrong type or cannot be used.
    """
    base = base or Config()
    defaults = dataclasses.asdict(base)
    known = {key: _checked(key, value, type(defaults[key])) for key, value in settings.items() if key in defaults}
    config = dataclasses.replace(base, **known)  # type: ignore[arg-type]
    told = config.prefix_tokens + config.suffix_tokens + config.context_tokens
    if told + config.max_block_tokens > MOST_TOKENS:
        parts = "prefix_tokens, suffix_tokens, context_tokens and max_block_tokens"
        raise ConfigError(f"Settings {parts} may be {MOST_TOKENS} together; lower one in your editor's settings.")
    return config, [key for key in settings if key not in defaults]


def section_of(settings: object) -> Mapping[str, object]:
    """Our settings, sent bare or under their section. Raises `ConfigError` if they are no object."""
    ours = settings.get(SECTION, settings) if isinstance(settings, dict) else settings
    if not ours:
        return {}  # Lua clients send an empty table as a list
    if not isinstance(ours, dict):
        raise ConfigError(f"Settings must be an object, not {ours!r}; correct {SECTION} in your editor's settings.")
    return ours


def _checked(key: str, value: object, kind: type) -> object:
    fix = f"; correct {SECTION}.{key} in your editor's settings."
    if kind is tuple and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"Setting {key} must be of type {TYPE_NAMES.get(kind, kind.__name__)}, not {value!r}{fix}")
    least = LEAST.get(key, 1)
    if type(value) is int and value < least:
        raise ConfigError(f"Setting {key} must be at least {least}, not {value}{fix}")
    return value
