"""One idempotency key, one effect (M3): a key is one row, and accept and inquiry race on that row."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from contracts.problems import DECIDES_KEY, PROBLEMS
from contracts.states import OrderKind, OrderState, State
from gateway.core.book import Book
from gateway.core.items import Keyed, Refusal, Taken
from gateway.core.rows import Key, Order, Payment
from gateway.core.steps import Claim, Read, Work

PAID = frozenset({State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITTEN, State.WRITE_FAILED})
"""The biller holds the money, and no order may still take it back."""
_refusals = msgspec.json.Decoder(Refusal)


def claim_keys(wanted: Sequence[Key], book: Book) -> Work[set[tuple[str, str]]]:
    """Insert the keys that are free; the answer names those that are ours. The rest is read, with its payment."""
    first: dict[tuple[str, str], Key] = {}
    for key in wanted:
        first.setdefault((key.institution_code, key.key), key)
    ours: set[tuple[str, str]] = yield Claim([first[place] for place in sorted(first)])
    book.load(first[place] for place in ours)
    taken: list[Key] = (yield Read("keys", sorted(set(first) - ours))) if set(first) - ours else []
    book.load(taken)
    serials = sorted({(key.gateway_serial,) for key in taken if key.gateway_serial})
    if serials:
        book.load((yield Read("payments", serials)))
        book.load((yield Read("orders_of", serials)))
        yield from read_archived(serials, book)
    return ours


def read_archived(serials: Sequence[tuple[str]], book: Book) -> Work[None]:
    """Those of the payments that are not in the book, from the archive: final, with no order that matters any more."""
    missing = [place for place in serials if book.get(Payment, *place) is None]
    if missing:
        book.load((yield Read("payments_archived", missing)))


def replay(item: Keyed, held: Key, book: Book) -> Taken | Refusal:
    """What a key that is not free answers to this request, for ever the same but for the payment's own life."""
    if held.kind == "TOMBSTONE":
        return Refusal(slug="tombstoned", detail="This key was asked about before the request arrived.")
    if held.request_hash != item.request_hash:
        return Refusal(slug="key-reused", detail="This key belongs to another request.", field="Idempotency-Key")
    if held.kind == "REFUSED":
        return kept_refusal(held)
    payment = book.get(Payment, held.gateway_serial) if held.gateway_serial else None
    if payment is None:
        return lost(held)
    return taken(payment, book, replayed=held.arrival_id != item.arrival.arrival_id)


def lost(held: Key) -> Refusal:
    """A key whose payment is neither in the book nor in its archive (M3: the key outlives it). It never buys again."""
    return Refusal(
        slug="not-found",
        detail=f"The payment of this key, {held.gateway_serial}, is not in this book.",
        gateway_serial=held.gateway_serial,
        replayed=True,
    )


def kept_refusal(held: Key) -> Refusal:
    """The problem a REFUSED key answers with for ever."""
    return replace(_refusals.decode(held.problem or b""), replayed=True)


def refuse_key(held: Key, refusal: Refusal, book: Book) -> None:
    """Turn our own fresh key into a refused one; raises ValueError for a refusal that must leave the key free."""
    if PROBLEMS[refusal.slug].status not in DECIDES_KEY:
        raise ValueError(f"{refusal.slug} does not decide a key")
    book.put(replace(held, kind="REFUSED", gateway_serial=None, problem=msgspec.json.encode(refusal)))


def taken(payment: Payment, book: Book, *, replayed: bool = False) -> Taken:
    """A payment as it is now, with the newest of its orders that only evidence can end."""
    orders = book.all(Order)
    return Taken(payment=payment, doubt=doubt_of(payment, orders), kept=kept_by(payment, orders), replayed=replayed)


def doubt_of(payment: Payment, orders: Sequence[Order]) -> Order | None:
    """The newest undecided order of a payment that is in doubt, else None."""
    if payment.in_doubt_since is None:
        return None
    undecided = (OrderState.READY, OrderState.SENT, OrderState.UNKNOWN)
    own = [o for o in orders if o.gateway_serial == payment.gateway_serial and o.state in undecided]
    return max(own, key=lambda order: order.order_serial, default=None)


def kept_by(payment: Payment, orders: Sequence[Order]) -> Order | None:
    """The CANCEL by which a payment stayed paid: its newest one, where that was refused or never done, else None."""
    if payment.state not in PAID:
        return None
    own = [o for o in orders if o.gateway_serial == payment.gateway_serial and o.kind == OrderKind.CANCEL]
    newest = max(own, key=lambda order: order.order_serial, default=None)
    return newest if newest is not None and newest.state in (OrderState.REFUSED, OrderState.VOID) else None
