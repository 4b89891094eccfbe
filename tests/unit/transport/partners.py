"""Partners that misbehave on real sockets, and clocks that do as they are told."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answering = Callable[["Visit"], Awaitable[None]]


class FakeClock:
    """Time stands still but for boottime(), which moves on by `step` with each look."""

    def __init__(self, boottime: float = 100.0, step: float = 0.0) -> None:
        self.at, self.step = boottime, step
        self.today = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)

    def now(self) -> datetime:
        return self.today

    def monotonic(self) -> float:
        return self.at

    def boottime(self) -> float:
        self.at += self.step
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LoopClock(FakeClock):
    """boottime() is the event loop's own time."""

    def boottime(self) -> float:
        return asyncio.get_running_loop().time()


class Visit:
    """One accepted connection. `request()` reads one whole request; `got` holds every byte that ever came."""

    def __init__(self, partner: "Partner", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.partner, self.reader, self.writer = partner, reader, writer

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.partner.got += head
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        body = await self.reader.readexactly(length)
        self.partner.got += body
        self.partner.requests += 1
        return head + body

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    def reset(self) -> None:
        """A real RST: closing with lingering switched on and no time to linger."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Partner:
    """A server on a free loopback port whose every connection is given to `answering`."""

    def __init__(self, answering: Answering, context: ssl.SSLContext | None = None) -> None:
        self.answering, self.context = answering, context
        self.got = b""
        self.requests = self.connections = 0
        self.port = 0
        self.server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self.answering(Visit(self, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def stop_listening(self) -> None:
        """From now on connections are refused; those that stand stay."""
        assert self.server is not None
        self.server.close()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def partner(answering: Answering, context: ssl.SSLContext | None = None) -> AsyncIterator[Partner]:
    """Start, yield, and leave nothing running."""
    made = Partner(answering, context)
    server = await asyncio.start_server(
        made.serve, "127.0.0.1", 0, ssl=context, ssl_handshake_timeout=5 if context else None
    )
    made.server = server
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.stop()
        await server.wait_closed()


def reply(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """A whole HTTP reply with its length."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def polite(visit: Visit) -> None:
    """Answers `hello` to every request on the connection."""
    while True:
        await visit.request()
        await visit.send(reply(b"hello", "Set-Cookie: a=b; Path=/"))


def self_signed(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Server and client contexts for `localhost`, made here and trusted nowhere else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "localhost.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))
