"""`GET /v1/crl/{issuer_keyid}`: unsigned, DER, as published; of our own authorities alone."""

import asyncio
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority.lists import make_crl
from certs.core.revocation_lists import RevocationList, Revoked, read_crl
from certs.pilot import write_certificate
from gateway.core.revocations import KeepList
from tests.integration.http.house import House
from tests.integration.http.shops import ms


async def fetch(port: int, target: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Status, head and body of an unsigned request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ")[1]), head.decode(), body


async def keep(house: House, issuer: str, *revoked: Revoked, number: int = 1) -> RevocationList:
    """A list of the house's CA, kept under this issuer."""
    now = datetime.now(UTC)
    made = read_crl(make_crl(house.pki.issuing, number=number, after=number - 1, now=now, revoked=revoked))
    item = KeepList(
        issuer_keyid=issuer, number=number, der=made.der, this_update=ms(made.this_update),
        next_update=ms(made.next_update), serials=None,
    )  # fmt: skip
    await house.run(item)
    return made


async def test_it_is_served_as_published(any_house: House, tmp_path: Path) -> None:
    house, ca = any_house, any_house.pki.issuing.certificate
    target = f"/v1/crl/{ca.keyid}"
    assert (await fetch(house.port, target))[0] == 404
    await keep(house, ca.keyid)
    shop = await house.shop()
    serial = shop.signer.certificate.serial
    made = await keep(house, ca.keyid, Revoked(serial=serial, at=datetime.now(UTC)), number=2)
    status, head, body = await fetch(house.port, target)
    assert (status, body) == (200, made.der)
    assert "Content-Type: application/pkix-crl" in head
    assert "Signature" not in head

    (tmp_path / "crl.pem").write_bytes(read_crl(body).parsed.public_bytes(Encoding.PEM))
    for name, certificate in (("root", house.pki.root.certificate), ("issuing", ca)):
        write_certificate(tmp_path / f"{name}.pem", certificate)
    said = {}
    for name, certificate in (("station", shop.signer.certificate), ("reply", house.pki.reply.certificate)):
        write_certificate(tmp_path / f"{name}.pem", certificate)
        command = "openssl verify -crl_check -CRLfile crl.pem -CAfile root.pem -untrusted issuing.pem"
        done = subprocess.run([*command.split(), f"{name}.pem"], cwd=tmp_path, capture_output=True, check=False)
        said[name] = done.returncode
    assert said["reply"] == 0
    assert said["station"] != 0


async def test_of_others_nothing_is_served(house: House) -> None:
    await keep(house, "e" * 64)
    assert (await fetch(house.port, "/v1/crl/" + "e" * 64))[0] == 404
    assert (await fetch(house.port, f"/v1/crl/{house.pki.root.certificate.keyid}"))[0] == 404


@pytest.mark.parametrize("target", ["/v1/crl/x", "/v1/crl/" + "E" * 64, "/v1/crl/" + "e" * 64 + "?a=1", "/v1/crl/"])
async def test_malformed(house: House, target: str) -> None:
    assert (await fetch(house.port, target))[0] in (400, 401, 404)
    assert (await fetch(house.port, f"/v1/crl/{house.pki.issuing.certificate.keyid}", "POST"))[0] in (401, 404)
