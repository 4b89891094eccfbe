"""The audit of certificates, keys and approvals finds nothing in a sound book, and what was changed in another."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ops.audit import Report
from tests.stand.bureau import DEPARTMENT, asked
from tests.stand.house import code
from tests.stand.house import keyid as keyid_of
from tests.stand.office import Office
from tests.stand.partner_pki import Held, PartnerCa, at_ms
from tests.stand.spoilt import audit_spoilt

NAMES = ("certificate-steps", "two-people", "deeds-signed", "rebuilt")
OURS = set(NAMES)


class Story:
    """A certificate that lived, one that is bound, one applied for; a key that was lost; a station that closed."""

    def __init__(self, folder: Path) -> None:
        self.office = office = Office(folder)
        office.both("key.receive", "UK-1")
        office.both("key.hand-out", "UK-1", institution_code=code(1), holder="张三")
        office.free_place()
        self.lived = office.active(asked(), serial="UK-1").keyid
        office.do(office.clerk, "key.lost", "UK-1")
        office.do(office.chief, "certs.revoke", self.lived, code="keyCompromise")
        self.bound = office.bound(asked()).keyid
        self.request = office.apply(asked())
        office.both("staff.add", "s-3", name="赵六", department="计财部")
        self.late = 1
        self.open = str(office.do(office.clerk, "station.close", code(2)).waits)
        self.rejected = str(office.do(office.chief, "key.receive", "UK-2").waits)
        office.do(office.clerk, "ops.reject", self.rejected)
        office.both("station.close", code(2))
        partner = PartnerCa(at_ms(office.house.now))
        self.pinned, self.closed = (self.pin(partner.leaf()) for _ in range(2))
        office.do(office.clerk, "partner.close", self.closed, biller="acme")
        office.both("staff.add", "s-4", name="钱七", department=DEPARTMENT)
        self.gone = office.staff_bound("s-4", "钱七").keyid
        office.do(office.clerk, "certs.activate", self.gone)
        office.both("key.receive", "UK-3")
        office.both("key.hand-out", "UK-3", institution_code=code(1), holder="张三")
        self.first, self.station = office.clerk.keyid, keyid_of(1)
        office.do(office.clerk, "staff.leave", "s-4")

    def pin(self, held: Held) -> str:
        keyid = held.certificate.keyid
        self.office.both("partner.add", keyid, biller="acme", use="sign", certificate=held.base64)
        return keyid

    def audit(self, *statements: str) -> Report:
        return audit_spoilt(self.office, *(one.format(**vars(self)) for one in statements))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    made = Story(tmp_path_factory.mktemp("story"))
    yield made
    made.office.house.close()


def test_sound_book(story: Story) -> None:
    report = story.audit()
    assert OURS.isdisjoint(report.failed()), report.text()
    assert {check.name: check.rows for check in report.checks if check.name in OURS} == {
        "certificate-steps": 13,
        "two-people": 8,
        "deeds-signed": 64,
        "rebuilt": 23,
    }


OF_LIVED = "(SELECT record_id FROM certificate_steps WHERE subject = '{lived}' AND event = 'revoke')"
BIND = "FROM certificate_steps WHERE subject = '{bound}' AND event = 'bind'"
ANOTHER_DEED = (
    f"UPDATE certificate_steps SET record_id = (SELECT record_id {BIND}), deed = (SELECT deed {BIND})"
    " WHERE subject = '{lived}' AND event = 'bind'"
)
OTHER_BYTES = "CAST(replace(CAST(base AS TEXT), 'keyCompromise', 'superseded') AS BLOB)"
CHANGES = {
    "a state that no step led to": ("UPDATE certificates SET state = 'ACTIVE' WHERE keyid = '{lived}'", 0),
    "a step taken out of the middle": (
        "DELETE FROM certificate_steps WHERE subject = '{lived}' AND event = 'freeze'",
        0,
    ),
    "the last step taken away": ("DELETE FROM certificate_steps WHERE subject = '{lived}' AND event = 'revoke'", 0),
    "steps of nothing": ("DELETE FROM certificate_requests WHERE request_id = '{request}'", 0),
    "a step that is not in the table": (
        "UPDATE certificate_steps SET event = 'unfreeze' WHERE subject = '{lived}' AND event = 'activate'",
        0,
    ),
    "a key that never moved": ("UPDATE usb_keys SET state = 'IN_STOCK' WHERE key_serial = 'UK-1'", 0),
    "one person bound": ("UPDATE bindings SET prepared_by = approved_by WHERE keyid = '{bound}'", 1),
    "another person bound": ("UPDATE bindings SET approved_by = 's-3' WHERE keyid = '{bound}'", 1),
    "provisioned, it is said": (
        "UPDATE bindings SET approved_by = 'init', prepared_by = 'init' WHERE keyid = '{bound}'",
        1,
    ),
    "a binding that is gone": ("DELETE FROM bindings WHERE keyid = '{bound}'", 1),
    "a binding that came back": ("UPDATE bindings SET unbound_at = NULL WHERE keyid = '{lived}'", 1),
    "applied for by another": ("UPDATE certificate_requests SET applied_by = 's-2' WHERE request_id = '{request}'", 1),
    "a step by another": (
        "UPDATE certificate_steps SET staff = 's-3' WHERE subject = '{lived}' AND event = 'revoke'",
        2,
    ),
    "a step that nobody signed": (
        "UPDATE certificate_steps SET record_id = NULL WHERE subject = '{lived}' AND event = 'revoke'",
        2,
    ),
    "a step under another deed": (
        ANOTHER_DEED,
        2,
    ),
    "a freezing by the clock": (
        "UPDATE certificate_steps SET staff = 'clock' WHERE subject = '{lived}' AND event = 'freeze'",
        2,
    ),
    "an approval that was a rejection": (
        "UPDATE approvals SET state = 'DONE' WHERE plan_sha256 = '{rejected}'",
        2,
    ),
    "an approval nobody gave": (
        "UPDATE approvals SET state = 'APPROVED', decided_by = 's-2' WHERE plan_sha256 = '{open}'",
        2,
    ),
    "a plan that was changed": ("UPDATE approvals SET kind = 'staff.add' WHERE plan_sha256 = '{open}'", 2),
    "a signature that was changed": (
        f"UPDATE records SET signature = zeroblob(64) WHERE record_id = {OF_LIVED}",
        2,
    ),
    "a deed that was changed": (
        f"UPDATE records SET base = {OTHER_BYTES} WHERE record_id = {OF_LIVED}",
        2,
    ),
    "the department of a person": ("UPDATE staff SET department = '电子商务中心' WHERE staff_id = 's-3'", 3),
    "the name of a person": ("UPDATE staff SET name = '王五' WHERE staff_id = 's-3'", 3),
    "a person who left is back": ("UPDATE staff SET state = 'ACTIVE' WHERE staff_id = 's-4'", 3),
    "a person is said to have left": ("UPDATE staff SET state = 'LEFT' WHERE staff_id = 's-3'", 3),
    "a person nobody added": (
        (
            "INSERT INTO staff SELECT 'mallory', name, department, state, added_at + {late}, state_at FROM staff"
            " WHERE staff_id = 's-1'"
        ),
        3,
    ),
    "a person nobody added, of the first hour": (
        (
            "INSERT INTO staff SELECT 'mallory', name, department, state, added_at, state_at FROM staff"
            " WHERE staff_id = 's-1'"
        ),
        3,
    ),
    "a certificate given to another person": ("UPDATE certificates SET staff_id = 's-1' WHERE keyid = '{gone}'", 3),
    "a first certificate given to another person": (
        "UPDATE certificates SET staff_id = 's-2' WHERE keyid = '{first}'",
        3,
    ),
    "a certificate that lasts longer": (
        "UPDATE certificates SET not_after = not_after + 1000 WHERE keyid = '{bound}'",
        3,
    ),
    "a certificate in another USB key": ("UPDATE certificates SET key_serial = 'UK-9' WHERE keyid = '{bound}'", 3),
    "a certificate of another role": ("UPDATE certificates SET role = 'operator' WHERE keyid = '{bound}'", 3),
    "a binding to another terminal": ("UPDATE bindings SET terminal_id = 'T9' WHERE keyid = '{bound}'", 3),
    "a binding to another operator": ("UPDATE bindings SET operator_id = '9999' WHERE keyid = '{bound}'", 3),
    "a binding to another key": ("UPDATE bindings SET key_serial = 'UK-9' WHERE keyid = '{bound}'", 3),
    "a provisioned binding of later": ("UPDATE bindings SET bound_at = bound_at + 1 WHERE keyid = '{station}'", 3),
    "an application for another place": (
        "UPDATE certificate_requests SET terminal_id = 'T7' WHERE request_id = '{request}'",
        3,
    ),
    "an application with another key": (
        "UPDATE certificate_requests SET csr = x'00' WHERE request_id = '{request}'",
        3,
    ),
    "an application that led to another certificate": (
        "UPDATE certificate_requests SET keyid = '{lived}' WHERE keyid = '{bound}'",
        3,
    ),
    "a USB key at another holder": ("UPDATE usb_keys SET holder = 'me' WHERE key_serial = 'UK-3'", 3),
    "a USB key handed to another": (
        "UPDATE usb_key_steps SET holder = 'me' WHERE key_serial = 'UK-3' AND event = 'hand-over'",
        3,
    ),
    "a partner's certificate exchanged": (
        (
            "UPDATE partner_certificates SET der = (SELECT der FROM partner_certificates WHERE keyid = '{closed}')"
            " WHERE keyid = '{pinned}'"
        ),
        3,
    ),
    "a partner's certificate under another name": (
        "UPDATE partner_certificates SET keyid = 'x' WHERE keyid = '{pinned}'",
        3,
    ),
    "a partner's certificate for another use": (
        "UPDATE partner_certificates SET use = 'ca' WHERE keyid = '{pinned}'",
        3,
    ),
    "a partner's certificate back": ("UPDATE partner_certificates SET state = 'ACTIVE' WHERE keyid = '{closed}'", 3),
    "a partner's certificate closed by nobody": (
        "UPDATE partner_certificates SET state = 'CLOSED' WHERE keyid = '{pinned}'",
        3,
    ),
    "a record that is gone": (
        "DELETE FROM records WHERE record_id = (SELECT prepared_record FROM approvals WHERE plan_sha256 = '{open}')",
        2,
    ),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_what_was_changed_is_found(story: Story, name: str) -> None:
    statement, check = CHANGES[name]
    report = story.audit(statement)
    assert NAMES[check] in report.failed(), report.text()


def test_a_step_that_is_said_to_be_provisioned(story: Story) -> None:
    """A frozen certificate unfrozen by nobody, as `init` would have."""
    step = (
        "INSERT INTO certificate_steps (subject, number, event, from_state, to_state, at, staff)"
        " SELECT subject, number + 1, 'unfreeze', 'FROZEN', 'ACTIVE', at + 1, 'init' FROM certificate_steps"
        " WHERE subject = '{station}' AND event = 'freeze'"
    )
    report = story.audit(step, "UPDATE certificates SET state = 'ACTIVE' WHERE keyid = '{station}'")
    assert "rebuilt" in report.failed(), report.text()
    assert "unfreeze as step 7" in report.text()


def test_step_taken_out_and_the_rest_numbered_anew(story: Story) -> None:
    out = "DELETE FROM certificate_steps WHERE subject = '{lived}' AND event = 'freeze'"
    closed = "UPDATE certificate_steps SET number = number - 1 WHERE subject = '{lived}' AND event = 'revoke'"
    report = story.audit(out, closed)
    assert report.failed() == ["certificate-steps"], report.text()
    assert "the one before ended at ACTIVE" in report.text()


def test_every_check_has_a_fault_that_only_it_sees(story: Story) -> None:
    alone = {
        name
        for statement, _ in CHANGES.values()
        if len(failed := story.audit(statement).failed()) == 1
        for name in failed
    }
    assert alone >= OURS


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("staff", "name department"),
        ("partner_certificates", "der use added_by"),
        ("bindings", "institution_code terminal_id operator_id key_serial bound_at"),
        ("certificate_requests", "institution_code terminal_id operator_id key_serial staff_id profile applied_at"),
        ("certificates", "not_before not_after key_serial registered_at staff_id"),
        ("usb_keys", "received_at"),
        ("approvals", "kind subject reason"),
    ],
)
def test_what_never_changes_is_frozen(story: Story, table: str, columns: str) -> None:
    for column in columns.split():
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            story.office.house.engine.connection.execute(f"UPDATE {table} SET {column} = {column}")
