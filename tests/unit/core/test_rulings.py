"""Rulings: two people decide what nobody else could (M5, M12, ROLE-05)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core import items, rows
from gateway.core.attachments import KeepAttachment
from tests.stand.office import Office
from tests.unit.core.ruling import DAY_S, DIGEST, LETTER, RULED, in_doubt, letter, recipes, refused, rule, sound


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


@pytest.mark.parametrize(("place", "verdict"), RULED)
def test_m5_a_ruling_ends_a_doubt_by_the_same_postings_as_evidence(office: Office, place: str, verdict: str) -> None:
    house = office.house
    payment = in_doubt(house, place)
    before = len(house.rows_of(rows.OutboxRow))
    fields = {"verdict": verdict, "state": place, "attachments": letter(office)}
    plan = office.do(office.clerk, "payment.rule", payment.gateway_serial, **fields)
    assert house.now_of(payment) == payment, "prepared is not done"
    assert office.no(office.clerk, "ops.approve", str(plan.waits)) == "authorization-required"
    assert office.do(office.chief, "ops.approve", str(plan.waits)).state == "DONE"
    ruled = house.now_of(payment)
    state, recipe = RULED[place, verdict]
    assert (ruled.state, recipes(house, payment)[-1]) == (state, recipe)
    (row,) = house.rows_of(rows.EvidenceRow, "source = 'ruling'")
    assert ruled.ruling == row.evidence_id
    (approval,) = house.rows_of(rows.Approval)
    assert (row.record_id, approval.state) == (approval.decided_record, "DONE")
    assert len(house.rows_of(rows.OutboxRow)) == before + 1, "the shop is told"
    assert not house.rows_of(rows.Order, "ask_at IS NOT NULL"), "nobody is asked any more"
    sound(office)


def test_m12_the_evidence_of_a_ruling_is_kept_by_its_hash(office: Office) -> None:
    payment = in_doubt(office.house)
    other = f"{DIGEST.replace(DIGEST[0], '0')}:{len(LETTER)}"
    assert refused(office, payment, "paid", attachments="") == "malformed", "a ruling leans on something"
    assert refused(office, payment, "paid", attachments=other) == "not-found"
    named = letter(office)
    office.house.ask(KeepAttachment(name="again.pdf", body=LETTER), items.Kept)
    assert refused(office, payment, "paid", attachments=f"{DIGEST}:{len(LETTER) + 1}") == "not-found"
    assert refused(office, payment, "paid", attachments=f"{DIGEST}") == "malformed"
    rule(office, payment, "paid", attachments=named, biller_serial="B-77")
    (kept,) = office.house.rows_of(rows.Attachment)
    assert (kept.sha256, kept.name, kept.body) == (DIGEST, "letter.pdf", LETTER)
    assert office.house.now_of(payment).biller_serial == "B-77"
    sound(office)


@pytest.mark.parametrize("body", [b"", b"x" * (5 * 1024 * 1024 + 1)])
def test_attachments_have_a_size(office: Office, body: bytes) -> None:
    assert office.house.ask(KeepAttachment(name="a", body=body), items.Refusal).slug == "malformed"
    assert office.house.ask(KeepAttachment(name="a/b", body=b"x"), items.Refusal).slug == "malformed"


def test_part_of_it_may_be_ruled_paid_and_never_more(office: Office) -> None:
    """Design s5: what the manifest does not call PARTIAL ends by a ruling."""
    payment = in_doubt(office.house)
    assert refused(office, payment, "paid", paid_fen=str(payment.amount_fen + 1)) == "malformed"
    rule(office, payment, "paid", paid_fen="4000")
    found = office.house.now_of(payment)
    assert (found.state, found.paid_fen, recipes(office.house, payment)) == ("SUCCESS", 4000, ["R01", "R06"])
    sound(office)


@pytest.mark.parametrize("fields", [{"paid_fen": "0"}, {"paid_fen": "1.5"}, {"biller_serial": "号"}, {"verdict": "x"}])
def test_malformed_rulings(office: Office, fields: dict[str, str]) -> None:
    payment = in_doubt(office.house)
    values = {"verdict": "paid", "state": "UNKNOWN", "attachments": letter(office)} | fields
    assert office.no(office.clerk, "payment.rule", payment.gateway_serial, **values) == "malformed"
    assert refused(office, payment, "not-paid", paid_fen="1") == "malformed"


def test_nobody_rules_what_is_young_decided_running_or_seen_otherwise(office: Office) -> None:
    house = office.house
    payment = house.pay()
    assert refused(office, payment, "paid") == "state-conflict"
    granted = house.send(payment)
    house.advance(30)
    assert refused(office, payment, "paid") == "state-conflict", "a call is running"
    house.ask(house.reply_of(granted, "Unknown"), items.Judged)
    house.advance(DAY_S - 40)
    assert refused(office, payment, "paid") == "state-conflict", "young"
    house.advance(80)
    assert refused(office, payment, "paid", state="SENT") == "state-conflict", "another state was looked at"
    fields = {"verdict": "not-paid", "state": "UNKNOWN", "attachments": letter(office)}
    assert office.no(office.clerk, "payment.rule", "2026112406H0PM9H70DQFG22", **fields) == "not-found"
    plan = office.do(office.clerk, "payment.rule", payment.gateway_serial, **fields)
    order = house.order_of(payment)
    house.ask(house.evidence(order, "Paid", paid_fen=payment.amount_fen, biller_serial="B1"), items.Judged)
    assert office.no(office.chief, "ops.approve", str(plan.waits)) == "state-conflict", "the biller was faster"
    assert refused(office, payment, "not-paid") == "state-conflict", "decided, and nothing contradicts it"
    assert house.now_of(payment).state == "SUCCESS"
    sound(office)


def test_on_the_last_rung_nobody_waits_for_the_age(office: Office) -> None:
    payment = office.house.settle(office.house.pay(), "Unknown")
    office.house.rewrite("orders", "rung = 4")
    rule(office, payment, "not-paid")
    assert office.house.now_of(payment).state == "FAILED"


def test_an_undo_that_has_not_been_sent_comes_first(office: Office) -> None:
    house = office.house
    payment = house.settle(house.pay(), "Unknown")
    house.advance(960)
    house.ask(items.TakeQuestions(entropy=house.entropy()), items.Questions)
    house.rewrite("payments", f"in_doubt_since = {house.now - 2 * DAY_S * 1000}")
    assert refused(office, payment, "paid") == "state-conflict"
