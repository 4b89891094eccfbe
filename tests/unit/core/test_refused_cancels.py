"""A cancel that was asked for and not done stays visible beside the payment that stayed paid (M8)."""

import pytest

from gateway.core import items, rows, views
from tests.stand.house import House
from tests.unit.core.test_undoing import cancel


@pytest.mark.parametrize(("kind", "state"), [("StillPaid", "REFUSED"), ("NotUndone", "REFUSED"), (None, "VOID")])
def test_a_payment_that_stayed_paid_comes_with_the_cancel_that_failed(
    house: House, kind: str | None, state: str
) -> None:
    """Until another cancel is asked for, and only then."""
    payment = house.settle(house.pay())
    assert seen(house, payment).kept is None
    cancel(house, payment)
    assert seen(house, payment).kept is None
    if kind is None:
        house.advance(86_400)  # its settlement window has closed
        house.ask(items.Sweep(entropy=1), items.Swept)
    else:
        house.settle(payment, kind, resp_code="2012", reason="credit-used")
    kept = seen(house, payment).kept
    assert kept is not None
    assert (house.now_of(payment).state, kept.kind, kept.state) == ("SUCCESS", "CANCEL", state)
    assert kept.reason == ("credit-used" if kind else "expired-unsent")


def seen(house: House, payment: rows.Payment) -> items.Taken:
    return house.look(views.PeekPayment(gateway_serial=payment.gateway_serial), items.Taken)


def test_the_newest_refusal_is_the_one_that_is_told(house: House) -> None:
    payment = house.settle(house.pay())
    for code, reason in (("2012", "credit-used"), ("2011", "invoice-printed")):
        cancel(house, payment)
        house.settle(payment, "StillPaid", resp_code=code, reason=reason)
        kept = seen(house, payment).kept
        assert kept is not None
        assert (kept.resp_code, kept.reason) == (code, reason)
