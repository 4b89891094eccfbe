"""Replay plans: one hash, two people, every item once, judged again at its moment, nobody called (M4, M7, M12)."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from contracts.strict_json import Malformed, canonical
from gateway.core import items, rows
from gateway.core.items_deeds import Acted
from gateway.core.letters import JudgeLetters, LettersJudged
from gateway.core.replays import (
    SCHEMA,
    KeepPlan,
    PeekReplay,
    PlanFile,
    Replayed,
    ReplayLetters,
    ReplaySeen,
    SpreadPlan,
    plan_item,
    read_plan,
    totals_of,
)
from gateway.core.verdicts import LOOP_MAX
from tests.stand.house import House
from tests.stand.office import Office
from tests.unit.core.test_letters import found, keep, letter_about, verdict


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def plan_of(house: House, **filters: Any) -> bytes:
    """The plan file of what these filters find now."""
    judged = house.look(JudgeLetters(**filters), LettersJudged)
    letters = [plan_item(one) for one in judged.letters]
    return canonical(PlanFile(schema=SCHEMA, book_at=judged.now, filter={}, letters=letters, totals=totals_of(letters)))


def kept(house: House, body: bytes) -> str:
    house.ask(KeepPlan(body=body), items.Kept)
    digest = hashlib.sha256(body).hexdigest()
    while house.ask(SpreadPlan(plan_sha256=digest, limit=2), items.Kept).count:
        pass
    return digest


def terms(house: House, digest: str) -> dict[str, str]:
    (plan,) = house.rows_of(rows.ReplayPlan, "plan_sha256 = ?", digest)
    return {"items": str(plan.items), "amount_fen": str(plan.fen)}


def approved(office: Office, body: bytes) -> str:
    digest = kept(office.house, body)
    office.both("replay.run", digest, **terms(office.house, digest))
    return digest


def started(office: Office, digest: str) -> str:
    return office.do(office.clerk, "replay.start", digest).state


def run(house: House, digest: str, record: str, *numbers: int) -> Replayed:
    item = ReplayLetters(
        plan_sha256=digest, run_record=record, numbers=list(numbers) or list(range(1, 99)), entropy=house.entropy()
    )
    return house.ask(item, Replayed)


def outcomes(house: House, digest: str) -> list[tuple[str, str | None, str | None]]:
    found = house.rows_of(rows.ReplayStep, "plan_sha256 = ?", digest)
    return [(step.verdict_planned, step.verdict_now, step.outcome) for step in found]


def requests_out(house: House, serial: str) -> int:
    ((count,),) = house.sql(
        "SELECT count(*) FROM outbox WHERE instr(payload, ?) > 0 AND topic LIKE '%request%'",
        f'"order_serial":"{serial}"'.encode(),
    )
    return int(count)


def test_each_verdict_does_what_it_says_and_no_more(office: Office) -> None:
    house = office.house
    ready, doubt, final = (house.pay(biller_account=f"1000{n}") for n in range(3))
    house.settle(doubt, "Unknown")
    house.settle(final)
    letters = [letter_about(house, house.order_of(one)) for one in (ready, doubt, final)]
    keep(house, found(b"{", "x", reason="malformed"), found(b'{"schema":"bianmin.request.v9"}', "y", reason="replayed"))
    before = house.order_of(doubt)
    digest = approved(office, plan_of(house, states="OPEN+QUARANTINED"))
    told = run(house, digest, started(office, digest))
    assert told.ended
    by_letter = {step.letter_id: (step.verdict_now, step.outcome) for step in told.steps}
    assert [by_letter[one.letter_id] for one in letters] == [
        ("SEND_AGAIN", "sent-again"), ("ASK_ONLY", "asked"), ("ALREADY_FINAL", "nothing"),
    ]  # fmt: skip
    assert Counter(by_letter.values())["MALFORMED", "nothing"] == 2
    assert [requests_out(house, one.gateway_serial) for one in (ready, doubt, final)] == [2, 1, 1]
    after = house.order_of(doubt)
    due = house.now + house.env.facts_of("acme.bill").query_min_interval_s * 1000
    assert (after.ask_at, after.state, after.attempts) == (due, "UNKNOWN", before.attempts)
    assert before.ask_at is not None
    assert before.ask_at > due
    assert house.order_of(ready).attempts == 0, "a replay calls nobody"
    (plan,) = house.rows_of(rows.ReplayPlan)
    assert (plan.state, plan.done) == ("DONE", 5)
    runs = {row.letter_id: row.runs for row in house.rows_of(rows.DeadLetter)}
    assert sum(runs.values()) == 2


def test_what_changed_since_is_skipped(office: Office) -> None:
    house = office.house
    paid, sent, late = (house.pay(biller_account=f"1000{n}") for n in range(3))
    for one in (paid, sent, late):
        letter_about(house, house.order_of(one))
    digest = approved(office, plan_of(house))
    house.settle(paid)
    house.send(sent)
    record = started(office, digest)
    house.now = house.order_of(late).send_before
    run(house, digest, record)
    assert set(outcomes(house, digest)) == {
        ("SEND_AGAIN", "ALREADY_FINAL", "skipped"),
        ("SEND_AGAIN", "ASK_ONLY", "skipped"),
        ("SEND_AGAIN", "STALE", "skipped"),
    }
    assert [requests_out(house, one.gateway_serial) for one in (paid, sent, late)] == [1, 1, 1]


def test_a_call_that_runs_is_not_asked_about(office: Office) -> None:
    house = office.house
    payment = house.pay()
    house.send(payment)
    letter_about(house, house.order_of(payment))
    digest = approved(office, plan_of(house))
    run(house, digest, started(office, digest))
    assert outcomes(house, digest) == [("ASK_ONLY", "ASK_ONLY", "call-running")]
    assert house.order_of(payment).ask_at is None


def test_replays_ask_no_closer_than_the_biller_allows(office: Office) -> None:
    """Ten letters about one order, one after the other, with the resolver between them: one question an interval."""
    house = office.house
    payment = house.pay()
    house.settle(payment, "Unknown")
    for _ in range(10):
        letter_about(house, house.order_of(payment))
    digest = approved(office, plan_of(house))
    record = started(office, digest)
    asked: list[int] = []
    for number in range(1, 11):
        run(house, digest, record, number)
        house.advance(0.3)
        taken = house.ask(items.TakeQuestions(entropy=house.entropy(), lease_ms=1), items.Questions)
        asked += [house.now] * len(taken.questions)
    interval = house.env.facts_of("acme.bill").query_min_interval_s * 1000
    assert len(asked) >= 2
    assert min(later - sooner for sooner, later in itertools.pairwise(asked)) >= interval


def test_an_item_is_done_once_however_often_it_is_asked_for(office: Office) -> None:
    house = office.house
    payments = [house.pay(biller_account=f"1000{n}") for n in range(4)]
    for payment in payments:
        letter_about(house, house.order_of(payment))
    digest = approved(office, plan_of(house))
    first = started(office, digest)
    assert [step.number for step in run(house, digest, first, 1, 2).steps] == [1, 2]
    assert run(house, digest, first, 1, 2).steps == []
    house.reopen()
    # Somebody else takes over where it was; the first may do no more.
    second = office.do(office.chief, "replay.start", digest).state
    item = ReplayLetters(plan_sha256=digest, run_record=first, numbers=[3], entropy=1)
    assert house.ask(item, items.NotNow).gone
    seen = house.look(PeekReplay(plan_sha256=digest, limit=10), ReplaySeen)
    assert [step.number for step in seen.due] == [3, 4]
    assert run(house, digest, second).ended
    assert [requests_out(house, one.gateway_serial) for one in payments] == [2] * 4
    assert office.no(office.clerk, "replay.start", digest) == "state-conflict"
    assert house.ask(replace(item, run_record=second), items.NotNow).gone


def test_both_items_of_one_batch_and_two_of_one_order(office: Office) -> None:
    """Two letters about one order ask once each; both in one commit."""
    house = office.house
    payment = house.pay()
    house.settle(payment, "Unknown")
    for _ in range(2):
        letter_about(house, house.order_of(payment))
    digest = approved(office, plan_of(house))
    record = started(office, digest)
    parts = [ReplayLetters(plan_sha256=digest, run_record=record, numbers=[n], entropy=n) for n in (1, 1, 2)]
    replies = house.batch(parts)
    assert [len(one.steps) for one in replies] == [1, 0, 1]
    assert outcomes(house, digest) == [("ASK_ONLY", "ASK_ONLY", "asked")] * 2


def test_the_loop_guard_stops_a_message(office: Office) -> None:
    house = office.house
    order = house.order_of(house.pay())
    letter = letter_about(house, order)
    for number in range(LOOP_MAX):
        digest = approved(office, plan_of(house))
        assert run(house, digest, started(office, digest)).steps[0].outcome == "sent-again"
        house.advance(0.001)
        assert requests_out(house, order.order_serial) == number + 2
    (row,) = house.rows_of(rows.DeadLetter)
    assert (row.state, row.runs) == ("QUARANTINED", LOOP_MAX)
    (alarm,) = house.rows_of(rows.Alarm)
    assert (alarm.kind, alarm.gateway_serial) == ("letter.looped", order.gateway_serial)
    looped = approved(office, plan_of(house, letter_ids=[letter.letter_id]))
    assert run(house, looped, started(office, looped)).steps[0].verdict_now == "LOOPED"
    assert requests_out(house, order.order_serial) == LOOP_MAX + 1


# the plan


def small(house: House) -> bytes:
    for number in range(3):
        letter_about(house, house.order_of(house.pay(biller_account=f"1000{number}")))
    return plan_of(house)


def test_a_plan_that_differs_by_one_byte_is_no_plan_or_another(office: Office) -> None:
    house = office.house
    body = small(house)
    digest = approved(office, body)
    for at in range(len(body)):
        other = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        wrong = hashlib.sha256(other).hexdigest()
        assert wrong != digest
        assert office.no(office.clerk, "replay.start", wrong) == "not-found"
        house.now += 1


@pytest.mark.parametrize("forged", ["verdict", "amount", "twice", "order", "totals", "spaces", "member", "schema"])
def test_what_is_no_plan_is_not_kept(office: Office, forged: str) -> None:
    house = office.house
    body = small(house)
    plan = read_plan(body)
    first = plan.letters[0]
    changed: dict[str, bytes] = {
        "verdict": canonical(replace(plan, letters=[replace(first, verdict="ASK_ONLY"), *plan.letters[1:]])),
        "amount": canonical(replace(plan, letters=[replace(first, amount_fen=1), *plan.letters[1:]])),
        "twice": canonical(replace(plan, letters=[first, *plan.letters])),
        "order": canonical(replace(plan, letters=plan.letters[::-1])),
        "totals": canonical(replace(plan, totals=[])),
        "spaces": body.replace(b",", b", ", 1),
        "member": body[:-1] + b',"zz":1}',
        "schema": body.replace(b"plan.v1", b"plan.v2"),
    }
    with pytest.raises(Malformed):
        read_plan(changed[forged])
    assert house.ask(KeepPlan(body=changed[forged]), items.Refusal).slug == "malformed"
    assert house.rows_of(rows.ReplayFile) == []


def test_a_plan_about_letters_that_are_not_there_is_not_kept(office: Office) -> None:
    house = office.house
    plan = read_plan(small(house))
    strange = [replace(plan.letters[0], body_sha256="0" * 64), *plan.letters[1:]]
    body = canonical(replace(plan, letters=strange))
    assert house.ask(KeepPlan(body=body), items.Refusal).slug == "not-found"


def test_two_people_approve_exactly_what_they_have_seen(office: Office) -> None:
    house = office.house
    digest = kept(house, small(house))
    assert office.no(office.clerk, "replay.run", digest, items="3", amount_fen="1") == "malformed"
    assert office.no(office.clerk, "replay.start", digest) == "state-conflict"
    deed = str(office.do(office.clerk, "replay.run", digest, **terms(house, digest)).waits)
    assert office.no(office.clerk, "ops.approve", deed) == "authorization-required"
    assert office.no(office.clerk, "replay.start", digest) == "state-conflict"
    assert office.do(office.chief, "ops.approve", deed).state == "DONE"
    (plan,) = house.rows_of(rows.ReplayPlan)
    assert (plan.state, plan.approval) == ("APPROVED", deed)
    assert office.no(office.clerk, "replay.run", digest, **terms(house, digest)) == "state-conflict"


def test_a_rejected_plan_does_not_run(office: Office) -> None:
    house = office.house
    digest = kept(house, small(house))
    deed = str(office.do(office.clerk, "replay.run", digest, **terms(house, digest)).waits)
    office.do(office.chief, "ops.reject", deed)
    assert office.no(office.clerk, "replay.start", digest) == "state-conflict"


def test_a_plan_that_is_not_kept_whole_cannot_be_asked_for(office: Office) -> None:
    house = office.house
    body = small(house)
    house.ask(KeepPlan(body=body), items.Kept)
    digest = hashlib.sha256(body).hexdigest()
    house.ask(SpreadPlan(plan_sha256=digest, limit=2), items.Kept)
    assert office.no(office.clerk, "replay.run", digest, **terms(house, digest)) == "state-conflict"


@pytest.mark.parametrize("who", ["clerk", "chief"])
@pytest.mark.parametrize("how", ["frozen", "revoked", "expired", "left"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_one_of_the_two_may_sign_no_more(office: Office, who: str, how: str, when: str) -> None:
    house = office.house
    third = office.third()
    digest = approved(office, small(house))
    record = office.do(third, "replay.start", digest).state if when == "meanwhile" else ""
    person = getattr(office, who)
    if how == "left":
        house.sql("UPDATE staff SET state = 'LEFT' WHERE staff_id = ?", person.staff_id)
    else:
        house.sql("UPDATE certificates SET state = ? WHERE keyid = ?", how.upper(), person.keyid)
    if when == "before":
        assert office.no(third, "replay.start", digest) == "state-conflict"
    else:
        item = ReplayLetters(plan_sha256=digest, run_record=record, numbers=[1], entropy=1)
        assert house.ask(item, items.Refusal).slug == "state-conflict"
    assert {outcome for _, _, outcome in outcomes(house, digest)} == {None}


def test_a_step_is_written_once(office: Office) -> None:
    house = office.house
    digest = approved(office, small(house))
    run(house, digest, started(office, digest))
    for statement in (
        "UPDATE replay_steps SET outcome = 'nothing'",
        "UPDATE replay_steps SET verdict_planned = 'ASK_ONLY'",
        "DELETE FROM replay_steps",
        "UPDATE replay_files SET body = x'00'",
        "UPDATE replay_plans SET items = 9",
    ):
        with pytest.raises(Exception, match="append-only"):
            house.sql(statement)


def test_a_letter_whose_claim_came_between_moves_nothing_twice(office: Office) -> None:
    """The fresh message wakes a worker; the claim's gates stay the judge."""
    house = office.house
    payment = house.pay()
    letter_about(house, house.order_of(payment))
    digest = approved(office, plan_of(house))
    run(house, digest, started(office, digest))
    claims = [house.ask(house.claim(house.order_of(payment)), items.Reply) for _ in range(2)]
    assert [type(one).__name__ for one in claims] == ["Granted", "NotNow"]
    assert verdict(house, house.order_of(payment)) == "ASK_ONLY"


def test_acted_is_what_a_start_replies(office: Office) -> None:
    digest = approved(office, small(office.house))
    acted = office.house.ask(office.bureau.act(office.clerk, "replay.start", digest), Acted)
    (record,) = office.house.rows_of(rows.Record, "record_id = ?", acted.state)
    assert msgspec.json.decode(record.base)["subject"] == digest
    (plan,) = office.house.rows_of(rows.ReplayPlan)
    assert (plan.run_record, plan.state) == (acted.state, "RUNNING")
