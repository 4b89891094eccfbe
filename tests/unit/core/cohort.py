"""Many payments brought to the same place at once: each step is one commit for all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.states import OrderKind
from gateway.core import items, rows
from tests.stand.house import House

AMOUNT = 1_000
FEE = 100


@dataclass
class Cohort:
    """Payments of station 1, accounts 20000 and up. `granted`: the newest claim of each."""

    house: House
    service: str
    payments: list[rows.Payment]
    granted: list[items.Granted] = field(default_factory=list)

    def orders(self, kind: str | None = None) -> list[rows.Order]:
        """Each payment's newest order of a kind."""
        newest: dict[str, rows.Order] = {}
        for order in self.house.rows_of(rows.Order):
            if kind is None or order.kind == kind:
                newest[order.gateway_serial] = order
        return [newest[payment.gateway_serial] for payment in self.payments]

    def now(self) -> list[rows.Payment]:
        """The payments as they are."""
        found = {payment.gateway_serial: payment for payment in self.house.rows_of(rows.Payment)}
        return [found[payment.gateway_serial] for payment in self.payments]

    def claim(self, kind: str | None = None) -> None:
        self.house.advance(0.001)  # serials of two moments are in order
        replies = self.house.batch([self.house.claim(order) for order in self.orders(kind)])
        self.granted = [reply for reply in replies if isinstance(reply, items.Granted)]
        assert len(self.granted) == len(self.payments), replies

    def reply(self, kind: str, **answer: Any) -> None:
        self.house.batch([self.house.reply_of(granted, kind, **answer) for granted in self.granted])

    def paid(self) -> None:
        self.house.batch(
            [
                self.house.reply_of(granted, "Paid", paid_fen=AMOUNT, biller_serial=biller_serial(granted.payment))
                for granted in self.granted
            ]
        )

    def cancel(self) -> None:
        self.house.advance(0.001)
        asked = [
            self.house.keyed(items.Cancel, gateway_serial=payment.gateway_serial, reason="r")
            for payment in self.payments
        ]
        replies = self.house.batch(asked)
        assert all(isinstance(reply, items.Taken) for reply in replies), replies

    def written(self, written: bool) -> None:
        self.house.advance(0.001)
        asked = [
            self.house.keyed(items.ReportWrite, gateway_serial=payment.gateway_serial, written=written)
            for payment in self.payments
        ]
        replies = self.house.batch(asked)
        assert all(isinstance(reply, items.Taken) for reply in replies), replies

    def reverse(self) -> None:
        self.house.advance(900)
        reply = self.house.ask(items.TakeQuestions(entropy=self.house.entropy(), limit=10_000), items.Questions)
        assert len(reply.opened) == len(self.payments)


def biller_serial(payment: rows.Payment) -> str:
    """What the biller calls it."""
    return f"B{payment.gateway_serial}"


def accept(house: House, count: int, service: str) -> Cohort:
    """`count` accepted payments."""
    params = '{"carrier":"a"}' if service == "acme.once" else "{}"
    asked = [
        house.accept(service=service, biller_account=f"2{number:04d}", amount_fen=AMOUNT, params=params)
        for number in range(count)
    ]
    replies = house.batch(asked)
    assert all(isinstance(reply, items.Taken) for reply in replies), replies
    return Cohort(house, service, [reply.payment for reply in replies])


def _sent(cohort: Cohort) -> None:
    cohort.claim()


def _accepted(cohort: Cohort) -> None:
    cohort.claim()
    cohort.reply("Accepted", biller_serial="held", ask_after_s=60)


def _unsent(cohort: Cohort) -> None:
    cohort.claim()
    cohort.reply("NotSent", retry_after_s=3)


def _unknown(cohort: Cohort) -> None:
    cohort.claim()
    cohort.reply("Unknown")


def _success(cohort: Cohort) -> None:
    cohort.claim()
    cohort.paid()


def _declined(cohort: Cohort) -> None:
    cohort.claim()
    cohort.reply("Declined", reason="biller-refused")


def _expired(cohort: Cohort) -> None:
    cohort.house.advance(121)
    swept = cohort.house.ask(items.Sweep(entropy=cohort.house.entropy(), limit=10_000), items.Swept)
    assert swept.expired == len(cohort.payments)


def _reversing(cohort: Cohort) -> None:
    _unknown(cohort)
    cohort.reverse()


def _reverse_sent(cohort: Cohort) -> None:
    _reversing(cohort)
    cohort.claim(OrderKind.REVERSE)


def _reverse_unknown(cohort: Cohort) -> None:
    _reverse_sent(cohort)
    cohort.reply("Unknown")


def _reversed(cohort: Cohort) -> None:
    _reverse_sent(cohort)
    cohort.reply("Undone")


def _cancelling(cohort: Cohort) -> None:
    _success(cohort)
    cohort.cancel()


def _cancel_sent(cohort: Cohort) -> None:
    _cancelling(cohort)
    cohort.claim(OrderKind.CANCEL)


def _cancel_unknown(cohort: Cohort) -> None:
    _cancel_sent(cohort)
    cohort.reply("Unknown")


def _cancelled(cohort: Cohort) -> None:
    _cancel_sent(cohort)
    cohort.reply("Undone")


def _write_failed(cohort: Cohort) -> None:
    _success(cohort)
    cohort.written(False)


def _written(cohort: Cohort) -> None:
    _success(cohort)
    cohort.written(True)
    cohort.claim(OrderKind.WRITE_CONFIRM)
    cohort.reply("Paid", paid_fen=AMOUNT)


def _card_cancel_sent(cohort: Cohort) -> None:
    _success(cohort)
    cohort.cancel()
    cohort.claim(OrderKind.CANCEL)


def _bad_card_cancel_sent(cohort: Cohort) -> None:
    _write_failed(cohort)
    cohort.cancel()
    cohort.claim(OrderKind.CANCEL)


def _stay(cohort: Cohort) -> None:
    """RESERVED, as accepted."""


PLACES: Mapping[str, tuple[str, str, Callable[[Cohort], None]]] = {
    # name: (service, payment's state, the way there)
    "reserved": ("acme.bill", "RESERVED", _stay),
    "unsent": ("acme.bill", "RESERVED", _unsent),
    "sent": ("acme.bill", "SENT", _sent),
    "accepted": ("acme.topup", "SENT", _accepted),
    "unknown": ("acme.bill", "UNKNOWN", _unknown),
    "success": ("acme.bill", "SUCCESS", _success),
    "declined": ("acme.bill", "FAILED", _declined),
    "expired": ("acme.bill", "FAILED", _expired),
    "reversing": ("acme.bill", "REVERSING", _reversing),
    "reverse-sent": ("acme.bill", "REVERSING", _reverse_sent),
    "reverse-unknown": ("acme.bill", "REVERSING", _reverse_unknown),
    "reversed": ("acme.bill", "REVERSED", _reversed),
    "cancelling": ("acme.bill", "CANCELLING", _cancelling),
    "cancel-sent": ("acme.bill", "CANCELLING", _cancel_sent),
    "cancel-unknown": ("acme.bill", "CANCELLING", _cancel_unknown),
    "cancelled": ("acme.bill", "CANCELLED", _cancelled),
    "wait-write": ("meters.card", "PAID_WAIT_WRITE", _success),
    "write-failed": ("meters.card", "WRITE_FAILED", _write_failed),
    "written": ("meters.card", "WRITTEN", _written),
    "card-cancel-sent": ("meters.card", "CANCELLING", _card_cancel_sent),
    "bad-card-cancel-sent": ("meters.card", "CANCELLING", _bad_card_cancel_sent),
}


def bring(house: House, place: str, count: int) -> Cohort:
    """`count` payments at a place."""
    service, state, way = PLACES[place]
    cohort = accept(house, count, service)
    way(cohort)
    assert {payment.state for payment in cohort.now()} == {state}
    return cohort


def evidence(cohort: Cohort, index: int, kind: str, *, source: str = "query", **answer: Any) -> items.Judge:
    """Evidence about the PAY order of one payment; a Paid says the whole amount and the usual serial."""
    payment = cohort.payments[index]
    if kind == "Paid":
        answer = {"paid_fen": AMOUNT, "biller_serial": biller_serial(payment)} | answer
    return items.Judge(
        source=source,
        entropy=cohort.house.entropy(),
        answer=items.Answer(kind=kind, **answer),
        gateway_serial=payment.gateway_serial,
        order_serial=payment.gateway_serial,
    )


def breaks(house: House, payments: Sequence[rows.Payment]) -> dict[str, set[str]]:
    """Codes of open breaks by payment."""
    found: dict[str, set[str]] = {payment.gateway_serial: set() for payment in payments}
    for row in house.rows_of(rows.Break, "state = 'OPEN'"):
        if row.gateway_serial in found:
            found[str(row.gateway_serial)].add(row.code)
    return found
