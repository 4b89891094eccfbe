"""A shop's side over plain sockets: signs like a terminal, proves every reply, and can be made to misbehave."""

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from certs.certificates import Certificate, Role
from certs.core.profile import Refused, ReplyHead, ReplyProof, sign_request, verify_reply
from certs.keys import PemSigner
from certs.pilot import Authority, issue, make_issuing, make_key, make_root

AUTHORITY = "pay.test.example:8443"
JSON = "application/json"
ProofOrRefused = ReplyProof | Refused


class Proves(Protocol):
    """Whoever can tell whether a reply is the gateway's."""

    def prove(self, status: int, headers: list[tuple[str, str]], body: bytes, field_: str) -> ProofOrRefused: ...


@dataclass(frozen=True)
class Pki:
    """A pilot CA with the gateway's reply key."""

    root: Authority
    issuing: Authority
    reply: PemSigner

    @classmethod
    def make(cls, now: datetime) -> "Pki":
        """Fresh keys for everything."""
        root = make_root("示范县邮政局", now)
        issuing = make_issuing(root, now)
        key = make_key()
        return cls(
            root, issuing, PemSigner(issue(issuing, Role.REPLY, key.public_key(), operator="gateway", now=now), key)
        )

    def station(self, institution_code: str, now: datetime | None = None) -> PemSigner:
        """A station's certificate and key."""
        key = make_key()
        certificate = issue(
            self.issuing,
            Role.STATION,
            key.public_key(),
            operator="0001",
            institution_code=institution_code,
            usb_key_serial=secrets.token_hex(4),
            now=now or datetime.now(UTC),
        )
        return PemSigner(certificate, key)

    def prove(self, status: int, headers: list[tuple[str, str]], body: bytes, field_: str) -> ReplyProof | Refused:
        """What a terminal makes of a reply."""
        return verify_reply(
            ReplyHead(status, headers, body),
            request_signature_field=field_,
            certificate=self.reply.certificate,
            issuings=(self.issuing.certificate,),
            root=self.root.certificate,
            now=datetime.now(UTC),
        )


@dataclass(frozen=True)
class Reply:
    """A reply as it came. proof: what verify_reply made of it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)
    proof: ReplyProof | Refused

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)

    @property
    def slug(self) -> str:
        """The problem's slug, or "" where the body is none."""
        decoded = self.json
        return str(decoded["type"]).removeprefix("urn:bianmin:problem:") if "type" in decoded else ""

    @property
    def signed(self) -> bool:
        """Whether a terminal may believe it."""
        return isinstance(self.proof, ReplyProof)

    def header(self, name: str) -> str | None:
        """The one line of this name."""
        found = [value for given, value in self.headers if given.lower() == name.lower()]
        assert len(found) <= 1, found
        return found[0] if found else None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request ready to be sent. field: its signature, which the reply must cover."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def raw(self, **changes: Any) -> bytes:
        """The bytes on the wire. changes: method, target, version, and `lines` that stand instead of the headers."""
        lines = changes.get("lines", list(self.headers.items()))
        method, target = changes.get("method", self.method), changes.get("target", self.target)
        head = f"{method} {target} {changes.get('version', 'HTTP/1.1')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines)
        body: bytes = changes.get("body", self.body)
        return head.encode("latin-1") + b"\r\n" + body

    @property
    def field(self) -> str:
        """What follows `bm=` in its Signature."""
        return self.headers.get("Signature", "bm=:AA==:")[3:]


class Shop:
    """One terminal of one station."""

    def __init__(self, code: str, signer: PemSigner, pki: Proves, port: int, *, authority: str = AUTHORITY) -> None:
        self.code, self.signer, self.pki, self.port, self.authority = code, signer, pki, port, authority

    def sign(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        created: int | None = None,
        nonce: str | None = None,
        authority: str | None = None,
        content_type: str = JSON,
        prefer: str | None = None,
    ) -> Request:
        """A request under the profile."""
        begin = int(datetime.now(UTC).timestamp()) if created is None else created
        authority = authority or self.authority
        headers = {"Host": authority, "Content-Length": str(len(body))} if body else {"Host": authority}
        headers |= sign_request(
            self.signer,
            method=method,
            authority=authority,
            target=target,
            body=body,
            content_type=content_type,
            idempotency_key=key,
            created=begin,
            expires=begin + 300,
            nonce=nonce or secrets.token_urlsafe(16),
        )
        if prefer is not None:
            headers["Prefer"] = prefer
        return Request(method=method, target=target, headers=headers, body=body)

    async def get(self, target: str, **options: Any) -> Reply:
        """A signed read."""
        return await self.send(self.sign("GET", target, **options))

    async def post(self, target: str, body: Any, **options: Any) -> Reply:
        """A signed write. body: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.send(self.sign("POST", target, raw, **options))

    async def pay(
        self, amount_fen: int = 1000, *, key: str | None = None, wait: int | None = None, **fields: Any
    ) -> Reply:
        """A top-up, unless fields say otherwise."""
        body = {
            "service": "mobile.topup",
            "biller_account": f"139{secrets.randbelow(10**8):08d}",
            "amount_fen": amount_fen,
            "terminal_trace": "000001",
            "params": {"carrier": "cmcc"},
        } | fields
        prefer = None if wait is None else f"wait={wait}"
        return await self.post("/v1/payments", body, key=key or new_key(), prefer=prefer)

    async def send(self, request: Request) -> Reply:
        """Send it and read the reply."""
        return await self.send_raw(request.raw(), request.field)

    async def send_raw(self, raw: bytes, field_: str = ":AA==:") -> Reply:
        """Send bytes and read one reply. A fresh connection each."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(raw)
            return await read_reply(reader, self.pki, field_)
        finally:
            writer.close()


async def read_reply(reader: asyncio.StreamReader, pki: Proves, field_: str, *, head_only: bool = False) -> Reply:
    """One reply off a connection."""
    async with asyncio.timeout(40):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status_line, *lines = head.strip().split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = int(next(value for name, value in headers if name == "Content-Length"))
        body = b"" if head_only else await reader.readexactly(length)
    status = int(status_line.split(" ")[1])
    return Reply(status, headers, body, pki.prove(status, headers, body, field_))


def new_key() -> str:
    """A fresh idempotency key."""
    return secrets.token_urlsafe(18)


def ms(moment: datetime) -> int:
    """The book's form of a moment."""
    return int(moment.timestamp() * 1000)


def validity(certificate: Certificate) -> dict[str, Any]:
    """How the registry writes down a certificate's life."""
    return {"not_before": ms(certificate.not_before), "not_after": ms(certificate.not_after)}
