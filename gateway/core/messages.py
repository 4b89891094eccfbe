"""Bus messages as outbox rows (worked example s5.3)."""

import msgspec

from contracts.bus import BillQueryMessage, BillResultMessage, OrderMessage, ResultMessage
from contracts.states import FINAL, State
from contracts.traces import traceparent
from gateway.core.env import Env, rfc3339
from gateway.core.rows import Order, OutboxRow, Payment, QueryToken


def request(order: Order, payment: Payment, message_id: str, now: int, env: Env) -> OutboxRow:
    """An order is READY: wake its biller's workers."""
    message = OrderMessage(
        message_id=message_id,
        order_kind=order.kind,
        gateway_serial=order.gateway_serial,
        order_serial=order.order_serial,
        biller=order.biller,
        send_before=rfc3339(order.send_before),
        traceparent=traceparent(payment.trace_id, message_id),
    )
    return OutboxRow(
        message_id=message_id,
        topic=f"{env.topic_prefix}.request.{order.biller}",
        key=order.biller_account,
        payload=msgspec.json.encode(message),
        created_at=now,
    )


def result(order: Order, payment: Payment, message_id: str, now: int, env: Env) -> OutboxRow:
    """A payment's state changed: tell whoever holds its call."""
    message = ResultMessage(
        message_id=message_id,
        gateway_serial=payment.gateway_serial,
        order_serial=order.order_serial,
        order_kind=order.kind,
        state=payment.state,
        version=payment.version,
        final=State(payment.state) in FINAL,
        traceparent=traceparent(payment.trace_id, message_id),
    )
    return OutboxRow(
        message_id=message_id,
        topic=f"{env.topic_prefix}.result",
        key=payment.gateway_serial,
        payload=msgspec.json.encode(message),
        created_at=now,
    )


def bill_query(query: QueryToken, trace_id: str, message_id: str, now: int, env: Env) -> OutboxRow:
    """A bill query waits for its biller."""
    message = BillQueryMessage(
        message_id=message_id,
        query_token=query.query_token,
        biller=query.biller,
        expires_at=rfc3339(query.expires_at),
        traceparent=traceparent(trace_id, message_id),
    )
    return OutboxRow(
        message_id=message_id,
        topic=f"{env.topic_prefix}.request.{query.biller}",
        key=query.biller_account,
        payload=msgspec.json.encode(message),
        created_at=now,
    )


def bill_result(query: QueryToken, message_id: str, now: int, env: Env) -> OutboxRow:
    """A bill query is answered: tell whoever holds its call."""
    return OutboxRow(
        message_id=message_id,
        topic=f"{env.topic_prefix}.result",
        key=query.query_token,
        payload=msgspec.json.encode(BillResultMessage(message_id=message_id, query_token=query.query_token)),
        created_at=now,
    )
