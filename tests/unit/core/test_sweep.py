"""The sweep and what is told: a clock ends only what is proven unsent, and every change of state is told (M4, M5)."""

import msgspec

from contracts.states import OrderKind
from gateway.core import items, rows
from gateway.core.moves import LADDER_S
from tests.stand.house import House
from tests.unit.core.oracle import violations
from tests.unit.core.test_resolver import ask, in_doubt, sweep


def test_a_clock_ends_what_is_proven_unsent_and_nothing_else(house: House) -> None:
    """send_before + 1 ms: RESERVED ends, SENT, accepted and UNKNOWN stay (M5)."""
    unsent = house.pay(biller_account="40001")
    again = house.settle(house.pay(biller_account="40002"), "NotSent", retry_after_s=600)
    calling = house.pay(biller_account="40003", service="acme.topup")
    accepted = house.settle(
        house.pay(biller_account="40004", service="acme.topup"), "Accepted", biller_serial="B", ask_after_s=60
    )
    doubt = in_doubt(house, biller_account="40005")
    house.advance(110)
    house.send(calling)
    house.advance(10)
    assert sweep(house).expired == 0
    house.advance(0.001)
    assert sweep(house).expired == 2
    states = [house.now_of(p).state for p in (unsent, again, calling, accepted, doubt)]
    assert states == ["FAILED", "FAILED", "SENT", "SENT", "UNKNOWN"]
    assert house.now_of(unsent).reason == "expired-unsent"
    assert house.order_of(unsent).state == "VOID"
    assert [row.recipe for row in house.rows_of(rows.Transaction, "recipe LIKE 'R02'")] == ["R02", "R02"]
    assert violations(house) == []


def test_recovery_leaves_a_call_alone_until_its_deadline(house: House) -> None:
    payment = house.pay()
    granted = house.send(payment)
    house.now = granted.call_deadline
    assert sweep(house).overdue == 0
    house.now += 1
    assert sweep(house).overdue == 1
    now, order = house.now_of(payment), house.order_of(payment)
    assert (now.state, order.state, order.in_flight) == ("UNKNOWN", "UNKNOWN", False)
    assert order.ask_at == house.now + LADDER_S[0] * 1000
    assert [row.outcome for row in house.rows_of(rows.Attempt)] == ["Lost"]
    assert [(row.source, row.event) for row in house.rows_of(rows.EvidenceRow)] == [("clock", "LOST")]
    assert sweep(house).overdue == 0
    assert violations(house) == []


def test_the_sweep_offers_what_waits_and_not_what_is_held(house: House) -> None:
    waiting = house.pay(biller_account="40001")
    house.settle(house.pay(biller_account="40002"), "NotSent", retry_after_s=60)
    refunded = house.settle(house.pay(biller_account="40003"))
    house.ask(house.keyed(items.Refund, gateway_serial=refunded.gateway_serial, amount_fen=5, reason="r"), items.Taken)
    assert [order.gateway_serial for order in sweep(house).ready] == [waiting.gateway_serial]


def test_every_change_of_state_is_told(house: House) -> None:
    payment = house.settle(house.pay(), "NotSent")
    house.advance(2)
    house.settle(payment, "Unknown")
    house.advance(960)
    ask(house)
    house.settle(payment, "NotUndone")
    house.ask(house.evidence(house.order_of(payment, OrderKind.PAY), "Declined"), items.Judged)
    house.ask(
        house.evidence(house.order_of(payment, OrderKind.PAY), "Paid", paid_fen=10_000, biller_serial="B"), items.Judged
    )
    house.ask(house.keyed(items.Cancel, gateway_serial=payment.gateway_serial, reason="r"), items.Taken)
    house.settle(payment, "Undone")
    told = [msgspec.json.decode(row.payload) for row in house.rows_of(rows.OutboxRow, "topic = 'bianmin.result'")]
    told.sort(key=lambda each: int(each["version"]))
    assert [each["state"] for each in told] == [
        "RESERVED",
        "UNKNOWN",
        "REVERSING",
        "UNKNOWN",
        "FAILED",
        "SUCCESS",
        "CANCELLING",
        "CANCELLED",
    ]
    assert violations(house) == []


def test_only_what_finds_room_is_taken_and_the_rest_stays_due(house: House) -> None:
    """A full biller keeps its questions: none is moved on unasked, and another biller's are not held up."""
    for number in range(5):
        in_doubt(house, biller_account=f"5000{number}")
    house.advance(LADDER_S[0])
    asked = items.TakeQuestions(entropy=house.entropy(), room={"acme": 2})
    assert len(house.ask(asked, items.Questions).questions) == 2
    assert house.ask(items.TakeQuestions(entropy=house.entropy(), room={"acme": 0}), items.Questions).questions == []
    assert len(ask(house).questions) == 3


def test_a_long_list_of_waiting_orders_is_seen_whole(house: House) -> None:
    """A sweep that was full goes on where it ended: no biller's backlog hides another's order."""
    waiting = [house.pay(biller_account=f"6000{number}", amount_fen=100).gateway_serial for number in range(5)]
    seen: list[str] = []
    after: tuple[int, str] = (0, "")
    for _ in range(3):
        item = items.Sweep(entropy=house.entropy(), limit=2, after_at=after[0], after_serial=after[1])
        ready = house.ask(item, items.Swept).ready
        seen += [order.gateway_serial for order in ready]
        after = (ready[-1].next_try_at or 0, ready[-1].order_serial)
    assert sorted(seen) == sorted(waiting)


def test_an_order_of_a_service_nobody_sells_any_more_expires_and_stops_nobody(house: House) -> None:
    """Its biller left the configuration: the money comes back, the other billers' orders go on."""
    left, other = house.pay(biller_account="70001"), house.pay(service="meters.card", biller_account="70002")
    house.settle(house.pay(biller_account="70003"), "Unknown")
    house.retire("acme")
    house.advance(121)
    swept = sweep(house)
    assert swept.expired == 2
    assert (house.now_of(left).state, house.now_of(left).reason) == ("FAILED", "expired-unsent")
    assert house.now_of(other).state == "FAILED"
    assert ask(house).questions == []
