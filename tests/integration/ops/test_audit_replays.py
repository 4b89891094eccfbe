"""What the audit says of replays that no two people approved, and of letters that were changed, past the triggers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.strict_json import canonical
from gateway.core import rows
from gateway.core.replays import read_plan
from gateway.ops.audit.report import Report
from gateway.ops.audit.run import audit_sqlite
from tests.stand.house import House
from tests.stand.office import Office
from tests.unit.core.test_letters import body_of, corrected, found, keep, letter_about
from tests.unit.core.test_replays import approved, plan_of, run, started

OURS = {"dead-letters", "replays"}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Two letters replayed by an approved plan, one corrected, one plan not yet approved."""
    made = Office(tmp_path)
    house = made.house
    payments = [house.pay(biller_account=f"1000{n}") for n in range(3)]
    for payment in payments[:2]:
        letter_about(house, house.order_of(payment))
    digest = approved(made, plan_of(house))
    run(house, digest, started(made, digest))
    order = house.order_of(payments[2])
    keep(house, found(b"{", "x", reason="malformed"))
    (letter,) = house.rows_of(rows.DeadLetter, "state = 'QUARANTINED'")
    made.do(made.clerk, "letter.correct", letter.letter_id, body=corrected(body_of(house, order)))
    yield made
    house.close()


def audited(house: House) -> Report:
    return audit_sqlite(house.path, house.env, at_ms=house.now)


def test_a_sound_book_is_sound(office: Office) -> None:
    report = audited(office.house)
    assert {check.name for check in report.checks} >= OURS
    assert [check for check in report.checks if check.name in OURS and not check.ok] == []


CHANGES = {
    "a letter's body": ("dead_letters", "body = x'00'", "its body is not the one that was kept"),
    "a counter": ("dead_letters", "runs = 3", "it counts 3 replays, and 1 are in the book"),
    "a letter closed by hand": (
        "dead_letters",
        "state = 'CLOSED', record_id = NULL",
        "it is CLOSED, and no deed says so",
    ),
    "a link": (
        "dead_letters",
        "corrects = 'nothing' WHERE corrects IS NOT NULL",
        "it corrects nothing, which is not here",
    ),
    "a plan approved by nobody": ("replay_plans", "approval = 'nobody'", "it is DONE, and nobody approved it"),
    "an approval for another amount": ("replay_plans", "fen = 1", "its file is not the plan that its hash names"),
    "a plan's bytes": ("replay_files", "body = x'7b7d'", "its file is not the plan that its hash names"),
    "one person": ("approvals", "decided_by = prepared_by", "prepared and approved it"),
    "an approval of something else": ("approvals", "subject = 'x'", "it is DONE, and nobody approved it"),
    "a run under no deed": ("replay_steps", "run_record = 'none'", "it was run under is none about its plan"),
    "a run before its approval": ("replay_steps", "at = 1", "it was run before its plan was approved"),
    "another letter": (
        "replay_steps",
        "letter_id = (SELECT max(letter_id) FROM dead_letters) WHERE number = 1",
        "it is no item of its plan",
    ),
    "a verdict that was another": ("replay_steps", "verdict_planned = 'ASK_ONLY'", "it is no item of its plan"),
    "a step too many": ("replay_plans", "items = 3, spread = 3", "not the plan that its hash names"),
    "a step undone": (
        "replay_steps",
        "outcome = NULL, at = NULL, run_record = NULL, verdict_now = NULL WHERE number = 1",
        "it has 2 steps, 1 done; it says 2, 2",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_by_hand_is_named(office: Office, change: str) -> None:
    house = office.house
    table, changes, said = CHANGES[change]
    for trigger in ("no_update", "set_once", "no_delete"):
        house.sql(f"DROP TRIGGER IF EXISTS {table}_{trigger}")
    house.sql("PRAGMA ignore_check_constraints = ON")
    house.sql("PRAGMA foreign_keys = OFF")
    house.sql(f"UPDATE {table} SET {changes}")
    details = [v.detail for check in audited(house).checks if check.name in OURS for v in check.violations]
    assert any(said in detail for detail in details), details


def test_an_item_that_nobody_planned_is_named(office: Office) -> None:
    """A step put in beside the plan, as if it had been its third item."""
    house = office.house
    (letter,) = house.rows_of(rows.DeadLetter, "corrects IS NOT NULL")
    house.sql(
        "INSERT INTO replay_steps SELECT plan_sha256, 3, ?, biller, verdict_planned, verdict_now, outcome, run_record,"
        " at FROM replay_steps WHERE number = 1",
        letter.letter_id,
    )
    details = [v.detail for check in audited(house).checks if check.name == "replays" for v in check.violations]
    assert "it is no item of its plan" in details


def test_a_plan_in_the_book_is_the_plan_that_was_written(office: Office) -> None:
    (file,) = office.house.rows_of(rows.ReplayFile)
    assert canonical(read_plan(file.body)) == file.body
