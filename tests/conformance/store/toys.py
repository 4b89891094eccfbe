"""Units of work for the store's own tests: small, honest users of every step, with nothing of the real rules."""

import os
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.core import rows
from gateway.core.rows import Row
from gateway.core.steps import Claim, Now, Numbers, Purge, Read, Scan, Work, Write
from gateway.store.port import Units

STATION = "51070001"
MS = 1_700_000_000_000


class Item(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of the asks."""


class Pay(Item, frozen=True, kw_only=True):
    """About ten rows in nine tables, as an acceptance writes them.

    fault: die, raise, late (raise after the write), or waitMS in the unit.
    """

    arrival_id: str
    key: str
    serial: str
    account: str = "A1"
    amount_fen: int = 100
    confirmed: bool = False
    token: str | None = None
    fault: str = ""


class Put(Item, frozen=True, kw_only=True):
    """Write these rows, as msgpack of one table."""

    table: str
    inserts: list[bytes] = []
    befores: list[bytes] = []
    afters: list[bytes] = []


class Draw(Item, frozen=True, kw_only=True):
    """Take numbers of a partner's day."""

    biller: str
    day: str
    count: int = 1


class Grab(Item, frozen=True, kw_only=True):
    """Claim one nonce."""

    nonce: str
    arrival_id: str


class Forget(Item, frozen=True, kw_only=True):
    """Purge nonces of old buckets."""

    bucket: int


class Spend(Item, frozen=True, kw_only=True):
    """Take from the balance as the caller last saw it (version), without a lock."""

    version: int
    fen: int


class Fetch(Item, frozen=True, kw_only=True):
    """Read by keys inside a writing unit; the rows come back as text."""

    query: str
    keys: list[tuple[str | int, ...]]


class Ask(Item, frozen=True, kw_only=True):
    """Read only: the payments of these serials, and the clock."""

    serials: list[str]
    query: str = "payments"


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The one reply."""

    text: str = ""
    number: int = 0


_ROWS: dict[str, type[Row]] = {row.TABLE: row for row in rows.TABLES}
pack = msgspec.msgpack.encode


def payment(item: Pay, now: int, state: str = "RESERVED") -> rows.Payment:
    """The payment of an item."""
    return rows.Payment(
        gateway_serial=item.serial,
        kind="PAY",
        state=state,
        version=1,
        institution_code=STATION,
        terminal_id="T1",
        operator_id="O1",
        terminal_trace="000001",
        idempotency_key=item.key,
        service="power.bill",
        biller="power",
        biller_account=item.account,
        amount_fen=item.amount_fen,
        fee_fen=0,
        account_date="2026-11-24",
        settle_date="2026-11-24",
        accepted_at=now,
        send_before=now + 120_000,
        tariff_version="t1",
        commission_version="c1",
        confirmed_repeat=item.confirmed,
        query_token=item.token,
        trace_id="trace",
    )


def order(item: Pay, now: int) -> rows.Order:
    """The payment's first order."""
    return rows.Order(
        order_serial=item.serial,
        gateway_serial=item.serial,
        kind="PAY",
        state="READY",
        biller="power",
        biller_account=item.account,
        partner_serial=item.serial,
        created_at=now,
        send_before=now + 120_000,
        next_try_at=now,
    )


def _money(item: Pay, now: int, balance: rows.Balance) -> list[Row]:
    transaction = rows.Transaction(
        txn_id=item.serial,
        recipe="R01",
        gateway_serial=item.serial,
        order_serial=item.serial,
        posting_date="2026-11-24",
        account_date="2026-11-24",
        settle_date="2026-11-24",
        cause="accept",
        cause_id=item.arrival_id,
        created_at=now,
    )
    legs = (("2001", -item.amount_fen, balance.available_fen), ("2002", item.amount_fen, balance.reserved_fen))
    return [
        transaction,
        *(
            rows.Posting(
                txn_id=item.serial,
                leg=leg,
                account=account,
                owner=STATION,
                amount_fen=fen,
                recipe="R01",
                balance_after=left,
                seq=2 * balance.version + leg,
            )
            for leg, (account, fen, left) in enumerate(legs)
        ),
    ]


def _papers(item: Pay, now: int) -> list[Row]:
    record = rows.Record(
        record_id=item.serial,
        kind="request",
        received_at=now,
        institution_code=STATION,
        gateway_serial=item.serial,
        keyid="k" * 64,
        base=b"b" * 500,
        signature=b"s" * 64,
        body=b"{}" * 100,
        leaf=b"l" * 32,
    )
    outbox = rows.OutboxRow(
        message_id=item.serial, topic="bianmin.power", key=item.account, payload=b"{}" * 100, created_at=now
    )
    return [record, outbox]


def pay(items: Sequence[Pay], _: Any) -> Work[list[Any]]:
    """Claim keys and nonces, lock the balance, decide, write."""
    now: int = yield Now()
    keys = [
        rows.Key(
            institution_code=STATION,
            key=item.key,
            kind="PAYMENT",
            request_hash=b"h" * 32,
            gateway_serial=item.serial,
            problem=None,
            arrival_id=item.arrival_id,
            created_at=now,
        )
        for item in items
    ]
    nonces = [
        rows.Nonce(bucket=MS // 3_600_000, keyid="k" * 64, nonce=item.arrival_id, arrival_id=item.arrival_id, created=1)
        for item in items
    ]
    ours = yield Claim([*keys, *nonces])
    yield Read("callers", [("k" * 64,)])
    (balance,) = yield Read("balances_locked", [(STATION,)])
    yield Read("settings", [("nonce_floor",)])
    yield Read("payments_open", sorted({("power", item.account, item.amount_fen) for item in items}))
    held = {row.key: row for row in (yield Read("keys", sorted({(STATION, item.key) for item in items})))}
    inserts: list[Row] = []
    was, replies = balance, []
    for item in items:
        _stumble(item)
        if (STATION, item.key) not in ours or held[item.key].arrival_id != item.arrival_id:
            replies.append(Done(text=str(held[item.key].gateway_serial)))
            continue
        left = balance.available_fen - item.amount_fen
        balance = msgspec.structs.replace(
            balance,
            available_fen=left,
            reserved_fen=balance.reserved_fen + item.amount_fen,
            version=balance.version + 1,
        )
        inserts += [payment(item, now), order(item, now), *_money(item, now, balance), *_papers(item, now)]
        replies.append(Done(text=item.serial, number=left))
    yield Write(inserts=inserts, updates=[] if balance is was else [(was, balance)])
    if any(item.fault == "late" for item in items):
        raise RuntimeError("a bug after the last step")
    return replies


def _stumble(item: Pay) -> None:
    if item.fault == "raise":
        raise RuntimeError("a bug in a unit")
    if item.fault == "die":
        os._exit(9)
    if item.fault.startswith("wait"):
        time.sleep(int(item.fault.removeprefix("wait")) / 1000)


def put(items: Sequence[Put], _: Any) -> Work[list[Any]]:
    """Write as told."""
    inserts: list[Row] = []
    updates: list[tuple[Row, Row]] = []
    for item in items:
        decode = msgspec.msgpack.Decoder(_ROWS[item.table]).decode
        inserts += map(decode, item.inserts)
        updates += zip(map(decode, item.befores), map(decode, item.afters), strict=True)
    yield Write(inserts=inserts, updates=updates)
    return [Done()] * len(items)


def insert(*given: Row) -> Put:
    """An item that inserts rows of one table."""
    return Put(table=given[0].TABLE, inserts=[pack(row) for row in given])


def change(before: Row, after: Row) -> Put:
    """An item that updates one row."""
    return Put(table=before.TABLE, befores=[pack(before)], afters=[pack(after)])


def draw(items: Sequence[Draw], _: Any) -> Work[list[Any]]:
    """Numbers, one step per item."""
    firsts: list[int] = []
    for item in items:
        first = yield Numbers(item.biller, item.day, item.count)
        firsts.append(first)
    return [Done(number=first) for first in firsts]


def grab(items: Sequence[Grab], _: Any) -> Work[list[Any]]:
    """Who has the nonce now."""
    found = [rows.Nonce(bucket=1, keyid="k", nonce=item.nonce, arrival_id=item.arrival_id, created=1) for item in items]
    yield Claim(found)
    read = yield Read("nonces", [(1, "k", item.nonce) for item in items])
    holder = {row.nonce: row.arrival_id for row in read}
    return [Done(text=holder[item.nonce]) for item in items]


def forget(items: Sequence[Forget], _: Any) -> Work[list[Any]]:
    """Purge."""
    for item in items:
        yield Purge("nonces_before", {"bucket": item.bucket})
    return [Done()] * len(items)


def spend(items: Sequence[Spend], _: Any) -> Work[list[Any]]:
    """A guarded update from a version that may be old."""
    (balance,) = yield Read("balances", [(STATION,)])
    updates = []
    for item in items:
        seen = msgspec.structs.replace(balance, version=item.version)
        updates.append(
            (seen, msgspec.structs.replace(seen, available_fen=seen.available_fen - item.fen, version=item.version + 1))
        )
    yield Write(updates=updates)
    return [Done()] * len(items)


def fetch(items: Sequence[Fetch], _: Any) -> Work[list[Any]]:
    """Rows as text."""
    replies = []
    for item in items:
        found = yield Read(item.query, item.keys)
        replies.append(Done(text=repr(found)))
    return replies


def ask(items: Sequence[Ask], _: Any) -> Work[list[Any]]:
    """Serials found, joined by commas."""
    now = yield Now()
    found = yield Read(items[0].query, sorted({(serial,) for item in items for serial in item.serials}))
    there = {row.gateway_serial for row in found}
    yield Scan("stations_page", {"after": "", "limit": 10})
    return [Done(text=",".join(serial for serial in item.serials if serial in there), number=now) for item in items]


class Cheat(Item, frozen=True, kw_only=True):
    """A read unit that tries to write."""


def cheat(items: Sequence[Cheat], _: Any) -> Work[list[Any]]:
    """Not allowed."""
    yield Write(inserts=[rows.Setting(name="x", value=1)])
    return [Done()] * len(items)


UNITS = Units(
    units={Pay: pay, Put: put, Draw: draw, Grab: grab, Forget: forget, Spend: spend, Fetch: fetch},
    read_units={Ask: ask, Cheat: cheat},
    item_type=Pay | Put | Draw | Grab | Forget | Spend | Fetch,
    reply_type=Done,
)


def station() -> list[Row]:
    """A station with a terminal, an operator, a bound certificate and money."""
    return [
        rows.Station(institution_code=STATION, name="站", created_at=MS),
        rows.Terminal(institution_code=STATION, terminal_id="T1", created_at=MS),
        rows.Operator(institution_code=STATION, operator_id="O1", name="人", created_at=MS),
        rows.Balance(institution_code=STATION, available_fen=10**12),
        rows.RegisteredCertificate(
            keyid="k" * 64,
            der=b"der",
            role="station",
            state="ACTIVE",
            public_key_sha256="p",
            not_before=1,
            not_after=MS * 2,
            registered_at=MS,
            state_at=MS,
        ),
        rows.Binding(
            keyid="k" * 64,
            institution_code=STATION,
            terminal_id="T1",
            operator_id="O1",
            bound_at=MS,
            prepared_by="s1",
            approved_by="s2",
        ),
        rows.Setting(name="nonce_floor", value=0),
    ]


def serial(number: int) -> str:
    """A time-ordered serial."""
    return f"20261124{number:016d}"
