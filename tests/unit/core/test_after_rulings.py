"""What the biller says after a ruling moves nothing; a contradiction is told, and two people rule again (M5, M12)."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.states import OrderKind
from gateway.core import items, rows
from gateway.core.ruled import event_says_paid, says_paid
from tests.stand.house import House
from tests.stand.office import Office
from tests.unit.core.oracle import violations
from tests.unit.core.ruling import DAY_S, RULED, in_doubt, recipes, refused, rule, sound
from tests.unit.core.test_undoing import cancel


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


# What the biller says afterwards.

FAR = {"paid_fen": 10_000, "biller_serial": "B-LATE"}
AFTER: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    # place, verdict: (order kind, answer) that contradict the ruling; every other answer does not
    ("UNKNOWN", "paid"): (("PAY", "Declined"), ("PAY", "Undone"), ("PAY", "Absent")),
    ("UNKNOWN", "not-paid"): (("PAY", "Paid"), ("PAY", "Accepted")),
    ("REVERSING", "paid"): (
        ("PAY", "Declined"), ("PAY", "Undone"), ("PAY", "Absent"), ("REVERSE", "Undone"), ("REVERSE", "NeverPaid"),
    ),
    ("REVERSING", "not-paid"): (
        ("PAY", "Paid"), ("PAY", "Accepted"), ("REVERSE", "StillPaid"), ("REVERSE", "NotUndone"),
        ("REVERSE", "Declined"), ("REVERSE", "Absent"),
    ),
    ("CANCELLING", "paid"): (
        ("PAY", "Declined"), ("PAY", "Undone"), ("PAY", "Absent"), ("CANCEL", "Undone"), ("CANCEL", "NeverPaid"),
    ),
    ("CANCELLING", "not-paid"): (
        ("CANCEL", "StillPaid"), ("CANCEL", "NotUndone"), ("CANCEL", "Declined"), ("CANCEL", "Absent"),
    ),
}  # fmt: skip
ANSWERS = (
    "Paid", "Declined", "Accepted", "Absent", "Undone", "StillPaid", "NotUndone", "NeverPaid", "Pending", "Unknown",
)  # fmt: skip


def say(house: House, payment: rows.Payment, kind: str, answer: str, source: str) -> items.Judged:
    """Late evidence, with the amount and serial that the book holds where there are any."""
    house.advance(0.001)
    order, known = house.order_of(payment, kind), house.now_of(payment)
    fields: dict[str, Any] = {}
    if answer == "Paid":
        fields = {"paid_fen": known.paid_fen or known.amount_fen, "biller_serial": known.biller_serial or "B-LATE"}
    return house.ask(house.evidence(order, answer, source=source, **fields), items.Judged)


@pytest.mark.parametrize("source", ["query", "notice", "file"])
@pytest.mark.parametrize(("place", "verdict"), RULED)
def test_m5_m12_every_later_word_of_the_biller_is_kept_and_moves_nothing(
    office: Office, place: str, verdict: str, source: str
) -> None:
    """Every kind of answer about every ruled order: state, postings and balances stay; a contradiction is a break."""
    house = office.house
    kinds = ["PAY", *{"REVERSING": ["REVERSE"], "CANCELLING": ["CANCEL"]}.get(place, [])]
    for number, (kind, answer) in enumerate(itertools.product(kinds, ANSWERS)):
        payment = in_doubt(house, place, biller_account=f"3{number:05d}", amount_fen=1_000)
        rule(office, payment, verdict)
        ruled, posted, balance = house.now_of(payment), recipes(house, payment), house.balance()
        judged = say(house, payment, kind, answer, source)
        after = house.now_of(payment)
        named = {"version": ruled.version, "biller_serial": ruled.biller_serial}
        assert {**_plain(after), **named} == _plain(ruled), (kind, answer)
        assert (recipes(house, payment), house.balance()) == (posted, balance), (kind, answer)
        breaks = house.rows_of(rows.Break, "gateway_serial = ?", payment.gateway_serial)
        alarms = [one.kind for one in house.rows_of(rows.Alarm, "gateway_serial = ?", payment.gateway_serial)]
        if (kind, answer) in AFTER[place, verdict]:
            ((code, ruling),) = [(one.code, one.ruling) for one in breaks]
            assert (code, ruling) == ("RULING_CONTRADICTED", ruled.ruling), (kind, answer)
            assert ("ruling.contradicted" in alarms, judged.effect) == (True, "break"), (kind, answer)
        else:
            assert (breaks, "ruling.contradicted" in alarms, judged.effect) == ([], False, "keep"), (kind, answer)
    sound(office)


def _plain(payment: rows.Payment) -> dict[str, Any]:
    return {name: getattr(payment, name) for name in payment.__struct_fields__}


@pytest.mark.parametrize("fields", [{"paid_fen": 9_999}, {"biller_serial": "B-OTHER"}])
def test_paid_otherwise_than_ruled_is_a_contradiction(office: Office, fields: dict[str, Any]) -> None:
    payment = in_doubt(office.house)
    rule(office, payment, "paid", biller_serial="B-1")
    values: dict[str, Any] = {"paid_fen": 10_000, "biller_serial": "B-1"} | fields
    office.house.ask(office.house.evidence(office.house.order_of(payment), "Paid", **values), items.Judged)
    (found,) = office.house.rows_of(rows.Break)
    assert found.code == "RULING_CONTRADICTED"
    sound(office)


@pytest.mark.parametrize("verdict", ["paid", "not-paid"])
def test_a_worker_that_comes_back_late_is_compared_too(office: Office, verdict: str) -> None:
    """Its call was given up as lost; what it brings is the biller's word, and no reason to move what is ruled."""
    house = office.house
    payment = house.pay()
    granted = house.send(payment)
    house.advance(60)
    house.ask(items.Sweep(entropy=1), items.Swept)
    house.advance(DAY_S)
    rule(office, payment, verdict)
    house.ask(house.reply_of(granted, "Paid", paid_fen=10_000, biller_serial="B-LATE"), items.Judged)
    assert house.now_of(payment).state == {"paid": "SUCCESS", "not-paid": "FAILED"}[verdict]
    assert len(house.rows_of(rows.Break)) == (verdict == "not-paid")
    sound(office)


@pytest.mark.parametrize(("place", "answer"), [("REVERSING", "Paid"), ("CANCELLING", "Declined")])
def test_what_had_waited_for_the_undo_meets_the_ruling(office: Office, place: str, answer: str) -> None:
    house = office.house
    payment = in_doubt(house, place)
    order = house.order_of(payment, "PAY")
    fields: dict[str, Any] = FAR if answer == "Paid" else {}
    assert house.ask(house.evidence(order, answer, **fields), items.Judged).effect == "wait"
    verdict, state = {"REVERSING": ("not-paid", "FAILED"), "CANCELLING": ("paid", "SUCCESS")}[place]
    rule(office, payment, verdict)
    assert house.now_of(payment).state == state
    (found,) = house.rows_of(rows.Break)
    assert (found.code, found.state) == ("RULING_CONTRADICTED", "OPEN")
    assert not house.rows_of(rows.EvidenceRow, "waiting = 1")
    sound(office)


def test_two_people_rule_again_when_the_biller_contradicts(office: Office) -> None:
    """FAILED by ruling, then proven paid: a correction (R08) by a second ruling, and the break is closed by it."""
    house = office.house
    payment = in_doubt(house)
    rule(office, payment, "not-paid")
    assert refused(office, payment, "paid") == "state-conflict", "nothing contradicts it"
    say(house, payment, "PAY", "Paid", "file")
    assert refused(office, payment, "not-paid") == "state-conflict"
    rule(office, payment, "paid", biller_serial="B-LATE")
    found = house.now_of(payment)
    assert (found.state, recipes(house, payment)) == ("SUCCESS", ["R01", "R03", "R08"])
    (one,) = house.rows_of(rows.Break)
    assert (one.state, one.resolution) == ("CLOSED", f"ruling {found.ruling}")
    say(house, payment, "PAY", "Paid", "file")
    say(house, payment, "PAY", "Declined", "query")
    assert sorted(one.state for one in house.rows_of(rows.Break)) == ["CLOSED", "OPEN"]
    sound(office)


def test_paid_by_ruling_then_contradicted_gives_the_money_back_by_ruling(office: Office) -> None:
    """Worked example s4.1: a CANCEL born done, R10."""
    house = office.house
    payment = in_doubt(house)
    rule(office, payment, "paid")
    say(house, payment, "PAY", "Declined", "file")
    rule(office, payment, "not-paid")
    assert (house.now_of(payment).state, recipes(house, payment)) == ("CANCELLED", ["R01", "R05", "R10"])
    assert house.balance() == (500_000, 0, 0)
    assert [one.state for one in house.rows_of(rows.Break)] == ["CLOSED"]
    say(house, payment, "PAY", "Declined", "query")
    assert [one.state for one in house.rows_of(rows.Break)] == ["CLOSED"]
    say(house, payment, "PAY", "Paid", "file")
    assert sorted(one.state for one in house.rows_of(rows.Break)) == ["CLOSED", "OPEN"]
    assert house.now_of(payment).state == "CANCELLED"
    sound(office)


def test_undone_by_the_biller_itself_is_ruled_the_same_way(office: Office) -> None:
    house = office.house
    payment = house.settle(house.pay())
    assert refused(office, payment, "not-paid") == "state-conflict"
    house.ask(house.evidence(house.order_of(payment), "Undone", source="file"), items.Judged)
    house.advance(0.001)
    house.ask(house.keyed(items.Refund, gateway_serial=payment.gateway_serial, amount_fen=100, reason="r"), items.Taken)
    assert refused(office, payment, "not-paid") == "state-conflict", "a refund would give the same money back"
    house.rewrite("payments", "state = 'FAILED' WHERE kind = 'REFUND'")
    house.rewrite("orders", "state = 'VOID' WHERE kind = 'REFUND'")
    rule(office, payment, "not-paid")
    assert house.now_of(payment).state == "CANCELLED"
    assert violations(house) == []


def test_a_cancel_after_the_ruling_goes_its_own_way(office: Office) -> None:
    """The shop takes back what was ruled paid: the biller's word about the cancel is no word against the ruling."""
    house = office.house
    payment = in_doubt(house)
    rule(office, payment, "paid")
    house.rewrite("payments", "settle_date = '2026-11-25'")
    house.sql("UPDATE windows SET settle_date = '2026-11-25'")
    taken = cancel(house, payment)
    assert taken.payment.state == "CANCELLING", taken
    house.settle(payment, "Undone")
    found = house.now_of(payment)
    assert (found.state, found.ruling) == ("CANCELLED", None)
    say(house, payment, "PAY", "Undone", "query")
    assert house.rows_of(rows.Break) == []


def test_the_table_of_what_an_answer_says_is_whole() -> None:
    """Of a paying order and an undo the same words mean opposite things; a card's write says nothing about money."""
    for kind, answer, absent, never in itertools.product(OrderKind, ANSWERS, (False, True), (False, True)):
        says = says_paid(kind, answer, absent=absent, never=never)
        if kind in (OrderKind.PAY, OrderKind.DEBIT, OrderKind.REFUND):
            want = {"Paid": True, "Accepted": True, "Declined": False, "Undone": False}.get(answer)
            want = False if answer == "Absent" and absent else want
        elif kind in (OrderKind.REVERSE, OrderKind.CANCEL):
            want = {"StillPaid": True, "NotUndone": True, "Declined": True, "Undone": False}.get(answer)
            want = True if answer == "Absent" and absent else want
            want = False if answer == "NeverPaid" and never else want
        else:
            want = None
        assert says is want, (kind, answer, absent, never)
    assert [event_says_paid(event) for event in ("PAID", "ACCEPTED", "DECLINED", "ABSENT_FINAL", "LOST", "X")] == [
        True, True, False, False, None, None,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def shared_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"))
    yield made
    made.house.close()


_number = itertools.count(1)
LATE = st.lists(st.tuples(st.sampled_from(("PAY", "UNDO")), st.sampled_from(ANSWERS), st.integers(0, 400)), max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(sorted({place for place, _ in RULED})), verdict=st.sampled_from(("paid", "not-paid")),
       late=LATE)  # fmt: skip
def test_no_history_of_late_evidence_moves_a_ruled_payment(
    shared_office: Office, place: str, verdict: str, late: list[tuple[str, str, int]]
) -> None:
    house = shared_office.house
    payment = in_doubt(house, place, biller_account=f"7{next(_number):06d}", amount_fen=500)
    rule(shared_office, payment, verdict)
    ruled, posted = house.now_of(payment), recipes(house, payment)
    for kind, answer, seconds in late:
        house.advance(seconds)
        undo = {"REVERSING": "REVERSE", "CANCELLING": "CANCEL"}.get(place, "PAY")
        say(house, payment, "PAY" if kind == "PAY" else undo, answer, "query")
        house.ask(items.TakeQuestions(entropy=house.entropy()), items.Questions)
        house.ask(items.Sweep(entropy=house.entropy()), items.Swept)
    after = house.now_of(payment)
    assert (after.state, after.paid_fen, after.ruling) == (ruled.state, ruled.paid_fen, ruled.ruling)
    assert recipes(house, payment) == posted
    assert violations(house) == []
