"""Completions fitted to a menu; `|` is the cursor."""

import pytest

from flash_ls.completer import Completion
from flash_ls.document import Snapshot
from flash_ls.suggestion import extension, label, whole_word


def at(marked: str) -> Snapshot:
    return Snapshot("file:///a.py", "python", 1, marked.replace("|", ""), marked.index("|"))


def completion(snapshot: Snapshot, text: str, back: int = 0, ahead: int = 0) -> Completion:
    return Completion(text, snapshot.cursor - back, snapshot.cursor + ahead, "stop", None)


@pytest.mark.parametrize(
    ("marked", "text", "back", "ahead", "expected"),
    [
        pytest.param("x.append|", "(1)", 0, 0, "append(1)", id="appends"),
        pytest.param("x.append|", "end(1)", 3, 0, "append(1)", id="repeats the end of the word"),
        pytest.param("f(append|)", "x)", 0, 1, "appendx", id="keeps the closer behind"),
        pytest.param("f(append|)", "x]", 0, 1, None, id="changes what stands behind"),
        pytest.param("x.append|", "ix", 3, 0, None, id="changes the word"),
        pytest.param("x.append|", ".append()", 7, 0, None, id="begins before the word"),
    ],
)
def test_extension_of_a_selected_item(marked: str, text: str, back: int, ahead: int, expected: str | None) -> None:
    snapshot = at(marked)
    start = marked.index("append")
    assert extension(snapshot, start, completion(snapshot, text, back, ahead)) == expected


@pytest.mark.parametrize(
    ("marked", "text", "back", "expected"),
    [
        ("x = ret|", "urn 1", 0, (4, "return 1")),
        ("x = ret|", "return 1", 3, (4, "return 1")),
        ("größe_1|", " = 2", 0, (0, "größe_1 = 2")),
        ("x.|", "y", 0, (2, "y")),
        ("x. |", " y", 2, (1, " y")),
    ],
)
def test_the_whole_word_is_replaced(marked: str, text: str, back: int, expected: tuple[int, str]) -> None:
    snapshot = at(marked)
    assert whole_word(snapshot, completion(snapshot, text, back)) == expected


@pytest.mark.parametrize(
    ("language", "text", "word"),
    [
        ("javascript", "x = $b", "$b"),
        ("php", "$a = $b", "$b"),
        ("css", "a { a-b", "a-b"),
        ("python", "x = a-b", "b"),
        ("", "x = $b", "b"),
    ],
)
def test_names_are_those_of_the_language(language: str, text: str, word: str) -> None:
    snapshot = Snapshot("file:///a", language, 1, text, len(text))
    assert whole_word(snapshot, completion(snapshot, "c")) == (len(text) - len(word), f"{word}c")


def test_label() -> None:
    assert label("\r\n    return 1 \r\n    x") == "return 1"
