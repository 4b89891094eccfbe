"""M7: one open payment per account and amount, from any station, unless the operator confirms the very one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.core import items, rows
from gateway.core.env import Env
from gateway.core.steps import Read, Step, Work
from gateway.core.units import UNITS
from gateway.store.port import LostRace
from gateway.store.sqlite.engine import SqliteEngine
from tests.stand.house import UNITS_OF_THE_HOUSE, House
from tests.unit.core.cohort import PLACES, bring
from tests.unit.core.oracle import violations

AGAIN: dict[str, Any] = {"biller_account": "20000", "amount_fen": 1_000}
PLACE = ("acme", "20000", 1_000)
OPEN_PLACES = ("RESERVED", "SENT", "UNKNOWN", "REVERSING", "CANCELLING")


@pytest.mark.parametrize("station", [1, 2])
@pytest.mark.parametrize("place", PLACES)
def test_m7_an_open_payment_of_the_same_account_and_amount(house: House, place: str, station: int) -> None:
    service, state, _ = PLACES[place]
    (payment,) = bring(house, place, 1).payments
    (reply,) = house.batch([house.accept(station, service=service, **AGAIN)])
    if state in ("PAID_WAIT_WRITE", "WRITE_FAILED"):
        assert reply.slug == "state-conflict"  # the card has a purchase that is not written
    elif state in OPEN_PLACES:
        assert reply.slug == "repeat-in-doubt"
        assert reply.repeat_token
    else:
        assert isinstance(reply, items.Taken)
        return
    assert reply.gateway_serial == (payment.gateway_serial if station == 1 else None)


def test_m7_another_amount_or_account_is_another_payment(house: House) -> None:
    house.pay(biller_account="20000", amount_fen=1_000)
    assert house.pay(biller_account="20000", amount_fen=1_001).state == "RESERVED"
    assert house.pay(biller_account="20001", amount_fen=1_000).state == "RESERVED"


def refused(house: House, station: int = 1, **fields: Any) -> items.Refusal:
    return house.ask(house.accept(station, **(AGAIN | fields)), items.Refusal)


def test_m7_the_token_names_the_open_payment_and_is_void_when_another_appears(house: House) -> None:
    house.pay(**AGAIN)
    token = refused(house).repeat_token
    other = refused(house, station=2).repeat_token
    assert other != token  # a station's own
    assert refused(house, confirm_repeat=other).slug == "repeat-in-doubt"
    second = house.ask(house.accept(2, confirm_repeat=other, **AGAIN), items.Taken).payment
    assert second.confirmed_repeat
    void = refused(house, confirm_repeat=token)
    assert void.slug == "repeat-in-doubt"
    assert void.repeat_token not in (token, None)
    third = house.ask(house.accept(confirm_repeat=void.repeat_token, **AGAIN), items.Taken).payment
    assert third.state == "RESERVED"
    assert refused(house, confirm_repeat=void.repeat_token).slug == "repeat-in-doubt"
    assert violations(house) == []


def test_m7_two_unconfirmed_and_two_confirmed_in_one_batch(house: House) -> None:
    replies = house.batch([house.accept(1, **AGAIN), house.accept(2, **AGAIN)])
    assert [type(reply) for reply in replies] == [items.Taken, items.Refusal]
    token = refused(house).repeat_token
    replies = house.batch([house.accept(1, confirm_repeat=token, **AGAIN) for _ in range(2)])
    assert [type(reply) for reply in replies] == [items.Taken, items.Refusal]
    assert violations(house) == []


def test_m7_there_is_nothing_to_confirm_any_more(house: House) -> None:
    payment = house.pay(**AGAIN)
    token = refused(house).repeat_token
    house.settle(payment)
    needless = refused(house, confirm_repeat=token)
    assert needless.repeat_token is None
    assert "已有结果" in str(needless.shop_text)


def spy(house: House, change: Callable[[Step, Any], Any]) -> list[str]:
    """From now on acceptances get changed answers from the book; the names of what they read."""
    asked: list[str] = []

    def accept(asks: Sequence[Any], env: Env) -> Work[list[items.Reply]]:
        work = UNITS[items.Accept](asks, env)
        answer = None
        while True:
            try:
                step = work.send(answer)
            except StopIteration as end:
                return list(end.value)
            if isinstance(step, Read):
                asked.append(step.query)
            answer = change(step, (yield step))

    units = replace(UNITS_OF_THE_HOUSE, units={**UNITS, items.Accept: accept})
    house.engine.close()
    house.engine = SqliteEngine(house.path, units, house.env, now_ms=lambda: house.now)
    house.engine.open()
    return asked


def test_m7_only_a_confirmation_locks_and_before_the_open_payments_are_read(house: House) -> None:
    """A payment that confirms nothing must not pay for it."""
    asked = spy(house, lambda _, answer: answer)
    house.pay(**AGAIN)
    token = refused(house).repeat_token
    assert "payments_open_locked" not in asked
    house.ask(house.accept(confirm_repeat=token, **AGAIN), items.Taken)
    lock, read = asked.index("payments_open_locked"), len(asked) - asked[::-1].index("payments_open") - 1
    assert max(at for at, query in enumerate(asked) if query == "balances_locked") < lock < read


def test_m7_what_is_not_held_is_not_confirmed(house: House) -> None:
    """A payment opened again between the lock and the look (a cancel) may end at any moment: nobody confirms it."""
    house.pay(**AGAIN)
    token = refused(house).repeat_token
    spy(house, lambda step, answer: [] if step == Read("payments_open_locked", [PLACE]) else answer)
    assert refused(house, confirm_repeat=token).repeat_token == token
    house.reopen()
    payment = house.ask(house.accept(confirm_repeat=token, **AGAIN), items.Taken).payment
    assert payment.confirmed_beside == house.rows_of(rows.Payment)[0].gateway_serial


def test_m7_the_index_is_the_last_line(house: House) -> None:
    """A decision that saw no open payment meets the unique index: nothing of it is written."""
    house.pay(**AGAIN)
    hidden = "UPDATE payments SET biller_account = 'elsewhere'"
    trigger = (
        "CREATE TEMP TRIGGER race BEFORE INSERT ON payments BEGIN"
        " UPDATE payments SET biller_account = '20000' WHERE biller_account = 'elsewhere'; END"
    )
    house.engine.connection.execute(hidden)
    house.engine.connection.execute(trigger)
    (reply,) = house.engine.execute([house.accept(**AGAIN)]).replies
    assert isinstance(reply, LostRace)
    assert len(house.rows_of(rows.Payment)) == 1
    assert house.balance() == (498_900, 1_100, 0)


def test_m7_a_cancel_beside_a_later_payment_of_the_same_kind(house: House) -> None:
    """Two of the same, one after the other: either may be cancelled while the other is open or being cancelled."""
    one = house.settle(house.pay(**AGAIN))
    two = house.pay(**AGAIN)
    house.advance(1)
    assert house.ask(cancel(house, one), items.Taken).payment.state == "CANCELLING"
    three = house.settle(two)
    assert house.ask(cancel(house, three), items.Taken).payment.state == "CANCELLING"
    assert violations(house) == []


def test_m7_evidence_is_never_refused_by_the_index(house: House) -> None:
    """A card payment we had as failed is proven paid while another of the same card and amount is open."""
    one = house.settle(house.pay(service="meters.card", **AGAIN), "Declined", reason="amount")
    house.settle(house.pay(service="meters.card", **AGAIN), "Unknown")
    paid = house.evidence(house.order_of(one), "Paid", source="file", paid_fen=1_000, biller_serial="B")
    assert house.ask(paid, items.Judged).effect == "FAILED->PAID_WAIT_WRITE"
    assert violations(house) == []


def cancel(house: House, payment: rows.Payment) -> items.Cancel:
    item: items.Cancel = house.keyed(items.Cancel, gateway_serial=payment.gateway_serial, reason="r")
    return item


def test_calls_of_one_account_go_in_turn(house: House) -> None:
    """design s3.3: in order of acceptance, one call in flight per biller account, whatever the amounts."""
    first = house.pay(amount_fen=1_000)
    house.advance(0.001)
    second = house.pay(2, amount_fen=2_000)
    other = house.pay(biller_account="10002")
    refusal = house.ask(house.claim(house.order_of(second)), items.NotNow)
    assert (refusal.cause, refusal.gone, refusal.retry_at) == ("turn", False, house.now + 500)
    granted = house.send(first)
    house.send(other)
    assert house.ask(house.claim(house.order_of(second)), items.NotNow).cause == "turn"
    house.ask(house.reply_of(granted, "Unknown"), items.Judged)
    assert house.send(second).attempt == 1  # UNKNOWN does not block


def test_a_payment_that_waits_for_its_next_try_keeps_its_turn(house: House) -> None:
    first = house.pay(amount_fen=1_000)
    house.settle(first, "NotSent", retry_after_s=60)
    house.advance(0.001)
    second = house.pay(amount_fen=2_000)
    claim = house.ask(house.claim(house.order_of(first)), items.NotNow)
    assert (claim.cause, claim.retry_at) == ("not before", house.now - 1 + 60_000)
    assert house.ask(house.claim(house.order_of(second)), items.NotNow).cause == "turn"
    house.advance(120)  # past the first one's send_before
    assert house.ask(house.claim(house.order_of(first)), items.NotNow).cause == "expired"


def test_two_claims_of_one_account_in_one_batch(house: House) -> None:
    one, two = house.pay(amount_fen=1_000), house.pay(amount_fen=2_000)
    replies = house.batch([house.claim(house.order_of(payment)) for payment in (one, two)])
    assert sorted(type(reply).__name__ for reply in replies) == ["Granted", "NotNow"]
    assert violations(house) == []


def test_an_accepted_order_does_not_hold_its_account(house: House) -> None:
    house.settle(house.pay(service="acme.topup", amount_fen=1_000), "Accepted", biller_serial="B", ask_after_s=60)
    assert house.send(house.pay(service="acme.topup", amount_fen=2_000)).attempt == 1


def test_a_notice_before_the_reply_leaves_the_turn_until_the_call_ends(house: House) -> None:
    one = house.pay(amount_fen=1_000)
    granted = house.send(one)
    house.ask(house.evidence(granted.order, "Paid", source="notice", paid_fen=1_000, biller_serial="B"), items.Judged)
    two = house.pay(amount_fen=2_000)
    assert house.ask(house.claim(house.order_of(two)), items.NotNow).cause == "turn"
    house.advance(21)
    house.ask(items.Sweep(entropy=1), items.Swept)
    assert house.order_of(one).ask_at is None
    assert house.send(two).attempt == 1
    assert violations(house) == []


@pytest.mark.parametrize("seconds", [120, 120.001])
def test_claim_refuses_after_send_before(house: House, seconds: float) -> None:
    order = house.order_of(house.pay())
    house.advance(seconds)
    (reply,) = house.batch([house.claim(order)])
    assert isinstance(reply, items.Granted if seconds == 120 else items.NotNow)


def test_claims_of_what_is_not_there_or_over(house: House) -> None:
    payment = house.pay()
    order = house.order_of(payment)
    stray = items.Claim(gateway_serial="x", order_serial=order.order_serial, worker="w", entropy=1)
    assert house.ask(stray, items.NotNow).cause == "no such order"
    assert house.ask(house.claim(order, repeat=True), items.NotNow).cause == "not to be repeated"
    house.send(payment)
    assert house.ask(house.claim(order), items.NotNow).cause == "order is SENT"
    assert len(house.rows_of(rows.Attempt)) == 1
