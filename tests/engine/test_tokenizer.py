"""Any text encodes and comes back; what agrees with healed text; text that grows by whole characters."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flash_ls.engine.tokenizer import TextStream, Tokenizer
from flash_ls.errors import ModelError
from tests.toy_model import SHAPE, SPECIALS

AWKWARD = "a \t\r\n\f\v'sé\u0301\u00ad\ufeff\u2028😀😃👩‍👧<|>_1İſ語"

Texts = st.text(max_size=60) | st.text(AWKWARD, max_size=60)
TokenLists = st.lists(st.integers(0, SHAPE.vocabulary - 1), max_size=24)


@pytest.mark.parametrize("text", ["", "{", "{}", "\0" * 99])
def test_a_broken_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match="run `flash-ls model build`"):
        Tokenizer(tmp_path / "tokenizer.json")


@given(Texts)
@example("\u0301\u0301x\r\n\f  \r\n")
@example("e\u0301 and é")
@settings(deadline=None)
def test_any_text_comes_back_as_it_was(tokenizer: Tokenizer, text: str) -> None:
    ids, _ = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()


@pytest.mark.parametrize("special", SPECIALS)
def test_text_that_looks_like_a_special_token_stays_text(tokenizer: Tokenizer, special: str) -> None:
    ids, _ = tokenizer.encode(f"x {special} y")
    assert tokenizer.decode(ids) == f"x {special} y"
    assert max(ids) < SHAPE.vocabulary - len(SPECIALS)


def test_special_tokens_have_no_text(tokenizer: Tokenizer) -> None:
    assert {tokenizer.token_bytes(SHAPE.vocabulary - number) for number in range(1, len(SPECIALS) + 1)} == {b""}


def test_half_of_a_surrogate_pair_is_a_question_mark(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud83d = 1")[0]) == "a? = 1"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", ""),
        ("x", "x"),
        ("def run(self", "(self"),
        ("x = foo", " foo"),
        ("x.foo", ".foo"),
        ("x  foo", " foo"),
        ("if x:\n    ", "    "),
        ("if x:\n", ":\n"),
        ("x = 12", "2"),
        ("call((", "(("),
        ("say 😀", " 😀"),
    ],
)
def test_the_last_word_is_what_the_tokenizer_splits_off(tokenizer: Tokenizer, text: str, last: str) -> None:
    ids, count = tokenizer.encode(text)
    assert tokenizer.decode(ids[len(ids) - count :]) == last


@given(Texts.filter(bool), st.integers(0, 200), st.integers(1, 12))
@example("    return", 0, 3)
@example("😀", 0, 2)
@settings(deadline=None)
def test_agreeing_is_its_definition(tokenizer: Tokenizer, text: str, start: int, length: int) -> None:
    data = text.encode()
    start %= len(data)
    pending = data[start : start + length]
    spelled = {token: tokenizer.token_bytes(token) for token in range(SHAPE.vocabulary)}
    expected = [
        token for token, word in spelled.items() if word and (word.startswith(pending) or pending.startswith(word))
    ]
    assert sorted(tokenizer.agreeing(pending).tolist()) == expected
    assert expected, "every byte is a token, so one always agrees"


@given(TokenLists)
@settings(deadline=None)
def test_streamed_text_grows_by_whole_characters_into_the_decoded_text(tokenizer: Tokenizer, tokens: list[int]) -> None:
    stream, shown = TextStream(tokenizer), ""
    for count, token in enumerate(tokens, start=1):
        text = stream.push(token)
        assert text.startswith(shown)
        whole = b"".join(map(tokenizer.token_bytes, tokens[:count]))
        assert whole.decode("utf-8", "replace").startswith(text)
        shown = text
    rest = tokenizer.decode(tokens).removeprefix(shown)
    assert rest in ("", "\ufffd"), "only the beginning of one character may be held back"


@given(Texts)
@settings(deadline=None)
def test_streamed_characters_are_never_partial(tokenizer: Tokenizer, text: str) -> None:
    stream = TextStream(tokenizer)
    for byte in text.encode():
        # One token for each byte: every character of several bytes is cut everywhere.
        assert text.startswith(stream.push(byte_token(tokenizer, byte)))
    assert stream.text == text


@given(Texts, st.integers(0, 60))
@settings(deadline=None)
def test_skipped_text_is_not_shown_wherever_its_tokens_end(tokenizer: Tokenizer, text: str, cut: int) -> None:
    stream = TextStream(tokenizer, skip=len(text[:cut].encode()))
    for token in tokenizer.encode(text)[0]:
        stream.push(token)
    assert stream.text == text[cut:]


def byte_token(tokenizer: Tokenizer, byte: int) -> int:
    """The toy's words begin with all bytes."""
    return next(token for token in range(256) if tokenizer.token_bytes(token) == bytes([byte]))
