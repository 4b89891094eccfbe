"""Payments in doubt, ruled by two people, and what the book must be like afterwards."""

import hashlib
from typing import Any

from gateway.core import items, rows
from gateway.core.attachments import KeepAttachment
from gateway.core.items_deeds import Acted
from gateway.ops.audit import audit_sqlite
from tests.stand.house import House
from tests.stand.office import Office
from tests.unit.core.oracle import violations
from tests.unit.core.test_undoing import cancel

DAY_S = 86_400
LETTER = b"%PDF the biller's letter"
DIGEST = hashlib.sha256(LETTER).hexdigest()


def in_doubt(house: House, place: str = "UNKNOWN", **fields: Any) -> rows.Payment:
    """A payment that has been in doubt for a day, in one of the three states of doubt."""
    house.advance(0.001)
    payment = house.pay(**fields)
    if place == "CANCELLING":
        house.settle(payment)
        cancel(house, payment)
        house.settle(payment, "Unknown")
    else:
        house.settle(payment, "Unknown")
    if place == "REVERSING":
        house.advance(960)
        assert house.ask(items.TakeQuestions(entropy=house.entropy()), items.Questions).opened
        house.settle(payment, "Unknown")
    house.advance(DAY_S)
    found = house.now_of(payment)
    assert found.state == place
    return found


def letter(office: Office) -> str:
    """A file that is kept, as a deed names it."""
    office.house.ask(KeepAttachment(name="letter.pdf", body=LETTER), items.Kept)
    return f"{DIGEST}:{len(LETTER)}"


def rule(office: Office, payment: rows.Payment, verdict: str, **fields: str) -> Acted:
    office.house.advance(0.001)
    fields = {"attachments": letter(office)} | fields
    state = office.house.now_of(payment).state
    return office.both("payment.rule", payment.gateway_serial, verdict=verdict, state=state, **fields)


def refused(office: Office, payment: rows.Payment, verdict: str, **fields: str) -> str:
    fields = {"state": office.house.now_of(payment).state, "attachments": letter(office)} | fields
    return office.no(office.clerk, "payment.rule", payment.gateway_serial, verdict=verdict, **fields)


def sound(office: Office) -> None:
    assert violations(office.house) == []
    report = audit_sqlite(office.house.path, office.house.env, at_ms=office.house.now)
    assert report.ok, report.text()


def recipes(house: House, payment: rows.Payment) -> list[str]:
    found = house.rows_of(rows.Transaction, "gateway_serial = ?", payment.gateway_serial)
    return sorted(one.recipe for one in found)


RULED = {
    ("UNKNOWN", "paid"): ("SUCCESS", "R05"),
    ("UNKNOWN", "not-paid"): ("FAILED", "R03"),
    ("REVERSING", "paid"): ("SUCCESS", "R05"),
    ("REVERSING", "not-paid"): ("FAILED", "R03"),
    ("CANCELLING", "paid"): ("SUCCESS", "R05"),
    ("CANCELLING", "not-paid"): ("CANCELLED", "R10"),
}
