"""What may never be wrong in a book, asked of its tables (M2-M10): the oracle of the tests of the core."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations

from contracts.states import HOLDING, OPEN, OrderKind, OrderState, State
from gateway.core import rows
from gateway.core.accounts import BY_CODE
from gateway.core.prices import commission, fee_on_partial
from gateway.core.states import Standing, follow
from tests.stand.house import House

PAYING = (OrderKind.PAY, OrderKind.DEBIT, OrderKind.REFUND)
BOOKED = (State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITTEN, State.WRITE_FAILED, State.CANCELLING)


def violations(house: House) -> list[str]:
    """Every violation as a sentence; empty when all is well."""
    asked = (_postings, _balances, _payments, _orders, _repeats, _keys, _told)
    return [violation for ask in asked for violation in ask(house)]


def _postings(house: House) -> Iterator[str]:
    days = {day.account_date: day for day in house.rows_of(rows.Day)}
    legs = defaultdict(list)
    for leg in house.rows_of(rows.Posting):
        legs[leg.txn_id].append(leg)
    causes: Counter[tuple[str, ...]] = Counter()
    payments = {payment.gateway_serial: payment for payment in house.rows_of(rows.Payment)}
    for transaction in house.rows_of(rows.Transaction):
        own = legs.pop(transaction.txn_id, [])
        if not own or sum(leg.amount_fen for leg in own) != 0 or any(not leg.amount_fen for leg in own):
            yield f"M2 {transaction.recipe} {transaction.txn_id}: legs {own}"
        if transaction.posting_date not in days:
            yield f"M10 {transaction.txn_id} posts on {transaction.posting_date}, which was never opened"
        payment = payments.get(str(transaction.gateway_serial))
        if payment is not None:
            dates = (transaction.account_date, transaction.settle_date)
            if dates != (payment.account_date, payment.settle_date):
                yield f"M10 {transaction.txn_id} carries {dates}"
            causes[payment.gateway_serial, transaction.recipe] += 1
    yield from (f"M2 legs without a transaction: {txn_id}" for txn_id in legs)
    yield from (f"M3 {serial} has {count} × {recipe}" for (serial, recipe), count in causes.items() if count > 1)


def _balances(house: House) -> Iterator[str]:
    posted: Counter[tuple[str, str]] = Counter()
    seqs = defaultdict(list)
    for leg in house.rows_of(rows.Posting):
        posted[BY_CODE[leg.account].name, leg.owner] += leg.amount_fen
        if leg.seq is not None:
            seqs[leg.owner].append(leg)
    held: Counter[str] = Counter()
    for payment in house.rows_of(rows.Payment):
        if State(payment.state) in HOLDING and payment.kind == OrderKind.PAY:
            held[payment.institution_code] += payment.amount_fen + payment.fee_fen
    if sum(posted.values()):
        yield "M2 the book does not sum to zero"
    for balance in house.rows_of(rows.Balance):
        code = balance.institution_code
        kept = (balance.available_fen, balance.reserved_fen, -balance.receivable_fen)
        names = ("available", "reserved", "station_receivable")
        if kept != tuple(posted[name, code] for name in names):
            yield f"M2 {code}: balance row {kept} is not what was posted"
        if balance.reserved_fen != held[code]:
            yield f"M2 {code}: {balance.reserved_fen} fen reserved, open payments hold {held[code]}"
        if balance.available_fen < 0:
            yield f"M2 {code}: {balance.available_fen} fen available"
        if balance.receivable_fen and balance.available_fen > 0:
            yield f"M2 {code}: {balance.receivable_fen} fen owed beside {balance.available_fen} available"
        running: Counter[str] = Counter()
        for number, leg in enumerate(sorted(seqs[code], key=lambda leg: leg.seq or 0), 1):
            running[leg.account] += leg.amount_fen
            if (leg.seq, leg.balance_after) != (number, running[leg.account]):
                yield f"M2 {code}: the statement breaks at seq {leg.seq}"


def _payments(house: House) -> Iterator[str]:
    serials = {t.txn_id: t.gateway_serial for t in house.rows_of(rows.Transaction)}
    posted: dict[str, Counter[str]] = defaultdict(Counter)
    for leg in house.rows_of(rows.Posting):
        if serials[leg.txn_id] is not None and leg.recipe != "R21":
            posted[str(serials[leg.txn_id])][BY_CODE[leg.account].name] += leg.amount_fen
    plans = {(plan.version, plan.service): plan for plan in house.rows_of(rows.CommissionPlan)}
    for payment in house.rows_of(rows.Payment):
        own, state = posted[payment.gateway_serial], State(payment.state)
        if payment.kind != OrderKind.PAY:
            continue
        booked = state in BOOKED
        paid = (payment.paid_fen or 0) if booked else 0
        parts = commission(paid, plans[payment.commission_version, payment.service])
        fee = fee_on_partial(payment.fee_fen, payment.amount_fen, paid)
        want = {
            "biller_payable": paid,
            "commission_receivable": -parts.biller,
            "commission_accrued": parts.station,
            "commission_income": parts.post,
        }
        wrong = {name: own[name] for name, value in want.items() if own[name] != value}
        if wrong:
            yield f"M9 {payment.gateway_serial} {state}: posted {wrong}, must be {want}"
        if state is not State.CANCELLED and own["fee_income"] != fee:
            yield f"M9 {payment.gateway_serial} {state}: fee {own['fee_income']}, must be {fee}"
        if booked and payment.paid_fen is None:
            yield f"{payment.gateway_serial} {state} without paid_fen"
        doubt = state in (State.UNKNOWN, State.REVERSING, State.CANCELLING)
        if doubt != (payment.in_doubt_since is not None):
            yield f"{payment.gateway_serial} {state}: in doubt since {payment.in_doubt_since}"


def _orders(house: House) -> Iterator[str]:
    by_payment = defaultdict(list)
    for order in house.rows_of(rows.Order):
        by_payment[order.gateway_serial].append(order)
    attempts = defaultdict(list)
    for attempt in house.rows_of(rows.Attempt):
        attempts[attempt.order_serial].append(attempt)
    waiting = {row.gateway_serial for row in house.rows_of(rows.EvidenceRow, "waiting = 1")}
    unconfirmed: Counter[tuple[str, str, int]] = Counter()
    busy: Counter[tuple[str, str]] = Counter()
    for payment in house.rows_of(rows.Payment):
        orders = by_payment[payment.gateway_serial]
        card = payment.kind == OrderKind.PAY and house.env.facts_of(payment.service).card_meter
        state = follow([Standing(o.kind, o.order_serial, o.state) for o in orders], card_meter=card)
        if state != payment.state:
            yield f"{payment.gateway_serial} is {payment.state}, its orders say {state}"
        if sum(order.state in (OrderState.READY, OrderState.SENT) for order in orders) > 1:
            yield f"{payment.gateway_serial}: two orders are READY or SENT"
        if payment.gateway_serial in waiting and state not in (State.REVERSING, State.CANCELLING):
            yield f"{payment.gateway_serial} {state}: evidence waits for nothing"
        if state in OPEN and not payment.confirmed_repeat and payment.kind != OrderKind.REFUND:
            unconfirmed[payment.biller, payment.biller_account, payment.amount_fen] += 1
        yield from _order_rows(orders, attempts, busy)
    yield from (f"M7 {place}: {count} open, unconfirmed" for place, count in unconfirmed.items() if count > 1)
    yield from (f"{place}: {count} calls in flight" for place, count in busy.items() if count > 1)


def _repeats(house: House) -> Iterator[str]:
    """Of two that have been open since they were taken, one was confirmed beside the other (M7)."""
    open_ = defaultdict(list)
    for payment in house.rows_of(rows.Payment):
        if State(payment.state) in HOLDING and payment.kind != OrderKind.REFUND:
            open_[payment.biller, payment.biller_account, payment.amount_fen].append(payment)
    for found in open_.values():
        for one, other in combinations(found, 2):
            named = f"{one.confirmed_beside},{other.confirmed_beside}"
            if one.gateway_serial not in named and other.gateway_serial not in named:
                yield f"M7 {one.gateway_serial} and {other.gateway_serial}: open, neither confirmed beside the other"


def _order_rows(
    orders: list[rows.Order], attempts: dict[str, list[rows.Attempt]], busy: Counter[tuple[str, str]]
) -> Iterator[str]:
    for order in orders:
        sent = attempts[order.order_serial]
        busy[order.biller, order.biller_account] += order.in_flight
        if sorted(attempt.attempt for attempt in sent) != list(range(1, order.attempts + 1)):
            yield f"{order.order_serial}: attempts {[a.attempt for a in sent]}, counted {order.attempts}"
        if sum(attempt.outcome is None for attempt in sent) != order.in_flight:
            yield f"{order.order_serial}: running attempts and in_flight differ"
        asked = order.ask_at is not None or order.in_flight
        if order.state in (OrderState.SENT, OrderState.UNKNOWN) and not asked:
            yield f"{order.order_serial} {order.state}: nobody will ever ask"
        if order.kind in PAYING and not order.in_flight:
            for attempt in sorted(sent, key=lambda a: a.attempt)[:-1]:
                if attempt.outcome != "NotSent":
                    yield f"M4 {order.order_serial}: sent again after {attempt.outcome}"


def _keys(house: House) -> Iterator[str]:
    payments = {payment.gateway_serial for payment in house.rows_of(rows.Payment)}
    bought: Counter[str] = Counter()
    for key in house.rows_of(rows.Key):
        if key.kind == "PAYMENT":
            if key.gateway_serial not in payments:
                yield f"M3 key {key.key} names no payment"
            bought[str(key.gateway_serial)] += 1
        elif key.gateway_serial is not None:
            yield f"M3 {key.kind} key {key.key} names a payment"
    held = {(key.institution_code, key.key): key.gateway_serial for key in house.rows_of(rows.Key)}
    for payment in house.rows_of(rows.Payment):
        if held.get((payment.institution_code, payment.idempotency_key)) != payment.gateway_serial:
            yield f"M3 {payment.gateway_serial} was not bought by its key"


def _told(house: House) -> Iterator[str]:
    arrivals: Counter[str] = Counter(nonce.arrival_id for nonce in house.rows_of(rows.Nonce))
    yield from (f"arrival {arrival} took {count} nonces" for arrival, count in arrivals.items() if count > 1)
    if len({row.leaf for row in house.rows_of(rows.Record)}) != len(house.rows_of(rows.Record)):
        yield "M11 two records have one leaf"
