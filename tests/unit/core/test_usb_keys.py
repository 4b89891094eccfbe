"""The stock of USB keys, and what becomes of certificates when a key or a station goes (CERT-01, CERT-04)."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.core.stock import TABLE, Stock
from gateway.core import rows
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
    for other in ({"institution_code": code(2), "holder": "张三"}, {"institution_code": code(1), "holder": "李四"}):
        assert office.no(office.clerk, "key.hand-out", SERIAL, **other) == "state-conflict"
    assert office.no(office.clerk, "certs.bind", signer.keyid, **office.place(serial=SERIAL)) == "state-conflict"
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
    assert office.no(office.clerk, "station.resume", code(1)) == "state-conflict"
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


@pytest.mark.parametrize("holder", [(code(2), "张三"), (code(1), "李四")])
def test_key_of_another_holder_takes_no_certificate(office: Office, holder: tuple[str, str]) -> None:
    """Handed out to another station, or to another person of it, by whatever way it came about."""
    office.free_place()
    handed_out(office)
    bound, active = office.bound(asked(), serial=SERIAL), office.issued(asked(), serial=SERIAL)
    change = "UPDATE usb_keys SET institution_code = ?, holder = ?"
    office.house.sql(change, *holder)
    assert office.no(office.clerk, "certs.activate", bound.keyid) == "state-conflict"
    assert office.no(office.clerk, "certs.bind", active.keyid, **office.place(serial=SERIAL)) == "state-conflict"
    one = asked()
    fields = office.bureau.application(one, code(1), serial=SERIAL)
    assert office.no(office.clerk, "certs.apply", one.public_key_sha256, **fields) == "state-conflict"
    office.house.sql(change, code(1), "张三")
    office.do(office.clerk, "certs.activate", bound.keyid)
    office.do(office.clerk, "certs.freeze", bound.keyid)
    office.house.sql(change, *holder)
    assert office.no(office.clerk, "certs.unfreeze", bound.keyid) == "state-conflict"


def test_lost_key_freezes_issued_and_bound_ones_and_neither_comes_to_life(office: Office) -> None:
    office.free_place()
    handed_out(office)
    issued, bound, active = (
        office.issued(asked(), serial=SERIAL),
        office.bound(asked(), serial=SERIAL),
        office.active(asked(), serial=SERIAL),
    )
    office.do(office.clerk, "key.lost", SERIAL)
    for signer in (issued, bound, active):
        assert office.state(signer.keyid) == "FROZEN"
        assert office.no(office.clerk, "certs.activate", signer.keyid) == "state-conflict"
    office.house.sql("UPDATE usb_keys SET state = 'ISSUED'")
    for signer in (issued, bound):
        assert office.no(office.clerk, "certs.unfreeze", signer.keyid) == "state-conflict"
    assert office.both("certs.unfreeze", active.keyid).state == "DONE"


def test_returned_key_is_not_taken_in_while_a_certificate_lives_in_it(office: Office) -> None:
    office.free_place()
    handed_out(office)
    signer = office.bound(asked(), serial=SERIAL)
    office.do(office.clerk, "key.return", SERIAL)
    assert office.no(office.clerk, "key.receive", SERIAL) == "state-conflict"
    office.do(office.clerk, "certs.revoke", signer.keyid, code="superseded")
    office.both("key.receive", SERIAL)
    office.both("key.hand-out", SERIAL, institution_code=code(2), holder="张三")
    assert stock(office) == ("ISSUED", code(2), "张三")


def test_persons_certificate_reads_its_key_as_well(office: Office) -> None:
    office.both("staff.add", "s-3", name="赵六", department="电子商务中心")
    office.both("key.receive", SERIAL)
    person = office.staff_issued("s-3", "赵六", SERIAL)
    binding = {"key_serial": SERIAL, "staff_id": "s-3"}
    assert office.no(office.clerk, "certs.bind", person.keyid, **binding) == "state-conflict"
    assert office.no(office.clerk, "key.hand-out", SERIAL, holder="赵六") == "malformed"
    assert office.no(office.clerk, "key.hand-out", SERIAL, holder="s-1") == "state-conflict"
    office.both("key.hand-out", SERIAL, holder="s-3")
    office.both("certs.bind", person.keyid, **binding)
    office.do(office.clerk, "key.lost", SERIAL)
    assert office.state(person.keyid) == "FROZEN"


def test_key_files_of_stations_are_a_pilots(office: Office) -> None:
    office.free_place()
    bound = office.bound(asked())
    one = asked()
    application = office.bureau.application(one, code(1), serial="PILOT-1")
    office.house.env = dataclasses.replace(office.house.env, pilot=False)
    office.house.reopen()
    assert office.no(office.clerk, "certs.activate", bound.keyid) == "state-conflict"
    assert office.no(office.clerk, "certs.apply", one.public_key_sha256, **application) == "state-conflict"


def test_key_of_the_stock_is_no_file_whatever_its_serial(office: Office) -> None:
    office.both("key.receive", "PILOT-1")
    signer = office.issued(asked())
    assert office.no(office.clerk, "certs.bind", signer.keyid, **office.place()) == "state-conflict"
    assert office.no(office.clerk, "key.receive", "PILOT-1") == "state-conflict"
