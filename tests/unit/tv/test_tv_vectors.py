"""The partner's vectors, read and written: the judge of this adapter (ADAPT)."""

import json
from datetime import date

import pytest

from adapters.transport.bearer import basic
from adapters.tv import dayfile, replies, wire
from contracts.biller import Bill, NoBill
from contracts.money import Fen
from contracts.outcomes import Absent, Accepted, Declined, NotSent, Paid, Pending, Reason, Unknown
from tests.unit.tv.recorded import CODES, NAMES, VECTORS, bill_query, body, pay_order, raw, reply, result_query

ORDERS = (6, 7, 8, 10, 11, 12, 13, 14, 19, 28, 29, 30)


def test_all_vectors_are_there() -> None:
    assert len(NAMES) == 30


@pytest.mark.parametrize("number", [6, 7, 10, 11, 12, 14, 28, 29])
def test_orders_are_the_recorded_bytes(number: int) -> None:
    sent = body(number, "request")
    if number == 14:  # the one whose time had passed
        sent = sent.replace(json.loads(sent)["not_after"].encode(), b"2026-11-24T10:16:00+08:00")
    assert wire.write_order(pay_order(number)) == sent


def test_credentials_are_form_encoded_first() -> None:
    header = f"Authorization: {basic('bm-gateway-test', 'Tv%Test:Secret+01')}\r\n".encode()
    assert header in raw(1, "request")
    assert header not in raw(2, "request")


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (6, Accepted, "ACCEPTED"),
        (7, Accepted, "ACCEPTED"),
        (8, Unknown, "409.order_conflict"),
        (10, Accepted, "ACCEPTED"),
        (11, Declined, "422.account_not_found"),
        (12, Declined, "422.account_closed"),
        (13, Declined, "422.amount_out_of_range"),
        (14, NotSent, "422.expired"),
        (15, Declined, "400.malformed"),
        (19, Declined, "account_closed"),
        (28, Unknown, "SETTLED"),
        (29, NotSent, "503.maintenance"),
        (30, NotSent, "401.invalid_token"),
    ],
)
def test_pay_replies(number: int, kind: type, code: str) -> None:
    order = pay_order(6) if number == 15 else pay_order(number)
    outcome = replies.pay_outcome(reply(number), order, CODES)
    assert type(outcome) is kind
    assert outcome.resp_code == code
    assert outcome.raw == body(number, "reply")


def test_a_conflict_is_asked_about_with_an_alarm() -> None:
    outcome = replies.pay_outcome(reply(8), pay_order(8), CODES)
    assert isinstance(outcome, Unknown)
    assert outcome.alarm


def test_maintenance_waits_as_told_or_longer() -> None:
    outcome = replies.pay_outcome(reply(29), pay_order(29), CODES)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_after_s == 30


def test_results() -> None:
    assert isinstance(replies.result_evidence(reply(9), result_query(9), CODES), Pending)
    paid = replies.result_evidence(reply(17), result_query(17), CODES)
    assert paid == Paid(
        biller_serial="CT202611240000000001", paid=Fen(2001), biller_date="2026-11-24", resp_code="SUCCEEDED"
    )
    failed = replies.result_evidence(reply(18), result_query(18), CODES)
    assert failed == Declined(resp_code="account_closed", reason=Reason.ACCOUNT_STATE)
    assert replies.result_evidence(reply(20), result_query(20), CODES) == Absent(resp_code="404.order_not_found")
    refunded = replies.result_evidence(reply(25), result_query(25), CODES)
    assert isinstance(refunded, Paid)
    assert refunded.biller_date == "2026-11-24"


def test_bills() -> None:
    bill = replies.bill_reply(reply(3), bill_query("00000001"), CODES)
    assert bill == Bill(
        customer_name="*䶮", address="历下区***3号楼", bills=(), total=Fen(2001), min=Fen(100), max=Fen(500_000)
    )
    assert isinstance(replies.bill_reply(reply(4), bill_query("90000010", product="broadband"), CODES), Bill)
    other = replies.bill_reply(reply(4), bill_query("90000010"), CODES)
    assert isinstance(other, NoBill)
    assert "另一业务" in other.shop_text
    missing = replies.bill_reply(reply(5), bill_query("10000404"), CODES)
    assert isinstance(missing, NoBill)
    assert missing.resp_code == "404.account_not_found"


@pytest.mark.parametrize("day", [date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25)])
def test_day_files(day: date) -> None:
    offer = dayfile.read_offer((VECTORS / f"tv-{day}.manifest.json").read_bytes(), day)
    assert dayfile.fault(offer, (VECTORS / offer.file).read_bytes()) is None


def test_the_recorded_manifest_is_the_one_in_the_folder() -> None:
    assert body(26, "reply") == (VECTORS / "tv-2026-11-24.manifest.json").read_bytes()
    assert wire.refusal(reply(27)) == "404.file_not_ready"
