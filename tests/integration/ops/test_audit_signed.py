"""A kept request against its key and payment, judged as values: what a consistent forger would leave behind."""

from collections.abc import Iterator
from dataclasses import replace as swap
from pathlib import Path

import pytest
from msgspec.structs import replace

from contracts.strict_json import canonical, scan
from gateway.core.admit import make_record
from gateway.core.fingerprints import request_hash
from gateway.core.rows import Binding, Key, Payment, Record
from gateway.ops.audit.signed import Request, judge
from tests.stand.house import NOON, House, code, keyid

SPEAKERS = {
    keyid(1): [
        Binding(
            keyid=keyid(1),
            institution_code=code(1),
            terminal_id="T1",
            operator_id="0001",
            bound_at=NOON,
            prepared_by="s1",
            approved_by="s2",
        )
    ]
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def taken(house: House) -> tuple[Key, Payment, Record]:
    payment = house.pay(cash_received_fen=20_000)
    (key,) = house.rows_of(Key, "gateway_serial = ?", payment.gateway_serial)
    (record,) = house.rows_of(Record, "gateway_serial = ?", payment.gateway_serial)
    return key, payment, record


def made_again(record: Record, body: bytes) -> Record:
    """With another body and a leaf that fits it."""
    return make_record(
        kind=record.kind,
        record_id=record.record_id,
        now=record.received_at,
        institution_code=record.institution_code,
        gateway_serial=record.gateway_serial,
        keyid=record.keyid or "",
        base=record.base,
        signature=record.signature,
        body=body,
    )


def test_a_body_that_fits_the_key_but_not_the_signature_is_seen(house: House) -> None:
    key, payment, record = taken(house)
    assert list(judge(key, payment, [Request.of(record)], SPEAKERS)) == []
    body = canonical(scan(record.body) | {"amount_fen": 1})
    forged = replace(key, request_hash=request_hash("POST", "/v1/payments", scan(body)))
    cheap = replace(payment, amount_fen=1)
    said = list(judge(forged, cheap, [Request.of(made_again(record, body))], SPEAKERS))
    assert said == ["the kept body is not the one that was signed"]


def test_a_body_with_null_members_is_the_same_request(house: House) -> None:
    key, payment, record = taken(house)
    body = canonical(scan(record.body) | {"query_token": None})
    request = Request.of(made_again(record, body))
    said = list(judge(key, payment, [request], SPEAKERS))
    assert said == ["the kept body is not the one that was signed"]  # the hash holds, the digest is another body's


def test_a_changed_record_is_not_judged_twice(house: House) -> None:
    key, payment, record = taken(house)
    assert list(judge(key, payment, [Request.of(replace(record, body=b"x"))], SPEAKERS)) == []


def test_a_certificate_speaks_only_while_it_is_bound(house: House) -> None:
    key, payment, record = taken(house)
    ended = {keyid(1): [replace(SPEAKERS[keyid(1)][0], bound_at=NOON - 2, unbound_at=NOON - 1)]}
    assert "did not speak" in next(judge(key, payment, [Request.of(record)], ended))
    assert "did not speak" in next(judge(key, payment, [Request.of(record)], {}))


def test_another_operation_than_was_signed_is_seen(house: House) -> None:
    key, payment, record = taken(house)
    request = swap(Request.of(record), path="/v1/top-ups")
    moved = replace(key, request_hash=request_hash("POST", "/v1/top-ups", scan(record.body)))
    assert "POST /v1/top-ups" in next(judge(moved, payment, [request], SPEAKERS))


def test_a_key_outlives_its_payment(house: House) -> None:
    key, payment, _ = taken(house)
    assert list(judge(key, None, [], SPEAKERS)) == []
    assert "no request" in next(judge(key, payment, [], SPEAKERS))
