"""JOIN-16, M12: where there is staff, a station comes whole by two people, and by nobody alone."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certs.certificates import Role
from gateway.core import items, rows
from gateway.ops.audit import audit_sqlite
from gateway.ops.roles import load_rights
from tests.stand.office import Office

CODE = "46000077"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def fields(office: Office, **changes: Any) -> dict[str, str]:
    """A deed with its certificate; certificate: another, or "" for none."""
    values = {
        "name": "七七站", "terminal_id": "T1", "operator_id": "0001", "operator_name": "周八",
        "services": "acme.bill", "trained_days": "365", "overdraft_limit_fen": "5000", "low_balance_fen": "100",
    }  # fmt: skip
    if "certificate" not in changes:
        changes["certificate"] = certificate(office)
    found = values | changes
    return {name: text for name, text in found.items() if text}


def certificate(office: Office, code: str = CODE, name: str = "周八", serial: str = "PILOT-77", **more: Any) -> str:
    made, _ = office.bureau.certify(name, Role.STATION, institution_code=code, usb_key_serial=serial, **more)
    return base64.b64encode(made.der).decode()


def test_two_people_bring_a_station_in_whole(office: Office) -> None:
    office.both("station.add", CODE, **fields(office))
    (station,) = office.house.rows_of(rows.Station, "institution_code = ?", CODE)
    assert (station.name, station.state, station.overdraft_limit_fen) == ("七七站", "ACTIVE", 5000)
    (binding,) = office.house.rows_of(rows.Binding, "institution_code = ?", CODE)
    assert (binding.prepared_by, binding.approved_by) == ("s-1", "s-2")
    assert (binding.terminal_id, binding.operator_id, binding.key_serial) == ("T1", "0001", "PILOT-77")
    assert office.state(binding.keyid) == "ACTIVE"
    assert [step[3] for step in office.steps(binding.keyid)] == ["s-2"] * 5
    (training,) = office.house.rows_of(rows.Training, "institution_code = ?", CODE)
    assert training.valid_until - training.valid_from == 365 * 86_400_000
    assert [one.service for one in office.house.rows_of(rows.StationService, "institution_code = ?", CODE)] == [
        "acme.bill"
    ]
    report = audit_sqlite(office.house.path, office.house.env, at_ms=office.house.now)
    failed = set(report.failed()) & {"certificate-steps", "two-people", "deeds-signed", "rebuilt"}
    assert not failed, report.text()


def test_one_person_only_prepares_it_and_no_other_way_is_left(office: Office) -> None:
    plan = str(office.do(office.clerk, "station.add", CODE, **fields(office)).waits)
    assert office.house.rows_of(rows.Station, "institution_code = ?", CODE) == []
    assert office.no(office.clerk, "ops.approve", plan) == "authorization-required"
    alone = office.house._station(77)
    refused = office.house.ask(alone, items.Refusal)
    assert (refused.slug, "two of its people" in refused.detail) == ("state-conflict", True)
    assert office.do(office.chief, "ops.reject", plan).state == "REJECTED"
    assert office.house.rows_of(rows.Station, "institution_code = ?", CODE) == []


def test_what_is_out_of_form_is_refused_at_once(office: Office) -> None:
    taken = certificate(office)
    office.both("station.add", "46000078", **fields(office, certificate=certificate(office, "46000078")))
    cases: dict[str, tuple[str, dict[str, str]]] = {
        "there already": ("46000078", fields(office, certificate=certificate(office, "46000078"))),
        "a code": ("12345", fields(office)),
        "a name": (CODE, fields(office, name=" x")),
        "a person's name": (CODE, fields(office, operator_name="")),
        "a terminal": (CODE, fields(office, terminal_id="T/1")),
        "days": (CODE, fields(office, trained_days="3651")),
        "days in other digits": (CODE, fields(office, trained_days="３")),
        "an endless number": (CODE, fields(office, trained_days="1" + "0" * 30)),
        "a debt": (CODE, fields(office, overdraft_limit_fen="-1")),
        "a service": (CODE, fields(office, services="moon.dust")),
        "no service": (CODE, fields(office, services="")),
        "another station's certificate": (CODE, fields(office, certificate=certificate(office, "46000079"))),
        "another person's": (CODE, fields(office, certificate=certificate(office, name="吴九"))),
        "no certificate": (CODE, fields(office, certificate="AAAA")),
        "a person's certificate": (CODE, fields(office, certificate=_operator(office))),
        "a USB key nobody received": (CODE, fields(office, certificate=certificate(office, serial="UK-77"))),
    }
    for told, (code, said) in cases.items():
        assert office.no(office.clerk, "station.add", code, **said), told
    office.both("station.add", CODE, **fields(office, certificate=taken))
    assert office.no(office.clerk, "station.add", "46000080", **fields(office, certificate=taken)) != "", "its key"


def _operator(office: Office) -> str:
    made, _ = office.bureau.certify("周八")
    return base64.b64encode(made.der).decode()


def test_key_files_only_in_a_pilot_elsewhere_a_station_without_certificate(office: Office) -> None:
    """CERT-04: the USB key is handed out to a station that is there; its certificate takes every step of its own."""
    import dataclasses

    office.house.env = dataclasses.replace(office.house.env, pilot=False)
    office.house.reopen()
    assert office.no(office.clerk, "station.add", CODE, **fields(office)) == "state-conflict"
    office.both("station.add", CODE, **fields(office, certificate=""))
    assert office.house.rows_of(rows.Binding, "institution_code = ?", CODE) == []
    office.both("key.receive", "UK-77")
    office.both("key.hand-out", "UK-77", institution_code=CODE, holder="周八")


def test_who_may_prepare_and_who_approves() -> None:
    """ROLE-06: the key office; nobody else makes stations."""
    rights = load_rights()
    able = {name for name, one in rights.items() if "station.add" in one.may}
    assert able == {"电子商务分局", "电子商务中心"} == {n for n, one in rights.items() if "station.add" in one.approves}
