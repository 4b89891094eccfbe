"""Records that nobody can use, as they came: key, value and headers whole, and beside them why and from where."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord

from gateway.bus.kafka.records import Record
from gateway.bus.kafka.stepping import Unreadable
from gateway.bus.port import Dead

DEAD_MAX_BYTES = 2_097_152
"""The longest dead letter. A topic of ours lets nothing longer in; where one was set up by hand, the rest is cut off
and the letter says so: a record that could never be put away would stop its partition for ever."""
_HEADERS_BYTES = 65_536
_SHORT_KEY, _SHORT_HEADERS, _SHORT_DETAIL = 128, 256, 256
"""Bytes that a short letter takes of the record; with our own headers it stays under a kilobyte."""


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
    own = _own(burial, detail, worker)
    headers = [*_bounded(record.headers, _HEADERS_BYTES), *_encoded(own)]
    return Record(id=name_of(burial), topic=topic, key=key, value=value, headers=headers)


def short_letter(burial: Burial, topic: str, worker: str) -> Record:
    """Instead of a letter that the topic does not take: no value, but how to know it, and where the record lies."""
    record = burial.record
    value = record.value or b""
    known = {"value_bytes": str(len(value)), "value_sha256": hashlib.sha256(value).hexdigest()}
    detail = burial.dead.detail.encode()[:_SHORT_DETAIL].decode("utf-8", "ignore")
    headers = [*_bounded(record.headers, _SHORT_HEADERS), *_encoded(_own(burial, detail, worker) | known)]
    key = record.key[:_SHORT_KEY] if record.key is not None else None
    return Record(id=name_of(burial), topic=topic, key=key, value=b"", headers=headers)


def name_of(burial: Burial) -> str:
    """Where the record lies, in one word."""
    return f"{burial.record.topic}/{burial.record.partition}/{burial.record.offset}"


def length_of(found: Record) -> int:
    """Bytes of a letter's key, value and headers."""
    headers = sum(len(name.encode()) + len(value) for name, value in found.headers)
    return len(found.key or b"") + len(found.value or b"") + headers


def _own(burial: Burial, detail: str, worker: str) -> dict[str, str]:
    record = burial.record
    return {
        "reason": burial.dead.reason,
        "detail": detail,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "worker": worker,
    }


def _encoded(own: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [(name, text.encode()) for name, text in own.items()]


def _bounded(headers: Sequence[tuple[str, bytes]], room: int) -> list[tuple[str, bytes]]:
    """The record's own headers, as many as fit."""
    found = []
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
