"""A plan is kept only where every word of it is the book's; the audit finds one that is not (M12)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from contracts.strict_json import canonical
from gateway.core import items, rows
from gateway.core.replays import KeepPlan, SpreadPlan, read_plan, totals_of
from gateway.ops.audit.replays import did_of, judge_letter, judge_step
from tests.stand.office import Office
from tests.unit.core.test_letters import letter_about
from tests.unit.core.test_replays import kept, small


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


@pytest.mark.parametrize(
    ("member", "value"), [("biller", "meters"), ("biller", None), ("order_serial", None), ("amount_fen", 1)]
)
def test_a_plan_that_says_another_than_the_book_is_not_kept(office: Office, member: str, value: object) -> None:
    """Its totals agree with its items, and yet nobody is asked to approve it (M12)."""
    house = office.house
    plan = read_plan(small(house))
    letters = [replace(plan.letters[0], **{member: value}), *plan.letters[1:]]
    body = canonical(replace(plan, letters=letters, totals=totals_of(letters)))
    refused = house.ask(KeepPlan(body=body), items.Refusal)
    assert (refused.slug, refused.field) == ("malformed", f"$.letters.{member}")
    assert house.rows_of(rows.ReplayFile) == []


def test_the_audit_finds_a_plan_that_says_another_than_the_book(office: Office) -> None:
    """And the run takes each biller from the letter's row, whatever the file says (M12)."""
    house = office.house
    plan = read_plan(small(house))
    digest = kept(house, canonical(plan))
    (step, *_) = house.rows_of(rows.ReplayStep, "plan_sha256 = ?", digest)
    (letter,) = house.rows_of(rows.DeadLetter, "letter_id = ?", step.letter_id)
    letters = {letter.letter_id: letter}
    right = plan.letters[0]
    for item, said in (
        (right, []),
        (replace(right, amount_fen=7), [f"the plan names another amount_fen than the letter {letter.letter_id}"]),
        (
            replace(right, order_serial=None),
            [f"the plan names another order_serial than the letter {letter.letter_id}"],
        ),
        (replace(right, body_sha256="0" * 64), [f"the letter {letter.letter_id} is not the one that was planned"]),
    ):
        assert list(judge_step(step, 1, item, letters, starts={}, approved_at=None)) == said
    forged = canonical(replace(plan, letters=[replace(right, biller="meters"), *plan.letters[1:]]))
    other = hashlib.sha256(forged).hexdigest()
    house.sql(
        "INSERT INTO replay_plans (plan_sha256, items, fen, kept_at, state, spread, done)"
        " VALUES (?, 3, 0, 1, 'KEPT', 0, 0)", other,
    )  # fmt: skip
    house.sql("INSERT INTO replay_files (plan_sha256, body) VALUES (?, ?)", other, forged)
    house.ask(SpreadPlan(plan_sha256=other), items.Kept)
    assert {one.biller for one in house.rows_of(rows.ReplayStep, "plan_sha256 = ?", other)} == {letter.biller}


def test_a_copy_carries_its_originals_replays_and_the_audit_agrees(office: Office) -> None:
    house = office.house
    letter = replace(letter_about(house, house.order_of(house.pay())), corrects="first", record_id="R", runs=2)
    assert list(judge_letter(letter, did_of(letter, {"first": 2}))) == []
    assert list(judge_letter(letter, did_of(letter, {"first": 1}))) == ["it counts 2 replays, and 1 are in the book"]
