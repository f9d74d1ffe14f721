"""What this process has of a mapped file in memory (Linux)."""

import re
from pathlib import Path


def resident_kb(file: Path) -> int:
    """Of all mappings of the file."""
    smaps = Path("/proc/self/smaps").read_text(encoding="utf-8")
    return sum(map(int, re.findall(rf" {re.escape(str(file))}\n(?:\w+: .*\n)*?Rss: +(\d+) kB", smaps)))
