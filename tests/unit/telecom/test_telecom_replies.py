"""SPEC s5, s8: every recorded reply, every listed code and every contradiction, with what each one proves."""

from typing import Any

import pytest

from adapters.telecom import bills, replies, wire
from adapters.telecom.wire import Answer, Doubt
from contracts.biller import Bill, BillPeriod, BillUnavailable, NoBill
from contracts.money import Fen
from contracts.outcomes import (
    Absent,
    Accepted,
    Declined,
    NeverPaid,
    NotSent,
    NotUndone,
    Paid,
    Pending,
    Reason,
    StillPaid,
    Undone,
    Unknown,
)
from contracts.states import OrderKind
from tests.unit.telecom.recorded import (
    AGENT,
    CODES,
    answer,
    authentic,
    bill_question,
    body,
    changed,
    members,
    pay_order,
    result_query,
    undo_order,
)

D = "2026-11-24"


def plat(number: int, name: str = "platNo") -> str:
    return members(number, "reply")[name]


PAYS: list[tuple[int, Any]] = [
    (4, Paid(biller_serial=plat(4), paid=Fen(3651), biller_date=D, resp_code="0000")),
    (5, Paid(biller_serial=plat(4), paid=Fen(3651), biller_date=D, resp_code="2001")),
    (6, Unknown(cause="code.2002", resp_code="2002")),
    (7, Declined(resp_code="2013", reason=Reason.BILL_CHANGED)),
    (8, Declined(resp_code="2010", reason=Reason.BILL_CHANGED)),
    (9, Unknown(cause="code.9002", resp_code="9002")),
    (17, Unknown(cause="code.2004", resp_code="2004")),
    (19, Accepted(biller_serial=plat(19), ask_after_s=60, resp_code="0000")),
    (21, Accepted(biller_serial=plat(21), ask_after_s=60, resp_code="0000")),
    (22, Accepted(biller_serial=plat(22), ask_after_s=60, resp_code="0000")),
    (23, Declined(resp_code="2011", reason=Reason.CARRIER)),
    (24, Declined(resp_code="2010", reason=Reason.AMOUNT)),
    (31, Declined(resp_code="2018", reason=Reason.FAILED_LATER)),
    (32, Accepted(biller_serial=plat(32), ask_after_s=60, resp_code="0000")),
    (42, Unknown(cause="code.unmapped", resp_code="7777", biller_serial=plat(42))),
]
UNDOS: list[tuple[int, Any]] = [
    (13, Undone(biller_serial=plat(13, "revPlatNo"), resp_code="0000", biller_date=D)),
    (14, Undone(biller_serial=plat(13, "revPlatNo"), resp_code="0000", biller_date=D)),
    (15, NeverPaid(resp_code="2404")),
    (16, StillPaid(resp_code="2010", reason="past-accounting-date")),
]
QUERIES: list[tuple[int, Any]] = [
    (10, Pending(resp_code="0000", biller_serial=plat(10))),
    (12, Paid(biller_serial=plat(12), paid=Fen(10000), biller_date=D, resp_code="0000")),
    (18, Undone(biller_serial=plat(18, "revPlatNo"), resp_code="0000", biller_date=D)),
    (20, Pending(resp_code="0000", biller_serial=plat(20))),
    (28, Paid(biller_serial=plat(28), paid=Fen(5000), biller_date=D, resp_code="0000")),
    (29, Paid(biller_serial=plat(29), paid=Fen(15000), biller_date=D, resp_code="0000")),
    (30, Declined(resp_code="2012", reason=Reason.FAILED_LATER)),
    (33, Absent(resp_code="2404")),
]


@pytest.mark.parametrize(("number", "expected"), PAYS)
def test_recorded_payments(number: int, expected: Any) -> None:
    assert replies.pay_outcome(authentic(number), pay_order(number), CODES) == expected


@pytest.mark.parametrize(("number", "expected"), UNDOS)
def test_recorded_reversals(number: int, expected: Any) -> None:
    assert replies.undo_outcome(authentic(number), undo_order(number), CODES) == expected


@pytest.mark.parametrize(("number", "expected"), QUERIES)
def test_recorded_questions(number: int, expected: Any) -> None:
    assert replies.result_evidence(authentic(number), result_query(number), CODES) == expected


def test_recorded_bills() -> None:
    found = bills.bill_reply(authentic(1), bill_question(1), CODES)
    assert found == Bill(
        customer_name="冯䶮",
        address="",
        bills=(
            BillPeriod(period="202610", amount=Fen(1001), penalty=Fen(50)),
            BillPeriod(period="202611", amount=Fen(2500), penalty=Fen(0)),
        ),
        total=Fen(3551),
        min=Fen(100),
        max=Fen(53551),
        echo={"queryNo": "Q20261124101500000000001", "ispCode": "1", "accType": "01"},
    )
    exact = bills.bill_reply(authentic(11), bill_question(11), CODES)
    assert isinstance(exact, Bill)
    assert exact.min == exact.max == exact.total == Fen(10216)
    assert exact.echo["accType"] == "02"
    none = bills.bill_reply(authentic(2), bill_question(2), CODES)
    assert none == NoBill(resp_code="2015", problem="amount-out-of-range", shop_text="该号码当前无欠费")
    unknown = bills.bill_reply(authentic(3), bill_question(3), CODES)
    assert isinstance(unknown, NoBill)
    assert unknown.problem == "account-not-found"
    for number in (39, 40, 41):
        assert isinstance(bills.bill_reply(authentic(number), bill_question(number), CODES), Bill)
    for number in (34, 35, 36):
        assert isinstance(bills.bill_reply(authentic(number), bill_question(1), CODES), BillUnavailable)


def test_unsigned_replies_prove_nothing() -> None:
    assert answer(37) == Doubt("reply.unsigned")
    assert wire.open_reply(AGENT, "n", 200, body(38, "reply")) == Doubt("reply.unsigned")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 404, 405, 411, 413, 415, 500, 502, 503])
def test_no_other_status_counts(status: int) -> None:
    nonce = members(4, "request")["nonce"]
    assert wire.open_reply(AGENT, nonce, status, body(4, "reply")) == Doubt(f"http.{status}")


def test_reply_to_another_request_or_agent_is_none() -> None:
    assert wire.open_reply(AGENT, "0000000000000005VEC", 200, body(4, "reply")) == Doubt("reply.nonce")
    nonce = members(40, "request")["nonce"]
    assert wire.open_reply(AGENT, nonce, 200, body(40, "reply")) == Doubt("reply.sign")
    assert changed(4, agentNo="8801000125") == Doubt("reply.sign")
    assert changed(4, keyNo="02") != Doubt("reply.sign")  # the other key of ours is valid too
    assert changed(4, signType="MD5") == Doubt("reply.sign")
    assert changed(4, nonce=None) == Doubt("reply.nonce")
    assert changed(4, respTime="20261324101500") == Doubt("reply.malformed.respTime")
    assert changed(4, code="00000") == Doubt("reply.malformed.code")
    # Our own request, thrown back at us, is signed with our key and carries our nonce.
    assert wire.open_reply(AGENT, members(4, "request")["nonce"], 200, body(4, "request")) == Doubt(
        "reply.malformed.respTime"
    )


ALL_FLOWS = ["1001", "1003", "1004", "1005", "1006", "1007", "9001", "9002", "9003", "9004", "9005"]
NOT_BOOKED = {"1001": Declined, "1003": Declined, "1004": Declined, "1007": Declined}
NOT_BOOKED_AGAIN = {"1005": NotSent, "9004": NotSent, "9005": NotSent}
ALWAYS_UNKNOWN = dict.fromkeys(["1006", "9001", "9002", "9003"], Unknown)
IN_PAYMENTS = {**NOT_BOOKED, **NOT_BOOKED_AGAIN, **ALWAYS_UNKNOWN}
PAY_CODES: dict[str, type] = {
    **IN_PAYMENTS,
    **dict.fromkeys(["0000", "2001"], Paid),
    **dict.fromkeys(["2002", "2003", "2004"], Unknown),
    **dict.fromkeys(["2010", "2011", "2012", "2013", "2014", "2015", "2016", "2030", "2031"], Declined),
}
TOPUP_CODES: dict[str, type] = {
    **IN_PAYMENTS,
    **dict.fromkeys(["0000", "2001"], Accepted),
    "2002": Unknown,
    **dict.fromkeys(["2010", "2011", "2012", "2017", "2018", "2030", "2031"], Declined),
}
REVERSE_CODES: dict[str, type] = {
    **dict.fromkeys(["1001", "1003", "1004", "1007"], NotUndone),
    **NOT_BOOKED_AGAIN,
    **ALWAYS_UNKNOWN,
    "0000": Undone,
    **dict.fromkeys(["2002", "2014", "2019"], NotUndone),
    "2003": NotSent,
    **dict.fromkeys(["2010", "2011", "2012"], StillPaid),
    "2404": NeverPaid,
}
QUERY_CODES: dict[str, type] = {**dict.fromkeys(ALL_FLOWS, Unknown), "2404": Absent}
BILL_CODES: dict[str, type] = {
    **dict.fromkeys(ALL_FLOWS, BillUnavailable),
    "0000": Bill,
    **dict.fromkeys(["2011", "2012", "2015", "2016"], NoBill),
}
EVERY_CODE = [f"{code:04d}" for code in range(10_000)]


def test_every_code_there_can_be() -> None:
    """s8: 10,000 codes in each flow; what is not listed is Unknown, never a refusal, never a success."""
    for number, table in ((4, PAY_CODES), (19, TOPUP_CODES)):
        order, told = pay_order(number), members(number, "reply")
        for code in EVERY_CODE:
            outcome = replies.pay_outcome(Answer(code, {**told, "code": code}), order, CODES)
            assert type(outcome) is table.get(code, Unknown), code
            assert not (isinstance(outcome, Unknown) and outcome.alarm)
    undo, told = undo_order(13), members(13, "reply")
    question, found = result_query(33), members(33, "reply")
    bill, paper = bill_question(1), members(1, "reply")
    for code in EVERY_CODE:
        assert type(replies.undo_outcome(Answer(code, told), undo, CODES)) is REVERSE_CODES.get(code, Unknown), code
        evidence = replies.result_evidence(Answer(code, found), question, CODES)
        assert type(evidence) is QUERY_CODES.get(code, Unknown), code
        assert type(bills.bill_reply(Answer(code, paper), bill, CODES)) is BILL_CODES.get(code, BillUnavailable), code


def test_reverse_in_progress_comes_again_after_30_s() -> None:
    told = {"revNo": members(13, "request")["revNo"], "origOrderNo": members(13, "request")["origOrderNo"]}
    outcome = replies.undo_outcome(Answer("2003", told), undo_order(13), CODES)
    assert outcome == NotSent(cause="code.2003", retry_after_s=30, resp_code="2003")


CONTRADICTIONS: list[tuple[int, dict[str, str]]] = [
    (4, {"orderNo": "20261124000000000002"}),
    (4, {"accNo": "13800000002"}),
    (4, {"amount": "36.52"}),
    (5, {"amount": "0.01"}),
    (8, {"orderNo": "20261124000000000009"}),
    (19, {"orderNo": "20261124000000000002"}),
    (19, {"accNo": "13900000002"}),
    (19, {"faceValue": "100.00"}),
]


@pytest.mark.parametrize(("number", "lie"), CONTRADICTIONS)
def test_contradiction_in_a_payment_is_an_alarm(number: int, lie: dict[str, str]) -> None:
    told = changed(number, **lie)
    assert isinstance(told, Answer)
    outcome = replies.pay_outcome(told, pay_order(number), CODES)
    assert isinstance(outcome, Unknown)
    assert outcome.alarm
    assert outcome.cause == f"reply.mismatch.{next(iter(lie))}"


@pytest.mark.parametrize(
    ("number", "gap"),
    [(4, "orderNo"), (4, "accNo"), (4, "amount"), (4, "platNo"), (4, "acctDate"), (4, "payTime"), (8, "orderNo")]
    + [(19, name) for name in ("orderNo", "accNo", "faceValue", "platNo", "acceptTime")],
)
def test_a_gap_or_a_bad_form_proves_nothing(number: int, gap: str) -> None:
    for value in (None, "x", "36.5", "036.51", "３６.51", "20261345", "99999999999999"):
        if value is not None and gap in {"orderNo", "accNo"}:
            continue
        told = changed(number, **{gap: value})
        assert isinstance(told, Answer)
        outcome = replies.pay_outcome(told, pay_order(number), CODES)
        assert isinstance(outcome, Unknown), value


@pytest.mark.parametrize(
    ("lie", "alarm"),
    [
        ({"origOrderNo": "20261124000000000002"}, True),
        ({"accNo": "13800000002"}, True),
        ({"amount": "36.50"}, True),
        ({"revNo": "20261124000000000999"}, True),
        ({"revFlag": "3"}, False),
        ({"revFlag": None}, False),
        ({"revPlatNo": "TP1"}, False),
        ({"acctDate": "20260230"}, False),
    ],
)
def test_a_reversal_that_contradicts_is_none(lie: dict[str, str | None], alarm: bool) -> None:
    told = changed(13, **lie)
    assert isinstance(told, Answer)
    outcome = replies.undo_outcome(told, undo_order(13), CODES)
    assert isinstance(outcome, Unknown)
    assert outcome.alarm is alarm


def test_a_repeated_reversal_may_carry_the_first_number() -> None:
    told = changed(14, revNo="20261124000000000150")
    assert isinstance(told, Answer)
    assert isinstance(replies.undo_outcome(told, undo_order(13), CODES), Undone)


@pytest.mark.parametrize(
    ("number", "lie", "alarm"),
    [
        (12, {"orderNo": "20261124000000000006"}, True),
        (12, {"accNo": "13800000003"}, True),
        (12, {"amount": "100.01"}, True),
        (12, {"ispCode": "1"}, True),
        (12, {"orderType": "2"}, True),
        (12, {"succAmount": "99.99"}, True),
        (12, {"succAmount": None}, False),
        (12, {"acctDate": None}, False),
        (12, {"finishTime": None}, False),
        (12, {"state": "3"}, False),  # a bill is never partial
        (12, {"state": "6"}, False),
        (12, {"state": None}, False),
        (28, {"state": "5", "succAmount": "0.00", "revPlatNo": plat(18, "revPlatNo")}, False),  # nor a top-up reversed
        (29, {"succAmount": "300.00"}, True),
        (29, {"succAmount": "300.01"}, True),
        (29, {"succAmount": "0.00"}, True),
        (30, {"succAmount": "30.00"}, True),
        (20, {"succAmount": "50.00"}, True),
        (18, {"succAmount": "36.51"}, True),
        (18, {"revPlatNo": None}, False),
        (33, {"orderNo": "20261124000000000998"}, True),
        (33, {"orderNo": None}, False),
    ],
)
def test_an_answer_about_something_else_is_no_evidence(number: int, lie: dict[str, str | None], alarm: bool) -> None:
    told = changed(number, **lie)
    assert isinstance(told, Answer)
    evidence = replies.result_evidence(told, result_query(number), CODES)
    assert isinstance(evidence, Unknown)
    assert evidence.alarm is alarm


def test_failed_without_a_code_is_still_failed() -> None:
    for odd in (None, "x" * 40):
        told = changed(30, failCode=odd)
        assert isinstance(told, Answer)
        evidence = replies.result_evidence(told, result_query(30), CODES)
        assert evidence == Declined(resp_code="0000", reason=Reason.FAILED_LATER)


@pytest.mark.parametrize("kind", [OrderKind.REVERSE, OrderKind.CANCEL])
def test_questions_about_an_undo(kind: OrderKind) -> None:
    orig = "20261124000000000001"
    query = result_query(12, kind=kind, original_partner_serial=orig)
    told = changed(12, orderType="3", origOrderNo=orig)
    assert isinstance(told, Answer)
    assert replies.result_evidence(told, query, CODES) == Undone(
        biller_serial=plat(12), resp_code="0000", biller_date=D
    )
    for lie, alarm in (
        ({"origOrderNo": "20261124000000000002"}, True),
        ({"origOrderNo": None}, False),
        ({"state": "1"}, False),
        ({"state": "4"}, False),
        ({"amount": "1.00"}, True),
    ):
        other = changed(12, **{"orderType": "3", "origOrderNo": orig, **lie})
        assert isinstance(other, Answer)
        evidence = replies.result_evidence(other, query, CODES)
        assert isinstance(evidence, Unknown)
        assert evidence.alarm is alarm
    gone = replies.result_evidence(authentic(33), result_query(33, kind=kind), CODES)
    assert gone == Absent(resp_code="2404")


@pytest.mark.parametrize(
    "lie",
    [
        {"accNo": "13800000002"},
        {"accNo": None},
        {"queryNo": "Q1"},
        {"queryNo": None},
        {"custState": "6"},
        {"custName": "冯" * 31},
        {"minAmount": "0.00"},
        {"minAmount": "600.00"},
        {"totalAmount": "-1.00"},
        {"billList": "202613|1.00|0.00"},
        {"billList": "202610|1.00"},
        {"billList": "202610|1.0|0.00"},
        {"billList": ";".join(["202610|1.00|0.00"] * 37)},
    ],
)
def test_a_bill_out_of_form_is_no_bill(lie: dict[str, str | None]) -> None:
    told = changed(1, **lie)
    assert isinstance(told, Answer)
    assert isinstance(bills.bill_reply(told, bill_question(1), CODES), BillUnavailable)


def test_bill_edges() -> None:
    for new, check in (
        ({"custState": "5"}, lambda found: isinstance(found, NoBill)),
        ({"billList": None}, lambda found: found.bills == ()),
        ({"custName": None}, lambda found: found.customer_name == ""),
        ({"maxAmount": "60000.00"}, lambda found: found.max == Fen(5_000_000)),
        ({"billList": ";".join(["202610|1.00|0.00"] * 36)}, lambda found: len(found.bills) == 36),
    ):
        told = changed(1, **new)
        assert isinstance(told, Answer)
        assert check(bills.bill_reply(told, bill_question(1), CODES))
