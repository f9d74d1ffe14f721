#!/usr/bin/env python3
"""The settings wherever they are shown, written from the one table in `flash_ls/config.py`.

scripts/settings.py            write them into docs/settings.md and into the package.json of the VS Code extension
scripts/settings.py --check    write nothing, but say what differs; the exit status is 1 if anything does
"""

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.config import SECTION, schema

ROOT = Path(__file__).resolve().parents[1]
HEADER = "| setting | default | meaning |\n|---|---|---|\n"
ENTRY = "Server"
"""The title of the server's settings among those of the extension."""
OF_THE_MACHINE = ("model", "precision", "cache_mb", "threads", "pro")
"""Settings that VS Code does not carry to another machine."""
OF_THE_USER = ("pro_url", "pro_model")
"""Settings that no workspace has a say in: they send code away."""
MARKDOWN = {"description": "markdownDescription", "enumDescriptions": "markdownEnumDescriptions"}
"""What VS Code calls a text with code in it."""

Shown = Callable[[str], str]
"""A file's text with the settings in it as they are now. Raises `ValueError` if they have no place there."""


def in_guide(text: str) -> str:
    """The table of the guide."""
    before, header, _ = text.partition(HEADER)
    if not header:
        raise ValueError(f"there is no table that begins with {HEADER.splitlines()[0]!r}")
    rows = [row(name, rules) for name, rules in properties().items()]
    return before + header + "\n".join(rows) + "\n"


def row(name: str, rules: dict[str, Any]) -> str:
    choices = zip(rules.get("enum", ()), rules.get("enumDescriptions", ()), strict=True)
    meaning = " ".join([rules["description"], *(f"`{choice}`: {meaning}" for choice, meaning in choices)])
    return f"| `{name}` | `{json.dumps(rules['default'])}` | {meaning} |"


def in_extension(text: str) -> str:
    """The server's settings in a package.json; the text stays as it is if they are right."""
    package = json.loads(text)
    entries = package["contributes"]["configuration"]
    server = next((entry for entry in entries if entry.get("title") == ENTRY), None)
    if server is None:
        raise ValueError(f"`contributes.configuration` has no entry with the title {ENTRY!r}")
    contributed = {f"{SECTION}.{name}": contribution(name, rules) for name, rules in properties().items()}
    if list(server.get("properties", {}).items()) == list(contributed.items()):
        return text
    server["properties"] = contributed
    return json.dumps(package, indent=2, ensure_ascii=False) + "\n"


def contribution(name: str, rules: dict[str, Any]) -> dict[str, Any]:
    """A setting as VS Code describes one."""
    scopes = dict.fromkeys(OF_THE_MACHINE, "machine-overridable") | dict.fromkeys(OF_THE_USER, "machine")
    scope = {"scope": scopes[name]} if name in scopes else {}
    texts = {"description": linked(rules["description"])}
    order = {"order": list(properties()).index(name)}
    return {MARKDOWN.get(key, key): value for key, value in {**rules, **texts, **scope, **order}.items()}


def linked(text: str) -> str:
    """With the names of other settings as VS Code links them."""
    names = "|".join(properties())
    return re.sub(rf"`({names})`", rf"`#{SECTION}.\1#`", text)


def properties() -> dict[str, dict[str, Any]]:
    """The rules of every setting in JSON schema, by its name."""
    return dict(schema()["properties"])


PLACES: dict[str, Shown] = {"docs/settings.md": in_guide, "editors/vscode/package.json": in_extension}


def difference(root: Path, place: str, write: bool) -> str:
    """What of a file below `root` differs, as lines of a diff. Raises `ValueError` and `OSError`."""
    path = root / place
    old = path.read_text(encoding="utf-8")
    try:
        new = PLACES[place](old)
    except (ValueError, LookupError) as error:
        raise ValueError(f"{place} has no place for the settings: {error}") from error
    if write and new != old:
        path.write_text(new, encoding="utf-8")
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), place, "flash_ls/config.py", n=0, lineterm="")
    return "\n".join(lines)


def main(root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, but say what differs")
    check = parser.parse_args().check
    try:
        found = [text for place in PLACES if (text := difference(root, place, write=not check))]
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(found) or "The settings are the same everywhere.")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
