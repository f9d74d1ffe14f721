"""Typing along a completion: what is found is what is left of it, wherever the cursor comes to stand in it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.completer import Completion
from flash_ls.completion_cache import LINES_ABOVE, MOST_PLACES, CompletionCache
from flash_ls.confidence import Evidence
from flash_ls.document import Snapshot

SURE = Evidence(total=-0.6, mean=-0.2, least=-0.3, first=-0.1, ended=1.0)


def snapshot(buffer: str, language: str = "python") -> Snapshot:
    before, after = buffer.split("¦")
    return Snapshot("file:///a.py", language, 1, before + after, len(before))


def completion(at: Snapshot, text: str, taken: int = 0, reason: str = "rule") -> Completion:
    trace = tuple((end, -0.1) for end in range(1, len(text) + 1))
    return Completion(text, at.cursor, at.cursor + taken, reason, None, SURE, trace)


def learnt(buffer: str, text: str, taken: int = 0, reason: str = "rule") -> CompletionCache:
    cache, at = CompletionCache(), snapshot(buffer)
    cache.add(at, completion(at, text, taken, reason))
    return cache


def accepted(buffer: str, found: Completion | None) -> str:
    assert found is not None
    text = snapshot(buffer).text
    return text[: found.start] + found.text + text[found.end :]


@given(st.integers(0, 40))
def test_typing_along_leads_to_the_same_text(typed: int) -> None:
    """Over line ends too: each line of a completion is known."""
    text = "if key in self._current:\n            del key"
    cache = learnt("a = 1\n\ndef f():\n    ¦\n\nb = 2\n", text)
    typed = min(typed, len(text) - 1)
    there = f"a = 1\n\ndef f():\n    {text[:typed]}¦\n\nb = 2\n"
    assert accepted(there, cache.find(snapshot(there))) == f"a = 1\n\ndef f():\n    {text}\n\nb = 2\n"


CLOSERS = {
    "a bracket typed by the editor": ("f(¦)\n", "x, y)", 1, "f(x¦)\n", "f(x, y)\n"),
    "the same, typed over": ("f(¦)\n", "x) + 1", 1, "f(x)¦\n", "f(x) + 1\n"),
    "one that came while typing": ("a = ¦\n", "f(x) + 1", 0, "a = f(¦)\n", "a = f(x) + 1\n"),
    "a quote": ("a = ¦\n", "g('x')", 0, "a = g('¦')\n", "a = g('x')\n"),
    "before the end of the line": ("f(¦, 2)\n", "1", 0, "f(¦, 2)\n", "f(1, 2)\n"),
}


@pytest.mark.parametrize("name", CLOSERS)
def test_closers_that_an_editor_types_are_replaced(name: str) -> None:
    buffer, text, taken, there, whole = CLOSERS[name]
    assert accepted(there, learnt(buffer, text, taken).find(snapshot(there))) == whole


OTHER = {
    "another letter": "def f():\n    rex¦\n",
    "less than there was": "def f():\n    r¦\n",
    "another line above": "def g():\n    ret¦\n",
    "another line below": "def f():\n    ret¦\nx = 1\n",
    "text behind the cursor": "def f():\n    ret¦ + 1\n",
}


@pytest.mark.parametrize("name", OTHER)
def test_where_something_else_stands_nothing_is_found(name: str) -> None:
    cache = learnt("def f():\n    ret¦\n", "urn 1")
    assert cache.find(snapshot(OTHER[name])) is None
    assert cache.find(snapshot("def f():\n    ret¦\n")) is not None


def test_edits_elsewhere_are_of_no_matter() -> None:
    lines = "".join(f"line {number}\n" for number in range(LINES_ABOVE))
    cache = learnt(f"first\n{lines}ret¦\n\n\nlast\n", "urn 1")
    assert accepted(
        f"new\nother\n{lines}retu¦\n\n\nmore\n", cache.find(snapshot(f"new\nother\n{lines}retu¦\n\n\nmore\n"))
    )


def test_other_languages_are_other_places() -> None:
    cache = learnt("ret¦\n", "urn 1")
    assert cache.find(snapshot("ret¦\n", "lua")) is None


def test_after_a_backspace_what_was_found_there_is_found_again() -> None:
    cache = learnt("ret¦\n", "urn 1")
    for typed in ("u", "ur", "u"):
        assert accepted(f"ret{typed}¦\n", cache.find(snapshot(f"ret{typed}¦\n"))) == "return 1\n"


def test_of_a_whole_one_that_is_typed_out_it_is_known_that_nothing_is_left() -> None:
    found = learnt("ret¦\n", "urn 1").find(snapshot("return 1¦\n"))
    assert found is not None
    assert (found.text, found.reason) == ("", "done")
    assert learnt("ret¦\n", "urn 1", reason="deadline").find(snapshot("return 1¦\n")) is None


def test_that_there_is_nothing_is_known_for_the_same_text_alone() -> None:
    cache = learnt("x = 1¦\n", "", reason="empty")
    found = cache.find(snapshot("x = 1¦\n"))
    assert found is not None
    assert (found.text, found.reason) == ("", "empty")
    assert cache.find(snapshot("x = 12¦\n")) is None


def test_the_latest_wins_and_the_oldest_are_forgotten() -> None:
    cache = learnt("ret¦\n", "urn 1")
    at = snapshot("ret¦\n")
    cache.add(at, completion(at, "urn 2"))
    assert accepted("ret¦\n", cache.find(at)) == "return 2\n"
    assert accepted("return 1¦\n", cache.find(snapshot("return 1¦\n"))) == "return 1\n"
    for number in range(MOST_PLACES):
        other = snapshot(f"{number}\n¦\n")
        cache.add(other, completion(other, "x"))
    assert cache.find(at) is None


def test_the_rest_is_as_likely_as_its_own_tokens() -> None:
    at = snapshot("¦\n")
    whole = replace(completion(at, "abcdef"), trace=((2, -2.0), (4, -0.4), (6, -0.2), (7, -0.1)))
    cache = CompletionCache()
    cache.add(at, whole)
    for typed, likelihoods in ((2, [-0.4, -0.2, -0.1]), (3, [-0.2, -0.2, -0.1]), (5, [-0.1, -0.1])):
        found = cache.find(snapshot(f"{'abcdef'[:typed]}¦\n"))
        assert found is not None
        assert found.evidence is not None
        assert found.evidence.total == pytest.approx(sum(likelihoods))
        assert found.evidence.least == min(likelihoods)
        assert found.evidence.first == likelihoods[0]
        assert found.evidence.typed == typed
