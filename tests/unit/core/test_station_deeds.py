"""Deeds about an existing station: suspended and resumed by name, operators and terminals by two people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.certificates import Role
from certs.keys import PemSigner
from gateway.core import items, rows
from tests.stand.bureau import asked
from tests.stand.house import code
from tests.stand.office import Office

YEAR_MS = 365 * 86_400_000
OPERATOR = {"operator_id": "0002", "name": "孙八", "trained_days": "365"}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def test_suspended_and_resumed_by_a_person_who_signs(office: Office) -> None:
    def station() -> tuple[str, str | None]:
        (row,) = office.house.rows_of(rows.Station, "institution_code = ?", code(1))
        return row.state, row.reason

    assert office.no(office.clerk, "station.resume", code(1)) == "state-conflict"
    office.do(office.clerk, "station.suspend", code(1))
    assert station() == ("SUSPENDED", "测试（经办：s-1）")
    office.do(office.chief, "station.resume", code(1))
    assert station() == ("ACTIVE", "测试（经办：s-2）")
    office.house.rewrite("staff", "department = '计财部' WHERE staff_id = 's-1'")
    assert office.no(office.clerk, "station.suspend", code(1)) == "authorization-required"
    assert office.no(office.chief, "station.suspend", "99999999") == "not-found"


def test_closed_station_takes_none_of_it(office: Office) -> None:
    office.both("station.close", code(1))
    for action, fields in (
        ("station.resume", {}),
        ("station.suspend", {}),
        ("operator.add", OPERATOR),
        ("terminal.add", {"terminal_id": "T2"}),
    ):
        assert office.no(office.clerk, action, code(1), **fields) == "state-conflict"


def test_new_operator_at_a_new_terminal_gets_a_certificate(office: Office) -> None:
    plan = office.do(office.clerk, "operator.add", code(1), **OPERATOR)
    assert office.house.rows_of(rows.Operator, "operator_id = '0002'") == []
    assert office.no(office.clerk, "ops.approve", str(plan.waits)) == "authorization-required"
    office.do(office.chief, "ops.approve", str(plan.waits))
    office.both("terminal.add", code(1), terminal_id="T2")
    (training,) = office.house.rows_of(rows.Training, "operator_id = '0002'")
    assert (training.service, training.valid_until - training.valid_from) == ("*", YEAR_MS)
    signer = certified(office)
    office.both("certs.bind", signer.keyid, **place())
    office.do(office.clerk, "certs.activate", signer.keyid)
    arrival = office.house.arrival(keyid=signer.keyid)
    assert isinstance(office.house.batch([office.house.accept(arrival=arrival)])[0], items.Taken)


def place() -> dict[str, str]:
    return {"institution_code": code(1), "terminal_id": "T2", "operator_id": "0002", "key_serial": "PILOT-2"}


def certified(office: Office) -> PemSigner:
    one = asked()
    fields = office.bureau.application(one, code(1), serial="PILOT-2", terminal_id="T2", operator_id="0002")
    request_id = office.do(office.clerk, "certs.apply", one.public_key_sha256, **fields).state
    office.do(office.chief, "certs.approve", request_id)
    certificate, _ = office.bureau.certify(
        "孙八", Role.STATION, one.key, institution_code=code(1), usb_key_serial="PILOT-2"
    )
    office.do(office.clerk, "certs.issue", request_id, **office.bureau.issued(certificate))
    return PemSigner(certificate, one.key)


@pytest.mark.parametrize(
    ("close", "fields"),
    [("operator.close", {"operator_id": "0002"}), ("terminal.close", {"terminal_id": "T2"})],
)
def test_closed_one_has_no_certificate_and_gets_none(office: Office, close: str, fields: dict[str, str]) -> None:
    office.both("operator.add", code(1), **OPERATOR)
    office.both("terminal.add", code(1), terminal_id="T2")
    bound, waiting = certified(office), certified(office)
    office.both("certs.bind", bound.keyid, **place())
    assert office.no(office.clerk, close, code(1), **fields) == "state-conflict"
    office.do(office.clerk, "certs.revoke", bound.keyid, code="affiliationChanged")
    assert office.both(close, code(1), **fields).state == "DONE"
    assert office.no(office.clerk, "certs.bind", waiting.keyid, **place()) == "state-conflict"
    assert office.no(office.clerk, close, code(1), **fields) == "state-conflict"
    again = {"operator.close": ("operator.add", OPERATOR), "terminal.close": ("terminal.add", fields)}[close]
    assert office.no(office.clerk, again[0], code(1), **again[1]) == "state-conflict"


@pytest.mark.parametrize(
    ("action", "fields", "slug"),
    [
        ("operator.add", OPERATOR | {"operator_id": "0001"}, "state-conflict"),
        ("operator.add", OPERATOR | {"operator_id": "a b"}, "malformed"),
        ("operator.add", OPERATOR | {"name": " 孙"}, "malformed"),
        ("operator.add", OPERATOR | {"trained_days": "0"}, "malformed"),
        ("operator.add", OPERATOR | {"trained_days": "99999"}, "malformed"),
        ("operator.add", OPERATOR | {"trained_days": "x"}, "malformed"),
        ("operator.add", {"operator_id": "0002", "name": "孙"}, "malformed"),
        ("terminal.add", {"terminal_id": "T1"}, "state-conflict"),
        ("terminal.add", {"terminal_id": ""}, "malformed"),
        ("terminal.close", {"terminal_id": "T9"}, "not-found"),
        ("operator.close", {"operator_id": "9"}, "not-found"),
    ],
)
def test_refused(office: Office, action: str, fields: dict[str, str], slug: str) -> None:
    assert office.no(office.clerk, action, code(1), **fields) == slug
