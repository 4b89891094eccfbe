"""Old months leave the book whole, once, and nothing that may still move goes with them."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core import archive, items, rows, views
from gateway.ops import archive as archiving
from gateway.ops.audit import Report, audit_sqlite
from gateway.ops.evidence.collect import collect
from gateway.ops.shared import NotSo
from gateway.ops.whole import WholeBook
from gateway.store.sqlite.readers import take_snapshot
from tests.stand.house import House, code

DECEMBER = "2026-12-01"
DAY_S = 86_400


class Desk:
    """The house as commands see a book."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def run(self, item: Any) -> Any:
        return self.house.batch([item])[0]

    async def look(self, item: Any) -> Any:
        return self.house.engine.look(item)

    async def snapshot(self, use: Any) -> Any:
        raise NotImplementedError


def run(house: House, before: str = DECEMBER) -> archiving.Summary:
    return asyncio.run(archiving.archive(Desk(house), before))


def count(house: House, before: str = DECEMBER) -> archiving.Summary:
    return asyncio.run(archiving.count(Desk(house), before))


def checked(house: House, *, full: bool) -> Report:
    return audit_sqlite(house.path, house.env, at_ms=house.now, full=full)


def sound(house: House) -> None:
    for full in (False, True):
        report = checked(house, full=full)
        assert report.ok, f"full={full}\n{report.text()}"


def next_month(house: House) -> None:
    """Nine days on, a day of December, with its first payment; everything of before is published and sealed."""
    publish(house)
    house.seal()
    house.advance(9 * DAY_S)
    house.settle(house.pay(biller_account="70001"))
    publish(house)
    house.seal()


def publish(house: House) -> None:
    ids = [message.message_id for message in house.ask(items.TakeOutbox(older_than_ms=0), items.Outbox).messages]
    house.ask(items.MarkPublished(message_ids=ids), items.Kept)


def counts(house: House, prefix: str = "") -> dict[str, int]:
    return {row.TABLE: house.sql(f"SELECT count(*) FROM {prefix}{row.TABLE}")[0][0] for row in rows.ARCHIVED}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Two stations whose payments of two days of November are final, and December has begun."""
    made = House(tmp_path, durable=False)
    for number in range(4):
        made.settle(made.pay(1 + number % 2, biller_account=f"1000{number}"))
    made.settle(made.pay(biller_account="10005"), "Declined", resp_code="E12", reason="biller-refused")
    made.batch([items.Inquire(arrival=made.arrival(), key="nobody-used-this-key")])
    made.seal()
    made.advance(DAY_S)
    made.settle(made.pay(biller_account="10006"))
    made.deposit(1, 5_000)
    next_month(made)
    yield made
    made.close()


def test_a_closed_month_leaves_and_everything_still_adds_up(house: House) -> None:
    sound(house)
    before, keys = counts(house), house.rows_of(rows.Key)
    planned = count(house)
    assert counts(house) == before, "a dry run moves nothing"
    moved = run(house)
    assert (moved.payments, moved.rows, moved.stayed) == (planned.payments, planned.rows, planned.stayed)
    # The second day of November is the newest but one that was sealed; all six payments leave.
    assert moved.payments == 6
    sound(house)
    after, away = counts(house), counts(house, "archive_")
    assert {table: after[table] + away[table] for table in before} == before
    assert after["payments"] == 1
    assert moved.records == 1, "the inquiry belongs to no payment"
    assert away["outbox"] == moved.messages > 0
    assert house.rows_of(rows.Key) == keys
    assert run(house).payments == 0, "nothing is left for a second run"
    # The book goes on, and the chain of its records too.
    house.settle(house.pay(biller_account="70002"))
    house.advance(DAY_S)
    publish(house)
    house.seal()
    sound(house)


def test_an_archived_payment_still_answers(house: House) -> None:
    key = house.rows_of(rows.Key, "kind = 'PAYMENT'")[0]
    run(house)
    serial = str(key.gateway_serial)
    assert house.rows_of(rows.Payment, "gateway_serial = ?", serial) == []
    seen = house.look(views.ViewPayment(arrival=house.arrival(), gateway_serial=serial), items.Taken)
    assert seen.payment.state == "SUCCESS"
    asked = house.ask(items.Inquire(arrival=house.arrival(), key=key.key), items.Inquired)
    assert asked.taken is not None
    assert asked.taken.payment == seen.payment
    late = replace(house.evidence(house_order(house, serial), "Paid", raw=b"late"), biller="acme")
    assert not house.ask(late, items.Judged).known, "kept, with an alarm"
    assert house.rows_of(rows.Alarm, "kind = 'evidence.of.unknown.order'")
    sound(house)


def test_evidence_of_an_archived_payment_is_what_it_was(house: House) -> None:
    serial = house.rows_of(rows.Payment, "state = 'SUCCESS'")[0].gateway_serial

    def bundle() -> Any:
        return asyncio.run(take_snapshot(house.path, lambda snapshot: collect(WholeBook(snapshot), serial)))

    before = bundle()
    run(house)
    assert house.rows_of(rows.Payment, "gateway_serial = ?", serial) == []
    assert bundle() == before
    assert before.places[0].seal is not None


def house_order(house: House, serial: str) -> rows.Order:
    fields = rows.Order.__struct_fields__
    (values,) = house.sql(f"SELECT {', '.join(fields)} FROM archive_orders WHERE order_serial = ?", serial)
    return rows.Order(**dict(zip(fields, values, strict=True)))


def test_a_month_that_is_not_over_or_not_closed_stays(house: House) -> None:
    with pytest.raises(NotSo, match="not over"):
        run(house, "2027-01-01")
    payment = house.pay(biller_account="80001")
    house.sql("UPDATE payments SET account_date = '2026-11-25' WHERE gateway_serial = ?", payment.gateway_serial)
    with pytest.raises(NotSo, match="2026-11-25"):
        run(house)
    house.sql("UPDATE payments SET account_date = '2026-12-04' WHERE gateway_serial = ?", payment.gateway_serial)
    # Once days are closed by somebody, only that counts.
    house.sql("UPDATE days SET state = 'CLOSED', closed_at = ? WHERE account_date = '2026-11-24'", house.now)
    with pytest.raises(NotSo, match="open payments: 2026-11-25"):
        run(house)
    assert counts(house, "archive_")["payments"] == 0


def test_the_day_that_is_still_the_newest_is_not_closed(tmp_path: Path) -> None:
    house = House(tmp_path, durable=False)
    house.settle(house.pay())
    house.advance(9 * DAY_S)
    with pytest.raises(NotSo, match="2026-11-24"):
        run(house)
    house.close()


SPOILS = {
    "order open": "UPDATE orders SET state = 'UNKNOWN', ended_at = NULL WHERE gateway_serial = ?",
    "payment open": "UPDATE payments SET state = 'FAILED', in_doubt_since = 1 WHERE gateway_serial = ?",
    "call open": "UPDATE attempts SET outcome = NULL WHERE order_serial = ?",
    "evidence waits": "UPDATE evidence SET waiting = 1 WHERE gateway_serial = ?",
    "posted later": "UPDATE transactions SET posting_date = '2026-12-01' WHERE gateway_serial = ?",
    "record not under a closed day": (
        "UPDATE records SET day = NULL, position = NULL, chain = NULL WHERE gateway_serial = ?"
    ),
    "break open": (
        "INSERT INTO breaks (break_id, code, biller, gateway_serial, amount_fen, state, detail, opened_at)"
        " VALUES ('b', 'DUPLICATE', 'acme', ?, 1, 'OPEN', 'x', 1)"
    ),
}


@pytest.mark.parametrize("reason", SPOILS)
def test_what_may_still_move_stays(house: House, reason: str) -> None:
    for (name,) in house.sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        house.sql(f"DROP TRIGGER {name}")
    serial = house.rows_of(rows.Payment)[0].gateway_serial
    house.sql(SPOILS[reason], serial)
    moved = run(house)
    assert moved.stayed == {reason: 1}
    assert house.sql("SELECT count(*) FROM payments WHERE gateway_serial = ?", serial) == [(1,)]
    assert house.sql("SELECT count(*) FROM outbox WHERE key = ?", serial)[0][0] > 0, "its messages stay with it"


def test_payments_of_a_station_that_owes_stay(house: House) -> None:
    house.sql("UPDATE station_balances SET receivable_fen = 1 WHERE institution_code = ?", code(1))
    assert run(house).stayed == {"station owes": 4}


def test_a_payment_whose_refund_is_open_stays(house: House) -> None:
    payment = house.rows_of(rows.Payment)[0]
    refund = replace(payment, gateway_serial="2026120" + "1" * 17, kind="REFUND", state="RESERVED")
    columns = rows.Payment.__struct_fields__
    made = replace(refund, cancels=payment.gateway_serial, account_date="2026-12-03", final_at=None)
    marks = ", ".join("?" * len(columns))
    house.sql(f"INSERT INTO payments VALUES ({marks})", *(getattr(made, name) for name in columns))
    assert run(house).stayed == {"refund open": 1}


def test_the_newest_sealed_day_stays_for_the_chain(tmp_path: Path) -> None:
    """A bureau that was idle for a month: the next day's chain begins at its last record."""
    house = House(tmp_path, durable=False)
    house.settle(house.pay())
    publish(house)
    house.seal()
    house.advance(9 * DAY_S)
    house.seal()
    assert len(house.rows_of(rows.Seal)) == 1, "closed, with nothing after it"
    house.sql("INSERT INTO days VALUES ('2026-12-03', 'OPEN', ?, NULL)", house.now)
    assert run(house).stayed == {"record not under a closed day": 1}
    house.pay(biller_account="70001")
    house.seal()
    publish(house)
    assert run(house).payments == 1
    house.advance(DAY_S)
    house.seal()
    sound(house)
    house.close()


PLANTED = {
    "a carried balance is off": "UPDATE archive_totals SET amount_fen = amount_fen + 1 WHERE account = '2001'",
    "a leg went missing": "DELETE FROM archive_postings WHERE leg = 1",
    "an archived amount was changed": "UPDATE archive_payments SET paid_fen = paid_fen - 1 WHERE state = 'SUCCESS'",
    "an archived record was changed": "UPDATE archive_records SET body = x'00'",
    "a payment is in both places": "INSERT INTO archive_payments SELECT * FROM payments",
    "an archived payment is gone": "DELETE FROM archive_payments",
    "an archived order is gone": "DELETE FROM archive_orders",
    "a carried month is gone": "DELETE FROM archive_totals",
}
SEEN_BY_DEFAULT = {
    "a carried balance is off": {"archive", "running-balance"},
    "a payment is in both places": {"archive"},
    "an archived payment is gone": {"one-key-one-effect"},
    "a carried month is gone": {"running-balance", "statement"},
}


@pytest.mark.parametrize("plant", PLANTED)
def test_what_is_wrong_in_the_archive_is_seen(house: House, plant: str) -> None:
    run(house)
    for (name,) in house.sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        house.sql(f"DROP TRIGGER {name}")
    house.sql(PLANTED[plant])
    assert checked(house, full=True).failed()
    assert set(checked(house, full=False).failed()) >= SEEN_BY_DEFAULT.get(plant, set())


def test_a_row_leaves_only_for_its_copy_and_the_archive_never_changes(house: House) -> None:
    payment = house.rows_of(rows.Payment)[0]
    columns = ", ".join(rows.Posting.__struct_fields__)
    forged = columns.replace("amount_fen", "amount_fen + 1")
    txn = house.rows_of(rows.Transaction, "gateway_serial = ?", payment.gateway_serial)[0].txn_id
    house.sql(f"INSERT INTO archive_postings ({columns}) SELECT {forged} FROM postings WHERE txn_id = ?", txn)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        house.sql("DELETE FROM postings WHERE txn_id = ?", txn)
    for statement in ("DELETE FROM archive_postings", "UPDATE archive_postings SET amount_fen = 0"):
        with pytest.raises(sqlite3.IntegrityError, match="never changes"):
            house.sql(statement)


def test_small_batches_are_as_good_as_one(house: House) -> None:
    before = counts(house)
    after: str | None = ""
    moved = 0
    while after is not None:
        item = archive.ArchivePayments(before=DECEMBER, after=after, limit=1)
        reply = house.ask(item, archive.Archived)
        moved, after = moved + reply.moved, reply.after
        sound(house)
    assert moved == 6
    assert run(house).payments == 0
    sound(house)
    assert counts(house)["payments"] == before["payments"] - 6
