"""Single rules of evidence: attempts, ages, amounts, serials, repeats, overdue results (M4, M5, M6, M7)."""

from typing import Any

import msgspec
import pytest

from gateway.core import items, rows
from gateway.core.moves import LADDER_S
from gateway.ops.audit.sealed import leaf_of
from tests.stand.house import House
from tests.unit.core.oracle import violations


def held(house: House) -> int:
    return house.balance()[1]


def test_m4_lost_is_never_declined(house: House) -> None:
    payment = house.pay()
    house.settle(payment, "Unknown")
    assert house.now_of(payment).state == "UNKNOWN"
    assert held(house) == 10_100


@pytest.mark.parametrize("kind", ["Pending", "Absent", "Unknown", "Undone", "Strange"])
def test_m4_an_answer_of_a_call_that_proves_nothing_leaves_it_in_doubt(house: House, kind: str) -> None:
    """Whatever an adapter returns: the order never stays SENT without a next question."""
    payment = house.pay()
    house.settle(payment, kind)
    order = house.order_of(payment)
    assert (house.now_of(payment).state, order.state) == ("UNKNOWN", "UNKNOWN")
    assert order.ask_at == house.now + LADDER_S[0] * 1000


def test_m4_not_sent_counts_for_the_current_attempt_only(house: House) -> None:
    payment = house.pay()
    first = house.send(payment)
    house.ask(house.reply_of(first, "NotSent", retry_after_s=1), items.Judged)
    house.advance(2)
    house.send(payment)
    late = house.reply_of(first, "NotSent")
    assert house.ask(late, items.Judged).effect == "redone"
    assert house.now_of(payment).state == "SENT"
    stranger = house.reply_of(first, "NotSent")
    stranger = items.Judge(**{f: getattr(stranger, f) for f in stranger.__struct_fields__} | {"attempt_id": "gone"})
    assert house.ask(stranger, items.Judged).effect == "keep"
    assert house.now_of(payment).state == "SENT"


def test_m4_a_late_not_sent_after_recovery_sends_nothing_again(house: House) -> None:
    payment = house.pay()
    granted = house.send(payment)
    house.advance(21)
    assert house.ask(items.Sweep(entropy=1), items.Swept).overdue == 1
    late = house.ask(house.reply_of(granted, "NotSent"), items.Judged)
    assert (late.effect, late.again) == ("keep", None)
    assert house.order_of(payment).state == "UNKNOWN"


@pytest.mark.parametrize(("kind", "state"), [("Paid", "SUCCESS"), ("Declined", "FAILED"), ("Accepted", "UNKNOWN")])
def test_late_answers_after_recovery_are_evidence(house: House, kind: str, state: str) -> None:
    payment = house.pay()
    granted = house.send(payment)
    house.advance(21)
    house.ask(items.Sweep(entropy=1), items.Swept)
    late = house.reply_of(granted, kind, paid_fen=10_000, biller_serial="B")
    house.ask(late, items.Judged)
    assert house.now_of(payment).state == state
    before = len(house.rows_of(rows.EvidenceRow))
    assert house.ask(late, items.Judged).effect == "redone"
    assert len(house.rows_of(rows.EvidenceRow)) == before
    assert violations(house) == []


def test_m6_absent_counts_between_the_two_ages_only(house: House) -> None:
    for seconds, state in ((0, "UNKNOWN"), (601.999, "UNKNOWN"), (602, "FAILED"), (259_201, "FAILED")):
        payment = at_age(house, seconds)
        assert house.now_of(payment).state == state, seconds
    for seconds in (259_202, 400_000):
        assert house.now_of(at_age(house, seconds)).state == "UNKNOWN", seconds


def at_age(house: House, seconds: float) -> rows.Payment:
    """A payment whose Absent comes this long after its claim; a byte could leave until 2 s after it."""
    start_at, payment = house.now, house.pay(amount_fen=1000 + house.random.getrandbits(12))
    house.settle(payment, "Unknown")
    house.advance(seconds)
    house.ask(house.evidence(house.order_of(payment), "Absent"), items.Judged)
    house.now = start_at
    return payment


def test_m6_the_age_counts_from_the_last_attempt(house: House) -> None:
    payment = house.pay()
    house.settle(payment, "NotSent")
    house.advance(100)
    house.settle(payment, "Unknown")
    house.advance(550)
    house.ask(house.evidence(house.order_of(payment), "Absent"), items.Judged)
    assert house.now_of(payment).state == "UNKNOWN"


def test_m6_a_failed_by_absence_is_not_claimed_again_and_a_later_paid_is_taken(house: House) -> None:
    payment = at_age(house, 700)
    order = house.order_of(payment)
    assert (order.state, house.now_of(payment).reason) == ("VOID", "absent")
    assert house.ask(house.claim(order), items.NotNow).gone
    house.ask(house.evidence(order, "Paid", paid_fen=payment.amount_fen, biller_serial="B"), items.Judged)
    assert house.now_of(payment).state == "SUCCESS"
    assert [row.kind for row in house.rows_of(rows.Alarm)] == ["failed.was.paid"]
    assert violations(house) == []


@pytest.mark.parametrize("source", ["query", "notice", "file"])
def test_what_we_thought_unsent_and_the_biller_holds_is_not_sent(house: House, source: str) -> None:
    """(READY, accepted), and a Paid of another amount on READY: in doubt with an alarm, no claim (M4)."""
    one, two = house.pay(biller_account="30001"), house.pay(biller_account="30002")
    house.ask(house.evidence(house.order_of(one), "Accepted", source=source), items.Judged)
    house.ask(house.evidence(house.order_of(two), "Paid", source=source, paid_fen=1, biller_serial="B"), items.Judged)
    for payment in (one, two):
        assert (house.now_of(payment).state, house.order_of(payment).state) == ("UNKNOWN", "UNKNOWN")
        assert house.order_of(payment).ask_at is not None
        assert house.ask(house.claim(house.order_of(payment)), items.NotNow).gone
    assert {row.code for row in house.rows_of(rows.Break)} == {"AMOUNT_DIFF"}
    assert violations(house) == []


@pytest.mark.parametrize(("paid", "code"), [(9_999, "AMOUNT_DIFF"), (10_001, "AMOUNT_DIFF"), (0, "AMOUNT_DIFF")])
def test_another_amount_is_in_doubt_with_a_break(house: House, paid: int, code: str) -> None:
    payment = house.pay()
    house.settle(payment, "Paid", paid_fen=paid)
    assert house.now_of(payment).state == "UNKNOWN"
    (row,) = house.rows_of(rows.Break)
    assert (row.code, row.amount_fen) == (code, paid - 10_000)


def test_a_partial_answer_of_the_call_is_asked_about_then_a_query_ends_it(house: House) -> None:
    payment = house.pay(service="acme.topup")
    house.settle(payment, "Paid", paid_fen=6_000)
    assert house.now_of(payment).state == "UNKNOWN"
    assert [row.kind for row in house.rows_of(rows.Alarm)] == ["answer.contradicts"]
    house.ask(house.evidence(house.order_of(payment), "Paid", paid_fen=6_000, biller_serial="B"), items.Judged)
    done = house.now_of(payment)
    assert (done.state, done.paid_fen) == ("SUCCESS", 6_000)
    assert house.balance() == (500_000 - 6_060, 0, 0)
    assert {row.recipe for row in house.rows_of(rows.Transaction)} == {"R13", "R01", "R06"}
    assert violations(house) == []


def test_a_repeat_from_elsewhere_is_a_second_charge(house: House) -> None:
    payment = house.settle(house.pay())
    for index in range(3):
        again = house.evidence(house.order_of(payment), "Paid", paid_fen=10_000, biller_serial=f"other-{index}")
        house.ask(again, items.Judged)
    assert [row.code for row in house.rows_of(rows.Break)] == ["DUPLICATE"]
    assert house.now_of(payment) == payment


def test_a_serial_learned_later_is_no_second_charge(house: House) -> None:
    payment = house.settle(house.pay(), "Paid", biller_serial="")
    assert payment.biller_serial is None
    known = house.evidence(house.order_of(payment), "Paid", paid_fen=10_000, biller_serial="B1")
    house.ask(known, items.Judged)
    assert house.now_of(payment).biller_serial == house.order_of(payment).biller_serial == "B1"
    assert house.rows_of(rows.Break) == []


def test_m7_a_notice_must_name_our_account_and_amount(house: House) -> None:
    payment = house.pay()
    order = house.send(payment).order
    for account, amount in (("10002", 10_000), ("10001", 9_999)):
        notice = items.Judge(
            source="notice",
            entropy=house.entropy(),
            answer=items.Answer(kind="Paid", paid_fen=10_000, biller_serial="B", raw=b"raw"),
            biller="acme",
            partner_serial=order.partner_serial,
            biller_account=account,
            amount_fen=amount,
        )
        assert house.ask(notice, items.Judged).effect == "keep"
    assert house.now_of(payment).state == "SENT"
    assert {row.kind for row in house.rows_of(rows.Alarm)} == {"notice.contradicts"}


def test_evidence_of_no_order_of_ours_is_kept_with_an_alarm(house: House) -> None:
    payment = house.pay()
    raw: dict[str, Any] = {"kind": "Paid", "paid_fen": 1, "raw": b"raw"}
    asked = [
        items.Judge(source="notice", entropy=1, answer=items.Answer(**raw), biller="acme", partner_serial="nobody"),
        items.Judge(
            source="file", entropy=2, answer=items.Answer(**raw), gateway_serial="X" * 24, order_serial="X" * 24
        ),
        items.Judge(
            source="file",
            entropy=3,
            answer=items.Answer(**raw),
            gateway_serial="X" * 24,
            order_serial=payment.gateway_serial,
        ),
    ]
    assert [reply.known for reply in house.batch(asked)] == [False, False, False]
    assert [row.kind for row in house.rows_of(rows.Alarm)] == ["evidence.of.unknown.order"] * 3
    assert house.now_of(payment).state == "RESERVED"
    assert len(house.rows_of(rows.Record, "kind <> 'request'")) == 3


def test_undone_without_an_order_of_ours_is_one_break(house: House) -> None:
    payment = house.settle(house.pay(service="acme.topup"), "Accepted", biller_serial="B", ask_after_s=60)
    for _ in range(3):
        house.ask(house.evidence(house.order_of(payment), "Undone"), items.Judged)
    assert [row.code for row in house.rows_of(rows.Break)] == ["UNDONE_BY_BILLER"]
    assert house.now_of(payment).state == "SENT"


def test_accepted_is_lost_when_its_result_is_overdue(house: House) -> None:
    payment = house.settle(house.pay(service="acme.topup"), "Accepted", biller_serial="B", ask_after_s=60)
    house.advance(86_399)
    (question,) = house.ask(items.TakeQuestions(entropy=1), items.Questions).questions
    house.ask(house.evidence(question.order, "Pending"), items.Judged)
    assert house.now_of(payment).state == "SENT"
    house.advance(31)
    (question,) = house.ask(items.TakeQuestions(entropy=2), items.Questions).questions
    assert (house.now_of(payment).state, question.order.state) == ("UNKNOWN", "UNKNOWN")
    house.ask(house.evidence(question.order, "Absent"), items.Judged)
    assert house.now_of(payment).state == "FAILED"
    assert violations(house) == []


def test_m11_what_left_us_is_kept_in_the_commit_of_what_came_of_it(house: House) -> None:
    """M11: the bytes of a call or question, and those we answer a notice with; also where nothing came back."""
    payment = house.pay()
    lost = msgspec.structs.replace(house.reply_of(house.send(payment), "Unknown", cause="reset"), sent=(b"POST /pay",))
    house.batch([lost])
    order = house.order_of(payment)
    asked = msgspec.structs.replace(house.evidence(order, "Pending", raw=b"wait"), sent=(b"POST /ask", b"POST /again"))
    paid: dict[str, Any] = {"paid_fen": payment.amount_fen, "biller_serial": "B1", "raw": b"paid"}
    told = msgspec.structs.replace(house.evidence(order, "Paid", source="notice", **paid), sent=(b"success",))
    for heard in (asked, told):
        house.advance(1)
        house.batch([heard])
    house.batch([lost, asked, told])  # redone after a commit whose answer was lost
    kept = house.rows_of(rows.Record, "gateway_serial = ?", payment.gateway_serial)
    begun = payment.accepted_at
    assert {((row.received_at - begun) // 1000, row.kind, row.body) for row in kept if row.kind != "request"} == {
        (0, "partner-request", b"POST /pay"),
        (1, "partner-request", b"POST /ask"),
        (1, "partner-request", b"POST /again"),
        (1, "query", b"wait"),
        (2, "partner-answer", b"success"),
        (2, "notice", b"paid"),
    }
    assert len(kept) == 7
    assert all(leaf_of(row) == row.leaf for row in kept)
    judged = house.rows_of(rows.EvidenceRow, "gateway_serial = ?", payment.gateway_serial)
    by_id = {row.record_id: row.kind for row in kept}
    assert {row.source: by_id.get(row.record_id or "") for row in judged} == {
        "reply": None,
        "query": "query",
        "notice": "notice",
    }
    nobody = items.Answer(kind="Paid", paid_fen=1, raw=b"raw")
    house.batch(
        [items.Judge(source="notice", entropy=9, answer=nobody, biller="acme", partner_serial="-", sent=(b"ok",))]
    )
    strays = house.rows_of(rows.Record, "gateway_serial IS NULL")
    assert {(row.kind, row.body) for row in strays} == {("partner-answer", b"ok"), ("notice", b"raw")}
