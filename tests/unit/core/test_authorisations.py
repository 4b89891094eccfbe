"""One-off permissions of head office: for exactly one payment or cancel, used up once, revocable (PAY-03, ROLE-06)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core import items, rows
from tests.stand.house import House, code
from tests.stand.office import Office
from tests.unit.core.oracle import violations
from tests.unit.core.test_undoing import cancel

HIGH = 600_000
FIELDS = {
    "kind": "over-limit", "service": "acme.bill", "account": "10001", "amount_fen": str(HIGH), "date": "2026-11-24",
}  # fmt: skip


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    made.house.engine.connection.execute("UPDATE tariffs SET max_fen = 500000, cancel_needs_authorization = 1")
    made.house.deposit(1, 3_000_000)
    yield made
    made.house.close()


def issue(office: Office, station: int = 1, /, **changes: str) -> str:
    return office.do(office.clerk, "authorization.issue", code(station), **(FIELDS | changes)).state


def try_high(house: House, station: int = 1, **fields: Any) -> Any:
    house.advance(0.001)
    return house.batch([house.accept(station, **({"amount_fen": HIGH} | fields))])[0]


def test_over_limit_is_for_exactly_one_payment(office: Office) -> None:
    house = office.house
    assert try_high(house).slug == "amount-out-of-range"
    number = issue(office)
    for fields in (
        {"biller_account": "10002"},
        {"amount_fen": HIGH + 1},
        {"service": "acme.once", "params": '{"carrier":"a"}'},
    ):
        assert try_high(house, **fields).slug == "amount-out-of-range", fields
    assert try_high(house, 2).slug == "amount-out-of-range", "another shop"
    taken = try_high(house)
    assert isinstance(taken, items.Taken), taken
    (row,) = house.rows_of(rows.Authorization)
    assert (row.authorization_id, row.used_by, row.issued_by) == (number, taken.payment.gateway_serial, "s-1")
    house.settle(taken.payment)
    assert try_high(house).slug == "amount-out-of-range", "used up"
    assert office.no(office.clerk, "authorization.revoke", number) == "state-conflict"
    assert violations(house) == []


def test_one_of_two_in_a_batch_gets_it(office: Office) -> None:
    """The second is confirmed beside the first (M7) and still has no permission of its own."""
    house = office.house
    issue(office)
    first = try_high(house).payment
    issue(office)
    token = try_high(house).repeat_token
    pair = [house.accept(amount_fen=HIGH, confirm_repeat=token) for _ in range(2)]
    replies = house.batch(pair)
    assert [type(reply) for reply in replies] == [items.Taken, items.Refusal]
    used = [row.used_by for row in house.rows_of(rows.Authorization)]
    assert used == [first.gateway_serial, replies[0].payment.gateway_serial]
    assert violations(house) == []


def test_neither_revoked_nor_of_another_day(office: Office) -> None:
    house = office.house
    number = issue(office)
    office.do(office.chief, "authorization.revoke", number)
    assert office.no(office.chief, "authorization.revoke", number) == "state-conflict"
    issue(office, date="2026-11-25")
    assert try_high(house).slug == "amount-out-of-range"
    house.advance(86_400)
    assert isinstance(try_high(house), items.Taken)


def test_a_cancel_by_its_number(office: Office) -> None:
    house = office.house
    payment = house.settle(house.pay(amount_fen=10_000))
    assert cancel(house, payment).slug == "authorization-required"
    gone = issue(office, kind="cancel", amount_fen="10000")
    office.do(office.clerk, "authorization.revoke", gone)
    assert cancel(house, payment, authorization=gone).slug == "authorization-required"
    number = issue(office, kind="cancel", amount_fen="10000")
    assert cancel(house, payment, authorization=number).payment.state == "CANCELLING"
    assert violations(house) == []


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({"kind": "gift"}, "malformed"),
        ({"amount_fen": "0"}, "malformed"),
        ({"amount_fen": "x"}, "malformed"),
        ({"amount_fen": "5000001"}, "malformed"),
        ({"date": "2026-11-23"}, "malformed"),
        ({"date": "2026-12-31"}, "malformed"),
        ({"date": "20261124"}, "malformed"),
        ({"account": "a"}, "malformed"),
        ({"service": "moon.dust"}, "not-found"),
    ],
)
def test_what_is_no_permission(office: Office, fields: dict[str, str], slug: str) -> None:
    assert office.no(office.clerk, "authorization.issue", code(1), **(FIELDS | fields)) == slug
    assert office.no(office.clerk, "authorization.issue", "99999999", **FIELDS) == "not-found"


def test_only_head_office_gives_one(office: Office) -> None:
    office.house.rewrite("staff", "department = '市场部' WHERE staff_id = 's-1'")
    assert office.no(office.clerk, "authorization.issue", code(1), **FIELDS) == "authorization-required"
