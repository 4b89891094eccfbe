"""The resolver and the sweep: ladder, lease, alarms by age, reversal, repeats, and what a clock may end (M4-M8)."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.states import OrderKind
from gateway.core import items, rows
from gateway.core.moves import LADDER_S
from tests.stand.house import House
from tests.unit.core.cohort import bring
from tests.unit.core.oracle import violations

LEASE_S = items.TakeQuestions(entropy=0).lease_ms // 1000


def ask(house: House, **fields: Any) -> items.Questions:
    return house.ask(items.TakeQuestions(entropy=house.entropy(), **fields), items.Questions)


def sweep(house: House) -> items.Swept:
    return house.ask(items.Sweep(entropy=house.entropy()), items.Swept)


def in_doubt(house: House, **fields: Any) -> rows.Payment:
    return house.settle(house.pay(**fields), "Unknown")


def test_m5_the_ladder_slows_and_never_decides(house: House) -> None:
    payment = in_doubt(house, service="acme.topup")
    waits = []
    for _ in range(10):
        due = house.order_of(payment).ask_at
        assert due is not None
        waits.append((due - house.now) // 1000)
        house.now = due - 1
        assert ask(house).questions == []
        house.now = due
        (question,) = ask(house).questions
        house.ask(house.evidence(question.order, "Unknown"), items.Judged)
    steps = [*LADDER_S, *LADDER_S[-1:] * 10][:10]
    assert waits == [steps[0], *(max(step, LEASE_S) for step in steps[1:])]
    assert steps == sorted(steps)
    assert house.now_of(payment).state == "UNKNOWN"


def test_a_question_is_leased(house: House) -> None:
    in_doubt(house)
    house.advance(LADDER_S[0])
    assert len(ask(house).questions) == 1
    assert ask(house).questions == []
    house.advance(max(LADDER_S[1], LEASE_S) - 0.001)
    assert ask(house).questions == []
    house.advance(0.001)
    assert len(ask(house).questions) == 1


@pytest.mark.parametrize("late", [False, True])
def test_m5_every_age_alarms_once_however_late_the_question(house: House, late: bool) -> None:
    in_doubt(house, service="acme.topup")
    start = house.now
    steps = [5] * 400 + [600] * 700 if not late else [650, 90_000, 400_000, 400_000]
    for seconds in steps:
        house.advance(seconds)
        for question in ask(house).questions:
            house.ask(house.evidence(question.order, "Unknown"), items.Judged)
    details = [row.detail for row in house.rows_of(rows.Alarm)]
    assert sorted(details) == sorted(f"in doubt for more than {age} s" for age in (600, 7200, 86400, 3 * 86400))
    assert house.now - start > 3 * 86400 * 1000


def test_rungs_go_by_what_the_biller_may_still_know(house: House) -> None:
    payment = in_doubt(house, service="acme.topup")
    for seconds, rung in ((10, 1), (259_200, 3), (3 * 86_400, 4)):
        house.advance(seconds)
        ask(house)
        assert house.order_of(payment).rung == rung


def test_m8_a_reversal_opens_by_policy_and_moves_no_money(house: House) -> None:
    payment = in_doubt(house)
    house.advance(899)
    assert ask(house).opened == []
    before = len(house.rows_of(rows.OutboxRow))
    house.advance(61)
    (reverse,) = ask(house).opened
    now = house.now_of(payment)
    assert (now.state, now.in_doubt_since) == ("REVERSING", payment.in_doubt_since)
    assert (reverse.kind, reverse.state, reverse.original_serial) == ("REVERSE", "READY", payment.gateway_serial)
    assert len(reverse.partner_serial) == 20
    assert house.order_of(payment, OrderKind.PAY).state == "UNKNOWN"
    assert house.balance() == (489_900, 10_100, 0)
    told = [msgspec.json.decode(row.payload) for row in house.rows_of(rows.OutboxRow)[before:]]
    assert {(each["kind"] if "kind" in each else each["state"]) for each in told} == {"order", "REVERSING"}
    house.settle(payment, "Undone")
    assert house.now_of(payment).state == "REVERSED"
    assert house.balance() == (500_000, 0, 0)
    assert house.order_of(payment, OrderKind.PAY).voided_by == "reversed"
    assert {row.recipe for row in house.rows_of(rows.Transaction)} == {"R13", "R01", "R07"}
    assert violations(house) == []


@pytest.mark.parametrize("case", ["never by policy", "no such service", "window closed", "past its cut-off"])
def test_m8_no_reversal_where_policy_biller_or_window_forbid(tmp_path: Path, case: str) -> None:
    house = House(tmp_path, prices={"reverse_after_s": 0 if case == "never by policy" else 900}, durable=False)
    payment = in_doubt(house, service="acme.topup" if case == "no such service" else "acme.bill")
    if case == "window closed":
        house.engine.connection.execute("UPDATE windows SET state = 'CLOSED'")
    house.advance(12 * 3600 if case == "past its cut-off" else 901)
    asked = ask(house)
    assert asked.opened == []
    assert len(asked.questions) == 1
    assert house.now_of(payment).state == "UNKNOWN"
    house.close()


def test_a_refused_reversal_is_not_tried_again(house: House) -> None:
    payment = in_doubt(house)
    house.advance(960)
    ask(house)
    house.settle(payment, "NotUndone", reason="no")
    assert house.now_of(payment).state == "UNKNOWN"
    house.advance(3600)
    asked = ask(house)
    assert (asked.opened, [q.order.kind for q in asked.questions]) == ([], ["PAY"])
    assert house.ask(items.Inquire(arrival=house.arrival(), key=payment.idempotency_key), items.Inquired).taken
    assert violations(house) == []


@pytest.mark.parametrize(
    ("seconds", "state", "pay"),
    [(0, "REVERSING", "UNKNOWN"), (700, "FAILED", "VOID"), (259_300, "REVERSING", "UNKNOWN")],
)
def test_m6_original_not_found_counts_between_the_ages(tmp_path: Path, seconds: int, state: str, pay: str) -> None:
    house = House(tmp_path, prices={"reverse_after_s": 100}, durable=False)
    payment = in_doubt(house)
    house.advance(130)
    assert len(ask(house).opened) == 1
    granted = house.send(payment)
    house.ask(house.reply_of(granted, "Unknown"), items.Judged)
    house.advance(seconds)
    house.ask(house.evidence(house.order_of(payment), "NeverPaid", resp_code="25"), items.Judged)
    assert house.now_of(payment).state == state
    assert house.order_of(payment, OrderKind.PAY).state == pay
    assert violations(house) == []
    house.close()


def test_m6_an_absence_is_as_old_as_its_question(house: House) -> None:
    """Asked too early and judged late: the biller spoke when the payment could still be on its way."""
    payment = in_doubt(house)
    house.advance(590)
    (question,) = ask(house).questions
    absent = house.evidence(question.order, "Absent")
    house.advance(3600)
    house.ask(msgspec.structs.replace(absent, asked_at=question.asked_at), items.Judged)
    assert house.now_of(payment).state == "UNKNOWN"


def test_m6_the_answer_of_a_call_is_as_old_as_its_claim(tmp_path: Path) -> None:
    house = House(tmp_path, prices={"reverse_after_s": 570}, durable=False)
    payment = in_doubt(house)
    house.advance(590)
    assert len(ask(house).opened) == 1
    granted = house.send(payment)
    house.advance(19)
    house.ask(house.reply_of(granted, "NeverPaid", resp_code="25"), items.Judged)
    assert house.now_of(payment).state == "REVERSING"
    repeated = house.ask(house.claim(house.order_of(payment), repeat=True), items.Granted)
    house.ask(house.reply_of(repeated, "NeverPaid", resp_code="25"), items.Judged)
    assert house.now_of(payment).state == "FAILED"
    house.close()


@pytest.mark.parametrize("seconds", [0, 700])
def test_m6_original_not_found_for_a_cancel_is_a_break(house: House, seconds: int) -> None:
    payment = house.settle(house.pay())
    start = house.now
    house.advance(seconds)
    house.ask(house.keyed(items.Cancel, gateway_serial=payment.gateway_serial, reason="r"), items.Taken)
    house.settle(payment, "NeverPaid")
    breaks = [row.code for row in house.rows_of(rows.Break)]
    assert breaks == (["STATUS_DIFF_OVER"] if seconds else [])
    assert house.now_of(payment).state == ("SUCCESS" if seconds else "CANCELLING")
    assert house.now >= start


def test_still_paid_ends_the_reverse_and_the_pay_in_one_commit(house: House) -> None:
    (payment,) = bring(house, "reverse-sent", 1).payments
    granted = house.order_of(payment)
    before = len(house.rows_of(rows.OutboxRow))
    judged = house.ask(house.evidence(granted, "StillPaid", resp_code="94"), items.Judged)
    assert judged.effect == "REVERSING->SUCCESS"
    assert house.order_of(payment).state == "REFUSED"
    assert house.order_of(payment, OrderKind.PAY).state == "DONE"
    assert house.balance() == (498_900, 0, 0)
    assert len(house.rows_of(rows.OutboxRow)) == before + 1
    assert violations(house) == []


def test_still_paid_takes_the_amount_that_a_waiting_proof_names(house: House) -> None:
    (payment,) = bring(house, "reverse-sent", 1).payments
    pay = house.order_of(payment, OrderKind.PAY)
    house.ask(house.evidence(pay, "Paid", paid_fen=1_000, biller_serial="B7", biller_date="2026-11-25"), items.Judged)
    house.ask(house.evidence(house.order_of(payment), "StillPaid"), items.Judged)
    now = house.now_of(payment)
    assert (now.state, now.biller_serial, now.biller_date) == ("SUCCESS", "B7", "2026-11-25")
    assert house.rows_of(rows.Break) == []
    assert violations(house) == []


def test_a_proof_that_waits_stops_a_reversal_that_is_proven_unsent(house: House) -> None:
    """PAID while the REVERSE is SENT waits; the REVERSE then was not sent: it is given up, never sent again."""
    (payment,) = bring(house, "reverse-sent", 1).payments
    reverse = house.order_of(payment)
    pay = house.order_of(payment, OrderKind.PAY)
    house.ask(house.evidence(pay, "Paid", paid_fen=1_000, biller_serial="B"), items.Judged)
    assert house.now_of(payment).state == "REVERSING"
    (attempt,) = house.rows_of(rows.Attempt, "order_serial = ?", reverse.order_serial)
    unsent = items.Judge(
        source="reply",
        entropy=9,
        answer=items.Answer(kind="NotSent"),
        gateway_serial=payment.gateway_serial,
        order_serial=reverse.order_serial,
        attempt_id=attempt.attempt_id,
    )
    judged = house.ask(unsent, items.Judged)
    assert (judged.again, house.now_of(payment).state) == (None, "SUCCESS")
    assert house.order_of(payment).state == "VOID"
    assert violations(house) == []


@pytest.mark.parametrize("waits", [None, "Declined"])
@pytest.mark.parametrize("place", ["reversing", "cancelling"])
def test_an_undo_that_expires_unsent_falls_back_and_judges_what_waited(
    house: House, place: str, waits: str | None
) -> None:
    (payment,) = bring(house, place, 1).payments
    undo = house.order_of(payment)
    if waits:
        house.ask(house.evidence(house.order_of(payment, OrderKind.PAY), waits, reason="amount"), items.Judged)
    house.now = undo.send_before
    assert sweep(house).expired == 0
    house.now += 1
    assert sweep(house).expired == 1
    ended = house.order_of(payment)
    assert (ended.order_serial, ended.state, ended.reason) == (undo.order_serial, "VOID", "expired-unsent")
    fallen = {"reversing": "UNKNOWN", "cancelling": "SUCCESS"}[place]
    now = house.now_of(payment)
    assert now.state == ("FAILED" if waits and place == "reversing" else fallen)
    assert len(house.rows_of(rows.Break)) == (1 if waits and place == "cancelling" else 0)
    assert violations(house) == []


def test_the_window_of_an_undo_ends_at_the_cut_off(house: House) -> None:
    (payment,) = bring(house, "cancelling", 1).payments
    end = house.order_of(payment).send_before
    at_2300 = 1_795_532_400_000
    assert at_2300 - 1_000 <= end < at_2300


def test_m4_an_undo_in_doubt_is_repeated_where_the_biller_says_so(house: House) -> None:
    (payment,) = bring(house, "cancel-unknown", 1).payments
    house.advance(10)
    (order,) = ask(house).repeats
    granted = house.ask(house.claim(order, repeat=True), items.Granted)
    assert (granted.attempt, granted.order.state, granted.order.order_serial) == (2, "UNKNOWN", order.order_serial)
    judged = house.ask(house.reply_of(granted, "NotSent"), items.Judged)
    assert (judged.effect, house.order_of(payment).state) == ("keep", "UNKNOWN")
    house.advance(60)
    (order,) = ask(house).repeats
    house.ask(house.reply_of(house.ask(house.claim(order, repeat=True), items.Granted), "Undone"), items.Judged)
    assert house.now_of(payment).state == "CANCELLED"
    assert house.balance() == (500_000, 0, 0)
    assert violations(house) == []


def test_m4_a_repeat_whose_worker_died_is_asked_for_again(house: House) -> None:
    (payment,) = bring(house, "cancel-unknown", 1).payments
    house.advance(10)
    (order,) = ask(house).repeats
    house.ask(house.claim(order, repeat=True), items.Granted)
    house.advance(60)
    assert sweep(house).overdue == 1
    house.advance(30)
    assert len(ask(house).repeats) == 1
    assert house.now_of(payment).state == "CANCELLING"
    assert violations(house) == []


def test_m4_no_repeat_without_the_billers_word_nor_past_the_window(house: House) -> None:
    payment = house.settle(house.pay(service="acme.once", params='{"carrier":"a"}'))
    house.ask(house.keyed(items.Cancel, gateway_serial=payment.gateway_serial, reason="r"), items.Taken)
    house.settle(payment, "Unknown")
    house.advance(10)
    asked = ask(house)
    assert (asked.repeats, [q.order.kind for q in asked.questions]) == ([], ["CANCEL"])
    assert asked.questions[0].original is not None
    assert house.ask(house.claim(house.order_of(payment), repeat=True), items.NotNow).gone
    (other,) = bring(house, "cancel-unknown", 1).payments
    house.advance(12 * 3600)
    asked = ask(house)
    assert (asked.repeats, len(asked.questions)) == ([], 2)
    assert house.ask(house.claim(house.order_of(other), repeat=True), items.NotNow).gone
