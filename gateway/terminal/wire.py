"""One signed request, one proven reply. Nothing here repeats or decides anything."""

import asyncio
import secrets
import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec
from yarl import URL

from certs.certificates import Certificate, CertificateError, parse_certificate
from certs.core.profile import Refused, ReplyHead, ReplyProof, reply_keyid, sign_request, verify_reply
from certs.tokens.faults import TokenFault
from contracts import api, traces
from contracts.clock import Clock
from contracts.signer import Signer
from gateway.terminal.config import TerminalConfig
from gateway.terminal.faults import ConfigFault

REPLY_MAX_BYTES = 2**20
"""Longest reply that is read."""
_CERTIFICATE_MAX_BYTES = 16 * 2**10
_RETRY_AFTER_MAX_S = 30  # the header is not proven: it may not hold a shop for longer
_PEM_END = b"-----END CERTIFICATE-----"
# Raised before the first byte of a request; whatever else goes wrong may come after it (measured: style s4).
_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question. target: raw, as it will be signed. key: its idempotency key. wait_s: `Prefer: wait`.

    trace_id: what the gateway's own log and `bianmin ops trace` call it; the same for every try.
    """

    method: str
    target: str
    body: bytes = field(default=b"", repr=False)
    key: str | None = None
    wait_s: int = 0
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A reply to this very request by the gateway. retry_after_s is not covered by the proof."""

    proof: ReplyProof
    retry_after_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """No reply that counts. sent: False where no byte of the request can have left. why: English.

    shop_text: Chinese, where a person must do something before it is worth asking again (plug the USB key in).
    """

    why: str
    sent: bool
    retry_after_s: int | None = None
    shop_text: str = ""


@dataclass(frozen=True, slots=True)
class _Raw:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Wire:
    """Signs, sends, verifies. One per terminal; holds one HTTP session. `offset` corrects the machine's clock."""

    def __init__(
        self,
        config: TerminalConfig,
        clock: Clock,
        signer: Signer,
        *,
        issuings: tuple[Certificate, ...],
        root: Certificate,
    ) -> None:
        self._config, self._clock, self._signer = config, clock, signer
        self._issuings, self._root = issuings, root
        self._certificates: dict[str, Certificate] = {}
        self._signing = asyncio.Lock()  # a token takes one signature at a time
        self.offset = timedelta()
        self._tls_name = URL(f"//{config.authority}").host if config.scheme == "https" else None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=_tls(config), limit=16),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # the digest is of the bytes as sent
        )

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    def now(self) -> datetime:
        """The time as the gateway sees it, as far as we know."""
        return self._clock.now() + self.offset

    async def exchange(self, ask: Ask, timeout_s: float) -> Proven | Unproven:
        """Send one question under a fresh nonce, once. timeout_s: for everything, beside the seconds it is held."""
        try:
            headers = await self._sign(ask)
        except TokenFault as fault:
            return Unproven(why=f"not signed: {fault.hint}", sent=False, shop_text=fault.shop_text)
        field = headers["Signature"].removeprefix("bm=")
        headers[traces.HEADER] = traces.traceparent(ask.trace_id, field)
        if ask.wait_s:
            headers["Prefer"] = f"wait={ask.wait_s}"
        raw = await self._send(
            ask.method, ask.target, ask.body, headers, timeout_s=timeout_s + ask.wait_s, limit=REPLY_MAX_BYTES
        )
        if isinstance(raw, Unproven):
            return raw
        retry_after_s = _retry_after(raw.headers)
        proof = await self._prove(ReplyHead(raw.status, raw.headers, raw.body), field, timeout_s)
        if isinstance(proof, Refused):
            why = f"the reply ({raw.status}{_shown(raw)}) proves nothing: {proof.slug}, {proof.detail}"
            return Unproven(why=why, sent=True, retry_after_s=retry_after_s)
        return Proven(proof=proof, retry_after_s=retry_after_s)

    async def fetch(self, target: str, timeout_s: float, limit: int = _CERTIFICATE_MAX_BYTES) -> bytes | Unproven:
        """The body of an unsigned GET that answered 200; it proves nothing."""
        raw = await self._send("GET", target, b"", {}, timeout_s=timeout_s, limit=limit)
        if isinstance(raw, Unproven):
            return raw
        return raw.body if raw.status == 200 else Unproven(why=f"GET {target} answered {raw.status}", sent=True)

    async def _sign(self, ask: Ask) -> dict[str, str]:
        created = int(self.now().timestamp())
        async with self._signing:
            return await asyncio.to_thread(
                sign_request,
                self._signer,
                method=ask.method,
                authority=self._config.authority,
                target=ask.target,
                body=ask.body,
                content_type="application/json",
                idempotency_key=ask.key,
                created=created,
                expires=created + self._config.signature_lifetime_s,
                nonce=secrets.token_urlsafe(24),
                scheme=self._config.scheme,
            )

    async def _send(
        self, method: str, target: str, body: bytes, headers: dict[str, str], *, timeout_s: float, limit: int
    ) -> _Raw | Unproven:
        connect_s = self._config.connect_timeout_ms / 1000
        try:
            async with self._session.request(
                method,
                URL(self._config.url + target, encoded=True),
                data=body or None,
                headers={"Host": self._config.authority, "Accept-Encoding": "identity", **headers},
                skip_auto_headers=("Content-Type", "User-Agent"),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=connect_s, sock_connect=connect_s),
                server_hostname=self._tls_name,
            ) as reply:
                content = await _read(reply, limit)
                lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.raw_headers]
                status = reply.status
        except _UNSENT as failed:
            return Unproven(why=f"no connection: {failed}", sent=False)
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            return Unproven(why=f"the connection broke: {type(failed).__name__} {failed}".rstrip(), sent=True)
        if content is None:
            return Unproven(why=f"the reply is longer than {limit} bytes", sent=True)
        return _Raw(status, lines, content)

    async def _prove(self, reply: ReplyHead, field: str, timeout_s: float) -> ReplyProof | Refused:
        keyid = reply_keyid(reply)
        if isinstance(keyid, Refused):
            return keyid
        certificate = self._certificates.get(keyid) or await self._fetch_certificate(keyid, timeout_s)
        if isinstance(certificate, Refused):
            return certificate
        proof = verify_reply(
            reply,
            request_signature_field=field,
            certificate=certificate,
            issuings=self._issuings,
            root=self._root,
            now=self.now(),
        )
        if isinstance(proof, ReplyProof):
            self._certificates[keyid] = certificate
        return proof

    async def _fetch_certificate(self, keyid: str, timeout_s: float) -> Certificate | Refused:
        pem = await self.fetch(f"/v1/certificates/{keyid}", timeout_s)
        if isinstance(pem, Unproven):
            return Refused("certificate-unknown", f"the reply's certificate is not to be had: {pem.why}")
        leaf, end, _ = pem.partition(_PEM_END)
        try:
            certificate = parse_certificate(leaf + end)
        except CertificateError as wrong:
            return Refused("certificate-unknown", str(wrong))
        if certificate.keyid != keyid:
            return Refused("certificate-unknown", "another certificate was served under the reply's keyid")
        return certificate


def _tls(config: TerminalConfig) -> ssl.SSLContext | bool:
    if config.scheme != "https":
        return True
    try:
        return ssl.create_default_context(cafile=config.tls_ca_file)
    except (OSError, ssl.SSLError) as wrong:
        file = Path(config.tls_ca_file) if config.tls_ca_file else None
        raise ConfigFault(file, "tls_ca_file", f"PEM certificates; {wrong}") from wrong


async def _read(reply: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body, or None where it is longer than `limit`."""
    parts: list[bytes] = []
    room = limit
    async for part in reply.content.iter_any():
        room -= len(part)
        if room < 0:
            return None
        parts.append(part)
    return b"".join(parts)


def _retry_after(headers: list[tuple[str, str]]) -> int | None:
    for name, value in headers:
        if name.lower() == "retry-after" and value.isascii() and value.isdigit() and len(value) < 6:
            return min(int(value), _RETRY_AFTER_MAX_S)
    return None


def _shown(raw: _Raw) -> str:
    """The kind of an unsigned problem, to be shown; it decides nothing."""
    try:
        slug = msgspec.json.decode(raw.body, type=api.Problem).type.rpartition(":")[2]
    except msgspec.MsgspecError:
        return ""
    return f" {slug[:40]}" if slug.isascii() and slug.isprintable() else ""
