"""The worked vectors on the wire, and our replies under another implementation of RFC 9421."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from http_message_signatures import HTTPMessageVerifier, MappingKeyResolver
from http_message_signatures.algorithms import ECDSA_P256_SHA256

from certs.certificates import parse_certificate
from gateway.core.items import AddStation
from tests.integration.http.billers import SERVICES
from tests.integration.http.house import House
from tests.integration.http.shops import ms, validity

VECTORS = Path(__file__).parents[2] / "vectors" / "signature"
AUTHORITY = "pay.bianmin.example:8443"


async def _register(house: House, name: str) -> None:
    certificate = parse_certificate((VECTORS / f"{name}.cert.pem").read_bytes())
    await house.run(
        AddStation(
            institution_code=f"33{certificate.keyid[:8]}",
            name="便民站",
            terminal_id="T1",
            operator_id="0001",
            operator_name="张三",
            certificate_der=certificate.der,
            keyid=certificate.keyid,
            public_key_sha256=certificate.public_key_sha256,
            services=SERVICES,
            trained_until=ms(datetime(2030, 1, 1, tzinfo=UTC)),
            **validity(certificate),
        )
    )


@pytest.mark.parametrize("name", ["post-ec", "get-ec", "get-noquery-ec", "post-rsa", "get-noquery-rsa"])
async def test_vectors_verify_here_too(house: House, name: str) -> None:
    """Their window is past, so a vector that verifies is `signature-expired`, signed; one changed byte is not."""
    issuing, root = (parse_certificate((VECTORS / f"{one}.cert.pem").read_bytes()) for one in ("issuing", "root"))
    await house.reopen(issuings=(issuing,), root=root, authorities=frozenset({AUTHORITY}))
    await _register(house, "station_rsa" if name.endswith("rsa") else "station")
    shop = await house.shop()
    head, body = (VECTORS / f"{name}.head").read_bytes(), (VECTORS / f"{name}.body").read_bytes()
    raw = head.replace(b"\r\n", b"\n").rstrip(b"\n").replace(b"\n", b"\r\n") + b"\r\n\r\n" + body
    field = next(line for line in head.decode().splitlines() if line.startswith("Signature: "))[14:]
    reply = await shop.send_raw(raw, field)
    assert (reply.status, reply.slug, reply.signed) == (401, "signature-expired", True), reply.body
    changed = await shop.send_raw(raw.replace(b"created=1795478400", b"created=1795478401"), field)
    assert (changed.slug, changed.signed) == ("signature-invalid", False)


class _Timeless(HTTPMessageVerifier):
    """Replies carry no end of their own."""

    def validate_created_and_expires(self, sig_input: object, max_age: object = None) -> None:
        """Nothing."""


@pytest.mark.parametrize("status", [200, 404])
async def test_our_replies_verify_elsewhere(house: House, status: int) -> None:
    shop = await house.shop()
    request = shop.sign("GET", "/v1/account" if status == 200 else "/v1/nothing")
    reply = await shop.send(request)
    certificate = house.pki.reply.certificate
    resolver = MappingKeyResolver(public_keys={certificate.keyid: certificate.public_key}, private_keys={})
    verifier = _Timeless(signature_algorithm=ECDSA_P256_SHA256, key_resolver=resolver)
    asked = SimpleNamespace(method="GET", url=f"https://{AUTHORITY}{request.target}", headers=request.headers)
    message = SimpleNamespace(status_code=reply.status, headers=dict(reply.headers), request=asked)
    (result,) = verifier.verify(
        message,
        max_age=None,
        expect_tag="bianmin-reply-v1",
        require_components=("@status", "content-digest", "content-type"),
        body=reply.body,
    )
    assert result.covered_components['"@status"'] == str(status)
