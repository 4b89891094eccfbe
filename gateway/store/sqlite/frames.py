"""What goes over the Unix socket: u32 length (big endian), then msgpack. One frame per loop turn, one per commit."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.core.rows import OutboxRow
from gateway.store import port
from gateway.store.port import ItemTooLarge, StoreError, Units

ITEMS_MAX_BYTES = 16 * 1024 * 1024
ANSWERS_MAX_BYTES = 1024 * 1024 * 1024
_LENGTH = struct.Struct(">I")
_CODES = {kind.__name__: kind for kind in (port.StoreBusy, port.StoreFull, port.LostRace, port.UnitFailed)}


class FrameError(Exception):
    """The peer does not speak our protocol; its connection must end."""


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """A StoreError on the wire."""

    item: int
    code: str
    cause: str
    in_doubt: bool

    def error(self) -> StoreError:
        """The StoreError it stands for."""
        return _CODES.get(self.code, port.UnitFailed)(self.cause, in_doubt=self.in_doubt)


@dataclass(frozen=True, slots=True)
class Answers:
    """What one commit tells one client: replies and StoreErrors by item number, the commit's outbox rows undecoded."""

    replies: list[tuple[int, Any]]
    outbox: msgspec.Raw


class Frames:
    """Cuts a stream of bytes into frames. FrameError where one announces more than max_bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now; each call must be read to its end."""
        self._buffer += data
        start, end = 0, len(self._buffer)
        while end - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > self._max_bytes:
                raise FrameError(f"a frame of {length} bytes; the limit is {self._max_bytes}")
            if end - start - _LENGTH.size < length:
                break
            start += _LENGTH.size
            yield bytes(self._buffer[start : start + length])
            start += length
        del self._buffer[:start]


class Wire:
    """Encoders and decoders for the items and replies of some units."""

    def __init__(self, units: Units) -> None:
        of: Any = tuple
        many: Any = list
        self._encoder = msgspec.msgpack.Encoder()
        self._items = msgspec.msgpack.Decoder(many[of[int, units.item_type]])
        self._answers = msgspec.msgpack.Decoder(of[many[of[int, units.reply_type]], many[Failure], msgspec.Raw])
        self._outbox = msgspec.msgpack.Decoder(list[OutboxRow])

    def encode_items(self, items: Sequence[tuple[int, Any]], max_bytes: int = ITEMS_MAX_BYTES) -> list[bytes]:
        """Frames that hold these items: one, unless it would be too large. ItemTooLarge where one item is."""
        body = self._encoder.encode(items)
        if len(body) <= max_bytes:
            return [_LENGTH.pack(len(body)) + body]
        if len(items) == 1:
            raise ItemTooLarge(f"an item of {len(body)} bytes; the limit is {max_bytes}")
        half = len(items) // 2
        return self.encode_items(items[:half], max_bytes) + self.encode_items(items[half:], max_bytes)

    def decode_items(self, frame: bytes) -> list[tuple[int, Any]]:
        """Items with their numbers. FrameError for anything else."""
        found: list[tuple[int, Any]] = _decode(self._items, frame)
        return found

    def encode_outbox(self, rows: Sequence[OutboxRow]) -> msgspec.Raw:
        """The outbox rows of one commit, encoded once for all clients."""
        return msgspec.Raw(self._encoder.encode(rows))

    def encode_answers(self, answers: Sequence[tuple[int, Any]], outbox: msgspec.Raw) -> bytes:
        """One frame with the replies and failures of one client."""
        failures = [
            Failure(number, type(reply).__name__, reply.cause, reply.in_doubt)
            for number, reply in answers
            if isinstance(reply, StoreError)
        ]
        replies = [answer for answer in answers if not isinstance(answer[1], StoreError)]
        body = self._encoder.encode((replies, failures, outbox))
        return _LENGTH.pack(len(body)) + body

    def decode_answers(self, frame: bytes) -> Answers:
        """What a commit tells. FrameError for anything else."""
        replies, failures, outbox = _decode(self._answers, frame)
        replies += [(failure.item, failure.error()) for failure in failures]
        return Answers(replies, outbox)

    def decode_outbox(self, rows: msgspec.Raw) -> list[OutboxRow]:
        """The outbox rows of a commit. FrameError for anything else."""
        found: list[OutboxRow] = _decode(self._outbox, rows)
        return found


def _decode(decoder: Any, body: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise FrameError(f"an unreadable frame: {error}") from error
