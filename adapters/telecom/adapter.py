"""The telecom platform as a biller: asks, waits, and hands every answer to the pure readers of this folder."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from adapters.telecom import bills, dayfile, replies, wire
from adapters.telecom.config import Config, read_secrets
from adapters.telecom.signing import REPLY_LIMIT
from adapters.telecom.wire import Agent, Answer, BadOrder, Doubt
from adapters.transport.codes import CodeTable
from adapters.transport.http import HttpCall, HttpCaller, MayHaveLeft, NeverLeft, Reply, TimeOuts
from adapters.transport.tls import client_context
from contracts.biller import (
    BadNotice,
    Bill,
    BillQuery,
    BillUnavailable,
    NoBill,
    NoReconFile,
    Notice,
    PayOrder,
    ReconFile,
    ResultQuery,
    UndoOrder,
)
from contracts.clock import Clock
from contracts.manifest import Manifest
from contracts.outcomes import Evidence, NotSent, Outcome, Undoing, Unknown

_HEADERS = {"Content-Type": "application/json; charset=utf-8"}
_UNREACHED_RETRY_S = 2
_BAD_ORDER_RETRY_S = 60


def new_nonce() -> str:
    """128 random bits as 32 hex digits: never twice (s2)."""
    return secrets.token_hex(16)


class Telecom:
    """Biller, QueriesBills, QueriesResults, Reverses, Cancels, TakesNotices, PinsServer and FetchesRecon over
    interface 3.4.

    Nothing is read or opened before open(), which raises ValueError for unreadable keys. No method raises for what
    the platform or the network did; an order the platform could not take is NotSent, since nothing left.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        manifest: Manifest,
        codes: CodeTable,
        nonce: Callable[[], str] = new_nonce,
    ) -> None:
        self._config, self._clock, self._codes, self._nonce = config, clock, codes, nonce
        self._manifest = manifest
        self._opened: tuple[Agent, HttpCaller] | None = None
        self._pinned: Sequence[bytes] | None = None
        connect = config.connect_timeout_ms
        self._slow = TimeOuts(connect_ms=connect, total_ms=config.pay_timeout_ms)
        self._quick = TimeOuts(connect_ms=connect, total_ms=config.reply_timeout_ms)
        self._download = TimeOuts(connect_ms=connect, total_ms=config.download_timeout_ms)

    @property
    def manifest(self) -> Manifest:
        """The facts of adapters.telecom.MANIFEST."""
        return self._manifest

    async def open(self) -> None:
        """Read the keys and build the pool of connections. The platform has no sign-in."""
        if self._opened is not None:
            return
        config = self._config
        agent = Agent(config.agent_no, config.key_no, config.sign_type, read_secrets(config))
        caller = HttpCaller(
            clock=self._clock,
            base_url=config.base_url,
            connections=config.connections,
            ssl_context=client_context(config.tls, self._pinned),
        )
        await caller.open()
        self._opened = agent, caller

    def pin_server(self, certificates: Sequence[bytes]) -> None:
        """See PinsServer; client certificate and key stay those of the configuration."""
        context = client_context(self._config.tls, certificates)
        self._pinned = certificates
        if self._opened is not None:
            self._opened[1].use(context)

    async def close(self) -> None:
        """Close every connection; may be called twice."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[1].close()

    async def pay(self, order: PayOrder) -> Outcome:
        """bill/pay or topup/order, once. The signed timestamp is never later than order.send_by (s9)."""
        topup = order.service == wire.TOPUP
        try:
            members = wire.topup_order(order) if topup else wire.bill_pay(order)
        except BadOrder as failure:
            return NotSent(cause=f"order.{failure}", retry_after_s=_BAD_ORDER_RETRY_S)
        path, time_outs = ("/v3/topup/order", self._quick) if topup else ("/v3/bill/pay", self._slow)
        at = self._proof_time(order.send_by)
        answer, raw = await self._ask(path, members, time_outs, at, order.send_deadline)
        match answer:
            case NeverLeft(cause):
                return NotSent(cause=cause, retry_after_s=_UNREACHED_RETRY_S)
            case Doubt(cause):
                return Unknown(cause=cause, raw=raw)
        return replace(replies.pay_outcome(answer, order, self._codes), raw=raw)

    async def reverse(self, order: UndoOrder) -> Undoing:
        """bill/reverse (返销) of a payment in doubt; safe to repeat (s5.3)."""
        return await self._undo(order)

    async def cancel(self, order: UndoOrder) -> Undoing:
        """The same bill/reverse, asked for by a person (撤销)."""
        return await self._undo(order)

    async def query_result(self, query: ResultQuery) -> Evidence:
        """order/query: type 1 or 2 for a payment, 3 by revNo for a reversal or cancel (s5.5)."""
        try:
            members = wire.order_query(query)
        except BadOrder as failure:
            return Unknown(cause=f"query.{failure}")
        answer, raw = await self._ask("/v3/order/query", members, self._quick, self._clock.now(), None)
        if isinstance(answer, Answer):
            return replace(replies.result_evidence(answer, query, self._codes), raw=raw)
        return Unknown(cause=answer.cause, raw=raw)

    async def query_bill(self, query: BillQuery) -> Bill | NoBill | BillUnavailable:
        """bill/query (s5.1)."""
        try:
            members = wire.bill_query(query)
        except BadOrder as failure:
            return BillUnavailable(cause=f"query.{failure}")
        answer, _ = await self._ask("/v3/bill/query", members, self._quick, self._clock.now(), None)
        if isinstance(answer, Answer):
            return bills.bill_reply(answer, query, self._codes)
        return BillUnavailable(cause=answer.cause)

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice | BadNotice:
        """A result notice of a top-up (s6); its headers prove nothing and are not read."""
        agent, _ = self._ready()
        notice = replies.read_notice(agent, body, self._clock.now(), self._codes)
        if isinstance(notice, BadNotice):
            return notice
        return replace(notice, evidence=replace(notice.evidence, raw=body))

    async def fetch_recon(self, day: date) -> ReconFile | NoReconFile:
        """recon/file, then the download; handed on only if size and both hashes hold (s5.6, s11)."""
        agent, caller = self._ready()
        answer, _ = await self._ask("/v3/recon/file", wire.recon_file(day), self._quick, self._clock.now(), None)
        if not isinstance(answer, Answer):
            return NoReconFile(cause=answer.cause, retry_after_s=dayfile.ASK_AGAIN_S)
        offer = dayfile.recon_reply(answer, agent, day, self._codes)
        if isinstance(offer, NoReconFile):
            return offer
        if offer.size > self._config.recon_max_bytes:
            return NoReconFile(cause="file.too_large", retry_after_s=None)
        result = await caller.call(
            HttpCall(method="GET", target=offer.target, time_outs=self._download, reply_limit=offer.size)
        )
        if not isinstance(result, Reply):
            return NoReconFile(cause=result.cause, retry_after_s=dayfile.ASK_AGAIN_S)
        cause = f"http.{result.status}" if result.status != 200 else dayfile.fault(offer, agent, result.body)
        if cause is not None:
            return NoReconFile(cause=cause, retry_after_s=dayfile.ASK_AGAIN_S)
        return ReconFile(name=offer.name, content=result.body, sha256=offer.sha256)

    async def _undo(self, order: UndoOrder) -> Undoing:
        try:
            members = wire.bill_reverse(order)
        except BadOrder as failure:
            return NotSent(cause=f"order.{failure}", retry_after_s=_BAD_ORDER_RETRY_S)
        at = self._proof_time(order.send_by)
        answer, raw = await self._ask("/v3/bill/reverse", members, self._slow, at, order.send_deadline)
        match answer:
            case NeverLeft(cause):
                return NotSent(cause=cause, retry_after_s=_UNREACHED_RETRY_S)
            case Doubt(cause):
                return Unknown(cause=cause, raw=raw)
        return replace(replies.undo_outcome(answer, order, self._codes), raw=raw)

    def _proof_time(self, send_by: datetime) -> datetime:
        # The ages of s9 count from the timestamp; ours count from send_by, so the one must not pass the other.
        return min(self._clock.now(), send_by)

    async def _ask(
        self, path: str, members: Mapping[str, str], time_outs: TimeOuts, at: datetime, send_deadline: float | None
    ) -> tuple[Answer | Doubt | NeverLeft, bytes]:
        """What came, and its bytes as evidence (M11)."""
        agent, caller = self._ready()
        nonce = self._nonce()
        result = await caller.call(
            HttpCall(
                method="POST",
                target=path,
                body=wire.seal(agent, members, at=at, nonce=nonce),
                headers=_HEADERS,
                time_outs=time_outs,
                reply_limit=REPLY_LIMIT,
                send_deadline=send_deadline,
            )
        )
        match result:
            case Reply():
                return wire.open_reply(agent, nonce, result.status, result.body), result.body
            case MayHaveLeft(cause):
                return Doubt(cause), b""
        return result, b""

    def _ready(self) -> tuple[Agent, HttpCaller]:
        if self._opened is None:
            raise RuntimeError("the telecom adapter is not open")
        return self._opened
