"""Chunks found by their words, against a plain computation of the same similarity."""

import re
from itertools import chain
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls import index
from flash_ls.index import CHUNK_LINES, RECENT_FILES, STRIDE_LINES, TABLE_WORDS, Chunk, Index

LINES = st.lists(st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "eps", "zeta"]), max_size=4), max_size=40)
TEXTS = LINES.map(lambda lines: "\n".join(map(" ".join, lines)))
FILES = st.dictionaries(st.sampled_from("abcdef"), TEXTS, max_size=5)
FEW_WORDS = st.sampled_from([1, 9, 40, TABLE_WORDS])
"""Of a table: many small ones have to be like one large one."""


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{2,}", text))


def ranked(files: dict[str, str], query: str) -> list[Chunk]:
    """All chunks that share a word with the query, by similarity, path and line."""
    found = []
    for path, text in files.items():
        lines = text.split("\n")
        for first in range(0, max(1, len(lines) - CHUNK_LINES // 2), STRIDE_LINES):
            chunk = words("\n".join(lines[first : first + CHUNK_LINES]))
            if shared := chunk & words(query):
                found.append(Chunk(path, first, len(shared) / len(chunk | words(query))))
    return sorted(found, key=lambda chunk: (-chunk.similarity, chunk.path, chunk.first_line))


@given(FILES, TEXTS, FEW_WORDS)
def test_chunks_are_ranked_by_jaccard_similarity(files: dict[str, str], query: str, most: int) -> None:
    known = Index()
    with patch.object(index, "TABLE_WORDS", most):
        known.add(files.items())
    assert known.nearest(query, 1000) == ranked(files, query)
    assert known.nearest(query, 3) == ranked(files, query)[:3]


@given(st.text("aB_1é \t\n\r\f\u2028.", max_size=400))
def test_the_words_of_a_chunk_are_those_of_its_lines(text: str) -> None:
    words, sizes = index.chunks_of(text)
    lines = text.split("\n")
    firsts = range(0, max(1, len(lines) - CHUNK_LINES // 2), STRIDE_LINES)
    whole = [index.words_of("\n".join(lines[first : first + CHUNK_LINES])) for first in firsts]
    assert sizes.tolist() == [len(chunk) for chunk in whole]
    parts = [words[end - size : end] for size, end in zip(sizes, sizes.cumsum(), strict=True)]
    assert [sorted(part.tolist()) for part in parts] == [sorted(chunk.tolist()) for chunk in whole]


CHANGES = st.lists(st.tuples(st.sampled_from(["add", "update", "remove"]), st.sampled_from("abcdef"), TEXTS))


@given(CHANGES, TEXTS, FEW_WORDS)
def test_it_knows_each_file_as_it_was_last(changes: list[tuple[str, str, str]], query: str, most: int) -> None:
    known, files = Index(), dict[str, str]()
    with patch.object(index, "TABLE_WORDS", most):
        for change, path, text in changes:
            if change == "remove":
                known.remove(path)
                files.pop(path, None)
            else:
                known.add([(path, text)]) if change == "add" else known.update(path, text)
                files[path] = text
    assert known.nearest(query, 1000) == ranked(files, query)
    assert len(known) == len(files)
    present = words("\n".join(files.values()))
    assert {word for word in words(query) if known.knows(word)} == words(query) & present


def test_many_changes_are_found_like_few() -> None:
    known = Index()
    files = {f"f{number}": f"name{number} other{number % 7}" for number in range(3 * RECENT_FILES)}
    for path, text in chain(files.items(), files.items()):
        known.update(path, text)
    assert len(known) == len(files)
    assert known.nearest("name100", 5) == [Chunk("f100", 0, 0.5)]


@pytest.mark.parametrize("put", ["add", "update"])
def test_a_file_is_known_as_it_was_until_it_has_been_read_anew(put: str) -> None:
    known, seen = Index(), list[bool]()
    known.update("a", "before")
    text, pause = "after\n" * 600, lambda: seen.append(known.knows("before"))
    known.add([("a", text)], pause) if put == "add" else known.update("a", text, pause)
    assert all(seen)
    assert len(seen) > 2 * 600 // STRIDE_LINES - 5, "it has to pause while it reads and while it makes chunks"
    assert [known.knows(word) for word in ("before", "after")] == [False, True]


@pytest.mark.parametrize("put", ["add", "update"])
def test_many_words_make_many_tables(put: str) -> None:
    known, text = Index(), "\n".join(f"name{number}" for number in range(200))
    files = [(f"f{number}", text) for number in range(20)]
    with patch.object(index, "TABLE_WORDS", 1000):
        if put == "add":
            known.add(files)
        for path, text in files if put == "update" else []:
            known.update(path, text)
    assert len(known) == 20
    assert max(int(table._sizes.sum()) for table in known._tables()) < 1500


@pytest.mark.parametrize("put", ["add", "update"])
def test_tables_without_files_are_dropped(put: str) -> None:
    known = Index()
    with patch.object(index, "TABLE_WORDS", 3):
        for number in range(30):
            path, text = f"f{number % 3}", "alpha beta"
            known.add([(path, text)]) if put == "add" else known.update(path, text)
    assert len(known) == 3
    assert len(known._tables()) <= 5


def test_a_hidden_file_is_not_found() -> None:
    known = Index()
    known.add([("a", "alpha beta"), ("b", "alpha")])
    known.update("c", "alpha")
    assert [chunk.path for chunk in known.nearest("alpha", 9, hidden="b")] == ["c", "a"]
    assert [chunk.path for chunk in known.nearest("alpha", 9, hidden="c")] == ["b", "a"]


def test_no_text_is_kept() -> None:
    known = Index()
    known.add([("path", "unmistakable_name = 1")])
    seen = repr([vars(table) for table in known._tables()])
    assert "path" in seen
    assert "unmistakable" not in seen


def test_an_empty_index_finds_nothing() -> None:
    assert Index().nearest("alpha", 5) == []
    assert not Index().knows("alpha")
    assert index.words_of("").tolist() == []
