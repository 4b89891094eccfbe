"""Payments one after the other, each with everything that belongs to it, past every check about a payment."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.core.rows import (
    Alarm,
    Attempt,
    Break,
    CommissionPlan,
    EvidenceRow,
    Order,
    Payment,
    Posting,
    Tariff,
    Transaction,
    Voucher,
)
from gateway.ops.audit import attempts, legs, prices, proof, raised, serials, standing
from gateway.ops.audit.about import About
from gateway.ops.audit.dossier import Booked, Dossier, Rules
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import Groups, all_rows, columns
from gateway.store.port import Snapshot

# ruff: noqa: S608 - names of our own structs

Judge = Callable[[Dossier, Rules], Iterator[str]]
JUDGES: Mapping[str, Judge] = {
    "recipe-legs": legs.judge,
    "state-against-orders": standing.judge,
    "orders-against-attempts": attempts.judge,
    "orders-against-postings": standing.judge_postings,
    "evidence": proof.judge,
    "orders-against-payment": serials.judge,
    "prices": prices.judge,
    "breaks": raised.judge,
}

_PAYMENTS = f"SELECT t.gateway_serial, {columns(Payment)} FROM payments t ORDER BY t.gateway_serial"
_OF_PAYMENTS = {
    Order: f"SELECT t.gateway_serial, {columns(Order)} FROM orders t ORDER BY t.gateway_serial, t.order_serial",
    EvidenceRow: f"SELECT t.gateway_serial, {columns(EvidenceRow)} FROM evidence t"
    " ORDER BY t.gateway_serial, t.evidence_id",
    Break: f"SELECT t.gateway_serial, {columns(Break)} FROM breaks t"
    " WHERE t.gateway_serial IS NOT NULL ORDER BY t.gateway_serial, t.break_id",
    Alarm: f"SELECT t.gateway_serial, {columns(Alarm)} FROM alarms t"
    " WHERE t.gateway_serial IS NOT NULL ORDER BY t.gateway_serial, t.alarm_id",
    Attempt: f"SELECT o.gateway_serial, {columns(Attempt)} FROM orders o JOIN attempts t"
    " ON t.order_serial = o.order_serial ORDER BY o.gateway_serial, t.order_serial, t.attempt",
    Transaction: f"SELECT t.gateway_serial, {columns(Transaction)} FROM transactions t"
    " WHERE t.gateway_serial IS NOT NULL ORDER BY t.gateway_serial, t.created_at, t.txn_id",
    Posting: f"SELECT x.gateway_serial, {columns(Posting)} FROM transactions x JOIN postings t ON t.txn_id = x.txn_id"
    " WHERE x.gateway_serial IS NOT NULL ORDER BY x.gateway_serial, t.txn_id, t.leg",
}
_REQUESTS = (
    "SELECT p.gateway_serial FROM payments p WHERE p.kind = 'PAY' AND NOT EXISTS (SELECT 1 FROM records r"
    " WHERE r.gateway_serial = p.gateway_serial AND r.kind = 'request')"
)
_MISSING_RECORDS = (
    "SELECT e.evidence_id, e.record_id FROM evidence e WHERE e.record_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM records r WHERE r.record_id = e.record_id)"
)
_UNKEPT = (
    "SELECT count(*) FROM evidence e WHERE e.record_id IS NULL AND e.effect LIKE '%->%'"
    " AND e.source IN ('reply', 'query', 'notice', 'file') AND e.event NOT IN ('LOST', 'NOT_SENT')"
)
_LONE = f"SELECT t.txn_id, {columns(Transaction)} FROM transactions t WHERE t.gateway_serial IS NULL ORDER BY t.txn_id"
_LONE_LEGS = (
    f"SELECT t.txn_id, {columns(Posting)} FROM transactions x JOIN postings t ON t.txn_id = x.txn_id"
    " WHERE x.gateway_serial IS NULL ORDER BY t.txn_id, t.leg"
)
_VOUCHERS = f"SELECT t.txn_id, {columns(Voucher)} FROM vouchers t ORDER BY t.txn_id"


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """recipe-legs, state-against-orders, orders-against-attempts, orders-against-postings, evidence,
    orders-against-payment, prices, breaks."""
    rules = Rules(
        plans={(row.version, row.service): row for row in await all_rows(snapshot, CommissionPlan)},
        tariffs={(row.version, row.service): row for row in await all_rows(snapshot, Tariff)},
        counters=await serials.read_counters(snapshot),
        env=about.env,
    )
    found = {name: Findings(name) for name in JUDGES}
    await _payments(snapshot, rules, found)
    await _deposits(snapshot, found["recipe-legs"])
    await serials.find_twice(snapshot, found["orders-against-payment"])
    async for part in snapshot.rows(_REQUESTS):
        for (serial,) in part:
            found["evidence"].add(serial, "no signed request of it is kept")
    async for part in snapshot.rows(_MISSING_RECORDS):
        for evidence_id, record_id in part:
            found["evidence"].add(evidence_id, f"its record {record_id} is gone")
    async for part in snapshot.rows(_UNKEPT):
        for (count,) in part:
            if count:
                found["evidence"].warn(f"{count} answers moved a payment and their bytes were not kept (M11)")
    return [one.checked() for one in found.values()]


async def _payments(snapshot: Snapshot, rules: Rules, found: Mapping[str, Findings]) -> None:
    orders = Groups(snapshot, Order, _OF_PAYMENTS[Order])
    tries = Groups(snapshot, Attempt, _OF_PAYMENTS[Attempt])
    evidence = Groups(snapshot, EvidenceRow, _OF_PAYMENTS[EvidenceRow])
    transactions = Groups(snapshot, Transaction, _OF_PAYMENTS[Transaction])
    postings = Groups(snapshot, Posting, _OF_PAYMENTS[Posting])
    breaks = Groups(snapshot, Break, _OF_PAYMENTS[Break])
    alarms = Groups(snapshot, Alarm, _OF_PAYMENTS[Alarm])
    payments = Groups(snapshot, Payment, _PAYMENTS)
    async for payment in payments.each():
        serial = payment.gateway_serial
        dossier = Dossier(
            payment=payment,
            orders=await orders.take(serial),
            attempts=await tries.take(serial),
            evidence=await evidence.take(serial),
            booked=pair(await transactions.take(serial), await postings.take(serial)),
            breaks=await breaks.take(serial),
            alarms=await alarms.take(serial),
        )
        for name, judge in JUDGES.items():
            found[name].take(serial, judge(dossier, rules))
    for serial in await transactions.drain():
        found["orders-against-postings"].add(serial, "transactions name it, and it is no payment of the book")
    for serial in await orders.drain():
        found["state-against-orders"].add(serial, "orders name it, and it is no payment of the book")
    for groups in (tries, evidence, postings, breaks, alarms):
        await groups.drain()


async def _deposits(snapshot: Snapshot, found: Findings) -> None:
    """Transactions of no payment: today the counter deposits, each with its voucher."""
    postings, vouchers = Groups(snapshot, Posting, _LONE_LEGS), Groups(snapshot, Voucher, _VOUCHERS)
    async for transaction in Groups(snapshot, Transaction, _LONE).each():
        txn_id = transaction.txn_id
        booked = Booked(transaction, await postings.take(txn_id))
        found.take(txn_id, legs.judge_lone(booked, await vouchers.take(txn_id)))
    for txn_id in await vouchers.drain():
        found.add(txn_id, "a voucher names it, and it is no deposit")


def pair(transactions: Sequence[Transaction], postings: Sequence[Posting]) -> list[Booked]:
    """Transactions with their legs, in the order of the transactions."""
    by_id: dict[str, list[Posting]] = {}
    for posting in postings:
        by_id.setdefault(posting.txn_id, []).append(posting)
    return [Booked(transaction, by_id.get(transaction.txn_id, [])) for transaction in transactions]
