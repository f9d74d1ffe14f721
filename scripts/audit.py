#!/usr/bin/env python3
"""Look up every locked package, of Python and of the VS Code extension, in the public lists of known faults.

    scripts/audit.py

The exit status is 0 if none is in them, 1 if one is, and 2 if they could not be asked about all.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-editors.lock")
PACKAGES = ("editors/vscode", "editors/vscode/test/rig")
AUDIT = (
    "--disable-pip",
    "--require-hashes",
    "--progress-spinner=off",
    "--format=json",
    "--timeout=15",
    "--requirement",
)
UNREACHABLE = "the list of known faults cannot be reached; check the network and run this again."
MOST_TOLD = 3
"""Of those that could not be looked up: mostly it is all or none."""


@dataclass
class Audit:
    """Of one lock file: sentences on what has known faults, and on what could not be looked up."""

    faults: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def of_pip_audit(output: str) -> Audit:
    """What `pip-audit --format=json` says."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, LookupError):
        return Audit(unknown=[UNREACHABLE])
    found = Audit()
    for package in packages:
        named = f"{package['name']} {package.get('version', '')}".strip()
        ids = ", ".join(one["id"] for one in package.get("vulns", ()))
        if "skip_reason" in package:
            found.unknown.append(f"{named} cannot be looked up.")
        elif ids:
            found.faults.append(f"{named} has {ids}.")
    return found


def of_npm(output: str) -> Audit:
    """What `npm audit --json` says."""
    try:
        faults = json.loads(output)["vulnerabilities"]
    except (ValueError, LookupError):
        return Audit(unknown=[UNREACHABLE])
    return Audit([f"{name} {one['range']} is of severity {one['severity']}." for name, one in faults.items()])


def run(command: Sequence[str], folder: Path = ROOT) -> str:
    """Its output, however it ended."""
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


def audit_python() -> dict[str, Audit]:
    with tempfile.TemporaryDirectory() as scratch:
        run([sys.executable, "-m", "venv", scratch])
        run([f"{scratch}/bin/python", "-m", "pip", "install", "--quiet", "pip-audit"])
        program = shutil.which("pip-audit", path=f"{scratch}/bin")
        if program is None:
            return dict.fromkeys(LOCKS, Audit(unknown=["pip-audit cannot be installed; check the network."]))
        return {lock: of_pip_audit(run([program, *AUDIT, lock])) for lock in LOCKS}


def audit_node() -> dict[str, Audit]:
    if (npm := shutil.which("npm")) is None:
        return dict.fromkeys(PACKAGES, Audit(unknown=["There is no npm; install Node.js."]))
    return {name: of_npm(run([npm, "audit", "--package-lock-only", "--json"], ROOT / name)) for name in PACKAGES}


def told(audits: dict[str, Audit]) -> int:
    """Print what was found; the exit status."""
    for name, audit in audits.items():
        print(f"{name}: {len(audit.faults)} with known faults, {len(audit.unknown)} not looked up")
        print("".join(f"  {sentence}\n" for sentence in [*audit.faults, *audit.unknown[:MOST_TOLD]]), end="")
    if any(audit.faults for audit in audits.values()):
        return 1
    return 2 if any(audit.unknown for audit in audits.values()) else 0


if __name__ == "__main__":
    sys.exit(told(audit_python() | audit_node()))
