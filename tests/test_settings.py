"""The settings are described in one place: what editors, the readme and the guides say of them agrees with it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flash_ls.cli import main
from flash_ls.config import SETTINGS, schema

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = "scripts/settings.py"
GUIDE = "docs/settings.md"
EXTENSION = "editors/vscode/package.json"
GUIDES = [
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "editors").glob("*/*.md"),
    *(ROOT / "editors").glob("*/doc/*.txt"),
    *(ROOT / "editors").glob("*/media/*.md"),
    ROOT / "README.md",
]
PLUGIN_OPTIONS = ROOT / "editors" / "nvim" / "lua" / "flash_ls" / "options.lua"
OTHERS = {"status", "refresh"}
"""Names behind `flashLs.` that are no settings: the server's command, and what a client may announce."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The script, what it reads and what it writes, in a folder of the test's own."""
    for name in (SCRIPT, GUIDE, EXTENSION, "flash_ls/__init__.py", "flash_ls/config.py", "flash_ls/errors.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(root: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(root / SCRIPT), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, encoding="utf-8")


def replace(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    assert old in text
    (root / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def contributed(root: Path) -> dict[str, dict[str, Any]]:
    """The settings of the server in the extension's package.json."""
    package = json.loads((root / EXTENSION).read_text(encoding="utf-8"))
    [entry] = [one for one in package["contributes"]["configuration"] if one["title"] == "Server"]
    return dict(entry["properties"])


def test_the_settings_are_the_same_everywhere() -> None:
    done = run(ROOT, "--check")
    assert done.returncode == 0, f"run {SCRIPT}\n{done.stdout}{done.stderr}"


def test_what_differs_is_said_and_written(copy: Path) -> None:
    replace(copy, GUIDE, "| `threads` | `0` |", "| `threads` | `9` |")
    replace(copy, EXTENSION, '"flashLs.cache_mb"', '"flashLs.cash"')
    checked = run(copy, "--check")
    assert checked.returncode == 1
    assert "-| `threads` | `9` |" in checked.stdout
    assert '-          "flashLs.cash": {' in checked.stdout
    assert run(copy, "--check").stdout == checked.stdout, "it has written"
    assert run(copy).returncode == 0
    assert run(copy, "--check").returncode == 0
    for name in (GUIDE, EXTENSION):
        assert (copy / name).read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8")


def test_a_new_setting_is_written_into_both(copy: Path) -> None:
    field = '    colour: str = _setting("red", "The colour.")\n    statistics: bool'
    replace(copy, "flash_ls/config.py", "    statistics: bool", field)
    assert run(copy, "--check").returncode == 1
    assert run(copy).returncode == 0
    assert '| `colour` | `"red"` | The colour. |\n' in (copy / GUIDE).read_text(encoding="utf-8")
    assert contributed(copy)["flashLs.colour"]["markdownDescription"] == "The colour."


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (GUIDE, "| setting | default | meaning |", "| option | default | meaning |"),
        (EXTENSION, '"title": "Server"', '"title": "Other"'),
        (EXTENSION, '"contributes"', '"contributions"'),
        (EXTENSION, "{", "["),
    ],
)
def test_a_file_with_no_place_for_them_is_named(copy: Path, name: str, old: str, new: str) -> None:
    replace(copy, name, old, new)
    done = run(copy, "--check")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name} has no place for the settings: ")
    assert done.stderr.count("\n") == 1


def test_vs_code_checks_values_as_the_server_does() -> None:
    properties = schema()["properties"]
    shown = contributed(ROOT)
    assert list(shown) == [f"flashLs.{name}" for name in properties]
    for name, rules in properties.items():
        checks = {key: value for key, value in rules.items() if "escription" not in key}
        assert checks.items() <= shown[f"flashLs.{name}"].items()
    assert "`#flashLs.min_confidence#`" in shown["flashLs.statistics"]["markdownDescription"]


def test_a_model_is_not_loaded_from_a_folder_that_is_not_trusted() -> None:
    """A setting of the workspace could name a model of its own."""
    package = json.loads((ROOT / EXTENSION).read_text(encoding="utf-8"))
    assert contributed(ROOT)["flashLs.model"]["scope"] == "machine-overridable"
    restricted = package["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"]
    assert {"flashLs.model", "flashLs.engine_url", "flashLs.engine_unencrypted"} <= set(restricted)


def plugin_options() -> set[str]:
    """The names of the Neovim plugin's own options."""
    text = PLUGIN_OPTIONS.read_text(encoding="utf-8")
    [defaults] = re.findall(r"^M\.defaults = \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^  (\w+) = ", defaults, re.MULTILINE))


def test_options_of_the_neovim_plugin_are_none_of_the_server() -> None:
    assert {"cmd", "keys", "settings"} <= plugin_options()
    assert not plugin_options() & SETTINGS.keys()


def examples(text: str) -> Iterator[str]:
    """The names in examples of the server's settings: in Lua, TOML, JSON and Emacs Lisp."""
    for inside in re.findall(r"\bsettings = \{((?:[^{}]|\{[^{}]*\})*)\}", text):
        yield from re.findall(r"(\w+) =", inside)
    for inside in re.findall(r"\[language-server\.flash-ls\.config\]\n((?:\w.*\n)+)", text):
        yield from re.findall(r"^(\w+) =", inside, re.MULTILINE)
    for inside in re.findall(r'"(?:initializationOptions|flashLs)": \{([^{}]*)\}', text):
        yield from re.findall(r'"(\w+)":', inside)
    for inside in re.findall(r":flashLs\s+\(([^()]*)\)", text):
        yield from re.findall(r":(\w+)", inside)


def test_settings_in_examples_are_found_in_every_notation() -> None:
    lua = 'settings = { one = "x", two = { "a/" } },'
    toml = "[language-server.flash-ls.config]\nthree = 1\n"
    elisp = "(:flashLs (:four 0.5 :five t))"
    shown = f'{lua}\n{toml}\n{elisp}\n{{"initializationOptions": {{"six": 1}}}}'
    assert list(examples(shown)) == ["one", "two", "three", "six", "four", "five"]


def named(text: str) -> set[str]:
    """What stands behind `flashLs.` in a text."""
    return set(re.findall(r"\bflashLs\.(\w+(?:\.\w+)*)", text))


def names_of_the_extension() -> set[str]:
    """Its settings, those of the server too, and its commands."""
    contributes = json.loads((ROOT / EXTENSION).read_text(encoding="utf-8"))["contributes"]
    settings = {name for entry in contributes["configuration"] for name in entry["properties"]}
    return named(" ".join(settings | {command["command"] for command in contributes["commands"]}))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_settings_in_the_guides_are_there(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    assert not set(examples(text)) - SETTINGS.keys() - plugin_options()
    assert not named(text) - names_of_the_extension() - OTHERS


def test_settings_in_messages_are_there() -> None:
    messages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "flash_ls").rglob("*.py"))
    assert named(messages) >= {"min_confidence", "max_file_bytes"}
    assert not named(messages) - SETTINGS.keys() - OTHERS


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["settings"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out) == schema()
