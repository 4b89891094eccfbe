"""A book restored from a copy, or promoted without synchronous replication, proves nothing (M4).

What was READY or SENT in the copy may have been sent and answered in the book that was lost. So every such order is in
doubt; no signed request of before is taken again; and no partner's number that the lost book may have given out is
given out twice. All of it may be done again at any time: it only ever makes the book more careful.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from contracts.serials import Serials
from contracts.states import OrderEvent, OrderKind, OrderState
from gateway.core.admit import NONCE_FLOOR
from gateway.core.book import Book
from gateway.core.days import DAYS_AHEAD, open_day
from gateway.core.env import Env, day_after, local
from gateway.core.items import Answer, Item, Kept, NotNow, Reply
from gateway.core.judge import Judging, Piece
from gateway.core.moves import Mover
from gateway.core.outcome import LOST, read_payments
from gateway.core.pieces import UNDOING
from gateway.core.restoring import RESTORES, RESTORING
from gateway.core.rows import Alarm, Attempt, Order, PartnerCounter, Payment, Setting
from gateway.core.steps import Now, Read, Scan, Work

FLOOR_AHEAD_MS = 60_000
NUMBER_PARTS = 16
"""A sixteenth of a partner's numbers of a day is passed over: more than a day's payments, and room for ten restores."""
_CAUSE = "the book was restored"


class BeginRestore(Item, frozen=True, kw_only=True):
    """The book is a restored copy (M4): nobody may serve it until EndRestore."""

    entropy: int


class RestoreOrders(Item, frozen=True, kw_only=True):
    """Put the undecided orders after this serial in doubt, at most `limit` of them."""

    after: str = ""
    limit: int = 200
    entropy: int


class EndRestore(Item, frozen=True, kw_only=True):
    """Every order of the restored copy has been dealt with."""


class PeekRestoring(Item, frozen=True, kw_only=True):
    """Whether a restored book is still being made safe."""


class Restored(Reply, frozen=True, kw_only=True):
    """How many orders are in doubt that were not, and after which serial there may be more; None: nowhere."""

    turned: int
    after: str | None


def begin_restore(items: Sequence[BeginRestore], env: Env) -> Work[list[Reply]]:
    """Close the book to `serve`, raise the nonce floor, pass over numbers. Replies: Kept; NotNow where none is left."""
    now: int = yield Now()
    book = Book()
    book.load((yield Read("settings_locked", [(NONCE_FLOOR,), (RESTORING,), (RESTORES,)])))
    floor, restores = book.get(Setting, NONCE_FLOOR), book.get(Setting, RESTORES)
    _set(book, NONCE_FLOOR, max(now + FLOOR_AHEAD_MS, floor.value if floor else 0))
    _set(book, RESTORING, now)
    _set(book, RESTORES, restores.value + 1 if restores else 1)
    spent = yield from _pass_over(book, now, env)
    for item in items:
        serial = Serials(now, env.zone, item.entropy).mint()
        detail = "what was READY or SENT is in doubt; payments made after the copy are in the partners' files alone"
        book.add(
            Alarm(alarm_id=serial, kind="book.restored", biller=None, gateway_serial=None, detail=detail, raised_at=now)
        )
    yield book.write()
    if spent:
        cause = f"no numbers are left for {', '.join(sorted(spent))}"
        return [NotNow(gone=False, cause=cause) for _ in items]
    return [Kept(count=1) for _ in items]


def _set(book: Book, name: str, value: int) -> None:
    row = Setting(name=name, value=value)
    if book.get(Setting, name) is None:
        book.add(row)
    else:
        book.put(row)


def _pass_over(book: Book, now: int, env: Env) -> Work[set[str]]:
    """Move every counter that may be drawn from on; the partners' days that have no numbers left."""
    days = [local(now, env.zone).date().isoformat()]
    while len(days) < DAYS_AHEAD:
        days.append(day_after(days[-1]))
    room = {m.name: 10 ** (m.serial_digits - 8) for m in env.manifests.values() if m.serial_digits}
    places = sorted((biller, day) for biller in room for day in days)
    book.load((yield Read("partner_counters_locked", places)) if places else [])
    spent: set[str] = set()
    for biller, day in places:
        held = book.get(PartnerCounter, biller, day)
        number = (held.next_number if held else 1) + max(1, room[biller] // NUMBER_PARTS)
        if number >= room[biller]:
            spent.add(f"{biller} {day}")
        elif held is None:
            book.add(PartnerCounter(biller=biller, day=day, next_number=number))
        else:
            book.put(replace(held, next_number=number))
    return spent


def restore_orders(items: Sequence[RestoreOrders], env: Env) -> Work[list[Reply]]:
    """Put the next orders in doubt, in the order of their serials. Replies: Restored; `after` None: there are no more.

    READY and SENT become UNKNOWN; an undo that was UNKNOWN may have been sent again since.
    """
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        found: list[Order] = yield Scan("orders_undecided", {"after": item.after, "limit": item.limit})
        book = Book()
        day = yield from open_day(now, env)
        yield from read_payments({order.gateway_serial for order in found}, book, env)
        book.load((yield Read("attempts_of", sorted((order.order_serial,) for order in found))) if found else [])
        mover = Mover(book, env, now, day, Serials(now, env.zone, item.entropy))
        turned = sum(_turn(order, mover) for order in found)
        yield book.write()
        more = len(found) == item.limit
        replies.append(Restored(turned=turned, after=found[-1].order_serial if more else None))
    return replies


def _turn(stale: Order, mover: Mover) -> bool:
    """One order, as it is under the lock; whether it was changed."""
    order = mover.book.get(Order, stale.order_serial)
    if order is None or order.state not in (OrderState.READY, OrderState.SENT, OrderState.UNKNOWN):
        return False
    last_byte = _last_byte(order, mover)
    doubted = order.state == OrderState.UNKNOWN and not order.in_flight
    if doubted and (OrderKind(order.kind) not in UNDOING or (order.send_by or 0) >= last_byte):
        return False
    for attempt in mover.book.all(Attempt):
        if attempt.order_serial == order.order_serial and attempt.outcome is None:
            mover.book.put(replace(attempt, ended_at=mover.now, outcome=LOST, cause=_CAUSE))
    free = {"in_flight": False, "call_deadline": None, "next_try_at": None, "hold": False}
    order = mover.order(order, send_by=max(last_byte, order.send_by or 0), **free)
    answer = Answer(kind="Unknown", cause=_CAUSE)
    piece = Piece(evidence_id=mover.serials.mint(), source="restored", answer=answer, record_id=None)
    Judging(mover).apply(piece, order, mover.book.need(Payment, order.gateway_serial), OrderEvent.RESTORED)
    return True


def _last_byte(order: Order, mover: Mover) -> int:
    """When the lost book could have sent its last byte (M6): no attempt row may have survived (worked example s4.2)."""
    endless = order.kind == OrderKind.WRITE_CONFIRM
    return (mover.now if endless else order.send_before) + mover.env.send_window_ms


def end_restore(items: Sequence[EndRestore], env: Env) -> Work[list[Reply]]:
    """The book may be served. Replies: Kept."""
    book = Book()
    book.load((yield Read("settings_locked", [(RESTORING,)])))
    _set(book, RESTORING, 0)
    yield book.write()
    return [Kept(count=1) for _ in items]


def peek_restoring(items: Sequence[PeekRestoring], env: Env) -> Work[list[Reply]]:
    """Replies: Kept; a count other than 0: since when (ms) it is."""
    found: list[Setting] = yield Read("settings", [(RESTORING,)])
    return [Kept(count=found[0].value if found else 0) for _ in items]
