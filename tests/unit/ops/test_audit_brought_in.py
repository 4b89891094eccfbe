"""M11, M12: what one deed brought in whole, who left and what was closed: the book must be what was signed and done."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.certificates import Role
from gateway.ops.audit import Report, audit_sqlite
from tests.stand.bureau import DEPARTMENT
from tests.stand.house import code
from tests.stand.office import Office
from tests.stand.partner_pki import PartnerCa, at_ms
from tests.stand.spoilt import audit_spoilt

OURS = {"certificate-steps", "two-people", "deeds-signed", "rebuilt"}


class Story:
    """Staff that left and stayed, a restored bureau, a station of two people, a partner's closed authority."""

    def __init__(self, folder: Path) -> None:
        self.office = office = Office(folder)
        bureau = office.bureau
        office.house.advance(60)
        made, _ = bureau.certify("周八", Role.STATION, institution_code="46000077", usb_key_serial="PILOT-77")
        fields = {
            "name": "七七站", "terminal_id": "T1", "operator_id": "0001", "operator_name": "周八",
            "services": "acme.bill", "trained_days": "365", "certificate": base64.b64encode(made.der).decode(),
        }  # fmt: skip
        office.both("station.add", "46000077", **fields)
        self.added = made.keyid
        office.both("staff.add", "s-3", name="赵六", department=DEPARTMENT)
        # Without a certificate nothing is frozen when he leaves.
        office.do(office.clerk, "staff.leave", "s-3")
        office.both("staff.add", "s-4", name="钱七", department="计财部")
        self.partner = PartnerCa(at_ms(office.house.now)).authority
        keyid = self.partner.certificate.keyid
        office.both("partner.add", keyid, biller="acme", use="ca", certificate=self.partner.base64)
        office.do(office.clerk, "partner.close", keyid, biller="acme")
        self.closed = keyid
        self.other = office.staff_bound("s-1", "李四").keyid
        self.spare = office.second_certificate(office.chief).keyid
        office.do(office.clerk, "certs.freeze", self.spare)
        self.chief = office.chief.keyid
        new = bureau.person("s-8", "周八")
        office.house.advance(60)
        office.house.batch([bureau.by_root("staff.restore", bureau.newcomer(new, "周八"), lost=["s-2"])])
        self.restored, self.first = new.keyid, office.clerk.keyid
        self.plan = str(office.do(new, "staff.leave", "s-1").waits)
        office.do(new, "ops.reject", self.plan)
        self.station, self.late = code(1), 1
        self.new = new

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
    assert "taken as it stands" not in report.text()
    assert "deeds-signed: note: staff.restored at 2026-" in report.text()
    assert "the root's key brought in s-8 周八, and froze as lost s-2" in report.text()


def test_without_the_configuration_the_roots_word_is_taken_and_that_is_said(story: Story) -> None:
    report = audit_sqlite(story.office.house.path, at_ms=story.office.house.now)
    assert OURS.isdisjoint(report.failed()), report.text()
    assert "taken as it stands" in report.text()


ROOTED = "(SELECT record_id FROM certificate_steps WHERE subject = '{restored}' AND event = 'apply')"
FOUNDED = "(SELECT record_id FROM certificate_steps WHERE subject = '{first}' AND event = 'apply')"
ADDED = "(SELECT record_id FROM certificate_steps WHERE subject = '{added}' AND event = 'apply')"
LATER = (
    "INSERT INTO certificate_steps SELECT subject, 6, 'freeze', 'ACTIVE', 'FROZEN', at, staff, deed, record_id, reason"
    " FROM certificate_steps WHERE subject = '{restored}' AND number = 5"
)
OTHERS = (
    "INSERT INTO certificate_steps SELECT '{other}', 5, 'freeze', 'BOUND', 'FROZEN', at, staff, deed, record_id,"
    " reason FROM certificate_steps WHERE subject = '{chief}' AND event = 'freeze'"
)
CHANGES = {
    "the first staff in another department": (
        "UPDATE staff SET department = '计财部' WHERE staff_id = 's-1'",
        "rebuilt: s-1: its department is not that of what the root signed",
    ),
    "the first staff under another name": (
        "UPDATE staff SET name = '李五' WHERE staff_id = 's-1'",
        "rebuilt: s-1: its name is not that of what the root signed",
    ),
    "who left without a certificate is back": (
        "UPDATE staff SET state = 'ACTIVE' WHERE staff_id = 's-3'",
        "rebuilt: s-3: it is ACTIVE, and it has left by the word of s-1",
    ),
    "who stayed has left": (
        "UPDATE staff SET state = 'LEFT' WHERE staff_id = 's-4'",
        "rebuilt: s-4: it has left, and nobody signed that",
    ),
    "whose leaving was rejected has left": (
        "UPDATE staff SET state = 'LEFT' WHERE staff_id = 's-1'",
        "rebuilt: s-1: it has left, and nobody signed that",
    ),
    "a closed authority of a partner counts again": (
        "UPDATE partner_certificates SET state = 'ACTIVE' WHERE keyid = '{closed}'",
        "it is ACTIVE, and s-1 closed it",
    ),
    "a person nobody added": (
        "INSERT INTO staff SELECT 's-9', '吴九', department, state, added_at, state_at FROM staff LIMIT 1",
        "rebuilt: s-9: nobody added it",
    ),
    "a restored certificate of another person": (
        "UPDATE certificates SET staff_id = 's-4' WHERE keyid = '{restored}'",
        "it is of operator s-4, signed was operator s-8",
    ),
    "another person's certificate as the restored one's": (
        f"UPDATE certificate_steps SET record_id = {ROOTED}, staff = 'root' WHERE subject = '{{other}}'",
        "rebuilt: {other}: root signed for another certificate",
    ),
    "no alarm": ("DELETE FROM alarms WHERE kind = 'staff.restored'", "there is no alarm staff.restored"),
    "an alarm that keeps quiet about what was frozen": (
        "UPDATE alarms SET detail = replace(detail, 's-2', '') WHERE kind = 'staff.restored'",
        "there is no alarm staff.restored that says so",
    ),
    "another's word instead of the root's": (
        f"UPDATE records SET signature = zeroblob(64) WHERE record_id = {ROOTED}",
        "its signature is not by the certificate it names",
    ),
    "another root": (
        f"UPDATE records SET keyid = '{{first}}' WHERE record_id = {FOUNDED}",
        "its signature is not by the certificate it names",
    ),
    "a deed of the staff as the root's": (
        f"UPDATE records SET kind = 'root-deed' WHERE record_id = {ADDED}",
        "is not what this key may do",
    ),
    "the root's word as a person's": (
        f"UPDATE records SET kind = 'deed', keyid = '{{first}}' WHERE record_id = {ROOTED}",
        "staff.restore is not what this key may do",
    ),
    "a lost certificate that the root's word left as it was": (
        "DELETE FROM certificate_steps WHERE subject = '{chief}' AND event = 'freeze'",
        "it said that {chief} is lost, and did not freeze it",
    ),
    "frozen on the root's word, which names others": (
        OTHERS,
        "root signed staff.restore, which does not freeze it",
    ),
    "a lost certificate revoked on the root's word": (
        "UPDATE certificate_steps SET event = 'revoke', to_state = 'REVOKED' WHERE subject = '{chief}' AND number = 6",
        "root signed staff.restore, which does not revoke it",
    ),
    "a later step on the root's word": (
        LATER,
        "root signed staff.restore, which does not freeze it",
    ),
    "refused, and yet it happened": (
        f"""UPDATE records SET body = CAST('{{{{"refused":"state-conflict"}}}}' AS BLOB) WHERE record_id = {ADDED}""",
        "and it was not done",
    ),
    "a station that nobody signed for": (
        "UPDATE certificate_steps SET staff = 'init', record_id = NULL, deed = NULL WHERE subject = '{added}'",
        "a station that came when there was staff, and nobody signed for it",
    ),
    "staff that nobody signed for": (
        "UPDATE certificate_steps SET staff = 'init', record_id = NULL, deed = NULL WHERE subject = '{first}'",
        "no operator is provisioned",
    ),
    "a station's certificate that the plan does not carry": (
        f"UPDATE certificate_steps SET record_id = {ADDED}, staff = 's-2' WHERE subject = '{{other}}'",
        "s-2 signed for another certificate",
    ),
    "another terminal than two people signed": (
        "UPDATE bindings SET terminal_id = 'T9' WHERE keyid = '{added}'",
        "its terminal_id is not that of the plan",
    ),
    "another station than two people signed": (
        "UPDATE bindings SET institution_code = '{station}' WHERE keyid = '{added}'",
        "its institution_code is not that of the plan",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_by_hand_is_named(story: Story, name: str) -> None:
    statement, said = CHANGES[name]
    report = story.audit(statement)
    assert OURS & set(report.failed()), name
    assert said.format(**vars(story)) in report.text()
