"""Outcomes, by an editor that types, accepts and undoes as editors do."""

import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.document import Edit
from flash_ls.outcomes import LATE_S, MOST_FOLLOWED, SOON_S, Outcomes, Record, Shown, one_key, share_left

URI = "file:///a.py"


@dataclass
class Editor:
    """A document with `¦` where the cursor is, and all that is reported of it."""

    marked: str
    now: float = 1000.0
    text: str = ""
    records: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cursor = self.marked.index("¦")
        self.text = self.marked.replace("¦", "")
        self.outcomes = Outcomes(lambda uri, start, end: self.text[start:end], self.records.append)
        self.history: list[tuple[str, int]] = []

    def show(self, text: str, taken: int = 0) -> None:
        """A suggestion at the cursor that replaces so many characters behind it."""
        start, end = self.cursor, self.cursor + taken
        self.outcomes.shown(URI, Shown(start, end, text, self.now, "python", 80.0, 0.6))

    def edit(self, *edits: Edit) -> None:
        self.history.append((self.text, self.cursor))
        for start, end, text in edits:
            self.text = self.text[:start] + text + self.text[end:]
            if start <= self.cursor <= end:
                self.cursor = start + len(text)
            elif end < self.cursor:
                self.cursor += len(text) - (end - start)
        self.now += 0.2
        self.outcomes.changed(URI, edits, self.now)

    def put(self, text: str, taken: int = 0) -> None:
        self.edit((self.cursor, self.cursor + taken, text))

    def type(self, text: str) -> None:
        for character in text:
            self.put(character)

    def undo(self) -> None:
        """As one edit of all that differs, as clients tell of it that compare texts."""
        text, cursor = self.history[-1]
        start = next((i for i in range(min(len(text), len(self.text))) if text[i] != self.text[i]), 0)
        self.edit((start, len(self.text), text[start:]))
        self.cursor = cursor

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.outcomes.due(self.now)

    @property
    def found(self) -> list[str]:
        return [record.outcome for record in self.records]

    def end(self) -> list[str]:
        self.outcomes.finish()
        return self.found


def test_a_suggestion_put_in_by_one_edit_is_accepted() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.now += 50
    editor.put("total(a)")
    assert editor.end() == ["accepted"]
    assert editor.records == [Record(1000.0, "python", "line", 8, 8, "accepted", 80.0, 0.6, None, None)]


def test_the_part_that_was_typed_along_is_not_saved() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.type("tot")
    editor.put("al(a)")
    assert editor.end() == ["accepted"]
    assert (editor.records[0].characters, editor.records[0].taken) == (8, 5)


@pytest.mark.parametrize("part", ["total", "total(", "total(a)", "total(a)\n", "total(a)\n    return x"])
def test_a_first_word_or_line_is_a_part(part: str) -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)\n    return x + 1")
    editor.put(part)
    editor.type("?")
    assert editor.end() == ["partly accepted"]
    assert editor.records[0].taken == len(part)
    assert editor.records[0].kind == "block"


def test_all_parts_together_are_the_whole() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a, b)")
    editor.put("total")
    editor.put("(a")
    editor.put(", b)")
    assert editor.end() == ["accepted"]
    assert editor.records[0].taken == 11


def test_a_part_that_is_typed_to_the_end_is_a_part() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.put("total")
    editor.type("(a)")
    assert editor.end() == ["partly accepted"]
    assert editor.records[0].taken == 5


def test_a_suggestion_typed_by_keys_is_typed() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.type("total(a)")
    assert editor.found == ["typed"]
    assert editor.records[0].taken == 0
    assert not editor.outcomes.follows(URI)


def test_several_keys_in_one_edit_are_not_a_part_unless_they_end_a_word() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.put("to")
    editor.put("ta")
    editor.type("l(a)")
    assert editor.found == ["typed"]


def test_brackets_that_an_editor_closes_are_typed_along() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a[0])")
    editor.type("total")
    editor.put("()")
    editor.cursor -= 1
    editor.type("a")
    editor.put("[]")
    editor.cursor -= 1
    assert editor.found == []
    editor.type("0")
    assert editor.found == ["typed"]


def test_closers_of_both_kinds() -> None:
    """Those that the suggestion replaces stand behind those that the editor has closed."""
    editor = Editor("print(¦)\n")
    editor.show("a[0])", taken=1)
    editor.type("a")
    editor.put("[]")
    editor.cursor -= 1
    editor.type("0")
    assert editor.found == ["typed"]


def test_a_line_end_between_braces() -> None:
    editor = Editor("f() ¦\n")
    editor.show("{\n    ab\n}")
    editor.put("{}")
    editor.cursor -= 1
    editor.put("\n    \n")
    editor.cursor -= 1
    editor.type("a")
    assert editor.found == []
    editor.type("b")
    assert editor.found == ["typed"]


def test_an_indented_line_end_is_one_key() -> None:
    editor = Editor("def f():¦\n")
    editor.show("\n    return 1")
    editor.put("\n    ")
    editor.type("return 1")
    assert editor.found == ["typed"]


@pytest.mark.parametrize("key", ["?", ")", " ", "\n", "T"])
def test_something_else_is_a_rejection(key: str) -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.type(key)
    assert editor.found == ["rejected"]


def test_something_else_after_typing_along_is_a_rejection() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.type("tox")
    assert editor.found == ["rejected"]


def test_typing_and_taking_back_decides_nothing() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total")
    editor.type("tot")
    editor.edit((editor.cursor - 1, editor.cursor, ""))
    assert editor.found == []
    editor.type("tal")
    assert editor.found == ["typed"]


def test_taking_back_what_was_there_before_is_a_rejection() -> None:
    editor = Editor("xx = ¦\n")
    editor.show("total")
    editor.edit((editor.cursor - 1, editor.cursor, ""))
    assert editor.found == ["rejected"]


def test_typing_elsewhere_is_a_rejection() -> None:
    editor = Editor("x = ¦\ny\nz\n")
    editor.show("total")
    editor.edit((8, 8, "a"))
    assert editor.found == ["rejected"]


def test_an_edit_of_nothing_decides_nothing() -> None:
    editor = Editor("x = ¦\ny\n")
    editor.show("total")
    editor.edit((6, 6, ""))
    editor.edit()
    assert editor.found == []


def test_an_empty_suggestion_is_none() -> None:
    editor = Editor("x = ¦\n")
    editor.show("")
    assert not editor.outcomes.follows(URI)


def test_a_suggestion_that_nobody_touches_is_given_up() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total")
    assert editor.outcomes.next_due == 1000.0 + LATE_S
    editor.wait(LATE_S - 1)
    assert editor.found == []
    editor.wait(1)
    assert editor.found == ["rejected"]


def test_the_rest_of_a_suggestion_is_the_same_suggestion() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    for typed in range(1, 8):
        editor.type("total(a)"[typed - 1])
        editor.show("total(a)"[typed:])
    editor.type(")")
    assert editor.found == ["typed"]
    assert editor.records[0].characters == 8


def test_a_suggestion_shown_longer_or_shorter_is_the_same_suggestion() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total")
    editor.show("total(a)\n    return x")
    editor.show("total(a)")
    editor.put("total(a)")
    assert editor.end() == ["accepted"]


def test_the_rest_after_a_part_is_the_same_suggestion() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.put("total")
    editor.show("(a) + 1")
    editor.put("(a) + 1")
    assert editor.end() == ["accepted"]
    assert (editor.records[0].characters, editor.records[0].taken) == (12, 12)


def test_another_suggestion_withdraws_the_one_before() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.type("to")
    editor.show("ken")
    editor.put("ken")
    assert editor.end() == ["withdrawn", "accepted"]


def test_a_suggestion_elsewhere_rejects_the_one_before() -> None:
    editor = Editor("x = ¦\n\n\ny")
    editor.show("total")
    editor.cursor = len(editor.text)
    editor.show(" = 1")
    assert editor.found == ["rejected"]


def test_a_closed_document_withdraws() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total")
    editor.outcomes.closed(URI)
    assert editor.found == ["withdrawn"]
    assert not editor.outcomes.follows(URI)
    assert editor.outcomes.next_due is None


@pytest.mark.parametrize("put", [("a, b)", 1), ("a, b", 0)])
def test_closers_behind_the_cursor_that_are_replaced(put: tuple[str, int]) -> None:
    """Editors tell of the edit that was asked for, or only of what it changes."""
    editor = Editor("print(¦)\n")
    editor.show("a, b)", taken=1)
    editor.put(*put)
    assert editor.end() == ["accepted"]
    assert editor.records[0].taken == 4


def test_typing_before_closers_that_are_replaced() -> None:
    editor = Editor("print(¦)\n")
    editor.show("a, b)", taken=1)
    editor.type("a, b")
    assert editor.found == ["typed"]


@pytest.mark.parametrize("text", ["foo\n    ", "ab"])
def test_an_editor_may_find_the_edit_a_little_further_on(text: str) -> None:
    """Before `ab` as put in behind it: the text is the same."""
    editor = Editor(f"x = ¦{text}c\n")
    editor.show(text)
    shift = len(text)
    editor.edit((editor.cursor + shift, editor.cursor + shift, text))
    assert editor.end() == ["accepted"]


def test_an_editor_may_replace_the_word_that_is_typed() -> None:
    editor = Editor("self.to¦\n")
    editor.show("tal(a)")
    editor.edit((5, 7, "total(a)"))
    assert editor.end() == ["accepted"]
    assert editor.records[0].taken == 6


def test_a_whole_new_text_is_an_edit_as_well() -> None:
    editor = Editor("x = ¦\ny\n")
    editor.show("total(a)")
    editor.edit((0, len(editor.text), "x = total(a)\ny\n"))
    assert editor.end() == ["accepted"]


@pytest.mark.parametrize("shown", ["\n    a()\n    b()", "\r\n    a()\r\n    b()"])
@pytest.mark.parametrize("put", ["\n    a()\n    b()", "\r\n    a()\r\n    b()"])
def test_line_ends_may_differ(shown: str, put: str) -> None:
    editor = Editor("def f():¦\r\nx\r\n")
    editor.show(shown)
    editor.put(put)
    editor.wait(SOON_S)
    editor.edit((len("def f():") + len(put), len(editor.text), ""))
    editor.wait(LATE_S)
    assert editor.found == ["accepted"]
    assert (editor.records[0].kept_30s, editor.records[0].kept_5min) == (True, True)


def test_several_cursors() -> None:
    """Each types the same; clients tell of the last place first."""
    editor = Editor("aa = \nbb = ¦\ncc = \n")
    editor.show("one.two")
    editor.edit((17, 17, "o"), (11, 11, "o"), (5, 5, "o"))
    assert editor.found == []
    editor.edit((20, 20, "ne.two"), (13, 13, "ne.two"), (6, 6, "ne.two"))
    assert editor.text == "aa = one.two\nbb = one.two\ncc = one.two\n"
    assert editor.end() == ["accepted"]


def test_an_import_added_with_it() -> None:
    editor = Editor("x = 1\ny = ¦\n")
    editor.show("path(a)")
    editor.edit((editor.cursor, editor.cursor, "path(a)"), (0, 0, "import path\n"))
    editor.wait(SOON_S)
    editor.wait(LATE_S)
    assert editor.found == ["accepted"]
    assert editor.records[0].kept_5min


@pytest.mark.parametrize("typed", ["", "tot"])
def test_an_undo_right_after_is_a_rejection(typed: str) -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.type(typed)
    editor.put("total(a)"[len(typed) :])
    assert editor.found == []
    editor.undo()
    assert editor.found == ["rejected"]
    assert editor.records[0].taken == 0
    assert not editor.outcomes.follows(URI)


def test_an_undo_of_closers_that_were_replaced() -> None:
    editor = Editor("print(¦)\n")
    editor.show("a, b)", taken=1)
    editor.put("a, b)", taken=1)
    editor.edit((6, 11, ")"))
    assert editor.found == ["rejected"]


def test_an_undo_told_as_a_whole_new_text() -> None:
    editor = Editor("a = 1\nx = ¦\nb = 2\n")
    editor.show("total(a)")
    editor.put("total(a)")
    editor.edit((0, len(editor.text), "a = 1\nx = \nb = 2\n"))
    assert editor.found == ["rejected"]


def test_an_undo_of_a_part() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.put("total")
    editor.undo()
    editor.type("?")
    assert editor.found == ["rejected"]


def test_a_part_taken_out_when_the_rest_was_not_wanted() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.type("to")
    editor.put("tal")
    editor.type("?")
    editor.edit((6, 10, ""))
    assert editor.found == ["rejected"]


def test_taken_out_though_something_was_typed_before_it() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.put("total(a)")
    editor.edit((4, 4, "y"))
    editor.edit((5, 13, ""))
    assert editor.found == ["rejected"]


def test_taken_out_later_is_accepted_but_not_kept() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.put("total(a)")
    editor.wait(SOON_S)
    editor.edit((4, 12, ""))
    editor.wait(LATE_S)
    assert editor.found == ["accepted"]
    assert (editor.records[0].kept_30s, editor.records[0].kept_5min) == (True, False)


def test_kept_is_looked_at_when_it_is_due() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.put("total(a)")
    accepted = editor.now
    assert editor.outcomes.next_due == accepted + SOON_S
    editor.wait(SOON_S)
    assert editor.outcomes.next_due == accepted + LATE_S
    editor.wait(LATE_S - SOON_S - 1)
    assert editor.found == []
    editor.wait(1)
    assert editor.found == ["accepted"]
    assert editor.outcomes.next_due is None


def test_what_is_not_known_when_a_document_is_closed() -> None:
    editor = Editor("x = ¦\n")
    editor.show("total(a)")
    editor.put("total(a)")
    editor.wait(SOON_S)
    assert editor.end() == ["accepted"]
    assert (editor.records[0].kept_30s, editor.records[0].kept_5min) == (True, None)


def test_kept_though_all_is_formatted_anew() -> None:
    editor = Editor("def f( a ):\n  return ¦\n")
    editor.show("total(a, b) + rest(a, b)")
    editor.put("total(a, b) + rest(a, b)")
    editor.edit(
        (0, len(editor.text), '"""New."""\n\n\ndef f(a):\n    return total(a, b) + rest(\n        a, b\n    )\n')
    )
    editor.wait(SOON_S)
    editor.wait(LATE_S)
    assert editor.found == ["accepted"]
    assert editor.records[0].kept_5min


def test_kept_though_all_moved_up() -> None:
    editor = Editor("\n" * 40 + "x = ¦\n")
    editor.show("total(a)")
    editor.put("total(a)")
    editor.edit((0, len(editor.text), "x = total(a)\n"))
    editor.wait(SOON_S)
    editor.wait(LATE_S)
    assert editor.records[0].kept_5min


@pytest.mark.parametrize("edit", [(0, 6, ""), (43, 60, "")])
def test_kept_though_its_end_went_with_what_stood_beside_it(edit: Edit) -> None:
    editor = Editor("x = ¦ # a remark about this, rather long\n")
    editor.show("f(" + "a" * 36 + ", b)")
    editor.put("f(" + "a" * 36 + ", b)")
    editor.edit(edit)
    editor.wait(SOON_S)
    editor.wait(LATE_S)
    assert editor.found == ["accepted"]
    assert editor.records[0].kept_5min


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4), st.sampled_from(["", "a", "\n", "xyz"])), max_size=12))
def test_edits_elsewhere_do_not_change_what_is_kept(edits: list[tuple[int, int, str]]) -> None:
    """Edits above and below move the text, they do not touch it."""
    kept = "total(a, b) + 1"
    editor = Editor("above\n" * 6 + "x = ¦\n" + "below\n" * 6)
    editor.show(kept)
    editor.put(kept)
    for place, length, text in edits:
        start = editor.text.index(kept)
        first = place if place < start else place + len(kept)
        beyond = min(first + length, start) if place < start else first + length
        if beyond == start and not text:
            continue
        editor.edit((min(first, len(editor.text)), min(beyond, len(editor.text)), text))
    editor.wait(SOON_S)
    editor.wait(LATE_S)
    assert editor.found == ["accepted"]
    assert editor.records[0].kept_30s
    assert editor.records[0].kept_5min


TEXTS = st.text(alphabet='ab(). \n\r"', min_size=1, max_size=12)


@given(TEXTS, TEXTS, TEXTS)
def test_typing_a_suggestion_key_by_key_never_rejects_it(before: str, text: str, after: str) -> None:
    editor = Editor(f"{before}¦{after}")
    editor.show(text)
    editor.type(text)
    assert editor.end() == ["typed"]
    assert not editor.records[0].taken


@given(TEXTS, TEXTS, TEXTS, st.integers(0, 12))
def test_what_is_put_in_at_once_is_accepted_or_could_be_a_key(before: str, text: str, after: str, taken: int) -> None:
    taken = min(taken, len(after))
    editor = Editor(f"{before}¦{after}")
    editor.show(text, taken)
    editor.put(text, taken)
    if one_key(text) or after[:taken].startswith(text):
        assert len(editor.end()) == 1
    else:
        assert editor.end() == ["accepted"]


CHANGES = st.tuples(
    st.integers(0, 40), st.integers(0, 40), st.sampled_from(["", "a", "()", "\n", "b.a", "\r\n", "a b"])
)


@given(st.lists(st.one_of(st.lists(CHANGES, max_size=3), TEXTS, st.floats(0, 400), st.just(None)), max_size=20))
def test_every_suggestion_has_one_outcome(steps: list[object]) -> None:
    """Whatever is edited, shown, waited for or closed: nothing raises, nothing is counted twice or lost."""
    editor = Editor("def f(a):\n    return ¦)\r\n\n")
    shown: set[float] = set()
    for step in steps:
        if isinstance(step, str):
            editor.now += 1
            followed = editor.outcomes.next_due is not None and bool(shown)
            editor.show(step, 1)
            shown.add(editor.now)
            assert followed or editor.outcomes.follows(URI)
        elif isinstance(step, float):
            editor.wait(step)
        elif step is None:
            editor.outcomes.closed(URI)
        else:
            assert isinstance(step, list)
            editor.edit(*((min(a, b, len(editor.text)), min(max(a, b), len(editor.text)), t) for a, b, t in step))
    editor.end()
    times = [record.time for record in editor.records]
    assert len(times) == len(set(times))
    assert set(times) <= shown
    assert all(record.taken >= 0 for record in editor.records)
    assert not editor.outcomes.follows(URI)


def test_no_more_are_followed_than_that() -> None:
    editor = Editor("¦\n")
    for _ in range(MOST_FOLLOWED + 3):
        editor.show("total(a)\n")
        editor.put("total(a)\n")
    assert len(editor.records) == 3


def test_a_record_has_no_text() -> None:
    editor = Editor("x = ¦\n")
    editor.show("private_name")
    editor.put("private_name")
    editor.end()
    assert "private" not in repr(editor.records) + repr(editor.outcomes)


@pytest.mark.parametrize("text", ["a", "\n", "\n    ", "    ", "()", "{}", '""', '""""""', "{\n    \n}", "€", ""])
def test_keys(text: str) -> None:
    assert one_key(text)


@pytest.mark.parametrize("text", ["ab", "a)", "))", "\n    a = 1", "\n}\n}", "a b", "(a)"])
def test_no_keys(text: str) -> None:
    assert not one_key(text)


@given(TEXTS, TEXTS)
def test_the_share_that_is_left(text: str, other: str) -> None:
    assert share_left(text, text) == 1
    assert share_left(text, other + text) == 1
    assert 0 <= share_left(text, other) <= 1


def test_the_share_that_is_left_by_example() -> None:
    assert share_left("total(a, b)", "total(\n  a,\n  b\n)") == 1
    assert share_left("ab + cd", "ab - cd") == 0.8
    assert share_left("total", "") == 0


def test_a_key_in_a_large_document_costs_little() -> None:
    """Nothing of the document is read but a little around the suggestion."""
    line = "    value = compute(first, second)  # and so on\n"
    text = line * 5_000 + "    x = \n" + line * 5_000
    cursor = len(line) * 5_000 + 8
    reads: list[int] = []

    def read(uri: str, start: int, end: int) -> str:
        reads.append(end - start)
        return text[start:end]

    outcomes = Outcomes(read, lambda record: None)
    suggestion = "compute(first, second, third, fourth, fifth)"
    outcomes.shown(URI, Shown(cursor, cursor, suggestion, 0.0, "python"))
    began = time.perf_counter()
    for index, key in enumerate(suggestion[:-1]):
        text = text[: cursor + index] + key + text[cursor + index :]
        outcomes.changed(URI, [(cursor + index, cursor + index, key)], 0.0)
    assert (time.perf_counter() - began) / len(suggestion) < 0.005
    assert outcomes.follows(URI)
    assert max(reads) <= len(suggestion) + 64


def test_a_long_text_is_judged_at_once() -> None:
    began = time.perf_counter()
    assert not one_key(" " * 100_000 + "word")
    assert time.perf_counter() - began < 0.1
