"""Old and new versions of a message side by side, and everything that cannot be read."""

import json
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from contracts.bus import (
    REQUEST_READERS,
    BillQueryMessage,
    OrderMessage,
    Reader,
    UnreadableMessage,
    read_request,
)

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ORDER = {
    "schema": "bianmin.request.v1", "message_id": "o-1", "kind": "order", "order_kind": "PAY",
    "gateway_serial": "2026112406H0P4QWR2D3RMF7", "order_serial": "2026112406H0P4QWR2D3RMF7", "biller": "telecom",
    "send_before": "2026-11-24T01:04:03.456Z", "traceparent": PARENT,
}  # fmt: skip
QUERY = {
    "schema": "bianmin.bill-query.v1", "message_id": "q-1", "kind": "bill-query", "query_token": "T1",
    "biller": "telecom", "expires_at": "2026-11-24T01:04:03.456Z", "traceparent": PARENT,
}  # fmt: skip


class OrderV2(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version to come: one serial instead of two, and a channel."""

    schema: Annotated[str, Meta(pattern=r"^bianmin\.request\.v2$")]
    message_id: str
    serial: str
    biller: str
    channel: str
    until: str


def from_v2(message: OrderV2) -> OrderMessage:
    return OrderMessage(
        message_id=message.message_id, order_kind="PAY", gateway_serial=message.serial, order_serial=message.serial,
        biller=message.biller, send_before=message.until, traceparent=PARENT,
    )  # fmt: skip


BOTH = {**REQUEST_READERS, "bianmin.request.v2": Reader(OrderV2, from_v2)}
V2 = {
    "schema": "bianmin.request.v2", "message_id": "o-1", "serial": ORDER["order_serial"], "biller": "telecom",
    "channel": "counter", "until": ORDER["send_before"],
}  # fmt: skip


def test_old_and_new_side_by_side() -> None:
    old, new = read_request(json.dumps(ORDER).encode(), BOTH), read_request(json.dumps(V2).encode(), BOTH)
    assert old == new
    assert isinstance(read_request(json.dumps(QUERY).encode(), BOTH), BillQueryMessage)
    with pytest.raises(UnreadableMessage) as caught:
        read_request(json.dumps(V2).encode())
    assert caught.value.reason == "unknown-version", "a process of the release before"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"null", "malformed"),
        (b"[" * 200_000, "malformed"),
        (b'{"schema":7}', "malformed"),
        (b'{"schema":"bianmin.request.v1"}', "malformed"),
        (b'{"schema":"bianmin.result.v1"}', "unknown-version"),
        (b'{"schema":"bianmin.request.v99"}', "unknown-version"),
        (json.dumps(ORDER | {"more": 1}).encode(), "malformed"),
        (json.dumps(ORDER | {"order_serial": "x"}).encode(), "malformed"),
        (json.dumps(ORDER | {"send_before": "2026-11-24T01:04:03"}).encode(), "malformed"),
        (json.dumps(ORDER | {"send_before": "2026-13-24T01:04:03Z"}).encode(), "malformed"),
        (json.dumps(QUERY | {"expires_at": "soon"}).encode(), "malformed"),
        (json.dumps(QUERY | {"expires_at": "2026-02-30T00:00:00Z"}).encode(), "malformed"),
        (json.dumps(ORDER | {"schema": "bianmin.bill-query.v1"}).encode(), "malformed"),
    ],
)
def test_what_cannot_be_read_says_why_and_no_value(payload: bytes, reason: str) -> None:
    with pytest.raises(UnreadableMessage) as caught:
        read_request(payload)
    assert caught.value.reason == reason
    assert "2026112406H0P4QWR2D3RMF7" not in caught.value.detail
