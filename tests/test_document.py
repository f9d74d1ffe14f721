"""Documents against a reference that works on the whole string, in every position encoding."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.document import Document, DocumentStore, Encoding, Place, Snapshot
from flash_ls.errors import DocumentError

ENCODINGS: list[Encoding] = ["utf-8", "utf-16", "utf-32"]
ALPHABET = [*"ab é日😀𝒳\r\n\x0b\x0c\x85\u2028\ud83d", "\r\n", "e\u0301"]
TEXTS = st.lists(st.sampled_from(ALPHABET), max_size=12).map("".join)
PLACES = st.tuples(st.integers(-1, 8), st.integers(-1, 14))
EDITS = st.one_of(TEXTS, st.tuples(PLACES, PLACES, TEXTS))

WIDTHS: dict[Encoding, Callable[[str], int]] = {
    "utf-8": lambda char: len(char.encode()),
    "utf-16": lambda char: 2 if ord(char) > 0xFFFF else 1,
    "utf-32": lambda char: 1,
}


def document(text: str, encoding: Encoding = "utf-16", max_bytes: int = 1000) -> Document:
    return Document("file:///a.py", "python", 1, text, encoding, max_bytes)


def reference_offset(text: str, place: Place, encoding: Encoding) -> int:
    """The nearest offset at or before a place, found by walking over the whole text."""
    line, column = place
    starts = [0, *(end.end() for end in re.finditer(r"\r\n|\r|\n", text))]
    if line < 0:
        return 0
    if line >= len(starts):
        return len(text)
    offset, units = starts[line], 0
    while offset < len(text) and text[offset] not in "\r\n":
        units += WIDTHS[encoding](text[offset])
        if units > column:
            break
        offset += 1
    return offset


def reference_edit(text: str, edit: str | tuple[Place, Place, str], encoding: Encoding) -> str:
    new = edit if isinstance(edit, str) else edit[2]
    new = new.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if "\ud83d" in new else new
    if isinstance(edit, str):
        return new
    start, end = sorted(reference_offset(text, place, encoding) for place in edit[:2])
    return text[:start] + new + text[end:]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(edits=st.lists(EDITS, max_size=8), places=st.lists(PLACES, max_size=4))
def test_edits_equal_the_reference(
    encoding: Encoding, edits: list[str | tuple[Place, Place, str]], places: list[Place]
) -> None:
    subject, expected = document("", encoding), ""
    for edit in edits:
        expected = reference_edit(expected, edit, encoding)
        if isinstance(edit, str):
            subject.set_text(edit)
        else:
            subject.replace(*edit)
        assert subject.text == expected
        fresh = document(expected, encoding)
        for place in places:
            assert subject.offset(*place) == fresh.offset(*place) == reference_offset(expected, place, encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=TEXTS)
def test_every_offset_comes_back_from_its_position(encoding: Encoding, text: str) -> None:
    subject = document(text, encoding)
    for offset in range(len(subject.text) + 1):
        inside_crlf = subject.text[offset - 1 : offset + 1] == "\r\n"
        assert subject.offset(*subject.position(offset)) == offset - inside_crlf


@pytest.mark.parametrize(("encoding", "columns"), [("utf-8", 7), ("utf-16", 4), ("utf-32", 3)])
def test_columns_inside_a_character_are_clamped_down(encoding: Encoding, columns: int) -> None:
    subject = document("é😀x\n", encoding)
    offsets = [subject.offset(0, column) for column in range(columns + 2)]
    assert (
        offsets
        == {
            "utf-8": [0, 0, 1, 1, 1, 1, 2, 3, 3],
            "utf-16": [0, 1, 1, 2, 3, 3],
            "utf-32": [0, 1, 2, 3, 3],
        }[encoding]
    )


@pytest.mark.parametrize(
    ("line", "column", "offset"), [(0, 99, 2), (1, 99, 6), (2, 0, 7), (9, 9, 7), (-1, 5, 0), (1, -1, 4)]
)
def test_places_that_do_not_exist_are_clamped(line: int, column: int, offset: int) -> None:
    assert document("ab\r\ncd\n").offset(line, column) == offset


@pytest.mark.parametrize(
    ("text", "start", "end", "new", "lines"),
    [
        pytest.param("a\rb", (1, 0), (1, 0), "\n", 2, id="join after \\r"),
        pytest.param("a\nb", (0, 1), (0, 1), "\r", 2, id="join before \\n"),
        pytest.param("a\r\nb", (0, 1), (0, 1), "\r", 3, id="one more"),
        pytest.param("a\rxx\nb", (1, 0), (1, 2), "", 2, id="delete between"),
        pytest.param("a\r\nb", (0, 0), (1, 0), "\n", 2, id="shrink"),
    ],
)
def test_line_ends_join_and_part(text: str, start: Place, end: Place, new: str, lines: int) -> None:
    subject = document(text)
    subject.replace(start, end, new)
    assert subject.position(len(subject.text))[0] + 1 == lines


def test_only_lsp_line_ends_count() -> None:
    subject = document("a\x0cb\x0bc\x85d\u2028e\nf")
    assert subject.position(len(subject.text)) == (1, 1)


def test_a_reversed_range_is_swapped() -> None:
    subject = document("hello world")
    subject.replace((0, 11), (0, 5), "")
    assert subject.text == "hello"


def test_a_snapshot_shows_both_sides_of_the_cursor() -> None:
    snapshot = document("ab\r\ncd)\r\nef").snapshot(1, 2)
    assert (snapshot.before, snapshot.after, snapshot.line_suffix) == ("ab\r\ncd", ")\r\nef", ")")
    assert snapshot.replaced(4, 6, "xyz") == Snapshot("file:///a.py", "python", 1, "ab\r\nxyz)\r\nef", 7)


def test_a_snapshot_stays_as_it_was() -> None:
    subject = document("old")
    snapshot = subject.snapshot(0, 3)
    subject.replace((0, 0), (0, 3), "new")
    assert (snapshot.text, subject.text) == ("old", "new")


def test_all_spellings_of_a_uri_are_one_document() -> None:
    store = DocumentStore("utf-16", 1000)
    store.open("file:///c%3A/x", "python", 1, "text")
    store.change("file:///C:/x", 2, [((0, 4), (0, 4), "!")])
    assert store.get("file:///c:/x").snapshot(0, 0) == Snapshot("file:///c%3A/x", "python", 2, "text!", 0)
    store.close("file:///c:/x")
    with pytest.raises(DocumentError, match=r"^x is not open"):
        store.get("file:///c%3A/x")


def test_a_change_of_an_unknown_document() -> None:
    with pytest.raises(DocumentError, match=r"^b is not open"):
        DocumentStore("utf-8", 1000).change("file:///home/b", 1, ["text"])


def test_a_document_that_grows_too_large_is_dropped_and_comes_back() -> None:
    subject = document("é" * 5, max_bytes=11)
    subject.replace((0, 0), (0, 0), "ab")
    assert (subject.too_large, subject.text) == (True, "")
    subject.replace((0, 0), (0, 0), "ignored")
    with pytest.raises(DocumentError, match="larger than 11 bytes"):
        subject.snapshot(0, 0)
    subject.set_text("small")
    assert (subject.too_large, subject.snapshot(0, 1).text) == (False, "small")


def test_the_limit_can_change() -> None:
    store = DocumentStore("utf-8", 1000)
    store.open("file:///a", "python", 1, "12345")
    store.limit(4)
    assert store.get("file:///a").too_large
    store.open("file:///b", "python", 1, "12345")
    assert store.get("file:///b").too_large


@given(text=TEXTS, edits=st.lists(st.tuples(PLACES, PLACES, TEXTS), max_size=5))
def test_the_size_is_that_of_the_text(text: str, edits: list[tuple[Place, Place, str]]) -> None:
    subject = document(text)
    for edit in edits:
        subject.replace(*edit)
    size = len(subject.text.encode())
    subject.limit(max(size, 1))
    assert not subject.too_large
    subject.limit(size - 1)
    assert subject.too_large
