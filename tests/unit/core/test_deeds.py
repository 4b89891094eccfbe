"""Deeds of the staff: whose signature counts, when, how often, and what takes two people (M11, M12)."""

import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from certs.authority.issuing import make_issuing, make_key, make_root
from certs.certificates import Role
from certs.core.signatures import holds
from certs.keys import PemSigner
from certs.pilot import issue
from contracts.strict_json import decode
from gateway.core import chores, items, rows
from gateway.core.actions import ACTIONS, Action
from gateway.core.items_deeds import Act, Acted, Deed
from gateway.core.rights import Rights
from tests.stand.bureau import DEPARTMENT, Bureau, Person, asked
from tests.stand.house import House
from tests.stand.office import Office

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def test_clerk_does_not_approve_his_own_application(office: Office) -> None:
    request_id = office.apply(asked())
    assert office.no(office.clerk, "certs.approve", request_id) == "authorization-required"


def test_two_certificates_of_one_person_are_one_person(office: Office) -> None:
    other_self = office.second_certificate(office.clerk)
    request_id = office.apply(asked())
    assert office.no(other_self, "certs.approve", request_id) == "authorization-required"
    office.free_place()
    signer = office.issued(asked())
    plan = office.do(office.clerk, "certs.bind", signer.keyid, **office.place())
    assert office.no(other_self, "ops.approve", str(plan.waits)) == "authorization-required"
    assert office.do(office.chief, "ops.approve", str(plan.waits)).state == "DONE"


def test_two_binders_at_once_one_wins(office: Office) -> None:
    signer = office.issued(asked())
    plans = [office.do(one, "certs.bind", signer.keyid, **office.place()).waits for one in (office.clerk, office.chief)]
    approvers = (office.chief, office.clerk)
    replies = office.house.batch(
        [office.bureau.act(who, "ops.approve", str(plan)) for who, plan in zip(approvers, plans, strict=True)]
    )
    assert sorted(type(one).__name__ for one in replies) == ["Acted", "Refusal"]
    assert len(office.house.rows_of(rows.Binding, "keyid = ?", signer.keyid)) == 1


def test_deed_is_refused_to_the_second(office: Office) -> None:
    at = office.house.now
    deed = office.bureau.deed("certs.freeze", "0" * 64, at=at)

    def told(now: int, **changes: Any) -> str:
        office.house.now = now
        fresh = Deed(**({name: getattr(deed, name) for name in Deed.__struct_fields__} | changes))
        return office.house.ask(office.bureau.sign(office.clerk, fresh), items.Refusal).slug

    second = at // 1000 * 1000
    assert told(second + 300_999, nonce="n" * 16) == "not-found"
    assert told(second + 301_000, nonce="o" * 16) == "signature-expired"
    assert told(second - 60_000, nonce="p" * 16) == "not-found"
    assert told(second - 60_001, nonce="q" * 16) == "signature-expired"


def test_deed_is_done_once(office: Office) -> None:
    office.free_place()
    signer = office.active(asked())
    item = office.bureau.act(office.clerk, "certs.freeze", signer.keyid)
    assert office.house.ask(item, Acted).state == "FROZEN"
    assert office.house.ask(item, items.Refusal).slug == "state-conflict"
    again = Act(arrival_id="x", deed=item.deed, signature=item.signature, keyid=item.keyid, entropy=5)
    assert office.house.ask(again, items.Refusal).slug == "nonce-replayed"
    office.house.advance(3600 * 3)
    office.house.ask(chores.ForgetOld(), items.Kept)
    office.house.now -= 3600 * 3 * 1000
    assert office.house.ask(again, items.Refusal).slug == "signature-expired"


def test_signature_of_anything_else_proves_nothing(office: Office) -> None:
    office.free_place()
    station = office.active(asked())
    item = office.bureau.act(office.clerk, "certs.freeze", station.keyid)
    for changes, slug in (
        ({"keyid": station.keyid, "signature": station.sign(item.deed)}, "certificate-unknown"),
        ({"keyid": office.chief.keyid}, "signature-invalid"),
        ({"signature": item.signature[:-1] + bytes([item.signature[-1] ^ 1])}, "signature-invalid"),
        ({"deed": item.deed.replace(b"freeze", b"revoke")}, "signature-invalid"),
        ({"deed": b" " + item.deed}, "malformed"),
        ({"deed": item.deed[:-1] + b',"x":1}'}, "malformed"),
    ):
        values = {name: getattr(item, name) for name in Act.__struct_fields__} | changes
        assert office.house.ask(Act(**values), items.Refusal).slug == slug
    assert office.state(station.keyid) == "ACTIVE"


@pytest.mark.parametrize(
    ("state", "slug"),
    [("FROZEN", "certificate-revoked"), ("REVOKED", "certificate-revoked"), ("BOUND", "certificate-not-bound")],
)
def test_staff_certificate_that_may_not_speak(office: Office, state: str, slug: str) -> None:
    office.house.sql("UPDATE certificates SET state = ? WHERE keyid = ?", state, office.clerk.keyid)
    assert office.no(office.clerk, "certs.freeze", "0" * 64) == slug


def test_plan_of_one_whose_certificate_was_frozen_since_is_not_done(office: Office) -> None:
    office.third()
    signer = office.issued(asked())
    plan = office.do(office.clerk, "certs.bind", signer.keyid, **office.place())
    office.do(office.chief, "certs.freeze", office.clerk.keyid)
    assert office.no(office.chief, "ops.approve", str(plan.waits)) == "state-conflict"
    assert office.do(office.chief, "ops.reject", str(plan.waits)).state == "REJECTED"
    assert office.no(office.chief, "ops.approve", str(plan.waits)) == "state-conflict"


def test_department_without_the_right_may_not(office: Office) -> None:
    office.house.rewrite("staff", "department = ? WHERE staff_id = 's-1'", "信息分局")
    assert office.no(office.clerk, "certs.freeze", "0" * 64) == "authorization-required"
    office.house.rewrite("staff", "department = ? WHERE staff_id = 's-1'", "计财部")
    assert office.no(office.clerk, "certs.freeze", "0" * 64) == "not-found"
    plan = office.do(office.chief, "key.receive", "UK-1")
    assert office.no(office.clerk, "ops.approve", str(plan.waits)) == "authorization-required"
    assert office.no(office.clerk, "ops.reject", str(plan.waits)) == "authorization-required"


def test_who_prepared_may_take_it_back_but_not_approve(office: Office) -> None:
    plan = str(office.do(office.clerk, "key.receive", "UK-1").waits)
    assert office.no(office.clerk, "ops.approve", plan) == "authorization-required"
    assert office.do(office.clerk, "ops.reject", plan).state == "REJECTED"
    assert office.house.rows_of(rows.UsbKey) == []


def test_approval_is_signed_over_exactly_the_plan(office: Office) -> None:
    plan = str(office.do(office.clerk, "key.receive", "UK-1").waits)
    office.do(office.chief, "ops.approve", plan)
    (row,) = office.house.rows_of(rows.Approval)
    (decided,) = office.house.rows_of(rows.Record, "record_id = ?", str(row.decided_record))
    assert hashlib.sha256(row.plan).hexdigest() == plan == decode(decided.base, Deed).subject
    assert holds(office.chief.signer.certificate, office.chief.signer.alg, decided.base, row.signature or b"")
    (prepared,) = office.house.rows_of(rows.Record, "record_id = ?", row.prepared_record)
    assert prepared.base == row.plan
    assert holds(office.clerk.signer.certificate, office.clerk.signer.alg, prepared.base, prepared.signature)


def test_refused_deed_changes_nothing_but_is_kept(office: Office) -> None:
    before = office.house.sql("SELECT count(*) FROM certificate_steps")
    assert office.no(office.clerk, "certs.revoke", office.chief.keyid, code="no-such-reason") == "malformed"
    assert office.house.sql("SELECT count(*) FROM certificate_steps") == before
    assert len(office.house.rows_of(rows.Record, "kind = 'deed'")) == 1


def test_first_staff_comes_once_and_is_two(office: Office, tmp_path_factory: pytest.TempPathFactory) -> None:
    bureau = Bureau(lambda: office.house.now)
    assert office.house.ask(bureau.first_staff(), items.Refusal).slug == "certificate-unknown", "another root"
    assert office.house.ask(office.bureau.first_staff(), items.Refusal).slug == "state-conflict"
    fresh = House(tmp_path_factory.mktemp("fresh"))
    assert fresh.ask(bureau.first_staff(), items.Refusal).slug == "certificate-unknown", "no root is known"
    fresh.trust(bureau)
    alone = bureau.by_root("staff.found", bureau.newcomer(bureau.clerk, "李四"))
    assert fresh.ask(alone, items.Refusal).slug == "malformed"
    assert fresh.ask(bureau.first_staff(), Acted).state == "ACTIVE"
    assert [one.staff_id for one in fresh.rows_of(rows.StaffMember)] == ["s-1", "s-2"]
    fresh.close()


def test_person_who_leaves_does_nothing_more(office: Office) -> None:
    office.third()
    office.do(office.chief, "staff.leave", "s-1")
    assert office.state(office.clerk.keyid) == "FROZEN"
    assert office.no(office.clerk, "certs.freeze", "0" * 64) == "certificate-revoked"
    office.house.sql("UPDATE certificates SET state = 'ACTIVE' WHERE keyid = ?", office.clerk.keyid)
    assert office.no(office.clerk, "certs.freeze", "0" * 64) == "certificate-not-bound"


def test_new_person_takes_two_people(office: Office) -> None:
    office.both("staff.add", "s-3", name="赵六", department="计财部")
    (row,) = office.house.rows_of(rows.StaffMember, "staff_id = 's-3'")
    assert (row.name, row.department, row.state) == ("赵六", "计财部", "ACTIVE")
    for fields in ({"department": "无此部门"}, {"name": ""}, {}):
        values = {"name": "赵六", "department": "计财部"} | fields
        assert office.no(office.clerk, "staff.add", "s-3", **values) in ("malformed", "state-conflict")


def test_staff_certificate_speaks_from_its_first_to_its_last_millisecond(office: Office) -> None:
    begins, ends = office.house.now + 5000, office.house.now + 6000
    office.house.rewrite(
        "certificates", "not_before = ?, not_after = ? WHERE keyid = ?", begins, ends, office.clerk.keyid
    )

    def told(now: int) -> str:
        office.house.now = now
        return office.no(office.clerk, "certs.freeze", "0" * 64)

    expected = {begins - 1: "certificate-expired", begins: "not-found", ends - 1: "not-found"}
    assert {now: told(now) for now in expected} == expected
    assert told(ends) == "certificate-expired"
    office.house.now = begins
    office.house.sql("UPDATE certificates SET state = 'EXPIRED' WHERE keyid = ?", office.clerk.keyid)
    assert told(begins) == "certificate-expired"


def test_twin_of_a_signature_passes_no_nonce(office: Office) -> None:
    """(r, n - s) is as good a signature, and the deed it signs is still the same deed."""
    item = office.bureau.act(office.clerk, "key.receive", "UK-1")
    r, s = item.signature[:32], int.from_bytes(item.signature[32:])
    twin = replace(item, arrival_id="twin", signature=r + (P256_ORDER - s).to_bytes(32))
    assert office.house.ask(item, Acted).waits
    assert office.house.ask(twin, items.Refusal).slug == "nonce-replayed"


def test_second_certificate_of_the_same_key_is_nobodys(office: Office) -> None:
    """Issued by the same CA for the same key, and not registered: it signs nothing here."""
    signer = office.clerk.signer
    twin, _ = office.bureau.certify("李四", key=signer._key)
    other = Person("s-1", PemSigner(twin, signer._key))
    assert office.no(other, "key.receive", "UK-1") == "certificate-unknown"


def test_plan_of_a_kind_that_is_done_elsewhere_is_approved_and_waits(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ACTIONS, "ops.replay", Action(do=None, two=True))
    may = Rights(frozenset({"ops.replay"}), frozenset({"ops.replay"}))
    office.house.env = dataclasses.replace(office.house.env, rights={DEPARTMENT: may})
    office.house.reopen()
    plan = str(office.do(office.clerk, "ops.replay", "2026112406H0P4QWR2D3RMF7").waits)
    assert office.no(office.clerk, "ops.approve", plan) == "authorization-required"
    assert office.do(office.chief, "ops.approve", plan).state == "APPROVED"
    assert office.no(office.chief, "ops.reject", plan) == "state-conflict"


def test_certificate_of_no_ca_of_ours_signs_nothing(office: Office) -> None:
    """However it came into the book."""
    at = datetime.fromtimestamp(office.house.now / 1000, UTC)
    stranger = make_issuing(make_root("示范县邮政局", at), at)
    key = make_key()
    certificate = issue(stranger, Role.OPERATOR, key.public_key(), operator="李四", now=at)
    office.house.sql("DROP TRIGGER certificates_no_update")
    office.house.sql(
        "UPDATE certificates SET keyid = ?, der = ? WHERE keyid = ?",
        certificate.keyid, certificate.der, office.clerk.keyid,
    )  # fmt: skip
    other = Person("s-1", PemSigner(certificate, key))
    assert office.no(other, "key.receive", "UK-1") == "certificate-unknown"
    office.house.env = dataclasses.replace(office.house.env, root=None)
    office.house.reopen()
    assert office.no(office.chief, "key.receive", "UK-1") == "certificate-unknown"
