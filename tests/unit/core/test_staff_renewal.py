"""CERT-03: a certificate of the staff is renewed with overlap: the old key asks, both work until it is replaced."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.keys import PemSigner
from tests.stand.bureau import Asked, Person, asked
from tests.stand.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def asks(office: Office, old: Person, one: Asked, **changes: str) -> dict[str, str]:
    fields = {"profile": "operator", "staff_id": old.staff_id, "csr": base64.b64encode(one.csr).decode()}
    return fields | office.bureau.renewal(old.signer, one) | changes


def renewed(office: Office, old: Person) -> Person:
    one = asked()
    request_id = office.do(office.clerk, "certs.apply", one.public_key_sha256, **asks(office, old, one)).state
    office.do(office.chief, "certs.approve", request_id)
    certificate, _ = office.bureau.certify(old.signer.certificate.operator, key=one.key)
    office.do(office.clerk, "certs.issue", request_id, **office.bureau.issued(certificate))
    office.both("certs.bind", certificate.keyid, staff_id=old.staff_id)
    office.do(office.clerk, "certs.activate", certificate.keyid)
    return Person(old.staff_id, PemSigner(certificate, one.key))


def test_both_work_until_the_old_one_is_replaced(office: Office) -> None:
    new = renewed(office, office.chief)
    for number, one in enumerate((office.chief, new, office.chief)):
        plan = str(office.do(office.clerk, "key.receive", f"UK-{number}").waits)
        assert office.do(one, "ops.approve", plan).state == "DONE"
    assert office.no(new, "certs.replace", office.chief.keyid, by=office.clerk.keyid) == "state-conflict"
    office.do(new, "certs.replace", office.chief.keyid, by=new.keyid)
    assert office.state(office.chief.keyid) == "REPLACED"
    assert office.no(office.chief, "certs.freeze", office.clerk.keyid) == "certificate-revoked"
    plan = str(office.do(office.clerk, "key.receive", "UK-9").waits)
    assert office.do(new, "ops.approve", plan).state == "DONE"


def test_two_certificates_are_one_person(office: Office) -> None:
    """M12: with the new one nobody approves what he prepared with the old one."""
    new = renewed(office, office.clerk)
    plan = str(office.do(office.clerk, "key.receive", "UK-1").waits)
    assert office.no(new, "ops.approve", plan) == "authorization-required"


def test_only_the_old_key_of_that_very_person_asks(office: Office) -> None:
    one = asked()

    def refused(**changes: str) -> str:
        return office.no(
            office.clerk, "certs.apply", one.public_key_sha256, **asks(office, office.chief, one, **changes)
        )

    by_clerk = office.bureau.renewal(office.clerk.signer, one)["renewal_signature"]
    assert refused(renewal_signature=by_clerk) == "signature-invalid"
    assert refused(renewal_signature="") == "signature-invalid"
    assert refused(staff_id="s-1") == "state-conflict"
    office.do(office.clerk, "certs.freeze", office.chief.keyid)
    assert refused() == "state-conflict"
