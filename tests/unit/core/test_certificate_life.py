"""The life of a station's certificate in the book, step by step, and everything that must not happen to it."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority.issuing import issue as issue_by_profile
from certs.authority.issuing import make_issuing, make_key, make_root
from certs.authority.profiles import profile
from certs.certificates import Certificate, Role, parse_certificate
from certs.core.life import LIVE, TABLE, Event, Life, after
from certs.core.subjects import Subject
from certs.pilot import issue
from gateway.core import items, rows
from gateway.core.items_deeds import Acted, ExpireCertificates
from gateway.core.views import AccountView, ViewAccount
from tests.stand.bureau import Asked, asked
from tests.stand.house import code
from tests.stand.office import Office

DAY_S = 86_400


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def test_whole_life_with_reasons_and_people(office: Office) -> None:
    office.free_place()
    one = asked()
    request_id = office.apply(one)
    office.do(office.chief, "certs.approve", request_id)
    certificate, _ = office.bureau.certify(
        "张三", Role.STATION, one.key, institution_code=code(1), usb_key_serial="PILOT-1"
    )
    keyid = certificate.keyid
    assert office.speaks(keyid) == "certificate-unknown"
    office.do(office.clerk, "certs.issue", request_id, **office.bureau.issued(certificate))
    assert office.speaks(keyid) == "certificate-not-bound"
    assert office.no(office.clerk, "certs.activate", keyid) == "state-conflict"
    office.both("certs.bind", keyid, **office.place())
    assert office.speaks(keyid) == "certificate-not-bound"
    office.do(office.clerk, "certs.activate", keyid)
    assert office.speaks(keyid) == "ok"
    office.do(office.clerk, "certs.freeze", keyid)
    assert office.speaks(keyid) == "certificate-revoked"
    office.both("certs.unfreeze", keyid)
    assert office.speaks(keyid) == "ok"
    office.do(office.clerk, "certs.revoke", keyid, code="keyCompromise")
    assert office.speaks(keyid) == "certificate-revoked"
    assert office.steps(request_id) == [
        ("apply", "", "APPLIED", "s-1"),
        ("approve", "APPLIED", "APPROVED", "s-2"),
        ("issue", "APPROVED", "ISSUED", "s-1"),
    ]
    assert office.steps(keyid) == [
        ("issue", "APPROVED", "ISSUED", "s-1"),
        ("bind", "ISSUED", "BOUND", "s-2"),
        ("activate", "BOUND", "ACTIVE", "s-1"),
        ("freeze", "ACTIVE", "FROZEN", "s-1"),
        ("unfreeze", "FROZEN", "ACTIVE", "s-2"),
        ("revoke", "ACTIVE", "REVOKED", "s-1"),
    ]
    (row,) = office.house.rows_of(rows.RegisteredCertificate, "keyid = ?", keyid)
    assert (row.revoked_for, row.serial) == ("keyCompromise", f"{certificate.serial:x}")
    (binding,) = office.house.rows_of(rows.Binding, "keyid = ?", keyid)
    assert (binding.prepared_by, binding.approved_by) == ("s-1", "s-2")
    assert binding.unbound_at is not None
    for step in office.house.rows_of(rows.CertificateStep, "subject = ?", keyid):
        (record,) = office.house.rows_of(rows.Record, "record_id = ?", str(step.record_id))
        assert record.kind == "deed"
        assert step.reason == "测试"


EVERY_STEP = [
    (state, event)
    for state in sorted(LIVE | {Life.REVOKED, Life.EXPIRED, Life.REPLACED})
    for event in (Event.ACTIVATE, Event.FREEZE, Event.REVOKE)
]


@pytest.mark.parametrize(("state", "event"), EVERY_STEP)
def test_book_does_what_the_table_says_and_nothing_else(office: Office, state: Life, event: Event) -> None:
    office.free_place()
    signer = office.bound(asked())
    office.house.sql("UPDATE certificates SET state = ? WHERE keyid = ?", str(state), signer.keyid)
    to = after(state, event)
    fields = {"code": "superseded"} if event is Event.REVOKE else {}
    reply = office.house.batch([office.bureau.act(office.clerk, f"certs.{event}", signer.keyid, **fields)])[0]
    if to is None:
        assert isinstance(reply, items.Refusal)
        assert reply.slug == "state-conflict"
        assert office.state(signer.keyid) == state
    else:
        assert reply == Acted(subject=signer.keyid, state=to)
        assert office.state(signer.keyid) == to


def test_revoked_is_the_end() -> None:
    assert not [event for state, event in TABLE if state in (Life.REVOKED, Life.EXPIRED, Life.REFUSED)]


def test_binding_to_another_place_than_approved_is_refused(office: Office) -> None:
    signer = office.issued(asked())
    for change in ({"institution_code": code(2)}, {"operator_id": "0002"}, {"terminal_id": "T2"}, {"key_serial": "X"}):
        assert office.no(office.clerk, "certs.bind", signer.keyid, **(office.place() | change)) == "state-conflict"


def test_key_is_registered_once_whatever_became_of_it(office: Office) -> None:
    one = asked()
    signer = office.issued(one)
    fields = office.bureau.application(one, code(1))
    assert office.no(office.clerk, "certs.apply", one.public_key_sha256, **fields) == "state-conflict"
    office.do(office.clerk, "certs.revoke", signer.keyid, code="superseded")
    assert office.no(office.clerk, "certs.apply", one.public_key_sha256, **fields) == "state-conflict"


def test_same_key_under_a_second_certificate_is_refused(office: Office) -> None:
    one = asked()
    request_id = office.apply(one)
    office.do(office.chief, "certs.approve", request_id)
    subject = {"institution_code": code(1), "usb_key_serial": "PILOT-1"}
    first, second = (office.bureau.certify("张三", Role.STATION, one.key, **subject)[0] for _ in range(2))
    replies = office.house.batch(
        [office.bureau.act(office.clerk, "certs.issue", request_id, **office.bureau.issued(c)) for c in (first, second)]
    )
    assert [type(reply).__name__ for reply in replies] == ["Acted", "Refusal"]
    assert office.no(office.clerk, "certs.issue", request_id, **office.bureau.issued(second)) == "state-conflict"


def test_refused_application_frees_its_key(office: Office) -> None:
    one = asked()
    office.do(office.chief, "certs.refuse", office.apply(one))
    assert office.apply(one)


@pytest.mark.parametrize(
    "changes", [{"operator": "李四"}, {"institution_code": code(2)}, {"usb_key_serial": "PILOT-2"}, {"key": None}]
)
def test_certificate_must_say_what_was_approved(office: Office, changes: dict[str, Any]) -> None:
    one = asked()
    request_id = office.apply(one)
    office.do(office.chief, "certs.approve", request_id)
    subject: dict[str, Any] = {"operator": "张三", "key": one.key, "institution_code": code(1)}
    subject |= {"usb_key_serial": "PILOT-1"} | changes
    certificate, _ = office.bureau.certify(role=Role.STATION, **subject)
    assert office.no(office.clerk, "certs.issue", request_id, **office.bureau.issued(certificate)) == "state-conflict"


def test_renewal_overlaps_and_the_old_one_ends(office: Office) -> None:
    office.free_place()
    old = office.active(asked())
    office.house.advance(700 * DAY_S)
    renew_staff(office)
    one = asked()
    new = office.bound(one, **office.bureau.renewal(old, one))
    assert office.speaks(old.keyid) == "ok"
    assert office.no(office.clerk, "certs.replace", old.keyid, by=new.keyid) == "state-conflict"
    office.do(office.clerk, "certs.activate", new.keyid)
    for keyid in (old.keyid, new.keyid):
        assert office.speaks(keyid) == "ok"
    office.do(office.clerk, "certs.replace", old.keyid, by=new.keyid)
    assert office.state(old.keyid) == "REPLACED"
    assert office.speaks(old.keyid) == "certificate-revoked"
    assert office.speaks(new.keyid) == "ok"


def renew_staff(office: Office) -> None:
    """The staff's own certificates live long enough for the story."""
    ends = office.house.now + 400 * DAY_S * 1000
    office.house.rewrite("certificates", "not_after = ? WHERE role = 'operator'", ends)


def test_renewal_needs_the_old_key_and_its_place(office: Office) -> None:
    office.free_place()
    old, stranger = office.active(asked()), office.issued(asked(), 2)
    one = asked()
    apply = office.bureau.application(one, code(1))
    digest = one.public_key_sha256
    good = office.bureau.renewal(old, one)
    forged = good | {"renewal_signature": office.bureau.renewal(stranger, one)["renewal_signature"]}
    assert office.no(office.clerk, "certs.apply", digest, **(apply | forged)) == "signature-invalid"
    of_other_request = office.bureau.renewal(old, asked())
    assert office.no(office.clerk, "certs.apply", digest, **(apply | of_other_request)) == "signature-invalid"
    elsewhere = office.bureau.application(one, code(2)) | good
    assert office.no(office.clerk, "certs.apply", digest, **elsewhere) == "state-conflict"
    unbound = office.bureau.renewal(stranger, one)
    assert office.no(office.clerk, "certs.apply", digest, **(apply | unbound)) == "state-conflict"
    office.do(office.clerk, "certs.freeze", old.keyid)
    assert office.no(office.clerk, "certs.apply", digest, **(apply | good)) == "state-conflict"


def test_second_active_certificate_at_one_place_only_by_renewal(office: Office) -> None:
    signer = office.bound(asked())
    assert office.no(office.clerk, "certs.activate", signer.keyid) == "state-conflict"
    office.free_place()
    assert office.do(office.clerk, "certs.activate", signer.keyid).state == "ACTIVE"


def test_certificate_ends_to_the_second(office: Office) -> None:
    office.free_place()
    signer = office.active(asked())
    (row,) = office.house.rows_of(rows.RegisteredCertificate, "keyid = ?", signer.keyid)
    office.house.now = row.not_after - 1
    assert office.speaks(signer.keyid) == "ok"
    office.house.ask(ExpireCertificates(), items.Kept)
    assert office.state(signer.keyid) == "ACTIVE"
    office.house.now = row.not_after
    assert office.speaks(signer.keyid) == "certificate-expired"
    assert office.house.ask(ExpireCertificates(), items.Kept).count
    assert office.state(signer.keyid) == "EXPIRED"
    assert office.steps(signer.keyid)[-1] == ("expire", "ACTIVE", "EXPIRED", "clock")
    (binding,) = office.house.rows_of(rows.Binding, "keyid = ?", signer.keyid)
    assert binding.unbound_at == row.not_after


@pytest.mark.parametrize(
    ("before_ms", "left"),
    [(60 * DAY_S * 1000, None), (60 * DAY_S * 1000 - 1, 59), (7 * DAY_S * 1000, 7), (1, 0)],
)
def test_answer_about_the_account_tells_how_long_the_certificate_lives(
    office: Office, before_ms: int, left: int | None
) -> None:
    office.free_place()
    signer = office.active(asked())
    (row,) = office.house.rows_of(rows.RegisteredCertificate, "keyid = ?", signer.keyid)
    office.house.now = row.not_after - before_ms
    view = office.house.look(ViewAccount(arrival=office.house.arrival(keyid=signer.keyid)), AccountView)
    assert view.certificate_days_left == left


def test_not_yet_valid_does_not_speak(office: Office) -> None:
    office.free_place()
    signer = office.active(asked())
    begins = office.house.now + 1000
    office.house.rewrite("certificates", "not_before = ? WHERE keyid = ?", begins, signer.keyid)
    assert office.speaks(signer.keyid) == "certificate-expired"
    office.house.now = begins
    assert office.speaks(signer.keyid) == "ok"


def test_frozen_holds_in_the_batch_that_freezes_reads_too(office: Office) -> None:
    """Every question is judged in the book: payments, reads, inquiries."""
    office.free_place()
    signer = office.active(asked())

    def look() -> Any:
        return office.house.engine.look(ViewAccount(arrival=office.house.arrival(keyid=signer.keyid)))

    assert not isinstance(look(), items.Refusal)
    office.do(office.clerk, "certs.freeze", signer.keyid)
    assert look().slug == "certificate-revoked"
    inquiry = items.Inquire(arrival=office.house.arrival(keyid=signer.keyid), key="k" * 16)
    assert office.house.ask(inquiry, items.Refusal).slug == "certificate-revoked"


def test_what_was_accepted_goes_on_after_the_certificate_is_revoked(office: Office) -> None:
    """Decision 0025: what a valid signature reserved is paid; the certificate's end is of what comes after."""
    office.free_place()
    signer = office.active(asked())
    accept = office.house.accept(arrival=office.house.arrival(keyid=signer.keyid))
    payment = office.house.ask(accept, items.Taken).payment
    office.do(office.clerk, "certs.revoke", signer.keyid, code="keyCompromise")
    assert office.speaks(signer.keyid) == "certificate-revoked"
    assert office.house.settle(payment).state == "SUCCESS"


def test_two_frozen_at_one_place_only_one_comes_back(office: Office) -> None:
    office.free_place()
    one = office.active(asked())
    office.do(office.clerk, "certs.freeze", one.keyid)
    two = office.active(asked())
    assert office.no(office.clerk, "certs.unfreeze", one.keyid) == "state-conflict"
    office.do(office.clerk, "certs.freeze", two.keyid)
    plans = [str(office.do(office.clerk, "certs.unfreeze", signer.keyid).waits) for signer in (one, two)]
    replies = office.house.batch([office.bureau.act(office.chief, "ops.approve", plan) for plan in plans])
    assert [type(reply).__name__ for reply in replies] == ["Acted", "Refusal"]
    assert (office.speaks(one.keyid), office.speaks(two.keyid)) == ("ok", "certificate-revoked")


def test_old_one_is_unfrozen_beside_its_renewal(office: Office) -> None:
    office.free_place()
    old, one = office.active(asked()), asked()
    new = office.bound(one, **office.bureau.renewal(old, one))
    office.do(office.clerk, "certs.freeze", old.keyid)
    office.do(office.clerk, "certs.activate", new.keyid)
    assert office.both("certs.unfreeze", old.keyid).state == "DONE"


def forged(office: Office, one: Asked) -> Certificate:
    """A certificate that says all that was approved, and names our CA byte for byte, which has not signed it."""
    real, _ = office.bureau.certify("张三", Role.STATION, one.key, institution_code=code(1), usb_key_serial="PILOT-1")
    like = real.parsed
    made = x509.CertificateBuilder(
        like.issuer,
        like.subject,
        like.public_key(),
        like.serial_number,
        like.not_valid_before_utc,
        like.not_valid_after_utc,
        list(like.extensions),
    )
    return parse_certificate(made.sign(make_key(), SHA256()).public_bytes(Encoding.DER))


def of_another_root(office: Office, one: Asked) -> Certificate:
    """By a CA of the same name."""
    at = datetime.fromtimestamp(office.house.now / 1000, UTC)
    issuing = make_issuing(make_root("示范县邮政局", at), at)
    subject = {"institution_code": code(1), "usb_key_serial": "PILOT-1"}
    return issue(issuing, Role.STATION, one.key.public_key(), operator="张三", now=at, **subject)


@pytest.mark.parametrize("make", [forged, of_another_root])
def test_certificate_of_no_ca_of_ours_is_not_registered(
    office: Office, make: Callable[[Office, Asked], Certificate]
) -> None:
    one = asked()
    request_id = office.apply(one)
    office.do(office.chief, "certs.approve", request_id)
    fields = office.bureau.issued(make(office, one))
    assert office.no(office.clerk, "certs.issue", request_id, **fields) == "certificate-unknown"
    office.house.env = dataclasses.replace(office.house.env, root=None)
    office.house.reopen()
    assert office.no(office.clerk, "certs.issue", request_id, **fields) == "certificate-unknown"


def test_issuer_is_who_signed_not_who_is_named(office: Office) -> None:
    one = asked()
    request_id = office.apply(one)
    office.do(office.chief, "certs.approve", request_id)
    certificate, _ = office.bureau.certify(
        "张三", Role.STATION, one.key, institution_code=code(1), usb_key_serial="PILOT-1"
    )
    fields = office.bureau.issued(certificate)
    other = fields | {"issuer_keyid": "0" * 64}
    assert office.no(office.clerk, "certs.issue", request_id, **other) == "state-conflict"
    del fields["issuer_keyid"]
    office.do(office.clerk, "certs.issue", request_id, **fields)
    (row,) = office.house.rows_of(rows.RegisteredCertificate, "keyid = ?", certificate.keyid)
    assert row.issuer_keyid == office.bureau.issuing.certificate.keyid


def test_certificate_that_breaks_its_profile_is_not_registered(office: Office) -> None:
    """Signed by our own CA, for eight years."""
    one = asked()
    request_id = office.apply(one)
    office.do(office.chief, "certs.approve", request_id)
    long = dataclasses.replace(profile("station"), days=3000)
    certificate = issue_by_profile(
        office.bureau.issuing,
        long,
        one.key.public_key(),
        Subject(organization="示范县邮政局", operator="张三", institution_code=code(1), usb_key_serial="PILOT-1"),
        now=datetime.fromtimestamp(office.house.now / 1000, UTC),
    )
    assert office.no(office.clerk, "certs.issue", request_id, **office.bureau.issued(certificate)) == "malformed"
