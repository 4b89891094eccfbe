"""A restored copy proves nothing (M4): what could have moved since is in doubt, and nothing is given out twice."""

from pathlib import Path
from typing import Any

import pytest

from contracts.states import OrderState
from gateway.core import items, restored, rows
from gateway.core.admit import NONCE_FLOOR
from gateway.ops.audit import audit_sqlite
from tests.stand.billers import TELECOM
from tests.stand.house import House

WINDOW_MS = 2_000


def restore(house: House, *, limit: int = 2) -> int:
    """All of it, in small batches; how many orders were put in doubt."""
    house.ask(restored.BeginRestore(entropy=house.entropy()), items.Kept)
    after: str | None = ""
    turned = 0
    while after is not None:
        reply = house.ask(restored.RestoreOrders(after=after, limit=limit, entropy=house.entropy()), restored.Restored)
        turned, after = turned + reply.turned, reply.after
    house.ask(restored.EndRestore(), items.Kept)
    return turned


def sound(house: House) -> None:
    report = audit_sqlite(house.path, house.env, at_ms=house.now)
    assert report.ok, report.text()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, durable=False)


def test_ready_and_sent_are_in_doubt_and_the_rest_is_as_it_was(house: House) -> None:
    ready, sent, done = (house.pay(biller_account=f"1000{n}") for n in range(3))
    claimed = house.send(sent)
    house.settle(done)
    sound(house)
    assert restore(house) == 2
    sound(house)
    for payment in (ready, sent):
        order = house.order_of(payment)
        assert (order.state, order.in_flight, order.call_deadline) == (OrderState.UNKNOWN, False, None)
        assert order.send_by == order.send_before + WINDOW_MS
        assert order.ask_at is not None
        assert house.now_of(payment).state == "UNKNOWN"
    (attempt,) = house.rows_of(rows.Attempt, "order_serial = ?", sent.gateway_serial)
    assert attempt.outcome == "Lost"
    assert house.now_of(done).state == "SUCCESS"
    assert house.ask(house.claim(house.order_of(ready)), items.NotNow).gone
    # The answer of a call that survived everything is evidence like any other.
    answer = house.reply_of(claimed, "Paid", paid_fen=sent.amount_fen, biller_serial="B1")
    assert house.ask(answer, items.Judged).payment.state == "SUCCESS"  # type: ignore[union-attr]
    sound(house)


def test_absence_is_believed_only_after_the_lost_book_could_have_sent(house: House) -> None:
    payment = house.pay(service="acme.topup")
    restore(house)
    order, facts = house.order_of(payment), house.env.facts_of("acme.topup")
    house.now = order.send_before + WINDOW_MS + facts.absent_final_after_s * 1000 - 1
    house.ask(house.evidence(order, "Absent"), items.Judged)
    assert house.now_of(payment).state == "UNKNOWN"
    house.advance(1)
    house.ask(house.evidence(order, "Absent"), items.Judged)
    assert house.now_of(payment).state == "FAILED"
    sound(house)


def test_an_undo_in_doubt_is_in_doubt_for_longer(house: House) -> None:
    payment = house.pay()
    house.settle(payment)
    house.batch([house.keyed(items.Cancel, gateway_serial=payment.gateway_serial, reason="按错")])
    house.batch([house.reply_of(house.send(payment, "CANCEL"), "Unknown", cause="reset")])
    before = house.order_of(payment, "CANCEL")
    assert before.state == OrderState.UNKNOWN
    assert restore(house) == 1
    after = house.order_of(payment, "CANCEL")
    assert (after.state, after.send_by) == (OrderState.UNKNOWN, before.send_before + WINDOW_MS)
    assert restore(house) == 0, "nothing is left to do the second time"
    sound(house)


def test_an_undo_of_the_copy_that_was_never_sent_there_may_be_proven(house: House) -> None:
    """READY in the copy, sent and done in the lost book: "undone" is its end, not a break."""
    payment = house.pay()
    house.settle(payment)
    house.batch([house.keyed(items.Cancel, gateway_serial=payment.gateway_serial, reason="按错")])
    restore(house)
    house.ask(house.evidence(house.order_of(payment, "PAY"), "Undone"), items.Judged)
    assert house.now_of(payment).state == "CANCELLED"
    assert house.rows_of(rows.Break) == []
    sound(house)


def test_a_card_write_and_a_held_refund_are_in_doubt_too(house: House) -> None:
    card = house.pay(service="meters.card")
    house.settle(card)
    house.batch([house.keyed(items.ReportWrite, gateway_serial=card.gateway_serial, written=True)])
    assert restore(house) == 1
    order = house.order_of(card, "WRITE_CONFIRM")
    assert (order.state, order.send_by) == (OrderState.UNKNOWN, house.now + WINDOW_MS)
    house.ask(house.evidence(order, "Paid"), items.Judged)
    assert house.now_of(card).state == "WRITTEN"
    sound(house)


def test_requests_of_before_are_refused(house: House) -> None:
    early = house.accept()
    restore(house)
    (floor,) = house.rows_of(rows.Setting, "name = ?", NONCE_FLOOR)
    assert floor.value == house.now + 60_000
    (reply,) = house.batch([early])
    assert reply.slug == "signature-expired"
    house.advance(61)
    assert isinstance(house.batch([house.accept()])[0], items.Taken)


def test_no_number_of_the_lost_book_is_given_out_again(tmp_path: Path) -> None:
    house = House(tmp_path, manifests=[TELECOM], durable=False)
    account: dict[str, Any] = {
        "service": "mobile.topup",
        "biller_account": "13900010001",
        "params": '{"carrier":"cmcc"}',
    }
    first = house.order_of(house.pay(**account, amount_fen=100))
    restore(house)
    house.advance(61)
    second = house.order_of(house.pay(**account, amount_fen=200))
    numbers = [int(order.partner_serial[8:]) for order in (first, second)]
    assert numbers[1] - numbers[0] > 10**12 // 17
    for _ in range(14):
        restore(house)
    reply = house.ask(restored.BeginRestore(entropy=1), items.NotNow)
    assert "no numbers are left for telecom" in reply.cause


def test_a_book_that_is_not_yet_safe_says_so(house: House) -> None:
    assert house.look(restored.PeekRestoring(), items.Kept).count == 0
    house.ask(restored.BeginRestore(entropy=1), items.Kept)
    assert house.look(restored.PeekRestoring(), items.Kept).count == house.now
    house.ask(restored.EndRestore(), items.Kept)
    assert house.look(restored.PeekRestoring(), items.Kept).count == 0
