"""Each answer against each state, alone and in every order, against the tables of the worked example (M4, M5, M8).

The expectation is worked out from the text of the tables, never from the code's own.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from contracts.states import Event, OrderEvent, OrderKind, OrderState, State
from gateway.core import items, rows
from tests.stand.house import House
from tests.unit.core.cohort import AMOUNT, FEE, PLACES, Cohort, breaks, bring, evidence
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


def held(house: House) -> int:
    return house.balance()[1]


def test_m4_lost_is_never_declined(house: House) -> None:
    payment = house.pay()
    house.settle(payment, "Unknown")
    assert house.now_of(payment).state == "UNKNOWN"
    assert held(house) == 10_100


@pytest.mark.parametrize("kind", ["Pending", "Absent", "Unknown", "Undone", "Strange"])
def test_m4_an_answer_of_a_call_that_proves_nothing_leaves_it_in_doubt(house: House, kind: str) -> None:
    """Whatever an adapter returns: the order never stays SENT without a next question."""
    payment = house.pay()
    house.settle(payment, kind)
    order = house.order_of(payment)
    assert (house.now_of(payment).state, order.state) == ("UNKNOWN", "UNKNOWN")
    assert order.ask_at == house.now + 10_000


def test_m4_not_sent_counts_for_the_current_attempt_only(house: House) -> None:
    payment = house.pay()
    first = house.send(payment)
    house.ask(house.reply_of(first, "NotSent", retry_after_s=1), items.Judged)
    house.advance(2)
    house.send(payment)
    late = house.reply_of(first, "NotSent")
    assert house.ask(late, items.Judged).effect == "redone"
    assert house.now_of(payment).state == "SENT"
    stranger = house.reply_of(first, "NotSent")
    stranger = items.Judge(**{f: getattr(stranger, f) for f in stranger.__struct_fields__} | {"attempt_id": "gone"})
    assert house.ask(stranger, items.Judged).effect == "keep"
    assert house.now_of(payment).state == "SENT"


def test_m4_a_late_not_sent_after_recovery_sends_nothing_again(house: House) -> None:
    payment = house.pay()
    granted = house.send(payment)
    house.advance(21)
    assert house.ask(items.Sweep(entropy=1), items.Swept).overdue == 1
    late = house.ask(house.reply_of(granted, "NotSent"), items.Judged)
    assert (late.effect, late.again) == ("keep", None)
    assert house.order_of(payment).state == "UNKNOWN"


@pytest.mark.parametrize(("kind", "state"), [("Paid", "SUCCESS"), ("Declined", "FAILED"), ("Accepted", "UNKNOWN")])
def test_late_answers_after_recovery_are_evidence(house: House, kind: str, state: str) -> None:
    payment = house.pay()
    granted = house.send(payment)
    house.advance(21)
    house.ask(items.Sweep(entropy=1), items.Swept)
    late = house.reply_of(granted, kind, paid_fen=10_000, biller_serial="B")
    house.ask(late, items.Judged)
    assert house.now_of(payment).state == state
    before = len(house.rows_of(rows.EvidenceRow))
    assert house.ask(late, items.Judged).effect == "redone"
    assert len(house.rows_of(rows.EvidenceRow)) == before
    assert violations(house) == []


def test_m6_absent_counts_between_the_two_ages_only(house: House) -> None:
    for seconds, state in ((0, "UNKNOWN"), (601.999, "UNKNOWN"), (602, "FAILED"), (259_201, "FAILED")):
        payment = at_age(house, seconds)
        assert house.now_of(payment).state == state, seconds
    for seconds in (259_202, 400_000):
        assert house.now_of(at_age(house, seconds)).state == "UNKNOWN", seconds


def at_age(house: House, seconds: float) -> rows.Payment:
    """A payment whose Absent comes this long after its claim; a byte could leave until 2 s after it."""
    start_at, payment = house.now, house.pay(amount_fen=1000 + house.random.getrandbits(12))
    house.settle(payment, "Unknown")
    house.advance(seconds)
    house.ask(house.evidence(house.order_of(payment), "Absent"), items.Judged)
    house.now = start_at
    return payment


def test_m6_the_age_counts_from_the_last_attempt(house: House) -> None:
    payment = house.pay()
    house.settle(payment, "NotSent")
    house.advance(100)
    house.settle(payment, "Unknown")
    house.advance(550)
    house.ask(house.evidence(house.order_of(payment), "Absent"), items.Judged)
    assert house.now_of(payment).state == "UNKNOWN"


def test_m6_a_failed_by_absence_is_not_claimed_again_and_a_later_paid_is_taken(house: House) -> None:
    payment = at_age(house, 700)
    order = house.order_of(payment)
    assert (order.state, house.now_of(payment).reason) == ("VOID", "absent")
    assert house.ask(house.claim(order), items.NotNow).gone
    house.ask(house.evidence(order, "Paid", paid_fen=payment.amount_fen, biller_serial="B"), items.Judged)
    assert house.now_of(payment).state == "SUCCESS"
    assert [row.kind for row in house.rows_of(rows.Alarm)] == ["failed.was.paid"]
    assert violations(house) == []


@pytest.mark.parametrize("source", ["query", "notice", "file"])
def test_what_we_thought_unsent_and_the_biller_holds_is_not_sent(house: House, source: str) -> None:
    """(READY, accepted), and a Paid of another amount on READY: in doubt with an alarm, no claim (M4)."""
    one, two = house.pay(biller_account="30001"), house.pay(biller_account="30002")
    house.ask(house.evidence(house.order_of(one), "Accepted", source=source), items.Judged)
    house.ask(house.evidence(house.order_of(two), "Paid", source=source, paid_fen=1, biller_serial="B"), items.Judged)
    for payment in (one, two):
        assert (house.now_of(payment).state, house.order_of(payment).state) == ("UNKNOWN", "UNKNOWN")
        assert house.order_of(payment).ask_at is not None
        assert house.ask(house.claim(house.order_of(payment)), items.NotNow).gone
    assert {row.code for row in house.rows_of(rows.Break)} == {"AMOUNT_DIFF"}
    assert violations(house) == []


@pytest.mark.parametrize(("paid", "code"), [(9_999, "AMOUNT_DIFF"), (10_001, "AMOUNT_DIFF"), (0, "AMOUNT_DIFF")])
def test_another_amount_is_in_doubt_with_a_break(house: House, paid: int, code: str) -> None:
    payment = house.pay()
    house.settle(payment, "Paid", paid_fen=paid)
    assert house.now_of(payment).state == "UNKNOWN"
    (row,) = house.rows_of(rows.Break)
    assert (row.code, row.amount_fen) == (code, paid - 10_000)


def test_a_partial_answer_of_the_call_is_asked_about_then_a_query_ends_it(house: House) -> None:
    payment = house.pay(service="acme.topup")
    house.settle(payment, "Paid", paid_fen=6_000)
    assert house.now_of(payment).state == "UNKNOWN"
    assert [row.kind for row in house.rows_of(rows.Alarm)] == ["answer.contradicts"]
    house.ask(house.evidence(house.order_of(payment), "Paid", paid_fen=6_000, biller_serial="B"), items.Judged)
    done = house.now_of(payment)
    assert (done.state, done.paid_fen) == ("SUCCESS", 6_000)
    assert house.balance() == (500_000 - 6_060, 0, 0)
    assert {row.recipe for row in house.rows_of(rows.Transaction)} == {"R13", "R01", "R06"}
    assert violations(house) == []


def test_a_repeat_from_elsewhere_is_a_second_charge(house: House) -> None:
    payment = house.settle(house.pay())
    for index in range(3):
        again = house.evidence(house.order_of(payment), "Paid", paid_fen=10_000, biller_serial=f"other-{index}")
        house.ask(again, items.Judged)
    assert [row.code for row in house.rows_of(rows.Break)] == ["DUPLICATE"]
    assert house.now_of(payment) == payment


def test_a_serial_learned_later_is_no_second_charge(house: House) -> None:
    payment = house.settle(house.pay(), "Paid", biller_serial="")
    assert payment.biller_serial is None
    known = house.evidence(house.order_of(payment), "Paid", paid_fen=10_000, biller_serial="B1")
    house.ask(known, items.Judged)
    assert house.now_of(payment).biller_serial == house.order_of(payment).biller_serial == "B1"
    assert house.rows_of(rows.Break) == []


def test_m7_a_notice_must_name_our_account_and_amount(house: House) -> None:
    payment = house.pay()
    order = house.send(payment).order
    for account, amount in (("10002", 10_000), ("10001", 9_999)):
        notice = items.Judge(
            source="notice",
            entropy=house.entropy(),
            answer=items.Answer(kind="Paid", paid_fen=10_000, biller_serial="B", raw=b"raw"),
            biller="acme",
            partner_serial=order.partner_serial,
            biller_account=account,
            amount_fen=amount,
        )
        assert house.ask(notice, items.Judged).effect == "keep"
    assert house.now_of(payment).state == "SENT"
    assert {row.kind for row in house.rows_of(rows.Alarm)} == {"notice.contradicts"}


def test_evidence_of_no_order_of_ours_is_kept_with_an_alarm(house: House) -> None:
    payment = house.pay()
    raw: dict[str, Any] = {"kind": "Paid", "paid_fen": 1, "raw": b"raw"}
    asked = [
        items.Judge(source="notice", entropy=1, answer=items.Answer(**raw), biller="acme", partner_serial="nobody"),
        items.Judge(
            source="file", entropy=2, answer=items.Answer(**raw), gateway_serial="X" * 24, order_serial="X" * 24
        ),
        items.Judge(
            source="file",
            entropy=3,
            answer=items.Answer(**raw),
            gateway_serial="X" * 24,
            order_serial=payment.gateway_serial,
        ),
    ]
    assert [reply.known for reply in house.batch(asked)] == [False, False, False]
    assert [row.kind for row in house.rows_of(rows.Alarm)] == ["evidence.of.unknown.order"] * 3
    assert house.now_of(payment).state == "RESERVED"
    assert len(house.rows_of(rows.Record, "kind <> 'request'")) == 3


def test_undone_without_an_order_of_ours_is_one_break(house: House) -> None:
    payment = house.settle(house.pay(service="acme.topup"), "Accepted", biller_serial="B", ask_after_s=60)
    for _ in range(3):
        house.ask(house.evidence(house.order_of(payment), "Undone"), items.Judged)
    assert [row.code for row in house.rows_of(rows.Break)] == ["UNDONE_BY_BILLER"]
    assert house.now_of(payment).state == "SENT"


def test_accepted_is_lost_when_its_result_is_overdue(house: House) -> None:
    payment = house.settle(house.pay(service="acme.topup"), "Accepted", biller_serial="B", ask_after_s=60)
    house.advance(86_399)
    (question,) = house.ask(items.TakeQuestions(entropy=1), items.Questions).questions
    house.ask(house.evidence(question.order, "Pending"), items.Judged)
    assert house.now_of(payment).state == "SENT"
    house.advance(31)
    (question,) = house.ask(items.TakeQuestions(entropy=2), items.Questions).questions
    assert (house.now_of(payment).state, question.order.state) == ("UNKNOWN", "UNKNOWN")
    house.ask(house.evidence(question.order, "Absent"), items.Judged)
    assert house.now_of(payment).state == "FAILED"
    assert violations(house) == []


def test_a_fee_and_amount_are_what_the_cohort_pays(deep: House) -> None:
    cohort = bring(deep, "success", 1)
    assert (cohort.payments[0].fee_fen, cohort.payments[0].amount_fen) == (FEE, AMOUNT)


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
