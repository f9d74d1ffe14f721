"""The guide to other editors: its examples can be read, start this server, and set what there is to be set."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flash_ls.config import parse
from tests.lsp_client import LspProcess, python_module

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "editors.md"
TEXT = GUIDE.read_text(encoding="utf-8")
READERS = {"toml": tomllib.loads, "json": json.loads}
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
EXAMPLES = [(language, text) for language, text in BLOCKS if language in READERS]
COMMAND_KEYS = ("command", "argv")
SETTINGS_KEYS = ("config", "initializationOptions", "settings")


def values(tree: Any, keys: tuple[str, ...]) -> Iterator[Any]:
    """What stands under one of the keys, at any depth."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in keys:
                yield value
            yield from values(value, keys)


def settings(tree: Any) -> dict[str, Any]:
    """What an example sends to the server; one that starts nothing is all settings."""
    if not list(values(tree, COMMAND_KEYS)):
        return dict(tree)
    return dict(next(values(tree, SETTINGS_KEYS), {}))


def test_every_editor_has_an_example() -> None:
    assert [language for language, _ in BLOCKS] == ["elisp", "toml", "json", "json", "json", "json"]


@pytest.mark.parametrize(("language", "text"), EXAMPLES)
def test_an_example_starts_this_server_with_settings_it_has(language: str, text: str) -> None:
    tree = READERS[language](text)
    programs = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert all(command in ("flash-ls", ["flash-ls"]) for command in values(tree, COMMAND_KEYS))
    assert "flash-ls" in programs
    assert parse(settings(tree))[1] == []


def test_the_server_takes_what_the_examples_send() -> None:
    """As a client without inline completion, which sends no more than it has to."""
    for language, text in EXAMPLES:
        with LspProcess(python_module("tests.fake_server", "ready")) as client:
            client.initialize(capabilities={}, options=settings(READERS[language](text)))
            client.wait_until(lambda log=client.log: any("reason=ready" in line for line in log))  # type: ignore[misc]
            client.open("file:///a.py", "python", "x = ret")
            place = {"textDocument": {"uri": "file:///a.py"}, "position": {"line": 0, "character": 7}}
            [item] = client.request("textDocument/completion", place)["items"]
            assert item["label"] == "retx = ret|"
            assert client.heard("window/showMessage") == []


def test_links_lead_somewhere() -> None:
    anchors = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)", TEXT, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        if not target.startswith("https:"):
            assert (GUIDE.parent / path).exists(), target
            assert path or anchor in anchors, target
