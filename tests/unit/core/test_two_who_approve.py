"""Nobody alone takes the bureau its second approver; what has lain too long, or is of one who left, is not done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.certificates import Role
from gateway.core import rows
from gateway.core.items_deeds import Acted
from tests.stand.bureau import asked
from tests.stand.house import keyid
from tests.stand.office import Office

DAY_S = 86_400


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


@pytest.mark.parametrize(
    ("action", "of_certificate", "fields"),
    [("staff.leave", False, {}), ("certs.revoke", True, {"code": "superseded"})],
)
def test_last_but_one_goes_only_by_two_people(
    office: Office, action: str, of_certificate: bool, fields: dict[str, str]
) -> None:
    subject = office.chief.keyid if of_certificate else "s-2"
    plan = office.do(office.clerk, action, subject, **fields)
    assert plan.state == "OPEN"
    assert office.state(office.chief.keyid) == "ACTIVE"
    assert office.no(office.clerk, "ops.approve", str(plan.waits)) == "authorization-required"
    assert office.do(office.chief, "ops.approve", str(plan.waits)).state == "DONE"
    assert office.state(office.chief.keyid) != "ACTIVE"


def test_one_of_three_goes_by_one_persons_word(office: Office) -> None:
    office.third()
    assert office.do(office.clerk, "staff.leave", "s-2").state == "LEFT"
    assert office.do(office.clerk, "staff.leave", "s-3").state == "OPEN"


def test_two_of_three_at_once_one_waits(office: Office) -> None:
    third = office.third()
    replies = office.house.batch(
        [office.bureau.act(office.clerk, "certs.revoke", one.keyid, code="superseded") for one in (third, office.chief)]
    )
    assert [reply.state for reply in replies] == ["REVOKED", "OPEN"]


def test_second_certificate_of_a_person_may_go(office: Office) -> None:
    other = office.second_certificate(office.chief)
    assert office.do(office.clerk, "certs.revoke", office.chief.keyid, code="superseded").state == "REVOKED"
    assert office.do(office.clerk, "certs.revoke", other.keyid, code="superseded").state == "OPEN"


def test_one_who_may_not_approve_new_staff_does_not_count(office: Office) -> None:
    office.both("staff.add", "s-4", name="钱七", department="计财部")
    office.do(office.clerk, "certs.activate", office.staff_bound("s-4", "钱七").keyid)
    assert office.do(office.clerk, "staff.leave", "s-2").state == "OPEN"
    assert office.do(office.clerk, "staff.leave", "s-4").state == "LEFT"


def test_certificate_that_has_ended_does_not_count(office: Office) -> None:
    third = office.third()
    office.house.rewrite("certificates", "not_after = ? WHERE keyid = ?", office.house.now, third.keyid)
    assert office.do(office.clerk, "certs.revoke", office.chief.keyid, code="superseded").state == "OPEN"


def test_a_loss_is_never_held_up(office: Office) -> None:
    """Freezing takes one person, whoever is left afterwards: the root's key is the way back (test_root_deeds)."""
    assert office.do(office.clerk, "certs.freeze", office.chief.keyid).state == "FROZEN"
    assert office.do(office.clerk, "certs.freeze", office.clerk.keyid).state == "FROZEN"


def test_key_of_an_approver_comes_back_by_two_and_is_lost_by_one(office: Office) -> None:
    office.both("key.receive", "UK-1")
    office.both("key.hand-out", "UK-1", holder="s-2")
    other = office.staff_bound("s-2", "王五", "UK-1")
    office.do(office.clerk, "certs.activate", other.keyid)
    office.do(office.clerk, "certs.revoke", office.chief.keyid, code="superseded")
    assert office.do(office.clerk, "key.return", "UK-1").state == "OPEN"
    assert office.state(other.keyid) == "ACTIVE"
    assert office.do(office.clerk, "key.lost", "UK-1").state == "LOST"
    assert office.state(other.keyid) == "FROZEN"


def test_station_is_frozen_by_one(office: Office) -> None:
    assert office.do(office.clerk, "certs.freeze", keyid(1)).state == "FROZEN"


def test_plan_lapses(office: Office) -> None:
    plan = str(office.do(office.clerk, "key.receive", "UK-1").waits)
    other = str(office.do(office.clerk, "key.receive", "UK-2").waits)
    office.house.advance(30 * DAY_S)
    assert office.do(office.chief, "ops.approve", other).state == "DONE"
    office.house.now += 1
    assert office.no(office.chief, "ops.approve", plan) == "state-conflict"
    assert office.do(office.chief, "ops.reject", plan).state == "REJECTED"


def test_application_lapses_before_approval_and_before_issue(office: Office) -> None:
    waiting, approved, one = office.apply(asked()), asked(), asked()
    request_id = office.apply(approved)
    office.do(office.chief, "certs.approve", request_id)
    office.house.advance(30 * DAY_S)
    office.house.now += 1
    assert office.no(office.chief, "certs.approve", waiting) == "state-conflict"
    certificate, _ = office.bureau.certify("张三", Role.STATION, approved.key, institution_code="46000001",
                                           usb_key_serial="PILOT-1")  # fmt: skip
    assert office.no(office.clerk, "certs.issue", request_id, **office.bureau.issued(certificate)) == "state-conflict"
    assert office.do(office.chief, "certs.refuse", waiting).state == "REFUSED"
    assert office.apply(one)


@pytest.mark.parametrize("gone", ["left", "frozen", "revoked"])
def test_application_of_one_who_is_gone_is_not_approved_nor_issued(office: Office, gone: str) -> None:
    third = office.third()
    one, two = asked(), asked()
    waiting, request_id = office.apply(one), office.apply(two)
    office.do(office.chief, "certs.approve", request_id)
    action, subject, fields = {
        "left": ("staff.leave", "s-1", {}),
        "frozen": ("certs.freeze", office.clerk.keyid, {}),
        "revoked": ("certs.revoke", office.clerk.keyid, {"code": "keyCompromise"}),
    }[gone]
    office.do(office.chief, action, subject, **fields)
    assert office.no(office.chief, "certs.approve", waiting) == "state-conflict"
    certificate, _ = office.bureau.certify("张三", Role.STATION, two.key, institution_code="46000001",
                                           usb_key_serial="PILOT-1")  # fmt: skip
    issued = office.bureau.issued(certificate)
    assert office.no(third, "certs.issue", request_id, **issued) == "state-conflict"


def test_application_approved_by_one_who_is_gone_is_not_issued(office: Office) -> None:
    office.third()
    one = asked()
    request_id = office.apply(one)
    office.do(office.chief, "certs.approve", request_id)
    office.do(office.clerk, "staff.leave", "s-2")
    certificate, _ = office.bureau.certify("张三", Role.STATION, one.key, institution_code="46000001",
                                           usb_key_serial="PILOT-1")  # fmt: skip
    assert office.no(office.clerk, "certs.issue", request_id, **office.bureau.issued(certificate)) == "state-conflict"
    assert office.house.rows_of(rows.RegisteredCertificate, "keyid = ?", certificate.keyid) == []


def test_rejected_revocation_is_kept_as_a_plan(office: Office) -> None:
    plan = office.do(office.clerk, "certs.revoke", office.chief.keyid, code="superseded")
    reply = office.house.batch([office.bureau.act(office.chief, "ops.reject", str(plan.waits))])[0]
    assert isinstance(reply, Acted)
    assert office.no(office.chief, "ops.approve", str(plan.waits)) == "state-conflict"
