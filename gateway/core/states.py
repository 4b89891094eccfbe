"""The two state tables, as data (design s3, style s5, worked example s4).

`advance` and `advance_order` look a pair up or say what becomes of it; `follow` derives a payment's state from its
orders. Every pair of (state, event) is a move, refused (our commands), or evidence that is kept, waits, or opens a
break.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from contracts.states import Event, OrderEvent, OrderKind, OrderState, State

S, E = State, Event

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (S.CREATED, E.RESERVE): S.RESERVED,
    (S.RESERVED, E.SEND): S.SENT,
    (S.RESERVED, E.GIVE_UP): S.FAILED,
    (S.RESERVED, E.LOST): S.UNKNOWN,  # a restored book (M4)
    (S.RESERVED, E.PAID): S.SUCCESS,  # alarm: a NotSent was wrong
    (S.RESERVED, E.ACCEPTED): S.UNKNOWN,  # alarm: the biller holds what we thought unsent
    (S.SENT, E.ACCEPTED): S.SENT,
    (S.SENT, E.PAID): S.SUCCESS,
    (S.SENT, E.DECLINED): S.FAILED,
    (S.SENT, E.NOT_SENT): S.RESERVED,
    (S.SENT, E.LOST): S.UNKNOWN,
    (S.UNKNOWN, E.PAID): S.SUCCESS,
    (S.UNKNOWN, E.DECLINED): S.FAILED,
    (S.UNKNOWN, E.ABSENT_FINAL): S.FAILED,
    (S.UNKNOWN, E.LOST): S.UNKNOWN,
    (S.UNKNOWN, E.REVERSE): S.REVERSING,
    (S.SUCCESS, E.CANCEL): S.CANCELLING,
    (S.FAILED, E.PAID): S.SUCCESS,  # correction, by any later proof
    (S.REVERSING, E.REVERSED): S.REVERSED,
    (S.REVERSING, E.REFUSED): S.UNKNOWN,
    (S.REVERSING, E.PAID): S.SUCCESS,  # a refused reversal whose code proves the payment booked
    (S.REVERSING, E.LOST): S.REVERSING,
    (S.CANCELLING, E.CANCELLED): S.CANCELLED,
    (S.CANCELLING, E.REFUSED): S.SUCCESS,
    (S.CANCELLING, E.REFUSED_UNWRITTEN): S.PAID_WAIT_WRITE,
    (S.CANCELLING, E.REFUSED_BAD_WRITE): S.WRITE_FAILED,
    (S.CANCELLING, E.LOST): S.CANCELLING,
    (S.PAID_WAIT_WRITE, E.WROTE): S.WRITTEN,
    (S.PAID_WAIT_WRITE, E.WRITE_BAD): S.WRITE_FAILED,
    (S.PAID_WAIT_WRITE, E.CANCEL): S.CANCELLING,
    (S.WRITE_FAILED, E.WROTE): S.WRITTEN,
    (S.WRITE_FAILED, E.WRITE_BAD): S.WRITE_FAILED,
    (S.WRITE_FAILED, E.CANCEL): S.CANCELLING,
}
"""Moves of a payment. For card meters PAID leads to PAID_WAIT_WRITE instead of SUCCESS."""

COMMANDS: frozenset[Event] = frozenset({E.RESERVE, E.SEND, E.GIVE_UP, E.REVERSE, E.CANCEL})
"""Our own moves: without an edge they are an IllegalMove, never kept."""

WAITS: Mapping[State, frozenset[Event]] = {
    S.REVERSING: frozenset({E.DECLINED, E.ABSENT_FINAL, E.ACCEPTED}),
    S.CANCELLING: frozenset({E.PAID, E.DECLINED, E.ABSENT_FINAL, E.ACCEPTED, E.WROTE, E.WRITE_BAD}),
}
"""Evidence that is judged again when the open order ends. PAID on REVERSING waits too, unless a refusal proves it."""

_AGAINST_PAID = frozenset({E.DECLINED, E.ABSENT_FINAL, E.REVERSED, E.CANCELLED})
BREAKS: Mapping[State, frozenset[Event]] = {
    S.SUCCESS: _AGAINST_PAID,
    S.FAILED: frozenset({E.ACCEPTED}),
    S.REVERSED: frozenset({E.PAID, E.ACCEPTED}),
    S.CANCELLED: frozenset({E.PAID, E.REFUSED, E.WROTE}),
    S.PAID_WAIT_WRITE: _AGAINST_PAID,
    S.WRITTEN: _AGAINST_PAID | {E.WRITE_BAD},
    S.WRITE_FAILED: _AGAINST_PAID,
}
"""Evidence against a state without an edge: the state stays, a linked break opens with an alarm."""


class IllegalMove(Exception):
    """A command of ours without an edge: our bug, or a lost race."""


class Verdict(StrEnum):
    """What becomes of evidence that does not move the state."""

    KEEP = "keep"
    WAIT = "wait"
    BREAK = "break"


def advance(state: State, event: Event, *, card_meter: bool = False) -> State | Verdict:
    """The payment's next state, or what becomes of evidence without an edge. Raises IllegalMove for a command."""
    to = TRANSITIONS.get((state, event))
    if to is not None:
        return S.PAID_WAIT_WRITE if card_meter and event is E.PAID and to is S.SUCCESS else to
    if event in COMMANDS:
        raise IllegalMove(f"{event} on {state}")
    if event in WAITS.get(state, frozenset()):
        return Verdict.WAIT
    if event in BREAKS.get(state, frozenset()):
        return Verdict.BREAK
    return Verdict.KEEP


O, K = OrderState, OrderKind  # noqa: E741  (the tables below are read by eye)
_PAYING = frozenset({K.PAY, K.DEBIT, K.REFUND})
_GROUPS: Mapping[str, frozenset[OrderKind]] = {
    "P": _PAYING,
    "R": frozenset({K.REVERSE}),
    "C": frozenset({K.CANCEL}),
    "W": frozenset({K.WRITE_CONFIRM}),
}
_COLUMNS = (O.READY, O.SENT, O.UNKNOWN, O.REFUSED, O.VOID, O.DONE)

_ORDER_ROWS: tuple[tuple[OrderEvent, str, str], ...] = (
    # event, kinds, one cell a column of READY SENT UNKNOWN REFUSED VOID DONE: a state, k kept, b break, x refused
    (OrderEvent.CLAIM, "PRCW", "SENT x x x x x"),
    (OrderEvent.NOT_SENT, "PRCW", "k READY k k k k"),
    (OrderEvent.ACCEPTED, "PRCW", "UNKNOWN SENT k b b k"),
    (OrderEvent.PAID, "P", "DONE DONE DONE DONE DONE k"),
    (OrderEvent.DECLINED, "P", "k REFUSED REFUSED k k b"),
    (OrderEvent.REVERSED, "P", "x x VOID x x x"),
    (OrderEvent.REVERSED, "R", "DONE DONE DONE b b k"),
    (OrderEvent.CANCELLED, "C", "DONE DONE DONE b b k"),
    (OrderEvent.WROTE, "W", "DONE DONE DONE DONE DONE k"),
    (OrderEvent.REFUSED, "RCW", "k REFUSED REFUSED k k b"),
    (OrderEvent.LOST, "PRCW", "k UNKNOWN UNKNOWN k k k"),
    (OrderEvent.ABSENT_FINAL, "PRCW", "k k VOID k k b"),
    (OrderEvent.GIVE_UP, "PRC", "VOID x x x x x"),
    (OrderEvent.EXPIRED, "PRC", "VOID x x x x x"),
    (OrderEvent.RESTORED, "PRCW", "UNKNOWN UNKNOWN UNKNOWN REFUSED VOID DONE"),
)


def _cells() -> dict[tuple[OrderKind, OrderState, OrderEvent], OrderState | Verdict]:
    table: dict[tuple[OrderKind, OrderState, OrderEvent], OrderState | Verdict] = {}
    for event, groups, text in _ORDER_ROWS:
        for column, cell in zip(_COLUMNS, text.split(), strict=True):
            for kind in frozenset[OrderKind]().union(*(_GROUPS[group] for group in groups)):
                if cell == "x":
                    continue
                table[kind, column, event] = {"k": Verdict.KEEP, "b": Verdict.BREAK}.get(cell) or O(cell)
    return table


ORDER_MOVES: Mapping[tuple[OrderKind, OrderState, OrderEvent], OrderState | Verdict] = _cells()
"""Moves of an order; a pair that is not here is refused. A PAY voided by its reversal meets PAID with a break."""


def advance_order(
    kind: OrderKind, state: OrderState, event: OrderEvent, *, voided_by: str | None = None
) -> OrderState | Verdict:
    """The order's next state, or KEEP, or BREAK. Raises IllegalMove for what is not offered."""
    if event is OrderEvent.PAID and state is O.VOID and voided_by == OrderEvent.REVERSED:
        return Verdict.BREAK
    try:
        return ORDER_MOVES[kind, state, event]
    except KeyError:
        raise IllegalMove(f"{event} on {kind} order in {state}") from None


class Standing:
    """What `follow` needs of one order: kind, serial (time-ordered) and state."""

    __slots__ = ("kind", "serial", "state")

    def __init__(self, kind: str, serial: str, state: str) -> None:
        self.kind, self.serial, self.state = OrderKind(kind), serial, OrderState(state)


_UNDECIDED = frozenset({O.READY, O.SENT, O.UNKNOWN})


def follow(orders: Sequence[Standing], *, card_meter: bool = False) -> State:
    """The payment's state that its orders give (worked example s4.3). `orders`: all of one payment, any order."""
    by_kind: dict[OrderKind, list[Standing]] = {}
    for order in sorted(orders, key=lambda item: item.serial):
        by_kind.setdefault(order.kind, []).append(order)
    for kind, done, open_ in ((K.CANCEL, S.CANCELLED, S.CANCELLING), (K.REVERSE, S.REVERSED, S.REVERSING)):
        undoing = by_kind.get(kind, [])
        if any(order.state is O.DONE for order in undoing):
            return done
        if undoing and undoing[-1].state in _UNDECIDED:
            return open_
    primary = next(order for kind in _PAYING for order in by_kind.get(kind, []))
    if primary.state is not O.DONE:
        return {
            O.READY: S.RESERVED,
            O.SENT: S.SENT,
            O.UNKNOWN: S.UNKNOWN,
            O.REFUSED: S.FAILED,
            O.VOID: S.FAILED,
        }[primary.state]
    if not card_meter:
        return S.SUCCESS
    writes = [order.state for order in by_kind.get(K.WRITE_CONFIRM, [])]
    if O.DONE in writes:
        return S.WRITTEN
    return S.WRITE_FAILED if O.REFUSED in writes else S.PAID_WAIT_WRITE


def diagram() -> str:
    """The payment's moves as Mermaid text, printed into the README from the table."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {was} --> {to}: {event}" for (was, event), to in TRANSITIONS.items()]
    lines.append(f"    {S.SENT} --> {S.PAID_WAIT_WRITE}: PAID (card meter)")
    return "\n".join(lines)
