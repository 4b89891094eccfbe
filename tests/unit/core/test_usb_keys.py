"""The stock of USB keys, and what becomes of certificates when a key or a station goes (CERT-01, CERT-04)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.core.stock import TABLE, Stock
from gateway.core import items, rows
from tests.stand.bureau import asked
from tests.stand.house import code, keyid
from tests.stand.office import Office

SERIAL = "UK-0001"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def handed_out(office: Office, serial: str = SERIAL, station: int = 1) -> None:
    office.both("key.receive", serial)
    office.both("key.hand-out", serial, institution_code=code(station), holder="张三")


def stock(office: Office, serial: str = SERIAL) -> tuple[str, str, str]:
    (row,) = office.house.rows_of(rows.UsbKey, "key_serial = ?", serial)
    return row.state, row.institution_code, row.holder


def test_received_and_handed_out_by_two_people(office: Office) -> None:
    plan = office.do(office.clerk, "key.receive", SERIAL)
    assert office.house.rows_of(rows.UsbKey) == []
    office.do(office.chief, "ops.approve", str(plan.waits))
    assert stock(office) == ("IN_STOCK", "", "")
    plan = office.do(office.clerk, "key.hand-out", SERIAL, institution_code=code(1), holder="张三")
    assert stock(office) == ("HANDING_OUT", code(1), "张三")
    assert office.no(office.clerk, "key.hand-out", SERIAL, institution_code=code(2), holder="李") == "state-conflict"
    office.do(office.chief, "ops.reject", str(plan.waits))
    assert stock(office) == ("IN_STOCK", "", "")
    office.both("key.hand-out", SERIAL, institution_code=code(1), holder="张三")
    assert stock(office) == ("ISSUED", code(1), "张三")
    steps = office.house.rows_of(rows.UsbKeyStep)
    assert [(one.event, one.prepared_by, one.staff) for one in steps] == [
        ("receive", "s-1", "s-2"),
        ("hand-out", None, "s-1"),
        ("keep", None, "s-2"),
        ("hand-out", None, "s-1"),
        ("hand-over", "s-1", "s-2"),
    ]


def test_certificate_is_bound_only_in_a_key_that_was_handed_out_there(office: Office) -> None:
    one = asked()
    fields = office.bureau.application(one, code(1), serial=SERIAL)
    assert office.no(office.clerk, "certs.apply", one.public_key_sha256, **fields) == "state-conflict"
    office.both("key.receive", SERIAL)
    signer = office.issued(one, serial=SERIAL)
    assert office.no(office.clerk, "certs.bind", signer.keyid, **office.place(serial=SERIAL)) == "state-conflict"
    office.both("key.hand-out", SERIAL, institution_code=code(2), holder="张三")
    assert office.no(office.clerk, "certs.bind", signer.keyid, **office.place(serial=SERIAL)) == "state-conflict"
    office.do(office.clerk, "key.return", SERIAL)
    office.both("key.receive", SERIAL)
    office.both("key.hand-out", SERIAL, institution_code=code(1), holder="张三")
    assert office.both("certs.bind", signer.keyid, **office.place(serial=SERIAL)).state == "DONE"


def test_lost_key_freezes_what_is_in_it_at_once(office: Office) -> None:
    office.free_place()
    handed_out(office)
    signer = office.active(asked(), serial=SERIAL)
    assert office.speaks(signer.keyid) == "ok"
    office.do(office.clerk, "key.lost", SERIAL)
    assert stock(office) == ("LOST", code(1), "张三")
    assert office.speaks(signer.keyid) == "certificate-revoked"
    assert office.no(office.clerk, "certs.unfreeze", signer.keyid) == "state-conflict"
    office.do(office.clerk, "key.return", SERIAL)
    assert office.no(office.clerk, "key.destroy", SERIAL) == "state-conflict"
    office.do(office.clerk, "certs.revoke", signer.keyid, code="keyCompromise")
    assert office.do(office.clerk, "key.destroy", SERIAL).state == "DESTROYED"
    assert office.no(office.clerk, "key.receive", SERIAL) == "state-conflict"


def test_lost_between_preparing_and_approving_the_unfreezing(office: Office) -> None:
    office.free_place()
    handed_out(office)
    signer = office.active(asked(), serial=SERIAL)
    office.do(office.clerk, "certs.freeze", signer.keyid)
    plan = office.do(office.clerk, "certs.unfreeze", signer.keyid)
    office.do(office.clerk, "key.lost", SERIAL)
    assert office.no(office.chief, "ops.approve", str(plan.waits)) == "state-conflict"
    assert office.state(signer.keyid) == "FROZEN"


def test_destroyed_is_the_end() -> None:
    assert not [movement for state, movement in TABLE if state is Stock.DESTROYED]


def test_station_closes_with_its_certificates_and_keeps_its_money(office: Office) -> None:
    payment = office.house.pay()
    assert office.no(office.clerk, "station.close", code(1)) == "state-conflict"
    office.house.settle(payment)
    balance = office.house.balance()
    assert office.both("station.close", code(1)).state == "DONE"
    assert office.state(keyid(1)) == "REVOKED"
    assert office.speaks(keyid(1)) == "certificate-revoked"
    assert office.house.balance() == balance
    (row,) = office.house.rows_of(rows.RegisteredCertificate, "keyid = ?", keyid(1))
    assert row.revoked_for == "cessationOfOperation"
    assert office.house.rows_of(rows.Binding, "institution_code = ? AND unbound_at IS NULL", code(1)) == []
    resume = items.SetStation(institution_code=code(1), state="ACTIVE", reason="")
    assert office.house.ask(resume, items.Refusal).slug == "state-conflict"
    one = asked()
    application = office.bureau.application(one, code(1))
    assert office.no(office.clerk, "certs.apply", one.public_key_sha256, **application) == "state-conflict"
    assert office.state(keyid(2)) == "ACTIVE"


def test_payment_between_preparing_and_approving_a_closure(office: Office) -> None:
    plan = office.do(office.clerk, "station.close", code(1))
    office.house.pay()
    assert office.no(office.chief, "ops.approve", str(plan.waits)) == "state-conflict"
    assert office.speaks(keyid(1)) == "ok"


def test_transfer_suspends_and_a_new_holder_gets_his_own(office: Office) -> None:
    assert office.both("station.transfer", code(1)).state == "DONE"
    (row,) = office.house.rows_of(rows.RegisteredCertificate, "keyid = ?", keyid(1))
    assert (row.state, row.revoked_for) == ("REVOKED", "affiliationChanged")
    (station,) = office.house.rows_of(rows.Station, "institution_code = ?", code(1))
    assert station.state == "SUSPENDED"
    handed_out(office)
    assert office.state(office.active(asked(), serial=SERIAL).keyid) == "ACTIVE"
