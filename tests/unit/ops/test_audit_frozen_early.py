"""What the audit says of certificates that were frozen early, and of deeds that mostly take one person and took two."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ops.audit import audit_sqlite
from tests.stand.bureau import asked
from tests.stand.house import code
from tests.stand.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def told(office: Office) -> str:
    return audit_sqlite(office.house.path, office.house.env).text()


def test_frozen_before_and_after_it_was_bound(office: Office) -> None:
    issued, bound = office.issued(asked()), office.bound(asked())
    for signer in (issued, bound):
        office.do(office.clerk, "certs.freeze", signer.keyid)
    assert issued.keyid not in told(office)
    assert bound.keyid not in told(office)
    office.house.sql("UPDATE bindings SET unbound_at = bound_at WHERE keyid = ?", bound.keyid)
    assert bound.keyid in told(office)
    assert issued.keyid not in told(office)


def test_key_of_an_approver_that_came_back_by_two(office: Office) -> None:
    office.both("staff.add", "s-3", name="赵六", department="电子商务中心")
    office.both("key.receive", "UK-1")
    office.both("key.hand-out", "UK-1", holder="s-3")
    third = office.staff_bound("s-3", "赵六", "UK-1")
    office.do(office.clerk, "certs.activate", third.keyid)
    office.both("operator.add", code(1), operator_id="0002", name="孙八", trained_days="30")
    office.do(office.clerk, "station.suspend", code(1))
    assert office.do(office.clerk, "certs.freeze", office.chief.keyid).state == "FROZEN"
    plan = office.do(office.clerk, "key.return", "UK-1")
    assert office.do(third, "ops.approve", str(plan.waits)).state == "DONE"
    assert told(office).endswith("the book is sound")


def test_certificate_of_an_approver_that_ended_by_two(office: Office) -> None:
    assert office.both("certs.revoke", office.chief.keyid, code="superseded").state == "DONE"
    assert told(office).endswith("the book is sound")


def test_approver_who_left_by_two(office: Office) -> None:
    assert office.both("staff.leave", "s-2").state == "DONE"
    assert told(office).endswith("the book is sound")
