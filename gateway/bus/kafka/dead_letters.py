"""Records that nobody can use, as they came: key, value and headers whole, and beside them why and from where."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord

from gateway.bus.kafka.records import Record
from gateway.bus.kafka.stepping import Unreadable
from gateway.bus.port import Dead

DEAD_MAX_BYTES = 2_097_152
"""The longest dead letter. A topic of ours lets nothing longer in; where one was set up by hand, the rest is cut off
and the letter says so: a record that could never be put away would stop its partition for ever."""
_HEADERS_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Burial:
    """One record and why it is dead."""

    record: "ConsumerRecord[bytes | None, bytes | None] | Unreadable"
    dead: Dead


def letter(burial: Burial, topic: str, worker: str) -> Record:
    """The dead letter of a record. Our headers stand last, so that they are the ones that count."""
    record, dead = burial.record, burial.dead
    value, detail = record.value, dead.detail
    if value is None and record.key is None:
        value, detail = b"", f"{detail} (neither key nor value)".strip()
    size = len(value or b"")
    key = record.key
    if size + len(key or b"") > DEAD_MAX_BYTES - _HEADERS_BYTES:
        whole = hashlib.sha256(value or b"").hexdigest()
        key = key[:_HEADERS_BYTES] if key is not None else None
        value = (value or b"")[: DEAD_MAX_BYTES - 3 * _HEADERS_BYTES]
        detail = f"{detail} (cut: the value had {size} bytes, SHA-256 {whole})".strip()
    own = {
        "reason": dead.reason,
        "detail": detail,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "worker": worker,
    }
    headers = [*_bounded(record.headers), *((name, text.encode()) for name, text in own.items())]
    name = f"{record.topic}/{record.partition}/{record.offset}"
    return Record(id=name, topic=topic, key=key, value=value, headers=headers)


def _bounded(headers: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The record's own headers, as many as fit."""
    found, room = [], _HEADERS_BYTES
    for name, value in headers:
        room -= len(name.encode()) + len(value or b"")
        if room < 0:
            break
        found.append((name, value))
    return found


def size_of(record: "ConsumerRecord[bytes | None, bytes | None] | Unreadable") -> int:
    """Bytes of key, value and headers."""
    own = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + own
