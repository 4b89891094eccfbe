"""Bus messages (worked example s5.3). They wake; SQL decides: only the serials in them are believed."""

from typing import Annotated

import msgspec
from msgspec import Meta

from contracts.api import Serial

Traceparent = Annotated[str, Meta(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$(?!\n)")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$(?!\n)")]


class OrderMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`<prefix>.request.<biller>`, key = biller account: an order is READY."""

    schema: Annotated[str, Meta(pattern=r"^bianmin\.request\.v1$(?!\n)")] = "bianmin.request.v1"
    message_id: Name
    kind: Annotated[str, Meta(pattern=r"^order$(?!\n)")] = "order"
    order_kind: Name
    gateway_serial: Serial
    order_serial: Serial
    biller: Name
    send_before: str
    traceparent: Traceparent


class BillQueryMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`<prefix>.request.<biller>`: a bill query; worthless after `expires_at`."""

    schema: Annotated[str, Meta(pattern=r"^bianmin\.bill-query\.v1$(?!\n)")] = "bianmin.bill-query.v1"
    message_id: Name
    kind: Annotated[str, Meta(pattern=r"^bill-query$(?!\n)")] = "bill-query"
    query_token: Name
    biller: Name
    expires_at: str
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
