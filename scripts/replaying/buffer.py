"""The text of an open file with its cursor, and its places as LSP has them: lines and UTF-16 units.

Only \\n ends a line.
"""

from dataclasses import dataclass

Place = dict[str, int]


@dataclass
class Buffer:
    """Offsets are in code points."""

    uri: str
    text: str
    cursor: int = 0
    version: int = 0

    def replace(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]

    def place(self, offset: int) -> Place:
        start = self.text.rfind("\n", 0, offset) + 1
        line = self.text.count("\n", 0, offset)
        return {"line": line, "character": len(self.text[start:offset].encode("utf-16-le")) // 2}

    def offset(self, place: Place) -> int | None:
        """None if there is no such place."""
        start = 0
        for _ in range(place["line"]):
            start = self.text.find("\n", start) + 1
            if not start:
                return None
        line = self.text[start:].partition("\n")[0].encode("utf-16-le")
        units = 2 * place["character"]
        if not 0 <= units <= len(line):
            return None
        return start + len(line[:units].decode("utf-16-le", "ignore"))
