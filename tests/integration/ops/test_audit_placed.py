"""Records that are taken out of a payment's evidence, or put into another's: the audit says so (M11)."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.core import rows
from gateway.ops.audit import audit_sqlite
from tests.integration.ops.test_evidence_replies import ANSWER, REPLY, REQUEST, with_bytes
from tests.stand.signed_house import SignedHouse


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[SignedHouse]:
    house = SignedHouse(tmp_path)
    house.publish(1)
    yield house
    house.house.close()


def wrong(signed: SignedHouse) -> list[str]:
    report = audit_sqlite(signed.folder / "book.db", signed.house.env)
    (check,) = [one for one in report.checks if one.name == "records-of-payments"]
    return [f"{one.about} {one.detail}" for one in check.violations]


def told(signed: SignedHouse) -> tuple[rows.Payment, rows.Payment]:
    """A payment with all kinds of records and its reply, and another."""
    payment = with_bytes(signed)
    signed.reply(payment, msgspec.json.encode({"gateway_serial": payment.gateway_serial, "state": "SUCCESS"}))
    signed.reply(None, msgspec.json.encode({"type": "urn:x", "gateway_serial": payment.gateway_serial}))
    return payment, signed.pay(10_002)


@pytest.mark.parametrize("where", ["nowhere", "another"])
@pytest.mark.parametrize("kind", [REQUEST, ANSWER, REPLY, "query", "notice"])
def test_m11_a_record_taken_out_of_a_payments_evidence_is_seen(kind: str, where: str, signed: SignedHouse) -> None:
    """M11: `gateway_serial` lies under no hash, so other rows have to say whose a record is."""
    _, other = told(signed)
    assert wrong(signed) == []
    serial = other.gateway_serial if where == "another" else None
    (record,) = signed.house.rows_of(rows.Record, f"kind = '{kind}' AND gateway_serial IS NOT NULL")
    signed.house.rewrite("records", "gateway_serial = ? WHERE record_id = ?", serial, record.record_id)
    assert any(record.record_id in one for one in wrong(signed))


def test_evidence_that_no_longer_names_what_was_sent_is_seen(signed: SignedHouse) -> None:
    payment, _ = told(signed)
    signed.house.rewrite("evidence", "sent = NULL WHERE gateway_serial = ?", payment.gateway_serial)
    assert len(wrong(signed)) == 2


def test_what_came_of_nobody_we_know_is_of_no_payment(signed: SignedHouse) -> None:
    """An order that the book does not have: kept with an alarm, and found where the alarm is gone."""
    payment, _ = told(signed)
    told_of = signed.house.evidence(signed.house.order_of(payment), "Paid", source="notice", raw=b"<x/>")
    lost = msgspec.structs.replace(told_of, gateway_serial="", order_serial="2" * 24, sent=(b"ok",))
    signed.house.advance(1)
    signed.house.batch([lost])
    assert wrong(signed) == []
    signed.house.rewrite("alarms", "kind = 'x' WHERE kind = 'evidence.of.unknown.order'")
    assert any("of no payment" in one for one in wrong(signed))
