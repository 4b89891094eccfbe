"""What may never be wrong in a book, asked of it in SQL (M2, design s3): the oracle of every fault test."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from contracts.states import HOLDING, OrderKind, OrderState, State
from gateway.core.accounts import AVAILABLE, CHART, RECEIVABLE, RESERVED
from gateway.core.states import Standing, follow
from tests.stand.house import House

_PAYABLE = CHART["biller_payable"].code
_BOOKED = frozenset({State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITTEN, State.WRITE_FAILED, State.CANCELLING})


def violations(house: House) -> list[str]:
    """Every violation as a sentence; empty when all is well."""
    return [*_sums(house), *_balances(house), *_payments(house), *_orders(house), *_evidence(house)]


def _sums(house: House) -> Iterator[str]:
    for txn_id, total in house.sql("SELECT txn_id, SUM(amount_fen) FROM postings GROUP BY txn_id"):
        if total:
            yield f"transaction {txn_id} sums to {total}"


def _balances(house: House) -> Iterator[str]:
    posted: Counter[tuple[str, str]] = Counter()
    for account, owner, amount in house.sql("SELECT account, owner, SUM(amount_fen) FROM postings GROUP BY 1, 2"):
        posted[account, owner] = amount
    held: Counter[str] = Counter()
    for code, state, kind, amount in house.sql(
        "SELECT institution_code, state, kind, amount_fen + fee_fen FROM payments"
    ):
        if State(state) in HOLDING and kind == OrderKind.PAY:
            held[code] += amount
    columns = "institution_code, available_fen, reserved_fen, receivable_fen"
    for code, available, reserved, receivable in house.sql(f"SELECT {columns} FROM station_balances"):
        kept = {AVAILABLE: available, RESERVED: reserved, RECEIVABLE: -receivable}
        for account, balance in kept.items():
            if posted[account, code] != balance:
                yield f"{code} account {account}: balance {balance}, posted {posted[account, code]}"
        if available < 0:
            yield f"{code}: {available} fen available"
        if reserved != held[code]:
            yield f"{code}: {reserved} fen reserved, open payments hold {held[code]}"


def _payments(house: House) -> Iterator[str]:
    """What a payment posted to the biller is what it paid, and nothing where it did not."""
    sql = (
        "SELECT p.gateway_serial, p.state, p.paid_fen, p.amount_fen, COALESCE((SELECT SUM(l.amount_fen) FROM postings l"
        " JOIN transactions t ON t.txn_id = l.txn_id WHERE t.gateway_serial = p.gateway_serial AND l.account = ?), 0)"
        " FROM payments p"
    )
    for serial, state, paid, amount, payable in house.sql(sql, _PAYABLE):
        owed = paid if State(state) in _BOOKED else 0
        if payable != owed:
            yield f"{serial} {state}: {payable} fen payable to the biller, must be {owed}"
        if paid is not None and not 0 < paid <= amount:
            yield f"{serial} {state}: {paid} fen paid of {amount}"


def _orders(house: House) -> Iterator[str]:
    by_payment: dict[str, list[Any]] = {}
    for order in house.sql("SELECT gateway_serial, kind, order_serial, state, in_flight, call_deadline FROM orders"):
        by_payment.setdefault(order[0], []).append(order)
    for serial, state, doubt in house.sql("SELECT gateway_serial, state, in_doubt_since FROM payments"):
        orders = by_payment[serial]
        followed = follow([Standing(kind, own, standing) for _, kind, own, standing, _, _ in orders])
        if followed != state:
            yield f"{serial}: {state}, its orders say {followed}"
        if sum(order[3] in (OrderState.READY, OrderState.SENT) for order in orders) > 1:
            yield f"{serial}: more than one order is READY or SENT"
        if (doubt is not None) != (state in (State.UNKNOWN, State.REVERSING, State.CANCELLING)):
            yield f"{serial}: {state}, in doubt since {doubt}"
    attempts = house.sql(
        "SELECT o.order_serial, o.attempts, COUNT(a.attempt_id),"
        " SUM(a.attempt_id IS NOT NULL AND a.outcome IS NULL), o.in_flight"
        " FROM orders o LEFT JOIN attempts a ON a.order_serial = o.order_serial GROUP BY o.order_serial"
    )
    for order_serial, counted, stored, running, in_flight in attempts:
        if counted != stored:
            yield f"order {order_serial}: {counted} attempts counted, {stored} stored"
        if (running or 0) != in_flight:
            yield f"order {order_serial}: {running} attempts run, in flight says {in_flight}"


def _evidence(house: House) -> Iterator[str]:
    sql = (
        "SELECT e.gateway_serial, e.event, p.state FROM evidence e JOIN payments p ON p.gateway_serial ="
        " e.gateway_serial WHERE e.waiting = 1 AND p.state NOT IN ('REVERSING', 'CANCELLING')"
    )
    for serial, event, state in house.sql(sql):
        yield f"{serial}: evidence {event} waits although the payment is {state}"
    yield from _bytes_kept(house)


def _bytes_kept(house: House) -> Iterator[str]:
    """Whatever a biller answered, the bytes it was asked with are kept too; whatever it told us, our answer (M11)."""
    kept: dict[str, Counter[str]] = {}
    for serial, kind in house.sql("SELECT gateway_serial, kind FROM records WHERE gateway_serial IS NOT NULL"):
        kept.setdefault(serial, Counter())[kind] += 1
    for serial, kinds in kept.items():
        if kinds["partner-request"] < kinds["reply"] + kinds["query"]:
            yield f"{serial}: {kinds['reply'] + kinds['query']} answers, {kinds['partner-request']} requests kept"
        if kinds["partner-answer"] != kinds["notice"]:
            yield f"{serial}: {kinds['notice']} notices, {kinds['partner-answer']} answers to them kept"
