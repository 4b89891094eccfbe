"""What cancel, refund and card-write requests share: who asks about which payment, under which key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from contracts.serials import Serials
from gateway.core.admit import Admission, admit, record_request
from gateway.core.book import Book
from gateway.core.days import open_day
from gateway.core.env import Env
from gateway.core.items import Cancel, Refund, Refusal, ReportWrite, Taken
from gateway.core.keys import claim_keys, refuse_key, replay
from gateway.core.moves import Mover
from gateway.core.outcome import read_payments
from gateway.core.resolve import draw_numbers
from gateway.core.rows import Key, Payment
from gateway.core.steps import Read, Work

Ask = TypeVar("Ask", Cancel, Refund, ReportWrite)


@dataclass(slots=True)
class Targets:
    """A batch that is read and locked: movers per arrival, and the refusals that leave a key free."""

    admission: Admission
    book: Book
    movers: Mapping[str, Mover]
    early: Mapping[str, Refusal]
    ours: set[tuple[str, str]]

    def known(self, item: Ask) -> Taken | Refusal | None:
        """What this item's key or caller answers already; None where the item is to be decided now."""
        arrival_id = item.arrival.arrival_id
        if arrival_id in self.early:
            return self.early[arrival_id]
        held = self.held(item)
        fresh = (held.institution_code, held.key) in self.ours and held.arrival_id == arrival_id
        return None if fresh else replay(item, held, self.book)

    def held(self, item: Ask) -> Key:
        """The row of this item's key."""
        caller = self.admission.callers[item.arrival.arrival_id]
        return self.book.need(Key, caller.institution_code, item.key)

    def refuse(self, item: Ask, refusal: Refusal) -> Refusal:
        """A refusal that is final for the key."""
        refuse_key(self.held(item), refusal, self.book)
        return refusal

    def keep_record(self, item: Ask) -> None:
        """Keep what was signed."""
        mover = self.movers[item.arrival.arrival_id]
        record = record_request(item.arrival, self.admission, mover.serials, self._about(item))
        if record is not None:
            self.book.add(record)

    def _about(self, item: Ask) -> str | None:
        return None if item.arrival.arrival_id in self.early else item.gateway_serial


def prepare(items: Sequence[Ask], env: Env) -> Work[Targets]:
    """Admit, find the payments, take the keys, then lock days, balances and payments in the house's order."""
    book = Book()
    admission = yield from admit(items, book)
    plain: list[Payment] = yield Read("payments", sorted({(item.gateway_serial,) for item in items}))
    found = {payment.gateway_serial: payment for payment in plain}
    missing = sorted({(item.gateway_serial,) for item in items} - {(serial,) for serial in found})
    gone: list[Payment] = (yield Read("payments_archived", missing)) if missing else []
    archived = {payment.gateway_serial: payment for payment in gone}
    early = {
        item.arrival.arrival_id: refusal
        for item in items
        if (refusal := _early(item, admission, found | archived) or _moved(item, archived)) is not None
    }
    runnable = [item for item in items if item.arrival.arrival_id not in early]
    ours = yield from claim_keys([_key(item, admission) for item in runnable], book)
    day = yield from open_day(admission.now, env)
    yield from read_payments({item.gateway_serial for item in runnable}, book, env)
    payments = [book.need(Payment, item.gateway_serial) for item in runnable]
    if payments:
        book.load((yield Read("windows_shared", sorted({(p.biller, p.settle_date) for p in payments}))))
        book.load((yield Read("tariffs", sorted({(p.service,) for p in payments}))))
        book.load((yield Read("refunds_of", sorted({(p.gateway_serial,) for p in payments}))))
    movers: dict[str, Mover] = {}
    numbers: dict[str, int] = {}
    for item in items:
        serials = Serials(admission.now, env.zone, item.arrival.entropy)
        movers[item.arrival.arrival_id] = Mover(book, env, admission.now, day, serials, numbers)
    if runnable:
        yield from draw_numbers([p.biller for p in payments], movers[runnable[0].arrival.arrival_id])
    return Targets(admission, book, movers, early, ours)


def _early(item: Ask, admission: Admission, found: Mapping[str, Payment]) -> Refusal | None:
    """401, and 404 for what is not this station's: both leave the key free."""
    refusal = admission.refusals.get(item.arrival.arrival_id)
    if refusal is not None:
        return refusal
    payment = found.get(item.gateway_serial)
    if payment is None or payment.institution_code != admission.callers[item.arrival.arrival_id].institution_code:
        return Refusal(slug="not-found", detail="This station has no such payment.")
    return None


def _moved(item: Ask, archived: Mapping[str, Payment]) -> Refusal | None:
    """What has moved to the archive moves no more money."""
    payment = archived.get(item.gateway_serial)
    if payment is None:
        return None
    return conflict(payment, "The payment has moved to the archive.", "该笔缴费已归档，请联系邮政局办理")


def _key(item: Ask, admission: Admission) -> Key:
    return Key(
        institution_code=str(admission.callers[item.arrival.arrival_id].institution_code),
        key=item.key,
        kind="PAYMENT",
        request_hash=item.request_hash,
        gateway_serial=item.gateway_serial,
        problem=None,
        arrival_id=item.arrival.arrival_id,
        created_at=admission.now,
    )


def conflict(payment: Payment, detail: str, shop_text: str | None = None) -> Refusal:
    """409 state-conflict about this payment."""
    return Refusal(slug="state-conflict", detail=detail, shop_text=shop_text, gateway_serial=payment.gateway_serial)
