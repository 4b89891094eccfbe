"""The simulator's book and ours must agree to the fen, payment by payment (design s5). Pure."""

from collections.abc import Iterable, Iterator, Sequence

from adapters.kit.book import BookLine
from contracts.ports import Seen
from contracts.states import State

_OWED = frozenset({State.SUCCESS, State.WRITTEN, State.PAID_WAIT_WRITE, State.WRITE_FAILED})
_FREE = frozenset({State.RESERVED, State.FAILED, State.REVERSED, State.CANCELLED})


def disagreements(lines: Sequence[BookLine], payments: Iterable[Seen], *, silent: bool) -> list[str]:
    """Every difference between the two books, as sentences; empty when they agree.

    lines: the simulator's whole book. payments: all of ours. silent: undecided payments are allowed, and then not
    compared. Whatever the state, one payment is received once and recorded once: nothing was sent twice.
    """
    ours = {seen.partner_serial: seen for seen in payments}
    found: list[str] = []
    for seen in ours.values():
        own = [line for line in lines if line.order_no == seen.partner_serial and not line.orig_order_no]
        found += _sent_twice(seen, own)
        found += _differs(seen, own, silent=silent)
    found += _strangers(lines, ours)
    return found


def _sent_twice(seen: Seen, own: Sequence[BookLine]) -> Iterator[str]:
    received = sum(line.received for line in own)
    if received > 1:
        yield f"{seen.partner_serial}: received {received} times"
    if len(own) > 1:
        yield f"{seen.partner_serial}: {len(own)} records under one number"


def _differs(seen: Seen, own: Sequence[BookLine], *, silent: bool) -> Iterator[str]:
    theirs = sum(line.charged_fen for line in own)
    for line in own:
        if line.amount_fen != seen.amount.value:
            yield f"{seen.partner_serial}: ordered {seen.amount.value} fen, their book says {line.amount_fen}"
    if seen.state in _OWED:
        paid = seen.paid.value if seen.paid is not None else None
        if theirs != paid:
            yield f"{seen.partner_serial}: {seen.state} with {paid} fen, their book charges {theirs}"
    elif seen.state in _FREE:
        if theirs:
            yield f"{seen.partner_serial}: {seen.state}, yet their book charges {theirs} fen"
    elif not silent:
        yield f"{seen.partner_serial}: still {seen.state}, their book charges {theirs} fen"


def _strangers(lines: Sequence[BookLine], ours: dict[str, Seen]) -> Iterator[str]:
    undone = {State.REVERSED, State.CANCELLED, State.REVERSING, State.CANCELLING}
    for line in lines:
        seen = ours.get(line.orig_order_no or line.order_no)
        if seen is None:
            yield f"{line.order_no}: in their book, not in ours"
        elif line.orig_order_no and seen.state not in undone:
            yield f"{line.order_no}: undoes {line.orig_order_no}, which is {seen.state} with us"
