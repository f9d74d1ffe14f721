"""Frames survive any cutting into pieces, and routes spread evenly."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_ls.engine.decode import Choice, Step
from flash_ls.shared.messages import Failed, Hello
from flash_ls.team.frames import MOST_BYTES, Begun, Chosen, Done, Frame, framed, unframed, weight

FRAMES: list[Frame] = [
    Hello("int8", 7),
    Begun(3),
    Chosen(Choice(5, -0.25, Step(6, -2.0))),
    Failed("No."),
    Done(),
]


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1))
def test_pieces_do_not_matter(sizes: list[int]) -> None:
    data = b"".join(map(framed, FRAMES))
    pieces = [data[sum(sizes[:i]) : sum(sizes[: i + 1])] for i in range(len(sizes))] + [data[sum(sizes) :]]
    left = [piece for piece in pieces if piece]
    frames = unframed(lambda: left.pop(0) if left else b"")
    assert [next(frames) for _ in FRAMES] == FRAMES
    with pytest.raises(ValueError, match="cut off"):
        next(frames)


@pytest.mark.parametrize(
    "data", [framed(Done())[:-1], b"\xff\xff\xff\xff", (MOST_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\1\xc1", b""]
)
def test_what_is_no_frame(data: bytes) -> None:
    left = [data]
    with pytest.raises(ValueError, match=r".+"):
        list(unframed(lambda: left.pop() if left else b""))


def test_routes_spread_evenly_and_only_those_of_a_lost_replica_move() -> None:
    routes, replicas = [str(number) for number in range(300)], ["a", "b", "c"]
    before = {route: max(replicas, key=lambda replica: weight(route, replica)) for route in routes}
    after = {route: max(replicas[:2], key=lambda replica: weight(route, replica)) for route in routes}
    assert min(Counter(before.values()).values()) > 70
    assert all(after[route] == before[route] for route in routes if before[route] != "c")
