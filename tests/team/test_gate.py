"""Who is let in, and what reaches the model."""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_ls.config import MOST_TOKENS
from flash_ls.engine import manifest
from flash_ls.engine.manifest import FileEntry, ModelManifest
from flash_ls.errors import ConfigError
from flash_ls.shared.messages import Generate, Warm
from flash_ls.team.frames import MOST_BYTES, PATH, REQUEST, fingerprint, packed
from flash_ls.team.gate import Gate, Refusal
from flash_ls.team.token import digests, known
from tests.toy_model import FORM, SHAPE

TOKENS = ["a" * 16, "b-1_" * 8, "c" * 40]
DESCRIBED = ModelManifest("toy", "0", "", ("fp32",), SHAPE, FORM, {"tokenizer.json": FileEntry(1, "00")})
HEADERS = {
    "authorization": f"Bearer {TOKENS[1]}",
    "flash-ls-model": fingerprint(DESCRIBED),
    "flash-ls-route": "0a",
    "content-length": "100",
}
GENERATE = Generate(
    1, [5, 6], 100.0, False, max_tokens=4, stop_ids=frozenset({1}), healed=b"", forced=(), least_likelihood=-9.0
)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(DESCRIBED, digests("\n".join(TOKENS)))


def status(gate: Gate, path: str = PATH, **headers: str) -> int:
    """Of a request that is right but for these headers; 200 if it may go on."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = gate.refusal(path, HEADERS | changed)
    return refusal.status if refusal else 200


@pytest.mark.parametrize("token", TOKENS)
def test_every_user_is_let_in(gate: Gate, token: str) -> None:
    assert status(gate, authorization=f"Bearer {token}") == 200
    assert status(gate, authorization=f"bearer {token}") == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", TOKENS[0], f"Basic {TOKENS[0]}", f"Bearer {TOKENS[0]}a", f"Bearer {TOKENS[0][:-1]}", "é"],
)
def test_nobody_else_is(gate: Gate, authorization: str) -> None:
    assert status(gate, authorization=authorization) == 401
    assert status(gate, path="/else", authorization=authorization) == 401


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_text_is_a_token(authorization: str) -> None:
    gate = Gate(DESCRIBED, digests("\n".join(TOKENS)))
    assert status(gate, authorization=authorization) == status(gate, authorization=f"Bearer {authorization}") == 401


def test_all_tokens_are_compared_in_constant_time(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(len(one) == len(other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for token in (TOKENS[0], "x"):
        status(gate, authorization=f"Bearer {token}")
    assert compared == [True] * 6


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"flash_ls_model": "f" * 32}, 409),
        ({"flash_ls_route": "not hexadecimal"}, 400),
        ({"flash_ls_route": "0" * 1000}, 400),
        ({"content_length": str(MOST_BYTES)}, 200),
        ({"content_length": str(MOST_BYTES + 1)}, 413),
        ({"content_length": "much"}, 200),
    ],
)
def test_heads(gate: Gate, headers: Mapping[str, str], expected: int) -> None:
    assert status(gate, **headers) == expected


def test_there_is_one_path(gate: Gate) -> None:
    assert status(gate, path="/v0") == 404


def test_a_right_request_is_read(gate: Gate) -> None:
    assert gate.read(packed(GENERATE)) == GENERATE
    assert gate.read(packed(Warm(1, [5], 1.0, True))) == Warm(1, [5], 1.0, True)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": []},
        {"prompt": [SHAPE.vocabulary]},
        {"prompt": [-1]},
        {"prompt": [1] * (MOST_TOKENS + 1)},
        {"max_tokens": MOST_TOKENS + 1},
        {"max_tokens": -1},
        {"forced": ((SHAPE.vocabulary, 0.0),)},
        {"forced": ((5, 0.0),) * MOST_TOKENS},
        {"budget_ms": float("nan")},
    ],
)
def test_what_would_harm_the_model_is_not(gate: Gate, change: dict[str, object]) -> None:
    refusal = gate.read(packed(msgspec.structs.replace(GENERATE, **change)))
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 255))
def test_bytes_are_a_request_or_refused(noise: bytes, place: int, byte: int) -> None:
    gate = Gate(DESCRIBED, digests(TOKENS[0]))
    right = bytearray(packed(GENERATE))
    right[place % len(right)] = byte
    for body in (noise, bytes(right)):
        found = gate.read(body)
        assert found.status == 400 if isinstance(found, Refusal) else found == REQUEST.decode(body)


def test_nested_bytes_are_refused(gate: Gate) -> None:
    found = gate.read(b"\x82\xa4type\xa4Warm\xa1x" + b"\x91" * 100_000 + b"\xc0")
    assert isinstance(found, Refusal)


@pytest.mark.parametrize(
    "other",
    [
        replace(DESCRIBED, revision="1"),
        replace(DESCRIBED, prompt=replace(FORM, fim_middle=0)),
        replace(DESCRIBED, files={"tokenizer.json": FileEntry(1, "01")}),
    ],
)
def test_what_makes_another_model(other: ModelManifest) -> None:
    assert fingerprint(other) != fingerprint(DESCRIBED)
    assert fingerprint(replace(DESCRIBED, precisions=("int4",))) == fingerprint(DESCRIBED)


def test_fingerprints_are_the_same_after_reading(toy_folder: Path, model: object) -> None:
    read = manifest.read(toy_folder)
    assert fingerprint(read) == fingerprint(manifest.read(toy_folder))


@pytest.mark.parametrize("text", ["", "# a remark\n", "short", f"{TOKENS[0]}\nwith a space in it", "ä" * 20])
def test_unsafe_tokens_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="16 characters"):
        digests(text)


def test_tokens_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"# users\n{TOKENS[0]}\n\n  {TOKENS[1]}\n")
    assert list(known(path)) == digests(f"{TOKENS[0]}\n{TOKENS[1]}")
    monkeypatch.setenv("FLASH_LS_ENGINE_TOKEN", TOKENS[2])
    assert list(known(None)) == digests(TOKENS[2])
    with pytest.raises(ConfigError, match="cannot be read"):
        known(tmp_path / "none")
