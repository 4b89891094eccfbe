"""Each answer against each state, alone and in every order, against the tables of the worked example (M4, M5, M8).

The expectation is worked out from the text of the tables, never from the code's own.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts.states import Event, OrderEvent, OrderKind, OrderState, State
from gateway.core import items, rows
from tests.stand.house import House
from tests.unit.core.cohort import AMOUNT, PLACES, Cohort, breaks, bring, evidence
from tests.unit.core.oracle import violations
from tests.unit.core.tables import order_cells, payment_cells

EDGES, WAITING, BREAKING = payment_cells()
CELLS = order_cells()

# What a biller may say about a PAY, as the events of the tables. Ages: absent counts, and counts not.
SAYS = ("Paid", "Paid other", "Declined", "Absent old", "Absent young", "Unknown", "Pending", "Accepted", "NotSent")


@dataclass
class Expected:
    """One payment by the book of tables: its state, its PAY order's, what waits, what broke."""

    state: State
    pay: OrderState
    undo: OrderState | None
    card: bool = False
    sent: bool = True  # a byte may have left once: an absence has an age
    old: bool = False  # was older than the first age before anything was said
    serial: str = "usual"
    waiting: list[Event] = field(default_factory=list)
    breaks: set[str] = field(default_factory=set)

    def hear(self, said: str) -> None:
        serial = "another" if said == "Paid other" else "usual"
        if said.startswith("Paid") and self.pay is OrderState.DONE:
            if serial != self.serial:
                self.breaks.add("DUPLICATE")
            return
        if said in ("Pending", "NotSent"):
            return  # a question that did not leave says nothing; a NotSent of no attempt is no NotSent
        final = self.sent and (said == "Absent old" or (said == "Absent young" and self.old))
        if said in ("Unknown", "Absent young", "Absent old") and not final and self.state is State.SENT:
            return  # lost by its own call or by time, not by a vague question
        if said.startswith("Paid"):
            was = self.pay
            self.meet(Event.PAID)
            if was is not self.pay:
                self.serial = serial
            return
        event = Event.ABSENT_FINAL if final else None
        self.meet(event or {"Declined": Event.DECLINED, "Accepted": Event.ACCEPTED}.get(said, Event.LOST))

    def meet(self, event: Event) -> None:
        if event is Event.PAID and self.state is State.REVERSING:
            if self.undo is not OrderState.READY:
                self.waiting.append(event)
                return
            # The REVERSE is given up, then PAID is judged, then what waited before.
            self.state, self.undo = State.UNKNOWN, OrderState.VOID
            waited, self.waiting = self.waiting, []
            for each in (event, *waited):
                self.meet(each)
            return
        pair = (self.state, event)
        if pair in WAITING:
            self.waiting.append(event)
        elif pair in BREAKING:
            self.breaks.add("STATUS_DIFF_SHORT" if event in (Event.PAID, Event.ACCEPTED) else "STATUS_DIFF_OVER")
        elif pair in EDGES:
            cell = CELLS[OrderKind.PAY, self.pay, OrderEvent(event.lower())]
            if cell in ("k", "b"):
                return
            self.pay = OrderState(cell)
            self.state = EDGES[pair]
            if self.card and event is Event.PAID and self.state is State.SUCCESS:
                self.state = State.PAID_WAIT_WRITE

    def undone(self, how: str) -> None:
        """The open undo ends; what waited is judged, proof of payment first."""
        reverse = self.state is State.REVERSING
        if how == "Undone":
            self.state = State.REVERSED if reverse else State.CANCELLED
            self.pay = OrderState.VOID if reverse else self.pay
        elif how == "StillPaid" and reverse:
            self.state, self.pay = State.SUCCESS, OrderState.DONE
            self.waiting = [event for event in self.waiting if event is not Event.PAID]
        else:
            self.state = State.UNKNOWN if reverse else State.SUCCESS
        self.undo = OrderState.DONE
        waiting, self.waiting = sorted(self.waiting, key=lambda event: event is not Event.PAID), []
        for event in waiting:
            self.meet(event)


def start(place: str) -> Expected:
    state = State(PLACES[place][1])
    pay = {
        State.RESERVED: OrderState.READY,
        State.SENT: OrderState.SENT,
        State.UNKNOWN: OrderState.UNKNOWN,
        State.REVERSING: OrderState.UNKNOWN,
        State.REVERSED: OrderState.VOID,
        State.FAILED: OrderState.VOID if place == "expired" else OrderState.REFUSED,
    }.get(state, OrderState.DONE)
    undo = {"reversing": OrderState.READY, "cancelling": OrderState.READY}.get(place, OrderState.SENT)
    return Expected(
        state,
        pay,
        undo,
        card=PLACES[place][0] == "meters.card",
        sent=place not in ("reserved", "expired"),
        old=place.startswith("revers"),
    )


def heard(cohort: Cohort, index: int, said: str) -> items.Judge:
    match said:
        case "Paid other":
            return evidence(cohort, index, "Paid", biller_serial="another")
        case "Absent old" | "Absent young":
            return evidence(cohort, index, "Absent")
        case "Accepted":
            return evidence(cohort, index, "Accepted", source="notice", ask_after_s=60)
    return evidence(cohort, index, said)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[House]:
    """A house with money enough for a cohort, whose billers forget nothing within a test."""
    house = House(tmp_path, deposit_fen=50_000_000, durable=False)
    yield house
    house.close()


def check(cohort: Cohort, expected: list[Expected], labels: list[object]) -> None:
    house = cohort.house
    broken = breaks(house, cohort.payments)
    orders = {order.order_serial: order for order in house.rows_of(rows.Order)}
    waiting: dict[str, int] = {}
    for row in house.rows_of(rows.EvidenceRow, "waiting = 1"):
        waiting[row.gateway_serial] = waiting.get(row.gateway_serial, 0) + 1
    for payment, want, label in zip(cohort.now(), expected, labels, strict=True):
        serial = payment.gateway_serial
        assert payment.state == want.state, (label, payment)
        assert orders[serial].state == want.pay, (label, orders[serial])
        assert broken[serial] == want.breaks, label
        assert waiting.get(serial, 0) == len(want.waiting), label
    assert violations(house) == []


SERIES = [(one,) for one in SAYS] + [
    pair
    for pair in itertools.product((*SAYS[:6], "Accepted"), repeat=2)
    # One commit has one age: what is young and what is old do not meet.
    if {"Absent old", "Absent young"} != set(pair)
]


@pytest.mark.parametrize("place", PLACES)
def test_m4_m5_m8_every_answer_in_every_order(deep: House, place: str) -> None:
    """All single answers and all pairs of answers, against the tables read as text."""
    cohort = bring(deep, place, len(SERIES))
    expected = [start(place) for _ in SERIES]
    for young in (True, False):
        if not young:
            deep.advance(3600)
        for turn in range(2):
            now = [i for i, series in enumerate(SERIES) if len(series) > turn and needs_young(series) is young]
            deep.advance(0.001)
            deep.batch([heard(cohort, index, SERIES[index][turn]) for index in now])
            for index in now:
                expected[index].hear(SERIES[index][turn])
    check(cohort, expected, list(SERIES))


def needs_young(series: tuple[str, ...]) -> bool:
    return "Absent young" in series


UNDOING = ("reversing", "reverse-sent", "reverse-unknown", "cancelling", "cancel-sent", "cancel-unknown")
WAITERS: list[tuple[str, ...]] = [
    (),
    *((said,) for said in ("Paid", "Declined", "Absent old", "Accepted", "Unknown")),
    *itertools.permutations(("Paid", "Declined", "Absent old", "Accepted"), 2),
]


@pytest.mark.parametrize("place", [place for place in UNDOING if place not in ("reversing", "cancelling")])
@pytest.mark.parametrize("end", ["Undone", "StillPaid", "NotUndone"])
def test_m8_what_waited_is_judged_when_the_undo_ends(deep: House, place: str, end: str) -> None:
    cohort = bring(deep, place, len(WAITERS))
    expected = [start(place) for _ in WAITERS]
    deep.advance(3600)
    undo = cohort.orders(OrderKind.REVERSE if place.startswith("reverse") else OrderKind.CANCEL)
    for turn in range(2):
        deep.advance(1)
        now = [index for index, series in enumerate(WAITERS) if len(series) > turn]
        deep.batch([heard(cohort, index, WAITERS[index][turn]) for index in now])
        for index in now:
            expected[index].hear(WAITERS[index][turn])
    deep.batch([deep.evidence(order, end) for order in undo])
    for each in expected:
        each.undone(end)
    check(cohort, expected, list(WAITERS))


KINDS = "Paid Accepted Declined NotSent Unknown Pending Absent Undone StillPaid NeverPaid NotUndone Strange".split()
SOURCES = ("reply", "query", "clock")
TWO_ORDERS = [place for place in PLACES if place.startswith(("revers", "cancel", "write-", "written", "card", "bad"))]


@pytest.mark.parametrize(
    ("place", "newest"), [*((place, True) for place in PLACES), *((place, False) for place in TWO_ORDERS)]
)
def test_evidence_is_never_refused(deep: House, place: str, newest: bool) -> None:
    """Whatever anybody says about any order, at once and said again: it is kept and the book stays whole."""
    said = list(itertools.product(KINDS, SOURCES))
    cohort = bring(deep, place, len(said))
    orders = cohort.orders() if newest else cohort.orders(OrderKind.PAY)
    for _ in range(2):
        deep.advance(3600)
        asked = [
            deep.evidence(order, kind, source=source, paid_fen=AMOUNT, biller_serial="X", raw=b"raw")
            for order, (kind, source) in zip(orders, said, strict=True)
        ]
        replies = deep.batch(asked)
        assert all(isinstance(reply, items.Judged) and reply.known for reply in replies)
    assert len(deep.rows_of(rows.EvidenceRow, "record_id IS NOT NULL")) == 2 * len(said)
    assert violations(deep) == []
