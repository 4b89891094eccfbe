"""The tables of the code are the tables of the worked example, cell for cell, and every pair is decided (s4.1-s4.4)."""

import itertools

import pytest

from contracts.states import FINAL, Event, OrderEvent, OrderKind, OrderState, State
from gateway.core.states import (
    BREAKS,
    COMMANDS,
    TRANSITIONS,
    WAITS,
    IllegalMove,
    Standing,
    Verdict,
    advance,
    advance_order,
    diagram,
    follow,
)
from tests.unit.core.tables import order_cells, payment_cells

EDGES, WAITING, BREAKING = payment_cells()
CELLS = order_cells()


def test_payment_moves_equal_the_worked_example() -> None:
    assert dict(TRANSITIONS) == EDGES
    assert {(state, event) for state, events in WAITS.items() for event in events} == WAITING
    assert {(state, event) for state, events in BREAKS.items() for event in events} == BREAKING


@pytest.mark.parametrize("state", State)
def test_every_payment_pair_is_decided_once(state: State) -> None:
    for event in Event:
        pair = (state, event)
        assert (pair in EDGES) + (pair in WAITING) + (pair in BREAKING) <= 1
        if pair in EDGES:
            assert advance(state, event) is EDGES[pair]
        elif event in COMMANDS:
            with pytest.raises(IllegalMove):
                advance(state, event)
        elif pair in WAITING:
            assert advance(state, event) is Verdict.WAIT
        elif pair in BREAKING:
            assert advance(state, event) is Verdict.BREAK
        else:
            assert advance(state, event) is Verdict.KEEP


def test_paid_on_a_card_meter_waits_for_the_write() -> None:
    for state in (State.RESERVED, State.SENT, State.UNKNOWN, State.FAILED, State.REVERSING):
        assert advance(state, Event.PAID, card_meter=True) is State.PAID_WAIT_WRITE
    assert advance(State.CANCELLING, Event.REFUSED, card_meter=True) is State.SUCCESS


@pytest.mark.parametrize("kind", [kind for kind in OrderKind if kind is not OrderKind.PAYOUT])
def test_every_order_cell_equals_the_worked_example(kind: OrderKind) -> None:
    verdicts = {"k": Verdict.KEEP, "b": Verdict.BREAK}
    for state, event in itertools.product(OrderState, OrderEvent):
        cell = CELLS.get((kind, state, event), "x")
        if cell == "x":
            with pytest.raises(IllegalMove):
                advance_order(kind, state, event)
        else:
            assert advance_order(kind, state, event) == verdicts.get(cell, cell), (kind, state, event)


def test_paid_on_a_pay_voided_by_its_reversal_is_a_break() -> None:
    kind, void = OrderKind.PAY, OrderState.VOID
    assert advance_order(kind, void, OrderEvent.PAID, voided_by="reversed") is Verdict.BREAK
    assert advance_order(kind, void, OrderEvent.PAID) is OrderState.DONE


def test_m5_unknown_is_left_only_by_evidence() -> None:
    commands = {OrderEvent.CLAIM, OrderEvent.GIVE_UP, OrderEvent.EXPIRED}
    for (kind, state, event), cell in CELLS.items():
        if state is OrderState.UNKNOWN and cell not in ("x", "k", "b", "UNKNOWN"):
            assert event not in commands, (kind, event)
    left = {event for (state, event), to in EDGES.items() if state in DOUBT and to not in DOUBT}
    assert left == {Event.PAID, Event.DECLINED, Event.ABSENT_FINAL, Event.REVERSED}
    assert Event.NOT_SENT not in left


DOUBT = (State.UNKNOWN, State.REVERSING)


def test_every_state_is_reached_and_can_end() -> None:
    reached = {State.CREATED}
    while more := {to for (state, _), to in EDGES.items() if state in reached} - reached:
        reached |= more
    assert reached | {State.PAID_WAIT_WRITE} == set(State)
    ends = set(FINAL)
    while more := {state for (state, _), to in EDGES.items() if to in ends} - ends:
        ends |= more
    assert ends == set(State)


def test_follow_goes_where_the_payments_own_table_goes() -> None:
    """s4.4: over all combinations of PAY, REVERSE, CANCEL and WRITE_CONFIRMs, meter or not."""
    seen: set[tuple[Orders, bool]] = set()
    states: set[State] = set()
    walk: list[tuple[Orders, bool]] = [(("READY", None, None, None, None), card) for card in (False, True)]
    while walk:
        orders, card = walk.pop()
        if (orders, card) in seen:
            continue
        seen.add((orders, card))
        was = state_of(orders, card)
        states.add(was)
        assert sum(state in ("READY", "SENT") for state in orders) <= 1, orders
        for after, event in steps(orders, was, card):
            expected = EDGES.get((was, event), was) if event is not None else was
            if card and event is Event.PAID and expected is State.SUCCESS:
                expected = State.PAID_WAIT_WRITE
            assert state_of(after, card) is expected, (orders, after, event)
            walk.append((after, card))
    assert states == set(State) - {State.CREATED}
    assert len(seen) > 200


Orders = tuple[str | None, ...]
"""States of PAY, REVERSE, CANCEL, the newest WRITE_CONFIRM, and of one before it that was refused."""
_KINDS = (
    OrderKind.PAY,
    OrderKind.REVERSE,
    OrderKind.CANCEL,
    OrderKind.WRITE_CONFIRM,
    OrderKind.WRITE_CONFIRM,
)
_SERIALS = ("1", "3", "4", "5", "2")


def state_of(orders: Orders, card: bool) -> State:
    standing = [
        Standing(kind, serial, state)
        for kind, serial, state in zip(_KINDS, _SERIALS, orders, strict=True)
        if state is not None
    ]
    return follow(list(reversed(standing)), card_meter=card)


def put(orders: Orders, place: int, state: str) -> Orders:
    changed = list(orders)
    if place == 3 and orders[3] == "REFUSED":
        changed[4] = "REFUSED"
    changed[place] = state
    return tuple(changed)


def steps(orders: Orders, was: State, card: bool) -> list[tuple[Orders, Event | None]]:
    """What may happen next, by the order table, with the payment's event that goes with it."""
    found: list[tuple[Orders, Event | None]] = []
    idle = not any(state in ("READY", "SENT") for state in orders)
    if was is State.UNKNOWN and idle:
        found.append((put(orders, 1, "READY"), Event.REVERSE))
    writing = orders[3] in ("READY", "SENT", "UNKNOWN")
    if was in (State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITE_FAILED) and idle and not writing:
        found.append((put(orders, 2, "READY"), Event.CANCEL))
    if card and was in (State.PAID_WAIT_WRITE, State.WRITE_FAILED) and not writing:
        found.append((put(orders, 3, "REFUSED"), Event.WRITE_BAD))
        if idle:
            found.append((put(orders, 3, "READY"), None))
    for place in range(4):
        if orders[place] is not None:
            found += moves(orders, place, was, card)
    return found


_HELD_BACK = (State.REVERSING, State.CANCELLING, State.REVERSED, State.CANCELLED)
"""States in which evidence about PAY or a card waits, breaks or is kept: the tables are not asked for a move."""


def moves(orders: Orders, place: int, was: State, card: bool) -> list[tuple[Orders, Event | None]]:
    kind, found = _KINDS[place], list[tuple[Orders, Event | None]]()
    for event in OrderEvent:
        cell = CELLS.get((kind, OrderState(str(orders[place])), event), "x")
        if cell in ("x", "k", "b") or event is OrderEvent.RESTORED:
            continue
        if kind is OrderKind.PAY and (event is OrderEvent.REVERSED or was in _HELD_BACK):
            continue
        if kind is OrderKind.WRITE_CONFIRM and was in (*_HELD_BACK, State.WRITTEN):
            continue
        others = [state for at, state in enumerate(orders) if at != place]
        if cell in ("READY", "SENT") and any(state in ("READY", "SENT") for state in others):
            continue
        after = put(orders, place, cell)
        if kind is OrderKind.REVERSE and cell == "DONE":
            after = put(after, 0, "VOID")
        found.append((after, payment_event(kind, event, orders, card)))
    return found


def payment_event(kind: OrderKind, event: OrderEvent, orders: Orders, card: bool) -> Event | None:
    """The event of the payment's table that an order's event is."""
    commands = {OrderEvent.CLAIM: Event.SEND, OrderEvent.EXPIRED: Event.GIVE_UP}
    if kind is OrderKind.PAY:
        return commands.get(event) or Event(event.upper())
    if event in (OrderEvent.CLAIM, OrderEvent.NOT_SENT, OrderEvent.ACCEPTED, OrderEvent.LOST):
        return None
    if kind is OrderKind.WRITE_CONFIRM:
        return {OrderEvent.WROTE: Event.WROTE, OrderEvent.REFUSED: Event.WRITE_BAD}.get(event)
    if event in (OrderEvent.REVERSED, OrderEvent.CANCELLED):
        return Event(event.upper())
    if kind is OrderKind.CANCEL:
        # Which refusal it is follows from where the cancel came from.
        before = state_of(put(orders, 2, "VOID"), card)
        from_card = {State.PAID_WAIT_WRITE: Event.REFUSED_UNWRITTEN, State.WRITE_FAILED: Event.REFUSED_BAD_WRITE}
        return from_card.get(before, Event.REFUSED)
    return Event.REFUSED


def test_the_newest_order_of_a_kind_speaks() -> None:
    pay = Standing("PAY", "1", "UNKNOWN")
    old, new = Standing("REVERSE", "2", "REFUSED"), Standing("REVERSE", "3", "SENT")
    assert follow([new, old, pay]) is State.REVERSING
    assert follow([pay, old]) is State.UNKNOWN
    done = [Standing("PAY", "1", "DONE"), Standing("CANCEL", "2", "REFUSED"), Standing("CANCEL", "3", "UNKNOWN")]
    assert follow(done) is State.CANCELLING


def test_the_diagram_names_every_edge() -> None:
    text = diagram()
    assert all(f"{was} --> {to}: {event}" in text for (was, event), to in EDGES.items())
