"""The rules that the engine itself holds: unique indexes under races, checks, foreign keys, append-only tables."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.core import rows
from gateway.core.rows import Row
from gateway.store.port import LostRace, Store, UnitFailed
from tests.conformance.store import toys
from tests.conformance.store.conftest import Book
from tests.conformance.store.toys import STATION, serial

Refused = (sqlite3.Error, asyncpg.PostgresError)


def payment(number: int, account: str = "A", state: str = "RESERVED", **changes: Any) -> rows.Payment:
    """A payment as a row."""
    item = toys.Pay(arrival_id=f"a{number}", key=f"k{number}", serial=serial(number), account=account)
    return msgspec.structs.replace(toys.payment(item, toys.MS, state), **changes)


def order(number: int, of: int, account: str = "A", **changes: Any) -> rows.Order:
    """An order as a row."""
    item = toys.Pay(arrival_id="a", key="k", serial=serial(number), account=account)
    return msgspec.structs.replace(toys.order(item, toys.MS), gateway_serial=serial(of), **changes)


def certificate(keyid: str, public_key: str) -> rows.RegisteredCertificate:
    """A certificate as a row."""
    return rows.RegisteredCertificate(
        keyid=keyid,
        der=b"",
        role="station",
        state="ACTIVE",
        public_key_sha256=public_key,
        not_before=1,
        not_after=2,
        registered_at=1,
        state_at=1,
    )


def binding(bound_at: int, unbound_at: int | None = None) -> rows.Binding:
    """A binding as a row."""
    return rows.Binding(
        keyid="k" * 64,
        institution_code=STATION,
        terminal_id="T1",
        operator_id="O1",
        bound_at=bound_at,
        prepared_by="s1",
        approved_by="s2",
        unbound_at=unbound_at,
    )


def record(name: str, **changes: Any) -> rows.Record:
    """A record as a row."""
    plain = rows.Record(
        record_id=name,
        kind="request",
        received_at=1,
        institution_code=None,
        gateway_serial=None,
        keyid=None,
        base=b"",
        signature=b"",
        body=b"",
        leaf=b"",
    )
    return msgspec.structs.replace(plain, **changes)


def attempt(name: str, number: int) -> rows.Attempt:
    """An attempt of order 1 as a row."""
    return rows.Attempt(
        attempt_id=name, order_serial=serial(1), attempt=number, worker="w", claimed_at=1, send_by=2, call_deadline=3
    )


def voucher(number: str, fen: int, txn_id: str = "t") -> rows.Voucher:
    """A voucher as a row."""
    return rows.Voucher(
        voucher_number=number,
        institution_code=STATION,
        amount_fen=fen,
        outlet="o",
        taken_by="p",
        txn_id=txn_id,
        created_at=1,
    )


def posting(leg: int, seq: int | None, owner: str = STATION) -> rows.Posting:
    """A leg of TRANSACTION."""
    return rows.Posting(txn_id="t", leg=leg, account="2001", owner=owner, amount_fen=1, recipe="R13", seq=seq)


TRANSACTION = rows.Transaction(
    txn_id="t",
    recipe="R13",
    gateway_serial=None,
    order_serial=None,
    posting_date="2026-11-24",
    account_date=None,
    settle_date=None,
    cause="deposit",
    cause_id="v",
    created_at=1,
)
PAYMENTS: list[Row] = [payment(1, "P1"), payment(2, "P2"), payment(3, "P3")]

# What is there, what may not join it, and near misses that may.
UNIQUE: dict[str, tuple[list[Row], Row, list[Row]]] = {
    "M7": (
        [payment(1)],
        payment(2),
        [
            payment(3, confirmed_repeat=True),
            payment(4, amount_fen=101),
            payment(5, "B"),
            payment(6, state="SUCCESS"),
            payment(7, kind="REFUND"),
        ],
    ),
    "M7-unknown": ([payment(1, state="UNKNOWN")], payment(2), [payment(3, biller="water")]),
    "M7-card": ([payment(1, state="WRITE_FAILED")], payment(2, kind="DEBIT"), [payment(3, state="FAILED")]),
    "query-token": (
        [payment(1, "A", query_token="q")],
        payment(2, "B", "FAILED", query_token="q"),
        [payment(3, "C", query_token="r"), payment(4, "D"), payment(5, "E")],
    ),
    "partner-serial": (
        [*PAYMENTS, order(1, 1, "P1", partner_serial="0001")],
        order(2, 2, "P2", partner_serial="0001"),
        [order(3, 3, "P3", partner_serial="0001", biller="water")],
    ),
    "in-flight": (
        [*PAYMENTS, order(1, 1, "X", state="SENT", in_flight=True)],
        order(2, 2, "X", state="SENT", in_flight=True),
        [order(3, 2, "X", state="SENT"), order(4, 3, "Y", in_flight=True)],
    ),
    "one-moving-order": (
        [*PAYMENTS, order(1, 1, state="SENT")],
        order(2, 1, state="READY"),
        [order(3, 1, state="UNKNOWN"), order(4, 1, state="DONE"), order(5, 2)],
    ),
    "public-key": ([certificate("a", "same")], certificate("b", "same"), [certificate("c", "other")]),
    "one-binding": ([], binding(2), [binding(3, unbound_at=4), binding(5, unbound_at=6)]),
    "voucher": (
        [
            TRANSACTION,
            voucher("v1", 1),
        ],
        voucher("v1", 2),
        [msgspec.structs.replace(TRANSACTION, txn_id="t2"), voucher("v2", 1, "t2")],
    ),
    "one-voucher-per-deposit": ([TRANSACTION, voucher("v1", 1)], voucher("v2", 1), []),
    "record-place": (
        [record("r1", day="2026-11-24", position=1, chain=b"c")],
        record("r2", day="2026-11-24", position=1, chain=b"d"),
        [record("r3", day="2026-11-25", position=1, chain=b"e"), record("r4"), record("r5")],
    ),
    "statement-line": (
        [TRANSACTION, posting(0, seq=7)],
        posting(1, seq=7),
        [posting(2, seq=8), posting(3, seq=None), posting(4, seq=None), posting(5, seq=7, owner="power")],
    ),
    "attempt-number": ([payment(1), order(1, 1), attempt("t1", 1)], attempt("t2", 1), [attempt("t3", 2)]),
    "key": (
        [],
        rows.Setting(name="nonce_floor", value=5),
        [rows.Setting(name="other", value=5)],
    ),
}


async def put(store: Store, found: list[Row]) -> None:
    for row in found:
        await store.run(toys.insert(row))


@pytest.mark.parametrize("rule", UNIQUE)
async def test_a_unique_index_holds_its_rule(store: Store, rule: str) -> None:
    there, refused, allowed = UNIQUE[rule]
    await put(store, there)
    with pytest.raises(LostRace):
        await store.run(toys.insert(refused))
    await put(store, allowed)


@pytest.mark.parametrize(
    "rival",
    [
        lambda at: payment(at, "A"),
        lambda at: payment(at, f"A{at}", query_token="q"),
        lambda at: certificate(f"c{at}", "same"),
        lambda at: record(f"r{at}", day="2026-11-24", position=7, chain=b"c"),
    ],
    ids=["M7", "query-token", "public-key", "record-place"],
)
async def test_of_many_rivals_one_wins(book: Book, rival: Callable[[int], Row]) -> None:
    async with book.open() as one, book.open() as two:
        items = [toys.insert(rival(at)) for at in range(40)]
        replies = await asyncio.gather(
            *((one, two)[at % 2].run(item) for at, item in enumerate(items)), return_exceptions=True
        )
    assert sum(isinstance(reply, toys.Done) for reply in replies) == 1
    assert sum(isinstance(reply, LostRace) for reply in replies) == 39


@pytest.mark.parametrize(
    "row",
    [
        payment(1, state="CREATED"),
        payment(1, kind="PAYOUT"),
        payment(1, amount_fen=-1),
        payment(1, fee_fen=-1),
        payment(1, paid_fen=-1),
        order(1, 99),
        record("r", day="2026-11-24"),
        rows.Balance(institution_code="51070002"),
        rows.Day(account_date="2026-11-24", state="HALF", opened_at=1),
        rows.Posting(txn_id="none", leg=0, account="2001", owner=STATION, amount_fen=1, recipe="R"),
        rows.Training(institution_code=STATION, operator_id="O1", service="*", valid_from=2, valid_until=2),
    ],
    ids=lambda row: f"{row.TABLE}-{getattr(row, 'state', '')}",
)
async def test_a_row_that_may_not_be_is_refused(store: Store, row: Row) -> None:
    with pytest.raises(UnitFailed):
        await store.run(toys.insert(row))


async def test_reserved_money_never_goes_below_zero(store: Store) -> None:
    before = rows.Balance(institution_code=STATION, available_fen=10**12)
    with pytest.raises(UnitFailed):
        await store.run(toys.change(before, msgspec.structs.replace(before, reserved_fen=-1, version=1)))
    with pytest.raises(UnitFailed):
        await store.run(toys.change(before, msgspec.structs.replace(before, receivable_fen=-1, version=1)))


@pytest.fixture
async def full_book(book: Book) -> Book:
    """A payment with its money, evidence and records."""
    evidence = rows.EvidenceRow(
        evidence_id="e",
        gateway_serial=serial(1),
        order_serial=serial(1),
        record_id=None,
        source="reply",
        event="PAID",
        effect="none",
        waiting=True,
        created_at=1,
    )
    async with book.open() as store:
        await store.run(toys.Pay(arrival_id="a1", key="k1", serial=serial(1)))
        await put(store, [evidence, record("sealed", day="2026-11-23", position=0, chain=b"c")])
    return book


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE postings SET amount_fen = 0",
        "DELETE FROM postings",
        "UPDATE transactions SET recipe = 'R99'",
        "DELETE FROM transactions",
        "UPDATE evidence SET event = 'DECLINED'",
        "UPDATE evidence SET paid_fen = 1, waiting = 0",
        "DELETE FROM evidence",
        "UPDATE records SET body = leaf",
        "UPDATE records SET position = 2 WHERE record_id = 'sealed'",
        "UPDATE records SET day = NULL, position = NULL, chain = NULL WHERE record_id = 'sealed'",
        "DELETE FROM records",
        "DELETE FROM idempotency_keys",
    ],
)
async def test_what_is_append_only_stays_so_for_anyone(full_book: Book, statement: str) -> None:
    table = statement.split()[1 if statement.startswith("UPDATE") else 2]
    before = await full_book.sql(f"SELECT * FROM {table} ORDER BY 1, 2")
    assert before
    with pytest.raises(Refused, match="append-only"):
        await full_book.sql(statement)
    assert await full_book.sql(f"SELECT * FROM {table} ORDER BY 1, 2") == before


async def test_what_replaces_is_refused_too(full_book: Book) -> None:
    statement = {
        "sqlite": "INSERT OR REPLACE INTO postings SELECT * FROM postings",
        "postgresql": "TRUNCATE postings",
    }[full_book.engine]
    with pytest.raises(Refused, match="append-only"):
        await full_book.sql(statement)


async def test_what_may_change_does(full_book: Book) -> None:
    await full_book.sql("UPDATE evidence SET waiting = 0")
    await full_book.sql("UPDATE records SET day = '2026-11-24', position = 1, chain = leaf WHERE day IS NULL")
    assert await full_book.sql("SELECT waiting FROM evidence") == [(0,)]
    assert await full_book.sql("SELECT count(*) FROM records WHERE day IS NULL") == [(0,)]
