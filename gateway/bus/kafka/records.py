"""What lies in a topic, on its way in and out."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from contracts.bus import Envelope
from gateway.core.items import Message

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record to publish. id: how its taking is told."""

    id: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def record_of(message: Message) -> Record:
    """A message of ours as a record. Headers are for people and tools; nobody here believes them."""
    headers = [("message_id", message.message_id.encode()), ("content-type", b"application/json")]
    try:
        envelope = msgspec.json.decode(message.payload, type=Envelope)
    except msgspec.DecodeError:
        envelope = None  # its reader will say so; it is not this side's to judge
    if envelope is not None:
        headers.append(("schema", envelope.schema.encode()))
        if envelope.traceparent is not None:
            headers.append(("traceparent", envelope.traceparent.encode()))
    return Record(
        id=message.message_id,
        topic=message.topic,
        key=message.key.encode(),
        value=message.payload,
        headers=headers,
    )
