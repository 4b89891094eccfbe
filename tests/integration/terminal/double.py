"""A small real gateway for the terminal's tests: it verifies, books, signs, and misbehaves on demand."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from certs import pilot
from certs.certificates import Certificate, Role
from certs.core.profile import RequestHead, SignedRequest, check_window, read_request, sign_reply, verify
from certs.keys import PemSigner
from contracts.problems import PROBLEMS, URN
from gateway.terminal import TerminalConfig

AUTHORITY = "pay.bianmin.example:8443"
SERIAL = "2026112406H0P4QWR2D3RMF7"
QUERY_TOKEN = "query-token-0000001"


class Keys:
    """A pilot CA with a station, a reply key and strangers; station files written to a folder."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.folder = folder
        root = pilot.make_root("示范县邮政局", now)
        issuing = pilot.make_issuing(root, now)
        self.root, self.issuing = root.certificate, issuing.certificate
        self.reply = self._signer(issuing, Role.REPLY, "gateway", now)
        self.archive = self._signer(issuing, Role.ARCHIVE, "archive", now)
        foreign_root = pilot.make_root("示范县邮政局", now)
        self.foreign = self._signer(pilot.make_issuing(foreign_root, now), Role.REPLY, "gateway", now)
        key = pilot.make_key()
        self.station = pilot.issue(
            issuing,
            Role.STATION,
            key.public_key(),
            operator="0001",
            institution_code="33078200017",
            usb_key_serial="UK1",
            now=now,
        )
        self.station_signer = PemSigner(self.station, key)
        pilot.write_certificate(folder / "station.cert.pem", self.station)
        pilot.write_key(folder / "station.key.pem", key, pilot.write_password(folder / "station.password"))
        pilot.write_certificate(folder / "issuing.cert.pem", self.issuing)
        pilot.write_certificate(folder / "root.cert.pem", self.root)

    @staticmethod
    def _signer(issuing: pilot.Authority, role: Role, operator: str, now: datetime) -> PemSigner:
        key = pilot.make_key()
        return PemSigner(pilot.issue(issuing, role, key.public_key(), operator=operator, now=now), key)

    def pem(self, certificate: Certificate) -> bytes:
        """Leaf, then issuer."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return b"".join(one.parsed.public_bytes(Encoding.PEM) for one in (certificate, self.issuing))


@dataclass(frozen=True)
class Arrival:
    """A request whose signature held."""

    target: str
    key: str | None
    nonce: str
    body: bytes
    created: int


@dataclass
class Double:
    """plan: what the next requests that move money (or are listed in `plain`) meet, one word each; then all is well.

    Words: `ok`; a problem slug; `taken-` before any other word books first. Others: see `_answer`.
    """

    keys: Keys
    plan: list[str] = field(default_factory=list)
    state: str = "SUCCESS"
    retry_after: str | None = None
    skew: timedelta = timedelta()
    time_skew: timedelta = timedelta()
    window_checked: bool = False
    bill_pending: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    book: dict[str, tuple[int, dict[str, Any]] | None] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    @property
    def payments(self) -> list[dict[str, Any]]:
        """What is booked."""
        return [held[1] for held in self.book.values() if held is not None and held[0] < 300]

    def sent(self, target: str = "/v1/payments") -> list[Arrival]:
        """Requests that arrived for a target."""
        return [one for one in self.arrivals if one.target == target]

    def config(self, **change: Any) -> TerminalConfig:
        """A terminal's configuration for this gateway."""
        folder = self.keys.folder
        values: dict[str, Any] = {
            "url": self.url,
            "authority": AUTHORITY,
            "terminal_id": "T1",
            "cert_file": str(folder / "station.cert.pem"),
            "key_file": str(folder / "station.key.pem"),
            "key_password_file": str(folder / "station.password"),
            "issuing_cert_file": str(folder / "issuing.cert.pem"),
            "root_cert_file": str(folder / "root.cert.pem"),
            "journal_file": str(folder / "journal.jsonl"),
            "pay_wait_s": 0,
            "reply_timeout_ms": 2000,
        }
        return TerminalConfig(**(values | change))

    def now(self) -> datetime:
        """This gateway's clock."""
        return datetime.now(UTC) + self.skew

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        target, body = request.raw_path, await request.read()
        if target.startswith("/v1/certificates/"):
            self.fetched.append(target)
            return web.Response(body=self.certificate(target.rpartition("/")[2]))
        if target == "/v1/time":
            told = f"{self.now() + self.time_skew:%Y-%m-%dT%H:%M:%S.000Z}"
            return web.json_response({"now": told, "account_date": "2026-11-24"})
        lines = [(name.decode(), value.decode()) for name, value in request.raw_headers]
        head = RequestHead(request.method, target, lines, body)
        signed = read_request(head, frozenset({AUTHORITY}), scheme=self.url.partition(":")[0])
        if not isinstance(signed, SignedRequest) or not verify(signed, self.keys.station):
            return web.json_response(problem("signature-invalid"), status=401)
        self.arrivals.append(Arrival(target, signed.idempotency_key, signed.nonce, body, signed.created))
        self.arrived.set()
        if self.window_checked and not check_window(signed.created, signed.expires, int(self.now().timestamp())):
            return await self._answer(request, signed, 401, problem("signature-expired"), "ok")
        word = self.plan.pop(0) if self.plan and request.method == "POST" else "ok"
        taken = word.startswith("taken-")
        word = word.removeprefix("taken-")
        if word in PROBLEMS and not taken:
            self._refuse(signed, word)
            return await self._answer(request, signed, PROBLEMS[word].status, problem(word), "ok")
        if signed.idempotency_key and not taken and word not in {"ok", *_LIES}:
            return await self._answer(request, signed, 500, problem("internal"), word)
        status, content = self._decide(signed)
        if word in PROBLEMS:
            status, content, word = PROBLEMS[word].status, problem(word), "ok"
        return await self._answer(request, signed, status, content, word)

    def certificate(self, keyid: str) -> bytes:
        """What is served under a keyid."""
        for one in (self.keys.reply, self.keys.archive, self.keys.foreign, self.keys.station_signer):
            if one.keyid == keyid:
                return self.keys.pem(one.certificate)
        return b"nothing"

    def _refuse(self, signed: SignedRequest, slug: str) -> None:
        if signed.idempotency_key and PROBLEMS[slug].status in {403, 409, 422} and slug != "request-running":
            self.book.setdefault(signed.idempotency_key, (PROBLEMS[slug].status, problem(slug)))

    def _decide(self, signed: SignedRequest) -> tuple[int, dict[str, Any]]:
        asked = msgspec.json.decode(signed.body) if signed.body else {}
        if signed.path == "/v1/payment-inquiries":
            return 200, self._inquired(asked["idempotency_key"])
        if key := signed.idempotency_key:
            held = self.book.setdefault(key, (201, payment(key, asked, self.state)))
            return held or (409, problem("tombstoned"))
        return self._read(signed)

    def _inquired(self, key: str) -> dict[str, Any]:
        held = self.book.setdefault(key, None)
        if held is None:
            return {"found": False, "tombstone": True}
        return {"found": True, "payment" if held[0] < 300 else "problem": held[1]}

    def _read(self, signed: SignedRequest) -> tuple[int, dict[str, Any]]:
        if signed.path.startswith("/v1/bill-queries"):
            self.bill_pending -= 1
            if self.bill_pending >= 0:
                return 202, {"query_token": QUERY_TOKEN, "expires_at": "2026-11-24T02:00:00Z"}
            return 200, BILL
        if signed.path == "/v1/account":
            return 200, ACCOUNT
        if signed.path == "/v1/account/entries":
            return 200, {"items": [], "next_cursor": None}
        if signed.path == "/v1/services":
            return 200, {"items": [SERVICE]}
        if signed.path == "/v1/payments":
            return 200, {"items": self.payments, "next_cursor": "next_1" if self.payments else None}
        serial = signed.path.rpartition("/")[2]
        found = [one | {"state": self.state} for one in self.payments if one["gateway_serial"] == serial]
        return (200, found[0]) if found else (404, problem("not-found"))

    async def _answer(
        self, request: web.BaseRequest, signed: SignedRequest, status: int, content: dict[str, Any], word: str
    ) -> web.StreamResponse:
        if word in {"cut", "reset", "silent"}:
            return await _drop(request, word)
        if word == "other-payment":
            content = content | {"amount_fen": content["amount_fen"] + 1}
        body = b"garbage" if word == "garbage" else msgspec.json.encode(content)
        if word == "long":
            body = b" " * 2_000_000
        kind = "application/problem+json" if status >= 400 else "application/json"
        signer = {
            "by-station": self.keys.station_signer,
            "by-foreign": self.keys.foreign,
            "by-archive": self.keys.archive,
        }
        headers = sign_reply(
            signer.get(word, self.keys.reply),
            status=status,
            body=body,
            content_type=kind,
            created=int(self.now().timestamp()),
            request_signature_field=OTHER_FIELD if word == "to-another" else signed.signature_field,
        ).headers
        if word == "unsigned":
            headers = {"Content-Type": kind}
        if word == "altered":
            body = body.replace(b'"SUCCESS"', b'"FAILED" ').replace(b"12345", b"12346")
        if word == "status":
            status = 403
        if word == "half":
            return await _half(request, status, headers, body)
        if self.retry_after is not None and status >= 400:
            headers["Retry-After"] = self.retry_after
        return web.Response(status=status, body=body, headers=headers)


_LIES = frozenset(
    "unsigned by-station by-foreign by-archive to-another altered status garbage long other-payment half".split()
)
"""Words after which the payment is booked all the same."""
OTHER_FIELD = ":" + "A" * 86 + "==:"
BILL: dict[str, Any] = {
    "query_token": QUERY_TOKEN,
    "expires_at": "2026-11-24T02:00:00Z",
    "customer_name": "*三",
    "address": "示范路**号",
    "bills": [{"period": "2026-10", "amount_fen": 12000, "penalty_fen": 345}],
    "total_fen": 12345,
    "min_fen": 1,
    "max_fen": 50000,
}
ACCOUNT = {
    "available_fen": 489900,
    "reserved_fen": 10100,
    "posted_fen": 500000,
    "overdraft_limit_fen": 0,
    "low_balance": True,
    "account_date": "2026-11-24",
}
SERVICE = {
    "service": "mobile.topup",
    "biller": "telecom",
    "title": "话费充值",
    "bill_model": "direct",
    "params": [{"name": "carrier", "title": "运营商", "choices": {"cmcc": "移动", "cucc": "联通"}, "required": True}],
    "min_fen": 1000,
    "max_fen": 50000,
    "fee_fen": 100,
    "open": True,
    "closed_reason": None,
}


def problem(slug: str) -> dict[str, Any]:
    """A problem document."""
    kind = PROBLEMS[slug]
    content = {
        "type": URN + slug,
        "title": kind.title,
        "status": kind.status,
        "detail": f"About {slug}.",
        "shop_text": kind.shop_text,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    return content | ({"repeat_token": "repeat-token-000001"} if slug == "repeat-in-doubt" else {})


def payment(key: str, asked: dict[str, Any], state: str) -> dict[str, Any]:
    """A payment as the API shows it."""
    return {
        "gateway_serial": SERIAL,
        "state": state,
        "service": asked.get("service", "mobile.topup"),
        "biller": "telecom",
        "biller_account": asked.get("biller_account", "13805790001"),
        "amount_fen": asked.get("amount_fen", 10000),
        "paid_fen": asked.get("amount_fen", 10000) if state == "SUCCESS" else None,
        "fee_fen": 100,
        "account_date": "2026-11-24",
        "settle_date": "2026-11-24",
        "accepted_at": "2026-11-24T01:02:03.456Z",
        "send_before": "2026-11-24T01:04:03.456Z",
        "final_at": None,
        "biller_serial": "TP2026112409020300000077",
        "reason": None,
        "shop_text": "缴费成功" if state == "SUCCESS" else "平台提示",
        "terminal_trace": asked.get("terminal_trace", "000001"),
        "idempotency_key": key,
        "in_doubt": {"since": "2026-11-24T01:02:09Z", "rung": 1, "next_step_at": None} if state == "UNKNOWN" else None,
        "card": None,
        "params": {},
    }


async def _drop(request: web.BaseRequest, word: str) -> web.StreamResponse:
    transport = request.transport
    assert transport is not None
    if word == "silent":
        await asyncio.sleep(30)
    if word == "reset":
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()


async def _half(request: web.BaseRequest, status: int, headers: dict[str, str], body: bytes) -> web.StreamResponse:
    reply = web.StreamResponse(status=status, headers=headers | {"Content-Length": str(len(body))})
    await reply.prepare(request)
    await reply.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.close()
    return reply


@asynccontextmanager
async def served(double: Double, tls: ssl.SSLContext | None = None) -> AsyncIterator[Double]:
    """Listen on loopback."""
    runner = web.ServerRunner(web.Server(double.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        double.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield double
    finally:
        await runner.cleanup()
