"""The TV platform as a biller: asks, waits, and hands every answer to the pure readers of this folder."""

import asyncio
from datetime import date

from adapters.transport.bearer import BearerCaller, basic
from adapters.transport.codes import CodeTable, Means
from adapters.transport.http import HttpCall, HttpCaller, MayHaveLeft, NeverLeft, Reply, Result, TimeOuts
from adapters.transport.json_body import BadBody
from adapters.transport.tls import client_context
from adapters.tv import dayfile, replies, wire
from adapters.tv.config import Config
from contracts.biller import Bill, BillQuery, BillUnavailable, NoBill, NoReconFile, PayOrder, ReconFile, ResultQuery
from contracts.clock import Clock
from contracts.manifest import Manifest
from contracts.outcomes import Evidence, NotSent, Outcome, Unknown
from contracts.states import OrderKind

_ASK_AGAIN_S = 600
_KEPT_DAYS = 180
_TOKENS_PER_MINUTE = 5  # of the 10 that all our processes share (s2)


class Tv:
    """Biller, QueriesBills, QueriesResults and FetchesRecon over interface 1.2.

    Nothing is read or opened before open(), which raises ValueError for an unreadable secret. No method raises for what
    the platform or the network did; an order the platform could not take is NotSent, since nothing left.
    """

    def __init__(self, config: Config, clock: Clock, *, manifest: Manifest, codes: CodeTable) -> None:
        self._config, self._clock, self._manifest, self._codes = config, clock, manifest, codes
        self._caller: BearerCaller | None = None
        connect = config.connect_timeout_ms
        self._quick = TimeOuts(connect_ms=connect, total_ms=config.reply_timeout_ms)
        self._download = TimeOuts(connect_ms=connect, total_ms=config.download_timeout_ms)

    @property
    def manifest(self) -> Manifest:
        """The facts of adapters.tv.MANIFEST."""
        return self._manifest

    async def open(self) -> None:
        """Read the secret and build the pool of connections; the first call fetches the token (s2)."""
        if self._caller is not None:
            return
        config = self._config
        secret = config.read_secret("client_secret_file", config.client_secret_file, least=8)
        caller = BearerCaller(
            HttpCaller(
                clock=self._clock,
                base_url=config.base_url,
                connections=config.connections,
                ssl_context=client_context(config.tls),
            ),
            self._clock,
            credentials=basic(config.client_id, secret),
            target="/oauth/token",
            time_outs=self._quick,
            refused=lambda reply: wire.refusal(reply) == "401.invalid_token",
            most_per_minute=_TOKENS_PER_MINUTE,
        )
        await caller.open()
        self._caller = caller

    async def close(self) -> None:
        """Close every connection; may be called twice."""
        caller, self._caller = self._caller, None
        if caller is not None:
            await caller.close()

    async def pay(self, order: PayOrder) -> Outcome:
        """POST /v1/orders (s3.2), and once more with a fresh token where a 401 proves that nothing was done."""
        try:
            body = wire.write_order(order)
        except wire.BadOrder as failure:
            return NotSent(cause=f"order.{failure}", retry_after_s=60)
        match await self._ask("/v1/orders", body, order.send_deadline):
            case Reply() as reply:
                return replies.pay_outcome(reply, order, self._codes)
            case NeverLeft(cause):
                return NotSent(cause=cause, retry_after_s=2)
            case MayHaveLeft(cause):
                return Unknown(cause=cause)

    async def query_result(self, query: ResultQuery) -> Evidence:
        """GET /v1/orders/{id} (s3.3)."""
        try:
            if query.kind is not OrderKind.PAY:
                raise wire.BadOrder("kind")
            wire.product(query.params)
            reply = await self._ask(wire.order_target(query.partner_serial))
        except wire.BadOrder as failure:
            return Unknown(cause=f"query.{failure}")
        if isinstance(reply, Reply):
            return replies.result_evidence(reply, query, self._codes)
        return Unknown(cause=reply.cause)

    async def query_bill(self, query: BillQuery) -> Bill | NoBill | BillUnavailable:
        """GET /v1/accounts/{account_no} (s3.1)."""
        try:
            wire.product(query.params)
            reply = await self._ask(wire.account_target(query.biller_account))
        except wire.BadOrder as failure:
            return BillUnavailable(cause=f"query.{failure}")
        if isinstance(reply, Reply):
            return replies.bill_reply(reply, query, self._codes)
        return BillUnavailable(cause=reply.cause)

    async def fetch_recon(self, day: date) -> ReconFile | NoReconFile:
        """manifest.json, then the file it names, as served: gzip (s3.6, s8)."""
        folder = f"/v1/day-files/{day.isoformat()}/"
        try:
            offer = dayfile.read_offer(self._file(await self._ask(folder + "manifest.json")), day)
            if offer.gzip_size > self._config.recon_max_bytes:
                return NoReconFile(cause="file.too_large", retry_after_s=None)
            content = self._file(await self._ask(folder + offer.file, limit=offer.gzip_size))
        except BadBody as wrong:
            kept = (self._clock.now().date() - day).days <= _KEPT_DAYS
            return NoReconFile(cause=str(wrong), retry_after_s=_ASK_AGAIN_S if kept else None)
        fault = await asyncio.to_thread(dayfile.fault, offer, content)
        if fault is not None:
            return NoReconFile(cause=fault, retry_after_s=_ASK_AGAIN_S)
        return ReconFile(name=offer.file, content=content, sha256=offer.gzip_sha256)

    def _file(self, reply: Result) -> bytes:
        if not isinstance(reply, Reply):
            raise BadBody(reply.cause)
        if reply.status != 200 or reply.headers.get("content-type") != "application/octet-stream":
            row = self._codes.find("recon", wire.refusal(reply) or "")
            raise BadBody(f"code.{row.code}" if row and row.means is Means.NO_FILE else f"http.{reply.status}")
        return reply.body

    async def _ask(
        self,
        target: str,
        body: bytes | None = None,
        send_deadline: float | None = None,
        limit: int = 0,
    ) -> Result:
        assert self._caller is not None, "the tv adapter is not open"
        return await self._caller.call(
            HttpCall(
                method="GET" if body is None else "POST",
                target=target,
                body=body,
                headers={} if body is None else {"Content-Type": "application/json"},
                time_outs=self._download if limit else self._quick,
                reply_limit=limit or wire.REPLY_LIMIT,
                send_deadline=send_deadline,
            )
        )
