"""Inquiry: what became of my key? Where the key is free it leaves a tombstone (M3, M6)."""

from collections.abc import Sequence

from contracts.serials import Serials
from gateway.core.admit import admit, record_request
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Inquire, Inquired, KeepRefused, Kept, Reply
from gateway.core.keys import claim_keys, kept_refusal, lost, taken
from gateway.core.rows import Key, Payment
from gateway.core.steps import Work


def inquire(items: Sequence[Inquire], env: Env) -> Work[list[Reply]]:
    """Decide a batch of inquiries. Replies: Inquired (all None: a tombstone, now durable) or Refusal."""
    book = Book()
    admission = yield from admit(items, book)
    asking = [item for item in items if item.arrival.arrival_id not in admission.refusals]
    tombstones = [
        Key(
            institution_code=str(admission.callers[item.arrival.arrival_id].institution_code),
            key=item.key,
            kind="TOMBSTONE",
            request_hash=None,
            gateway_serial=None,
            problem=None,
            arrival_id=item.arrival.arrival_id,
            created_at=admission.now,
        )
        for item in asking
    ]
    yield from claim_keys(tombstones, book)
    replies: list[Reply] = []
    for item in items:
        arrival = item.arrival
        refusal = admission.refusals.get(arrival.arrival_id)
        replies.append(refusal or _answer(str(admission.callers[arrival.arrival_id].institution_code), item, book))
        record = record_request(arrival, admission, Serials(admission.now, env.zone, arrival.entropy), None)
        if record is not None:
            book.add(record)
    yield book.write()
    return replies


def _answer(station: str, item: Inquire, book: Book) -> Inquired:
    held = book.need(Key, station, item.key)
    if held.kind == "REFUSED":
        return Inquired(refusal=kept_refusal(held))
    if held.kind == "TOMBSTONE":
        return Inquired()
    payment = book.get(Payment, held.gateway_serial) if held.gateway_serial else None
    return Inquired(taken=taken(payment, book)) if payment is not None else Inquired(refusal=lost(held))


def keep_refused(items: Sequence[KeepRefused], env: Env) -> Work[list[Reply]]:
    """Nonce and record of requests whose content the shell refused. Replies: Kept, or the Refusal of their signer."""
    book = Book()
    admission = yield from admit(items, book)
    replies: list[Reply] = []
    for item in items:
        arrival = item.arrival
        record = record_request(arrival, admission, Serials(admission.now, env.zone, arrival.entropy), None)
        if record is not None:
            book.add(record)
        replies.append(admission.refusals.get(arrival.arrival_id) or Kept(count=1))
    yield book.write()
    return replies
