"""What is installed for tests and builds is pinned: the version and hashes of every package, as the project wants."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.audit import LOCKS, Audit, of_npm, of_pip_audit, told

ROOT = Path(__file__).resolve().parents[1]
ENTRY = re.compile(
    r"^([\w.-]+)==([\w.+!-]+)(?: ; [^\\\n]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
WANTED = {
    "requirements.lock": [
        *PROJECT["project"]["dependencies"],
        *EXTRAS["model"],
        *EXTRAS["dev"],
        *EXTRAS["hub"],
        *PROJECT["build-system"]["requires"],
    ],
    "requirements-editors.lock": EXTRAS["editors"],
}


def pinned(lock: str) -> dict[str, set[str]]:
    """The versions of each package: one, or one for each kind of system."""
    found: dict[str, set[str]] = {}
    for name, version, _ in ENTRY.findall((ROOT / lock).read_text(encoding="utf-8")):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_packages_and_their_hashes_alone(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert ENTRY.sub("", text).strip() == ""
    assert "://" not in text, "no place where packages are had"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_agrees_with_the_project(lock: str) -> None:
    known = pinned(lock)
    for line in WANTED[lock]:
        wanted = Requirement(line)
        versions = known.get(canonicalize_name(wanted.name), set())
        assert versions, f"{lock} lacks {wanted.name}; run scripts/lock"
        assert all(version in wanted.specifier for version in versions), f"{lock} has {versions}; run scripts/lock"


def test_the_locks_agree() -> None:
    one, other = (pinned(lock) for lock in LOCKS)
    assert {name: one[name] for name in one.keys() & other.keys()} == {name: other[name] for name in one.keys() & other}


def test_whatever_is_installed_is_checked() -> None:
    lines = (ROOT / "scripts" / "setup").read_text(encoding="utf-8").split("\n")
    installs = [line for line in lines if "install[@]" in line]
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in installs)


@pytest.mark.parametrize("folder", ["editors/vscode", "editors/vscode/test/rig"])
def test_packages_of_the_extension_have_hashes_and_no_place(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = [one for path, one in lock["packages"].items() if path and not one.get("link")]
    assert packages
    assert all(one["integrity"].startswith("sha512-") and "resolved" not in one for one in packages)


def test_known_faults_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    listed = [
        {"name": "good", "version": "1", "vulns": []},
        {"name": "bad", "version": "2", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]},
        {"name": "odd", "skip_reason": "not found"},
    ]
    python = of_pip_audit(json.dumps({"dependencies": listed}))
    assert python == Audit(["bad 2 has CVE-1, CVE-2."], ["odd cannot be looked up."])
    node = of_npm(json.dumps({"vulnerabilities": {"left": {"range": "<2", "severity": "high"}}}))
    assert node == Audit(["left <2 is of severity high."])
    assert told({"a": python, "b": node}) == 1
    assert "CVE-1" in capsys.readouterr().out


def test_what_cannot_be_asked_is_no_good_news(capsys: pytest.CaptureFixture[str]) -> None:
    for audit in (of_pip_audit(""), of_npm('{"error": {}}'), of_pip_audit("no JSON")):
        assert told({"a": audit}) == 2
        assert "check the network" in capsys.readouterr().out
    assert told({"a": Audit()}) == 0
