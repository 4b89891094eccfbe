"""What is rendered beforehand is what the gateway takes; what comes back unproven is noticed."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from certs.core.profile import SignedRequest, check_window, read_request, sign_reply, verify
from tests.bench import floor
from tests.bench.generator import BadLoadError, prove
from tests.bench.installation import Installation, installation
from tests.bench.load import Sample
from tests.bench.requests import Bill, Order, make, parse, render

ORDER = Order(service="benchhold.bill", first_account=10_000_000)


@pytest.fixture(scope="module")
def house() -> Iterator[Installation]:
    with installation(["bench_hold"], stations=3) as made:
        yield made


def _read(request: bytes) -> SignedRequest:
    found = read_request(parse(request), floor.AUTHORITIES, scheme="http")
    assert isinstance(found, SignedRequest), found
    return found


def test_requests_verify_with_their_stations_key_and_differ(house: Installation) -> None:
    made = [_read(request) for request in make(house, ORDER, 7)]
    for number, signed in enumerate(made):
        assert verify(signed, house.stations[number % 3].signer.certificate)
        assert check_window(signed.created, signed.expires, int(datetime.now(UTC).timestamp()) + 290)
    assert len({signed.nonce for signed in made}) == len({signed.idempotency_key for signed in made}) == 7
    assert len({signed.body for signed in made}) == 7


def test_a_bill_is_paid_by_the_station_that_asked(house: Installation) -> None:
    signed = _read(render(house, ORDER, 0, Bill(2, "15000000001", "T" * 32)))
    assert verify(signed, house.stations[2].signer.certificate)
    assert b'"query_token":"TTTT' in signed.body
    assert b"15000000001" in signed.body


def _sample(house: Installation, body: bytes, signer: object = None) -> Sample:
    request = render(house, ORDER, 1)
    headers = sign_reply(
        signer or house.reply,  # type: ignore[arg-type]
        status=202,
        body=b"{}",
        content_type="application/json",
        created=int(datetime.now(UTC).timestamp()),
        request_signature_field=_read(request).signature_field,
    ).headers
    lines = ["HTTP/1.1 202 Accepted", *(f"{name}: {value}" for name, value in headers.items())]
    return Sample(request, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def test_a_signed_reply_is_proven(house: Installation) -> None:
    prove(_sample(house, b"{}"), house)


def test_an_altered_reply_is_not(house: Installation) -> None:
    with pytest.raises(BadLoadError, match="signature-invalid"):
        prove(_sample(house, b"[]"), house)


def test_a_reply_to_another_request_is_not(house: Installation) -> None:
    sample = _sample(house, b"{}")
    with pytest.raises(BadLoadError, match="signature-invalid"):
        prove(Sample(render(house, ORDER, 2), sample.reply), house)


def test_a_reply_by_a_stations_key_is_not(house: Installation) -> None:
    with pytest.raises(BadLoadError, match="signature-invalid"):
        prove(_sample(house, b"{}", house.stations[0].signer), house)
