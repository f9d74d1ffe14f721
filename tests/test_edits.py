"""What a change of a document comes to, as an edit of its text: for those who follow it by offsets."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.document import Change, Document, DocumentStore, Edit, Encoding
from tests.test_document import EDITS, ENCODINGS, TEXTS

URI = "file:///a.py"


def store_of(text: str, encoding: Encoding = "utf-16", max_bytes: int = 1000) -> DocumentStore:
    store = DocumentStore(encoding, max_bytes)
    store.open(URI, "python", 1, text)
    return store


def applied(text: str, edits: list[Edit]) -> str:
    for start, end, new in edits:
        text = text[:start] + new + text[end:]
    return text


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=TEXTS, changes=st.lists(EDITS, max_size=8))
def test_the_edits_lead_to_the_text(encoding: Encoding, text: str, changes: list[Change]) -> None:
    store = store_of(text, encoding)
    before = store.get(URI).text
    edits = store.change(URI, 2, changes)
    assert applied(before, edits) == store.get(URI).text
    assert all(0 <= start <= end for start, end, _ in edits)


@given(st.text("ab", max_size=12), st.text("ab", max_size=12), st.text("ab\n", max_size=5), st.text("ab", max_size=5))
def test_of_a_whole_text_only_what_differs_is_an_edit(head: str, tail: str, old: str, new: str) -> None:
    [(start, end, text)] = store_of(head + old + tail).change(URI, 2, [head + new + tail])
    assert len(text) <= len(new)
    assert end - start <= len(old)


def test_a_text_that_is_too_large_has_no_edits() -> None:
    store = store_of("x" * 11, max_bytes=10)
    assert store.change(URI, 2, [((0, 0), (0, 1), "y")]) == [(0, 0, "")]
    assert store.change(URI, 3, ["small"]) == [(0, 0, "small")]


def test_a_document_is_open_however_it_is_spelt() -> None:
    store = DocumentStore("utf-16", 1000)
    store.open("file:///c%3A/x.py", "python", 1, "")
    assert "file:///C:/x.py" in store
    assert "file:///d:/x.py" not in store


def test_many_edits_of_a_large_document_take_no_time() -> None:
    lines = 10_000
    large = Document(URI, "python", 1, "    value = compute(value)\n" * lines, "utf-16", 10**7)
    began = time.perf_counter()
    for line in reversed(range(0, lines, 2)):
        large.replace((line, 4), (line, 4), "x")
    assert time.perf_counter() - began < 0.5
