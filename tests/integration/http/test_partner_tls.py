"""The notices' port with client certificates: pinned in the book, two at a roll-over, closed at once."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.http.partner import PartnerServer
from gateway.http.partner_tls import PartnerDoor
from tests.integration.http.house import House
from tests.integration.http.shops import ms
from tests.stand.partner_pki import PASSWORD, Held, PartnerCa

NOW = datetime.now(UTC)


@dataclass
class Port:
    """The notices' port of a house, over TLS. telecom must show a certificate, power need not."""

    house: House
    folder: Path
    ca: PartnerCa
    door: PartnerDoor
    port: int
    taken: list[bytes]

    async def pin(self, held: Held, biller: str = "telecom", use: str = "tls", state: str = "ACTIVE") -> None:
        """As if two people had."""
        certificate = held.certificate
        self.house.sql(
            "INSERT INTO partner_certificates (biller, keyid, der, use, public_key_sha256, not_before, not_after,"
            f" state, added_by, added_at, approved_by, approved_at) VALUES ('{biller}', '{certificate.keyid}',"
            f" x'{certificate.der.hex()}', '{use}', '{certificate.public_key_sha256}', {ms(certificate.not_before)},"
            f" {ms(certificate.not_after)}, '{state}', 'a', 1, 'b', 2)"
        )
        await self.door.look()

    async def close(self, held: Held) -> None:
        """As if somebody had."""
        self.house.sql(f"UPDATE partner_certificates SET state = 'CLOSED' WHERE keyid = '{held.certificate.keyid}'")

    async def connect(self, held: Held | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection as this client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if held is not None:
            certificate, key, _ = held.write(self.folder, "client")
            context.load_cert_chain(certificate, key, PASSWORD)
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context)

    async def notify(self, held: Held | None, biller: str = "telecom") -> int:
        """The status of one notice; 0 where the connection was refused."""
        writer = None
        try:
            reader, writer = await self.connect(held)
            return await ask(reader, writer, biller)
        except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
            return 0
        finally:
            if writer is not None:
                writer.transport.abort()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, biller: str = "telecom") -> int:
    """One notice on a connection."""
    writer.write(f"POST /notices/{biller} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi".encode())
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r")[0])
        await reader.readexactly(length)
    return int(head.split(b" ")[1])


@pytest.fixture
async def port(house: House, tmp_path: Path) -> AsyncIterator[Port]:
    """Served until the test ends."""
    ca, taken = PartnerCa(NOW, "对方"), []

    async def take(_: object, body: bytes) -> tuple[int, str, bytes]:
        taken.append(body)
        return 200, "text/plain", b"success"

    certificate, key, _ = ca.alone("bianmin").write(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key, PASSWORD)
    door = PartnerDoor(house.store, SystemClock(), context, ["telecom"], lambda *_: None)
    await door.look()
    server = PartnerServer(replace(house.services, notices={"telecom": take, "power": take}), door)
    number = await server.start("127.0.0.1", 0, tls=context)
    yield Port(house, tmp_path, ca, door, number, taken)
    await server.stop(1)


async def test_who_may_speak(port: Port) -> None:
    ours, other = port.ca.alone("telecom"), port.ca.leaf("telecom")
    assert await port.notify(None) == 403
    assert await port.notify(ours) == 0, "its handshake fails: nobody pinned it"
    await port.pin(ours)
    assert await port.notify(ours) == 200
    assert await port.notify(other) == 0, "another one of the same name"
    assert await port.notify(None) == 403
    assert await port.notify(None, "power") == 200, "of power none is asked for"
    assert port.taken == [b"hi"] * 2


async def test_another_partners_certificate(port: Port) -> None:
    theirs, signs = port.ca.alone("power"), port.ca.alone("signs")
    await port.pin(theirs, "power")
    await port.pin(signs, use="sign")
    # Power's is asked of nobody, so no handshake takes it either.
    assert await port.notify(theirs) in (0, 403)
    assert await port.notify(signs) in (0, 403)
    assert port.taken == []


async def test_roll_over_and_close_on_an_open_connection(port: Port) -> None:
    old, new = port.ca.leaf("telecom"), port.ca.leaf("telecom")
    await port.pin(old)
    await port.pin(new)
    connection = await port.connect(old)
    assert [await ask(*connection), await port.notify(new)] == [200, 200]
    await port.close(old)
    assert await ask(*connection) == 403, "the very next request, on a connection that stands"
    connection[1].close()
    assert [await port.notify(old), await port.notify(new)] == [403, 200]


async def test_one_that_has_ended(port: Port) -> None:
    ended = port.ca.leaf("telecom", begins=NOW - timedelta(days=3), ends=NOW - timedelta(days=1))
    await port.pin(ended)
    assert await port.notify(ended) == 0
