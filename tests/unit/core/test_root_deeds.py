"""CERT-03, M12: the root's key brings in the first staff, and the way back when fewer than two people can approve."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as swap

from certs.certificates import Certificate, Role
from certs.keys import PemSigner
from contracts.strict_json import decode
from gateway.core import items, rows
from gateway.core.actions import ACTIONS, RIGHTS
from gateway.core.items_deeds import Acted, Deed
from gateway.core.root_deeds import BY_ROOT
from gateway.ops.audit import audit_sqlite
from gateway.ops.roles import load_rights
from tests.stand.bureau import Bureau, Person
from tests.stand.house import keyid as keyid_of
from tests.stand.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def locked_out(office: Office) -> None:
    """The chief's key is lost: the clerk alone cannot approve anything."""
    office.do(office.clerk, "certs.freeze", office.chief.keyid)


def restore(office: Office, *people: tuple[Person, str], **changes: Any) -> items.Refusal | Acted:
    newcomers = [office.bureau.newcomer(one, name) for one, name in people]
    (reply,) = office.house.batch([office.bureau.by_root("staff.restore", *newcomers, **changes)])
    assert isinstance(reply, items.Refusal | Acted)
    return reply


def slug(reply: items.Refusal | Acted) -> str:
    return reply.slug if isinstance(reply, items.Refusal) else reply.state


def sound(office: Office) -> bool:
    report = audit_sqlite(office.house.path, office.house.env, at_ms=office.house.now)
    failed = set(report.failed()) & {"certificate-steps", "two-people", "deeds-signed", "rebuilt", "leaves"}
    assert not failed, report.text()
    return True


def test_a_lost_key_is_frozen_even_where_that_locks_the_bureau_out(office: Office) -> None:
    """`certs freeze` and `key lost` take one person always; the root's key is the way back."""
    locked_out(office)
    assert office.state(office.chief.keyid) == "FROZEN"
    plan = str(office.do(office.clerk, "certs.unfreeze", office.chief.keyid).waits)
    assert office.no(office.clerk, "ops.approve", plan) == "authorization-required"
    assert office.no(office.chief, "ops.approve", plan) == "certificate-revoked"


def test_two_people_come_in_with_one_commit_a_record_and_an_alarm(office: Office) -> None:
    locked_out(office)
    new = office.bureau.person("s-8", "周八"), office.bureau.person("s-9", "吴九")
    assert restore(office, (new[0], "周八"), (new[1], "吴九")) == Acted(subject="46000000", state="ACTIVE")
    _, record = office.house.rows_of(rows.Record, "kind = 'root-deed'")
    assert record.body == b'{"state":"ACTIVE"}'
    for one in new:
        assert office.steps(one.keyid) == [
            ("apply", "", "APPLIED", "root"),
            ("approve", "APPLIED", "APPROVED", "root"),
            ("issue", "APPROVED", "ISSUED", "root"),
            ("bind", "ISSUED", "BOUND", "root"),
            ("activate", "BOUND", "ACTIVE", "root"),
        ]
        steps = office.house.rows_of(rows.CertificateStep, "subject = ?", one.keyid)
        assert {step.record_id for step in steps} == {record.record_id}
    (alarm,) = office.house.rows_of(rows.Alarm, "kind = 'staff.restored'")
    assert "s-8 周八" in alarm.detail
    plan = str(office.do(new[0], "certs.unfreeze", office.chief.keyid).waits)
    assert office.do(new[1], "ops.approve", plan).state == "DONE"
    assert sound(office)


def test_never_while_two_people_can_approve(office: Office) -> None:
    new = office.bureau.person("s-8", "周八")
    assert slug(restore(office, (new, "周八"))) == "state-conflict"
    assert office.house.rows_of(rows.StaffMember, "staff_id = 's-8'") == []
    assert office.house.rows_of(rows.Alarm, "kind = 'staff.restored'") == []
    # The one who is left counts, so one more is enough, and then it is over.
    locked_out(office)
    assert slug(restore(office, (new, "周八"))) == "ACTIVE"
    assert slug(restore(office, (office.bureau.person("s-9", "吴九"), "吴九"))) == "state-conflict"
    assert sound(office)


def test_who_is_of_the_staff_stays_one_person(office: Office) -> None:
    """His certificate ran out or was lost: another one under his own id, and nothing else about him changes."""
    locked_out(office)
    again = office.bureau.person("s-2", "王五")
    wrong = office.bureau.person("s-2", "王六")
    assert slug(restore(office, (wrong, "王六"))) == "state-conflict"
    assert slug(restore(office, (again, "王五"))) == "ACTIVE"
    assert len(office.house.rows_of(rows.StaffMember)) == 2
    plan = str(office.do(office.clerk, "certs.unfreeze", office.chief.keyid).waits)
    assert office.do(again, "ops.approve", plan).state == "DONE"
    assert sound(office)


def test_who_has_left_does_not_come_back_by_it(office: Office) -> None:
    third = office.third()
    office.do(office.clerk, "staff.leave", third.staff_id)
    locked_out(office)
    again = office.bureau.person("s-3", "赵六")
    assert slug(restore(office, (again, "赵六"))) == "state-conflict"


def test_only_people_who_can_approve_help(office: Office) -> None:
    locked_out(office)
    finance = office.bureau.newcomer(office.bureau.person("s-8", "周八"), "周八", "计财部")
    (reply,) = office.house.batch([office.bureau.by_root("staff.restore", finance)])
    assert isinstance(reply, items.Refusal)
    assert "could approve even then" in reply.detail
    many = [(office.bureau.person(f"s-{n}", "周八"), "周八") for n in range(7, 10)]
    assert slug(restore(office, *many)) == "malformed"
    assert slug(restore(office)) == "malformed"
    assert slug(restore(office, many[0], many[0])) == "malformed"
    assert len(office.house.rows_of(rows.StaffMember)) == 2


def test_only_the_roots_key_does_it_and_it_does_nothing_else(office: Office) -> None:
    """Not the issuing CA's, not one of the staff, not another root's, not over other bytes, not twice, not later."""
    locked_out(office)
    act = office.bureau.by_root("staff.restore", office.bureau.newcomer(office.bureau.person("s-8", "周八"), "周八"))
    issuing = office.bureau.issuing

    def refused(**changes: Any) -> str:
        return office.house.ask(swap(act, **changes), items.Refusal).slug

    assert refused(keyid=office.clerk.keyid, signature=office.clerk.signer.sign(act.deed)) == "certificate-unknown"
    assert refused(signature=office.clerk.signer.sign(act.deed)) == "signature-invalid"
    by_issuing = PemSigner(issuing.certificate, issuing.key).sign(act.deed)
    assert refused(keyid=issuing.certificate.keyid, signature=by_issuing) == "certificate-unknown"
    assert refused(deed=act.deed.replace("周八".encode(), "周九".encode())) == "signature-invalid"
    stale = office.bureau.deed("staff.restore", "x", at=office.house.now - 301_000)
    root = Person("root", PemSigner(office.bureau.root.certificate, office.bureau.root.key))
    assert office.house.ask(office.bureau.sign(root, stale), items.Refusal).slug == "signature-expired"
    for action in ("certs.freeze", "staff.add", "ops.approve", "ops.reject"):
        other = office.bureau.sign(root, office.bureau.deed(action, office.clerk.keyid))
        assert office.house.ask(other, items.Refusal).slug == "certificate-unknown", action
    assert office.house.ask(act, Acted).state == "ACTIVE"
    again = swap(act, arrival_id="another")
    assert office.house.ask(again, items.Refusal).slug == "nonce-replayed"
    assert not RIGHTS & BY_ROOT
    assert set(ACTIONS) >= BY_ROOT
    assert all(not rights.may & BY_ROOT and not rights.approves & BY_ROOT for rights in load_rights().values())


def test_a_certificate_must_be_his_by_our_ca_and_of_a_key_never_seen(office: Office) -> None:
    locked_out(office)
    new, other = office.bureau.person("s-8", "周八"), office.bureau.person("s-9", "吴九")
    right = office.bureau.newcomer(new, "周八")
    stranger, _ = Bureau(lambda: office.house.now).certify("周八", key=new.key)
    cases = {
        "another's key": replace(right, certificate=other.signer.certificate),
        "another's name": replace(right, name="吴九"),
        "another CA": replace(right, certificate=stranger),
        "a key that was registered": replace(office.bureau.newcomer(office.clerk, "李四"), staff_id="s-8"),
        "a station's": replace(right, certificate=_station(office, new)),
        "a name of no person": replace(right, staff_id="root"),
        "the clock": replace(right, staff_id="clock"),
        "no department": replace(right, department="无此部门"),
    }
    for told, newcomer in cases.items():
        (reply,) = office.house.batch([office.bureau.by_root("staff.restore", newcomer)])
        assert isinstance(reply, items.Refusal), told
    assert len(office.house.rows_of(rows.StaffMember)) == 2
    assert len(office.house.rows_of(rows.Alarm, "kind = 'staff.restored'")) == 0


def _station(office: Office, person: Person) -> Certificate:
    certificate, _ = office.bureau.certify(
        "周八", Role.STATION, person.key, institution_code="46000001", usb_key_serial="PILOT-8"
    )
    assert isinstance(certificate, Certificate)
    return certificate


def test_a_deed_with_more_or_less_than_its_fields_is_malformed(office: Office) -> None:
    locked_out(office)
    root = Person("root", PemSigner(office.bureau.root.certificate, office.bureau.root.key))
    act = office.bureau.by_root("staff.restore", office.bureau.newcomer(office.bureau.person("s-8", "周八"), "周八"))
    fields = decode(act.deed, Deed).fields
    for changed in (fields | {"more": "x"}, {k: v for k, v in fields.items() if k != "csr_1"}, fields | {"csr_1": "x"}):
        deed = office.bureau.deed("staff.restore", "x", fields=changed)
        assert office.house.ask(office.bureau.sign(root, deed), items.Refusal).slug == "malformed"


def test_both_keys_are_lost_and_nobody_is_left_to_freeze_them(office: Office) -> None:
    """The way back needs no hand of those who lost their keys: the root's deed freezes, and counts after that."""
    new = office.bureau.person("s-2", "王五"), office.bureau.person("s-9", "吴九")
    both = (new[0], "王五"), (new[1], "吴九")
    assert slug(restore(office, *both)) == "state-conflict", "two seem to be able"
    office.house.advance(1)
    assert slug(restore(office, *both, lost=["s-1", office.chief.keyid])) == "ACTIVE"
    for gone in (office.clerk, office.chief):
        assert office.state(gone.keyid) == "FROZEN"
        assert office.steps(gone.keyid)[-1] == ("freeze", "ACTIVE", "FROZEN", "root")
        assert office.no(gone, "staff.leave", "s-9") == "certificate-revoked"
    assert [office.state(one.keyid) for one in new] == ["ACTIVE", "ACTIVE"], "what it brings in is not lost with him"
    records = {one.record_id for one in office.house.rows_of(rows.Record, "kind = 'root-deed'")}
    (frozen,) = {
        one.record_id for one in office.house.rows_of(rows.CertificateStep, "event = 'freeze'") if one.record_id
    }
    assert frozen in records
    (alarm,) = office.house.rows_of(rows.Alarm, "kind = 'staff.restored'")
    assert f"frozen as lost: s-1、{office.chief.keyid}:" in alarm.detail
    plan = str(office.do(new[0], "certs.unfreeze", office.clerk.keyid).waits)
    assert office.do(new[1], "ops.approve", plan).state == "DONE"
    assert sound(office)


def test_one_lost_is_enough_and_a_refused_deed_freezes_nothing(office: Office) -> None:
    new = office.bureau.person("s-9", "吴九")
    third = office.third()
    assert slug(restore(office, (new, "吴九"), lost=["s-1"])) == "state-conflict", "two are left"
    station = keyid_of(1)
    finance = office.bureau.newcomer(office.bureau.person("s-8", "周八"), "周八", "计财部")
    (still,) = office.house.batch([office.bureau.by_root("staff.restore", finance, lost=["s-1", "s-2"])])
    assert isinstance(still, items.Refusal)
    wrong = {
        "not-found": (["s-1", "s-2", "nobody"], ["s-1", "s-2", station]),
        "malformed": (["s-1", "s-2 "], ["s-1", "", "s-2"], [f"s-{n}" for n in range(17)]),
    }
    for told, cases in wrong.items():
        for lost in cases:
            assert slug(restore(office, (new, "吴九"), lost=lost)) == told, lost
    assert {office.state(one.keyid) for one in (office.clerk, office.chief, third)} == {"ACTIVE"}
    assert office.state(station) == "ACTIVE"
    assert slug(restore(office, (new, "吴九"), lost=["s-1", "s-2"])) == "ACTIVE"
    assert (office.state(office.clerk.keyid), office.state(third.keyid)) == ("FROZEN", "ACTIVE")
    assert sound(office)


def test_who_stands_under_no_ca_of_ours_any_more_cannot_approve(office: Office) -> None:
    """Counted as their deeds are judged: an issuing CA that was taken out of the configuration takes its people."""
    new = office.bureau.newcomer(office.bureau.person("s-9", "吴九"), "吴九")
    again = office.bureau.newcomer(office.bureau.person("s-8", "周八"), "周八")
    act = office.bureau.by_root("staff.restore", new, again)
    assert office.house.ask(act, items.Refusal).slug == "state-conflict"
    other = Bureau(lambda: office.house.now)
    office.house.trust(other)
    office.house.advance(1)
    people = [other.newcomer(other.person(f"s-{n}", "周八"), "周八") for n in (8, 9)]
    assert office.house.ask(other.by_root("staff.restore", *people), Acted).state == "ACTIVE"
