"""Bus messages (worked example s5.3). They wake; SQL decides: only the serials in them are believed.

A schema is a name with a version. A new version is a new struct with a reader of its own in REQUEST_READERS, which
gives what the flow works with; the old reader stays as long as old messages may lie in a topic or an old process may
still publish them. Readers come first (one release), writers after them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from contracts.api import Serial

Traceparent = Annotated[str, Meta(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$(?!\n)")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$(?!\n)")]
Moment = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9](:[0-5][0-9]){2}(\.[0-9]{1,6})?Z$(?!\n)")
]
"""RFC 3339, UTC."""


class OrderMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`<prefix>.request.<biller>`, key = biller account: an order is READY."""

    schema: Annotated[str, Meta(pattern=r"^bianmin\.request\.v1$(?!\n)")] = "bianmin.request.v1"
    message_id: Name
    kind: Annotated[str, Meta(pattern=r"^order$(?!\n)")] = "order"
    order_kind: Name
    gateway_serial: Serial
    order_serial: Serial
    biller: Name
    send_before: Moment
    traceparent: Traceparent


class BillQueryMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`<prefix>.request.<biller>`: a bill query; worthless after `expires_at`."""

    schema: Annotated[str, Meta(pattern=r"^bianmin\.bill-query\.v1$(?!\n)")] = "bianmin.bill-query.v1"
    message_id: Name
    kind: Annotated[str, Meta(pattern=r"^bill-query$(?!\n)")] = "bill-query"
    query_token: Name
    biller: Name
    expires_at: Moment
    traceparent: Traceparent


class ResultMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`<prefix>.result`: a payment's state changed; whoever holds its call looks it up."""

    schema: Annotated[str, Meta(pattern=r"^bianmin\.result\.v1$(?!\n)")] = "bianmin.result.v1"
    message_id: Name
    gateway_serial: Serial
    order_serial: Serial
    order_kind: Name
    state: Name
    version: int
    final: bool
    reply_to: str | None = None
    traceparent: Traceparent


class BillResultMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`<prefix>.result`: a bill query is answered; whoever holds its call looks it up."""

    schema: Annotated[str, Meta(pattern=r"^bianmin\.bill-result\.v1$(?!\n)")] = "bianmin.bill-result.v1"
    message_id: Name
    query_token: Name


DEAD_REASONS = ("malformed", "oversized", "unknown-version", "unknown-order", "wrong-biller", "replayed")
"""Why a message is dead: not to be read at all; longer than allowed; a schema nobody here knows; an order that the
book does not know; one of another biller; one whose time was over when it came."""

Request = OrderMessage | BillQueryMessage
"""What the flow works with, whatever version it came in."""


class UnreadableMessage(Exception):
    """A payload that nobody here can read. reason: `malformed` or `unknown-version`; detail: holds no value of it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Reader:
    """How one version is read: its struct, and how that becomes what the flow works with."""

    struct: type[Any]
    current: Callable[[Any], Request]


def _as_it_is(message: Any) -> Any:
    return message


REQUEST_READERS: Mapping[str, Reader] = {
    "bianmin.request.v1": Reader(OrderMessage, _as_it_is),
    "bianmin.bill-query.v1": Reader(BillQueryMessage, _as_it_is),
}
"""Every version of a request message that can be read, by its `schema`."""


class Envelope(msgspec.Struct, frozen=True):
    """What every message has, whatever its version; other members are not looked at."""

    schema: str
    traceparent: str | None = None


def read_request(payload: bytes, readers: Mapping[str, Reader] = REQUEST_READERS) -> Request:
    """A request message from its bytes. Raises UnreadableMessage; reads no more than it is given."""
    try:
        schema = msgspec.json.decode(payload, type=Envelope).schema
        reader = readers.get(schema)
        if reader is None:
            raise UnreadableMessage("unknown-version", f"known are {', '.join(readers)}")
        message = reader.current(msgspec.json.decode(payload, type=reader.struct))
        datetime.fromisoformat(message.expires_at if isinstance(message, BillQueryMessage) else message.send_before)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise UnreadableMessage("malformed", str(wrong)) from wrong
    except ValueError as wrong:
        raise UnreadableMessage("malformed", "a time that no calendar knows") from wrong
    return message
