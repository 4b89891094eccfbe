"""Frames: whatever comes in, in whatever pieces."""

import contextlib
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rows import OutboxRow
from gateway.store.port import ItemTooLarge, LostRace, StoreBusy, StoreFull, UnitFailed, Units
from gateway.store.sqlite.frames import FrameError, Frames, Wire


class Ask(msgspec.Struct, frozen=True, tag=True):
    """An item."""

    text: str


class Other(msgspec.Struct, frozen=True, tag=True):
    """Another."""

    number: int


class Told(msgspec.Struct, frozen=True, tag=True):
    """A reply."""

    text: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Another."""

    slug: str


WIRE = Wire(Units(units={}, read_units={}, item_type=Ask | Other, reply_type=Told | Refused))


def body(frame: bytes) -> bytes:
    (length,) = struct.unpack(">I", frame[:4])
    assert length == len(frame) - 4
    return frame[4:]


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_frames_come_whole_in_whatever_pieces(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(struct.pack(">I", len(part)) + part for part in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    frames = Frames(1_000)
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[start:end])
    assert found == bodies


def test_a_frame_that_is_too_large_is_refused_by_its_length() -> None:
    frames = Frames(10)
    assert list(frames.feed(struct.pack(">I", 10) + b"x" * 10)) == [b"x" * 10]
    with pytest.raises(FrameError, match="11 bytes"):
        list(frames.feed(struct.pack(">I", 11)))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoders(data: bytes) -> None:
    for decode in (WIRE.decode_items, WIRE.decode_answers):
        with contextlib.suppress(FrameError):
            decode(data)


def test_items_go_and_come() -> None:
    items: list[tuple[int, Any]] = [(1, Ask("a")), (2, Other(3))]
    (frame,) = WIRE.encode_items(items)
    assert WIRE.decode_items(body(frame)) == items


def test_more_than_a_frame_holds_goes_in_several() -> None:
    items = [(number, Ask("x" * 100)) for number in range(10)]
    frames = WIRE.encode_items(items, 300)
    assert len(frames) > 1
    assert [item for frame in frames for item in WIRE.decode_items(body(frame))] == items
    with pytest.raises(ItemTooLarge):
        WIRE.encode_items([(1, Ask("x" * 301))], 300)


def test_answers_go_and_come_with_their_errors() -> None:
    row = OutboxRow(message_id="m", topic="t", key="k", payload=b"\x00", created_at=1)
    told: list[tuple[int, Any]] = [
        (1, Told("yes")),
        (2, StoreBusy("later", in_doubt=True)),
        (3, Refused("no")),
        (4, StoreFull("full")),
        (5, LostRace("lost")),
        (6, UnitFailed("bug")),
    ]
    answers = WIRE.decode_answers(body(WIRE.encode_answers(told, WIRE.encode_outbox([row]))))
    found = dict(answers.replies)
    assert (found[1], found[3]) == (Told("yes"), Refused("no"))
    assert (type(found[2]), found[2].in_doubt, found[2].cause) == (StoreBusy, True, "later")
    assert [type(found[number]) for number in (4, 5, 6)] == [StoreFull, LostRace, UnitFailed]
    assert not found[4].in_doubt
    assert WIRE.decode_outbox(answers.outbox) == [row]
