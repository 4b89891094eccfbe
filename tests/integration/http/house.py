"""A whole gateway but for its billers: real server, real store with its writer process; the test plays the biller."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from certs.certificates import Certificate
from certs.keys import PemSigner
from gateway.clock import SystemClock
from gateway.core import items
from gateway.core.items import AddStation, Answer, AnswerBill, Deposit, Judge, Kept, RegisterCertificate, SetPrices
from gateway.core.units import ITEM_TYPE, READ_UNITS, REPLY_TYPE, UNITS
from gateway.core.views import PeekPayment
from gateway.flow.waiters import Waiters
from gateway.http.certificates import served_pem
from gateway.http.server import TerminalServer
from gateway.http.services import Limits, Services
from gateway.store.port import Store, Units
from gateway.store.sqlite.connection import open_writer
from tests.integration.http.billers import ENV, SERVICES, shop_text, undo_text
from tests.integration.http.shops import AUTHORITY, Pki, Shop, ms, validity

ALL_UNITS = Units(units=UNITS, read_units=READ_UNITS, item_type=ITEM_TYPE, reply_type=REPLY_TYPE)
QUIET = Limits(station_rate=10_000, station_burst=10_000)


def entropy() -> int:
    """64 fresh random bits."""
    return secrets.randbits(64)


def told(reply: items.Taken | items.Refusal) -> str:
    """What the hook was told of a payment request."""
    return reply.slug if isinstance(reply, items.Refusal) else "replayed" if reply.replayed else "taken"


class House:
    """One book, one server. breaker: what the flow says of each biller."""

    def __init__(self, store: Store, pki: Pki, path: Path | None) -> None:
        self.store, self.pki, self.path = store, pki, path
        self.breaker: dict[str, int] = {}
        self.reasons: list[str] = []
        self.waiters = Waiters(ENV.topic_prefix)
        store.listen(self.waiters.on_rows)
        self.accepted: list[str] = []
        self.services = Services(
            store=store,
            env=ENV,
            clock=SystemClock(),
            entropy=entropy,
            reply_signer=pki.reply,
            authorities=frozenset({AUTHORITY}),
            issuings=(pki.issuing.certificate,),
            root=pki.root.certificate,
            shop_text=shop_text,
            undo_text=undo_text,
            waiters=self.waiters,
            closed_for_s=lambda biller: self.breaker.get(biller, 0),
            ready=self._ready,
            render_metrics=lambda: b"# HELP up\n",
            certificate_pem=served_pem(store, (pki.issuing.certificate,)),
            accepted=lambda reply, _trace_id, _seconds: self.accepted.append(told(reply)),
            limits=QUIET,
        )
        self.server = TerminalServer(self.services)
        self.port = 0

    async def _ready(self) -> list[str]:
        return self.reasons

    async def open(self, **changes: Any) -> None:
        """Start serving. changes: of the services."""
        self.services = replace(self.services, **changes)
        self.server = TerminalServer(self.services)
        self.port = await self.server.start("127.0.0.1", 0)

    async def close(self) -> None:
        """Stop serving."""
        await self.server.stop(2)

    async def reopen(self, **changes: Any) -> None:
        """Serve with other services on another port; shops made before know the old one."""
        await self.close()
        await self.open(**changes)

    async def price(self, fee_fen: int = 100) -> None:
        """A tariff for every service."""
        for service in SERVICES:
            await self.run(
                SetPrices(
                    version="TF-1",
                    service=service,
                    effective_from="2020-01-01",
                    fee_fen=fee_fen,
                    min_fen=1,
                    max_fen=1_000_000,
                    rate_ppm=15_000,
                )
            )

    async def run(self, item: Any) -> Any:
        """An item that must be done."""
        reply = await self.store.run(item)
        assert not isinstance(reply, items.Refusal), reply
        return reply

    async def shop(self, money_fen: int = 500_000, **changes: Any) -> Shop:
        """A new station with one terminal and money. changes: of AddStation; `signer`: its key."""
        code = f"33{secrets.randbelow(10**9):09d}"
        signer: PemSigner = changes.pop("signer", None) or self.pki.station(code)
        certificate: Certificate = signer.certificate
        until = datetime.now(UTC) + timedelta(days=365)
        fields: dict[str, Any] = {
            "institution_code": code,
            "name": "便民站",
            "terminal_id": "T1",
            "operator_id": "0001",
            "operator_name": "张三",
            "certificate_der": certificate.der,
            "keyid": certificate.keyid,
            "public_key_sha256": certificate.public_key_sha256,
            "services": SERVICES,
            "trained_until": ms(until),
            **validity(certificate),
        }
        await self.run(AddStation(**(fields | changes)))
        if money_fen:
            await self.deposit(code, money_fen)
        return Shop(code, signer, self.pki, self.port)

    async def deposit(self, code: str, amount_fen: int) -> None:
        """Money at the counter."""
        voucher = secrets.token_hex(8)
        item = Deposit(
            institution_code=code,
            amount_fen=amount_fen,
            voucher_number=voucher,
            outlet="01",
            taken_by="x",
            entropy=entropy(),
        )
        assert isinstance(await self.run(item), Kept)

    async def register_own(self, signer: PemSigner, role: str) -> None:
        """One of the gateway's own certificates."""
        certificate = signer.certificate
        await self.run(
            RegisterCertificate(
                keyid=certificate.keyid,
                der=certificate.der,
                role=role,
                public_key_sha256=certificate.public_key_sha256,
                **validity(certificate),
            )
        )

    async def judge(self, serial: str, kind: str, *, order_serial: str | None = None, **facts: Any) -> None:
        """The biller's word on a payment: claims its order first where nothing has left yet."""
        order = order_serial or serial
        claimed = await self.store.run(
            items.Claim(gateway_serial=serial, order_serial=order, worker="w-1", entropy=entropy())
        )
        attempt = claimed.attempt_id if isinstance(claimed, items.Granted) else None
        await self.run(
            Judge(
                source="reply" if attempt else "query",
                entropy=entropy(),
                answer=Answer(kind=kind, **facts),
                gateway_serial=serial,
                order_serial=order,
                attempt_id=attempt,
            )
        )

    async def paid(self, serial: str, amount_fen: int) -> None:
        """The biller booked it."""
        await self.judge(serial, "Paid", biller_serial=f"B{serial}", paid_fen=amount_fen)

    async def answer_bill(self, token: str, **changes: Any) -> None:
        """The biller's answer to a bill query."""
        bill = (
            '{"customer_name":"张三","address":"幸福路12号",'
            '"bills":[{"period":"2026-10","amount_fen":5000,"penalty_fen":50}]}'
        ).encode()
        fields: dict[str, Any] = {"answer": bill, "total_fen": 5050, "min_fen": 5050, "max_fen": 5050} | changes
        await self.run(AnswerBill(query_token=token, entropy=entropy(), **fields))

    def fail(self, error: Exception) -> None:
        """From now on every item that writes meets this error."""

        async def run(item: Any) -> Any:
            raise error

        self.store.run = run  # type: ignore[method-assign]

    async def state(self, serial: str) -> str:
        """A payment's state in the book."""
        seen = await self.store.look(PeekPayment(gateway_serial=serial))
        return str(seen.payment.state)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Plain SQL past the store."""
        assert self.path is not None, "only on SQLite"
        connection = open_writer(self.path)
        try:
            return connection.execute(text).fetchall()
        finally:
            connection.close()

    def counts(self) -> dict[str, int]:
        """How many rows each table of money and keys has."""
        tables = "payments orders transactions postings idempotency_keys query_tokens outbox nonces records".split()
        return {table: self.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


async def eventually(true: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)
