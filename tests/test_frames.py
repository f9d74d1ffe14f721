"""Messages in a stream of bytes: what is between them that should not be costs as few as can be."""

import io

import pytest

from flash_ls import frames
from flash_ls.config import SETTINGS
from flash_ls.errors import MessageError
from flash_ls.frames import Frames

BODY = b'{"a": 1}'
GOOD = b"Content-Length: 8\r\n\r\n" + BODY


def bodies(data: bytes) -> list[bytes]:
    return list(iter(Frames(io.BytesIO(data)).read, None))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"Content-Length: 8\r\n\r\n", id="as specified"),
        pytest.param(b"content-length:8\r\n\r\n", id="spelled otherwise"),
        pytest.param(b"Content-Length: 8 \n\n", id="line ends of Unix"),
        pytest.param(b"Content-Type: x; charset=utf-8\r\nContent-Length: 8\r\n\r\n", id="type before"),
        pytest.param(b"Content-Length: 8\r\nContent-Type: x\r\n\r\n", id="type behind"),
        pytest.param(b"Content-Length: ten\r\nContent-Length: 8\r\n\r\n", id="no number"),
        pytest.param(b"Content-Length: -8\r\nContent-Length: 8\r\n\r\n", id="negative"),
        pytest.param(b"Content-Length: " + b"9" * 5000 + b"\r\nContent-Length: 8\r\n\r\n", id="a number of any length"),
        pytest.param(b"X" * 20_000 + b": y\r\nContent-Length: 8\r\n\r\n", id="a long line"),
        pytest.param(b"X" * 8190 + b"Content-Length: 8\r\n\r\n", id="a long line that ends in it"),
        pytest.param(b"\xff\0\n\r\n\r\nContent-Length: 8\r\n\r\n", id="garbage"),
        pytest.param(b"Content-Length: 0\r\n\r\nContent-Length: 8\r\n\r\n", id="nothing at all before"),
    ],
)
def test_a_message_is_found_under_its_header(header: bytes) -> None:
    assert bodies(header + BODY + GOOD) == [BODY, BODY]


@pytest.mark.parametrize("length", range(1, 60))
def test_a_wrong_length_costs_few_messages(length: int) -> None:
    assert bodies(b"Content-Length: %d\r\n\r\n" % length + BODY + 3 * GOOD)[-1] == BODY


def test_a_message_that_is_cut_off_is_none() -> None:
    assert bodies(GOOD + GOOD[:-1]) == [BODY]
    assert bodies(GOOD + b"Content-Length: 8\r\n") == [BODY]


def test_a_message_that_is_too_large_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_BYTES", 8)
    stream = Frames(io.BytesIO(GOOD + b"Content-Length: 9\r\n\r\n" + 9 * b"\n" + GOOD))
    assert stream.read() == BODY
    with pytest.raises(MessageError, match=r"^A message is larger than .* MB and is left out; open smaller files\.$"):
        stream.read()
    assert stream.read() == BODY
    assert stream.read() is None


def test_the_largest_document_fits_into_a_message() -> None:
    assert 2 * SETTINGS["max_file_bytes"].metadata["maximum"] <= frames.MOST_BYTES


class Counted(io.BytesIO):
    """Remembers how much it was asked for at once."""

    most = 0

    def read(self, size: int | None = -1) -> bytes:
        self.most = max(self.most, size or 0)
        return super().read(size)


def test_a_length_that_never_comes_takes_no_memory() -> None:
    stream = Counted(b"Content-Length: 999999999999999\r\n\r\n")
    found = Frames(stream)
    with pytest.raises(MessageError):
        found.read()
    assert found.read() is None
    assert 0 < stream.most <= 1 << 20
