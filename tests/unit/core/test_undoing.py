"""Cancel 撤销, refund 退费 and card writes: who may, when, and the exact counter-entries (M8, M9, M10, PAY-03)."""

import itertools
from typing import Any

import pytest

from contracts.states import OrderKind
from gateway.core import items, rows
from gateway.core.accounts import BY_CODE
from tests.stand.house import House, code
from tests.unit.core.cohort import PLACES, bring
from tests.unit.core.oracle import violations


def cancel(house: House, payment: rows.Payment, station: int = 1, **fields: Any) -> Any:
    house.advance(0.001)
    item = house.keyed(items.Cancel, station, gateway_serial=payment.gateway_serial, reason="客户要求", **fields)
    return house.batch([item])[0]


def refund(house: House, payment: rows.Payment, amount_fen: int) -> Any:
    house.advance(0.001)
    item = house.keyed(items.Refund, gateway_serial=payment.gateway_serial, amount_fen=amount_fen, reason="r")
    return house.batch([item])[0]


def write(house: House, payment: rows.Payment, written: bool) -> Any:
    house.advance(0.001)
    item = house.keyed(items.ReportWrite, gateway_serial=payment.gateway_serial, written=written)
    return house.batch([item])[0]


def account_sums(house: House) -> dict[str, int]:
    sums: dict[str, int] = {}
    for leg in house.rows_of(rows.Posting):
        name = BY_CODE[leg.account].name
        sums[name] = sums.get(name, 0) + leg.amount_fen
    return {name: value for name, value in sums.items() if value}


@pytest.mark.parametrize("place", PLACES)
def test_m8_cancel_against_every_state(house: House, place: str) -> None:
    state = PLACES[place][1]
    (payment,) = bring(house, place, 1).payments
    reply = cancel(house, payment)
    if state == "RESERVED":
        assert (reply.payment.state, reply.payment.reason) == ("FAILED", "given-up")
        assert house.order_of(payment).state == "VOID"
        assert house.balance() == (500_000, 0, 0)
    elif state in ("SUCCESS", "PAID_WAIT_WRITE", "WRITE_FAILED"):
        assert reply.payment.state == "CANCELLING"
        assert (reply.doubt.kind, reply.doubt.from_state) == ("CANCEL", state)
    else:
        assert (reply.slug, reply.gateway_serial) == ("state-conflict", payment.gateway_serial)
    assert violations(house) == []


def test_m9_a_cancel_posts_the_counter_entries_of_what_was_posted(house: House) -> None:
    payment = house.settle(house.pay())
    house.set_price("acme.bill", version="V2", effective_from="2026-11-24", fee_fen=900, rate_ppm=90_000)
    cancel(house, payment)
    house.settle(payment, "Undone", biller_date="2026-11-25")
    assert account_sums(house) == {"available": 1_000_000, "counter_cash": -1_000_000}
    assert house.now_of(payment).state == "CANCELLED"
    assert violations(house) == []


def test_m9_a_cancel_after_a_partial_returns_what_was_paid(house: House) -> None:
    payment = house.pay(service="acme.bill")
    house.engine.connection.execute("DROP TRIGGER IF EXISTS postings_no_update")
    house.settle(payment)
    # As R06 would have posted it: 6,000 of 10,000.
    house.engine.connection.execute("DROP TRIGGER IF EXISTS transactions_no_update")
    recipe = {"biller_payable": 6_000, "fee_income": 60, "commission_receivable": -90, "commission_accrued": 63}
    recipe |= {"commission_income": 27, "available": 4_040, "reserved": -10_100}
    (transaction,) = house.rows_of(rows.Transaction, "recipe = 'R05'")
    connection = house.engine.connection
    connection.execute("UPDATE transactions SET recipe = 'R06' WHERE txn_id = ?", (transaction.txn_id,))
    for leg in house.rows_of(rows.Posting, "txn_id = ?", transaction.txn_id):
        amount = recipe[BY_CODE[leg.account].name]
        sql = "UPDATE postings SET recipe = 'R06', amount_fen = ? WHERE txn_id = ? AND leg = ?"
        connection.execute(sql, (amount, leg.txn_id, leg.leg))
    connection.execute(
        "UPDATE station_balances SET available_fen = available_fen + 4040 WHERE institution_code = ?", (code(1),)
    )
    connection.execute("UPDATE payments SET paid_fen = 6000")
    cancel(house, payment)
    house.settle(payment, "Undone")
    assert house.balance() == (500_000, 0, 0)


def test_m9_policy_may_keep_the_fee(house: House) -> None:
    house.engine.connection.execute("UPDATE tariffs SET fee_returns_on_cancel = 0")
    payment = house.settle(house.pay())
    cancel(house, payment)
    house.settle(payment, "Undone")
    assert house.balance() == (499_900, 0, 0)
    assert account_sums(house)["fee_income"] == 100
    assert [
        row.recipe for row in house.rows_of(rows.Transaction, "recipe LIKE 'R1_' AND gateway_serial IS NOT NULL")
    ] == ["R12"]


def test_m2_a_cancel_after_r09_sweeps_what_is_still_owed(house: House) -> None:
    payment = house.settle(house.pay(), "Declined", reason="amount")
    spent = house.settle(house.pay(amount_fen=499_900 - 4_000, biller_account="30001"))
    assert house.balance() == (4_000, 0, 0)
    late = house.evidence(house.order_of(payment), "Paid", source="file", paid_fen=10_000, biller_serial="B")
    house.ask(late, items.Judged)
    assert house.balance() == (0, 0, 6_100)
    assert cancel(house, payment).payment.state == "CANCELLING"
    house.settle(payment, "Undone")
    assert house.balance() == (4_000, 0, 0)
    assert house.now_of(spent).state == "SUCCESS"
    assert violations(house) == []


def test_m2_every_credit_sweeps_the_receivable_first(house: House) -> None:
    """A release, a deposit, a cancel: whatever credits `available` pays what is owed before anybody reserves it."""
    failed = house.settle(house.pay(), "Declined", reason="amount")
    held = house.pay(amount_fen=480_000, biller_account="30001")
    house.settle(house.pay(amount_fen=19_800, biller_account="30002"))
    assert house.balance() == (0, 480_100, 0)
    late = house.evidence(house.order_of(failed), "Paid", source="file", paid_fen=10_000, biller_serial="B")
    house.ask(late, items.Judged)
    assert house.balance() == (0, 480_100, 10_100)
    house.deposit(1, 100)
    assert house.balance() == (0, 480_100, 10_000)
    house.settle(held, "Declined", reason="amount")
    assert house.balance() == (470_100, 0, 0)
    assert violations(house) == []


def test_a_voucher_is_good_once_and_a_deposit_is_positive(house: House) -> None:
    fields: dict[str, Any] = {"institution_code": code(1), "outlet": "370001", "taken_by": "1"}
    one = items.Deposit(amount_fen=100, voucher_number="V-9", entropy=1, **fields)
    two = items.Deposit(amount_fen=100, voucher_number="V-9", entropy=2, **fields)
    replies = house.batch([one, two])
    assert [type(reply) for reply in replies] == [items.Kept, items.Refusal]
    assert house.ask(two, items.Refusal).slug == "state-conflict"
    for amount in (0, -5):
        bad = items.Deposit(amount_fen=amount, voucher_number=f"V{amount}", entropy=3, **fields)
        assert house.ask(bad, items.Refusal).slug == "amount-out-of-range"
    nobody = items.Deposit(amount_fen=1, voucher_number="V-8", entropy=4, **(fields | {"institution_code": "9"}))
    assert house.ask(nobody, items.Refusal).slug == "not-found"
    assert house.balance() == (500_100, 0, 0)


def test_cancel_of_another_station_or_service_that_cannot(house: House) -> None:
    payment = house.settle(house.pay())
    assert cancel(house, payment, station=2).slug == "not-found"
    assert house.rows_of(rows.Key, "institution_code = ?", code(2)) == []
    other = house.settle(house.pay(service="acme.topup", biller_account="30001"))
    assert cancel(house, other).slug == "state-conflict"


@pytest.mark.parametrize(
    ("change", "slug"), [("CLOSED", "state-conflict"), ("MATCHING", "state-conflict"), ("OPEN", None)]
)
def test_m8_same_day_means_its_window_is_open(house: House, change: str, slug: str | None) -> None:
    payment = house.settle(house.pay())
    house.engine.connection.execute("UPDATE windows SET state = ?", (change,))
    assert getattr(cancel(house, payment), "slug", None) == slug


def test_m10_the_window_ends_at_2300_and_the_day_at_midnight(house: House) -> None:
    """acme.bill cuts off at 23:00: what comes after belongs to the next window but to this day."""
    before = house.settle(house.pay(biller_account="30001"))
    house.advance(11 * 3600 - 0.001)  # 22:59:59.999
    last = house.settle(house.pay(biller_account="30002"))
    house.advance(0.001)
    after = house.settle(house.pay(biller_account="30003"))
    topup = house.pay(biller_account="30004", service="acme.topup")
    dates = [(p.account_date[8:], p.settle_date[8:]) for p in (before, last, after, topup)]
    assert dates == [("24", "24"), ("24", "24"), ("24", "25"), ("24", "24")]
    assert cancel(house, last).slug == "state-conflict"
    assert cancel(house, after).payment.state == "CANCELLING"
    house.advance(3600)
    new = house.pay(biller_account="30005")
    assert (new.account_date, new.settle_date) == ("2026-11-25", "2026-11-25")
    house.settle(after, "Undone")
    posted = {
        (row.recipe, row.posting_date, row.account_date, row.settle_date)
        for row in house.rows_of(rows.Transaction, "gateway_serial = ?", after.gateway_serial)
    }
    assert posted == {
        ("R01", "2026-11-24", "2026-11-24", "2026-11-25"),
        ("R05", "2026-11-24", "2026-11-24", "2026-11-25"),
        ("R10", "2026-11-25", "2026-11-24", "2026-11-25"),
    }
    assert violations(house) == []


def test_m10_a_closed_day_and_window_take_nothing_more(house: House) -> None:
    old = house.pay(biller_account="30001")
    connection = house.engine.connection
    connection.execute("UPDATE days SET state = 'CLOSED'")
    connection.execute("UPDATE windows SET state = 'CLOSED'")
    new = house.pay(biller_account="30002")
    assert (new.account_date, new.settle_date) == ("2026-11-25", "2026-11-25")
    assert house.order_of(new).partner_serial.startswith("20261125")
    house.settle(old)
    house.deposit(2, 5)
    posted = [row.posting_date for row in house.rows_of(rows.Transaction)]
    assert posted.count("2026-11-24") == 3  # both opening deposits and the first reservation
    assert house.now_of(old).account_date == "2026-11-24"
    # The next window is open: a cancel of what belongs to it is the same day's.
    assert cancel(house, house.settle(new)).payment.state == "CANCELLING"
    assert violations(house) == []


def test_m8_m12_a_cancel_by_policy_needs_one_authorisation_used_once(house: House) -> None:
    house.engine.connection.execute("UPDATE tariffs SET cancel_needs_authorization = 1")
    one = house.settle(house.pay())
    assert cancel(house, one).slug == "authorization-required"
    authorize(house, "A-1", amount_fen=9_999)
    authorize(house, "A-2", valid_on="2026-11-25")
    authorize(house, "A-3", biller_account="10002")
    for name in ("A-0", "A-1", "A-2", "A-3"):
        assert cancel(house, one, authorization=name).slug == "authorization-required"
    authorize(house, "A-4")
    assert cancel(house, one, authorization="A-4").payment.state == "CANCELLING"
    house.settle(one, "Undone")
    two = house.settle(house.pay())
    assert cancel(house, two, authorization="A-4").slug == "authorization-required"


def authorize(house: House, name: str, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "authorization_id": name,
        "kind": "cancel",
        "institution_code": code(1),
        "service": "acme.bill",
        "biller_account": "10001",
        "amount_fen": 10_000,
        "valid_on": "2026-11-24",
        "issued_by": "head office",
        "issued_at": house.now,
        "reason": "r",
        "record_id": "r-1",
    }
    fields |= changes
    marks = ", ".join("?" * len(fields))
    house.engine.connection.execute(
        f"INSERT INTO authorizations ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values())
    )


def test_refund_waits_for_a_second_person_and_holds_nothing(house: House) -> None:
    payment = house.settle(house.pay())
    house.advance(13 * 3600)  # the next day
    made = refund(house, payment, 4_000).payment
    assert (made.kind, made.state, made.cancels, made.fee_fen) == ("REFUND", "RESERVED", payment.gateway_serial, 0)
    assert (made.account_date, made.settle_date) == ("2026-11-25", "2026-11-25")
    order = house.order_of(made)
    assert (order.kind, order.hold) == ("REFUND", True)
    assert house.ask(house.claim(order), items.NotNow).cause == "held"
    assert house.balance() == (489_900, 0, 0)
    assert violations(house) == []


def test_refunds_together_never_exceed_what_was_paid(house: House) -> None:
    payment = house.settle(house.pay())
    for amount, slug in ((10_001, "amount-out-of-range"), (0, "amount-out-of-range"), (-1, "amount-out-of-range")):
        assert refund(house, payment, amount).slug == slug
    assert refund(house, payment, 6_000).payment.state == "RESERVED"
    assert refund(house, payment, 4_001).slug == "amount-out-of-range"
    given_up = refund(house, payment, 4_000).payment
    assert refund(house, payment, 1).slug == "amount-out-of-range"
    assert cancel(house, given_up).payment.state == "FAILED"
    assert refund(house, payment, 1).payment.state == "RESERVED"
    batch = [
        house.keyed(items.Refund, gateway_serial=payment.gateway_serial, amount_fen=2_000, reason=str(number))
        for number in range(3)
    ]
    assert [type(reply) for reply in house.batch(batch)] == [items.Taken, items.Refusal, items.Refusal]
    assert violations(house) == []


def test_m8_never_a_refund_and_a_cancel_of_one_payment(house: House) -> None:
    """Both would give the same money back."""
    one, two = house.settle(house.pay()), house.settle(house.pay(biller_account="30001"))
    refund(house, one, 10_000)
    assert cancel(house, one).slug == "state-conflict"
    cancel(house, two)
    assert refund(house, two, 1).slug == "state-conflict"
    both = house.settle(house.pay(biller_account="30002"))
    asked = [
        house.keyed(items.Refund, gateway_serial=both.gateway_serial, amount_fen=1, reason="r"),
        house.keyed(items.Cancel, gateway_serial=both.gateway_serial, reason="r"),
    ]
    assert [type(reply) for reply in house.batch(asked)] == [items.Taken, items.Refusal]


def test_an_approved_refund_credits_once(house: House) -> None:
    payment = house.settle(house.pay())
    made = refund(house, payment, 4_000).payment
    house.engine.connection.execute("UPDATE orders SET hold = 0, next_try_at = 0 WHERE kind = 'REFUND'")
    granted = house.send(made)
    paid = house.reply_of(granted, "Paid", paid_fen=4_000, biller_serial="R1")
    house.ask(paid, items.Judged)
    house.ask(house.evidence(granted.order, "Paid", paid_fen=4_000, biller_serial="R1"), items.Judged)
    assert house.now_of(made).state == "SUCCESS"
    assert house.balance() == (493_900, 0, 0)
    assert account_sums(house)["biller_payable"] == 6_000
    assert cancel(house, payment).slug == "state-conflict"


def test_card_write_confirmed_by_the_biller(house: House) -> None:
    (payment,) = bring(house, "wait-write", 1).payments
    taken = write(house, payment, True)
    order = house.order_of(payment)
    assert (taken.payment.state, order.kind, order.state) == ("PAID_WAIT_WRITE", "WRITE_CONFIRM", "READY")
    assert write(house, payment, True).payment.state == "PAID_WAIT_WRITE"  # said again: no second order
    assert write(house, payment, False).slug == "state-conflict"
    assert cancel(house, payment).slug == "state-conflict"  # the write is being confirmed
    house.advance(86_400 * 40)
    swept = house.ask(items.Sweep(entropy=1), items.Swept)
    assert (swept.expired, [o.order_serial for o in swept.ready]) == (0, [order.order_serial])  # it has no end
    house.settle(payment, "Paid")
    assert house.now_of(payment).state == "WRITTEN"
    assert write(house, payment, True).payment.state == "WRITTEN"
    assert cancel(house, payment).slug == "state-conflict"
    assert violations(house) == []


def test_card_write_failed_written_again_and_refused(house: House) -> None:
    (payment,) = bring(house, "write-failed", 1).payments
    assert write(house, payment, False).payment.state == "WRITE_FAILED"
    assert write(house, payment, True).payment.state == "WRITE_FAILED"
    house.settle(payment, "Unknown")
    assert house.now_of(payment).state == "WRITE_FAILED"
    assert house.order_of(payment).ask_at is not None
    house.ask(house.evidence(house.order_of(payment), "Paid", paid_fen=1_000), items.Judged)
    assert house.now_of(payment).state == "WRITTEN"
    assert house.balance() == (498_900, 0, 0)
    assert violations(house) == []


@pytest.mark.parametrize("place", ["reserved", "sent", "unknown", "success", "declined", "reversing", "reversed"])
def test_no_card_to_write(house: House, place: str) -> None:
    (payment,) = bring(house, place, 1).payments
    for written in (True, False):
        assert write(house, payment, written).slug == "state-conflict"


@pytest.mark.parametrize(("written", "end"), list(itertools.product((True, False), ("Undone", "NotUndone"))))
@pytest.mark.parametrize("place", ["card-cancel-sent", "bad-card-cancel-sent"])
def test_a_card_written_while_its_money_goes_back(house: House, place: str, written: bool, end: str) -> None:
    """The report waits for the cancel's end: then it moves the card, or opens a break (s4.1)."""
    (payment,) = bring(house, place, 1).payments
    assert write(house, payment, written).payment.state == "CANCELLING"
    house.ask(house.evidence(house.order_of(payment), end), items.Judged)
    state = "CANCELLED" if end == "Undone" else "WRITTEN" if written else "WRITE_FAILED"
    assert house.now_of(payment).state == state
    breaks = [row.code for row in house.rows_of(rows.Break)]
    assert breaks == (["STATUS_DIFF_OVER"] if written and end == "Undone" else [])
    assert violations(house) == []


def test_a_card_written_after_its_money_went_back_is_a_break(house: House) -> None:
    (payment,) = bring(house, "wait-write", 1).payments
    cancel(house, payment)
    house.settle(payment, "Undone")
    assert write(house, payment, True).payment.state == "CANCELLED"
    assert [row.code for row in house.rows_of(rows.Break)] == ["STATUS_DIFF_OVER"]
    assert house.order_of(payment, OrderKind.CANCEL).state == "DONE"
    assert violations(house) == []


@pytest.mark.parametrize(
    ("place", "state"), [("card-cancel-sent", "PAID_WAIT_WRITE"), ("bad-card-cancel-sent", "WRITE_FAILED")]
)
def test_a_refused_cancel_of_a_card_falls_back_where_it_came_from(house: House, place: str, state: str) -> None:
    (payment,) = bring(house, place, 1).payments
    house.ask(house.evidence(house.order_of(payment), "NotUndone"), items.Judged)
    assert house.now_of(payment).state == state
    assert cancel(house, payment).payment.state == "CANCELLING"  # asked for again
    assert violations(house) == []
