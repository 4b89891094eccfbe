"""A shop's side of the terminal API: `from gateway.terminal import Terminal, TerminalConfig`."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import msgspec

from certs.core.profile import ReplyProof
from certs.tokens.pins import PinSource, no_pin
from contracts import api
from contracts.clock import Clock
from contracts.money import Fen
from contracts.routes import ROUTES
from contracts.serials import is_serial
from contracts.signer import Signer
from gateway.terminal.answers import Fate, KeyedAnswer, Last, Refused, Undecided
from gateway.terminal.config import TerminalConfig
from gateway.terminal.fates import ended_fate, known_payment, read_plain
from gateway.terminal.journal import Entry
from gateway.terminal.keyed import PAYMENTS, Keyed
from gateway.terminal.keys import Keys, load_keys
from gateway.terminal.tries import Open, Tries, read_time
from gateway.terminal.wire import Ask, Wire

T = TypeVar("T")
_QUERY_PAUSE_S = 1.0
_KINDS = {"payments": "pay", "cancellations": "cancel", "refunds": "refund", "card-writes": "write"}
_QUERY: Mapping[str, Any] = {name: kind for route in ROUTES for name, kind in route.query.items()}


@dataclass(frozen=True, slots=True)
class _Opened:
    keys: Keys
    wire: Wire
    tries: Tries
    keyed: Keyed


class Terminal(AbstractAsyncContextManager["Terminal"]):
    """One terminal at one gateway: one HTTP session, one journal. Use it as `async with Terminal(config, clock)`.

    Every reply is proven before it is believed. What moves money is journaled first and repeated safely under one
    idempotency key; what cannot be proven comes back as Undecided, never as a failure. Amounts are Fen.
    Raises TerminalFault for what the user must mend (configuration, keys, journal), ValueError for values the API
    cannot take; what the gateway or the network does is a value, never an exception.
    `notices`: what a person should be told, in Chinese, oldest first.
    """

    def __init__(
        self, config: TerminalConfig, clock: Clock, *, signer: Signer | None = None, pin: PinSource = no_pin
    ) -> None:
        """signer: whoever holds the key, the caller's to close; None takes the USB key or the key file of the
        configuration when opened. pin: asked for a USB key's PIN, in a thread of its own; again if it was unplugged."""
        self._config, self._clock, self._signer, self._pin = config, clock, signer, pin
        self.notices: list[str] = []
        self._opened: _Opened | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Load keys and certificates, open the session; the journal opens with the first request that moves money."""
        config, now = self._config, self._clock.now()
        keys = await asyncio.to_thread(load_keys, config, now, signer=self._signer, pin=self._pin)
        self.notices += keys.notices
        try:
            wire = Wire(config, self._clock, keys.signer, issuings=keys.issuings, root=keys.root)
        except BaseException:  # boundary: closed here, raised on
            await asyncio.to_thread(keys.close)
            raise
        say = self.notices.append
        tries = Tries(wire, self._clock, reply_timeout_s=config.reply_timeout_ms / 1000, say=say)
        self._opened = _Opened(keys, wire, tries, Keyed(config, self._clock, tries, say=say))

    async def close(self) -> None:
        """Close session and journal, log out of the USB key. Safe to call twice."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened.keyed.close()
            await opened.wire.close()
            await asyncio.to_thread(opened.keys.close)

    async def query_bill(
        self, service: str, biller_account: str, params: Mapping[str, str] | None = None
    ) -> api.BillAnswer | api.BillPending | Refused | Undecided:
        """What does the account owe? Waits for a slow biller; BillPending once the time is over: ask `bill` later."""
        values = {"service": service, "biller_account": biller_account, "params": dict(params or {})}
        request = _checked(values, api.BillQueryRequest)
        ends = self._clock.monotonic() + self._config.read_deadline_s
        ask = Ask(method="POST", target="/v1/bill-queries", body=_body(request), wait_s=self._config.pay_wait_s)
        answer = self._bill(await self._parts.tries.ask(ask, deadline_s=self._config.read_deadline_s))
        while isinstance(answer, api.BillPending) and self._clock.monotonic() + _QUERY_PAUSE_S < ends:
            await self._clock.sleep(_QUERY_PAUSE_S)
            later = await self.bill(answer.query_token, deadline_s=ends - self._clock.monotonic())
            if isinstance(later, Undecided):
                break
            answer = later
        return answer

    async def bill(
        self, query_token: str, *, deadline_s: float | None = None
    ) -> api.BillAnswer | api.BillPending | Refused | Undecided:
        """A bill query made before, by its token. deadline_s: None for the configured one."""
        target = f"/v1/bill-queries/{_checked(query_token, api.Token)}"
        deadline_s = self._config.read_deadline_s if deadline_s is None else deadline_s
        return self._bill(await self._parts.tries.ask(Ask(method="GET", target=target), deadline_s=deadline_s))

    async def pay(
        self,
        service: str,
        biller_account: str,
        amount: Fen,
        *,
        params: Mapping[str, str] | None = None,
        query_token: str | None = None,
        confirm_repeat: str | None = None,
        cash_received: Fen | None = None,
        terminal_trace: str | None = None,
        idempotency_key: str | None = None,
    ) -> KeyedAnswer:
        """Pay once. Undecided: ask `last` or `inquire` before anything else; the money may have moved.

        confirm_repeat: the repeat_token of a `repeat-in-doubt` refusal, with a new key. idempotency_key: to go on with
        a request of an earlier run; without terminal_trace the one it was sent with is kept.
        """
        values = {
            "service": service,
            "biller_account": biller_account,
            "amount_fen": amount.value,
            "params": dict(params or {}),
            "query_token": query_token,
            "confirm_repeat": confirm_repeat,
            "cash_received_fen": None if cash_received is None else cash_received.value,
        }
        key = _key(idempotency_key)
        _checked(values | {"terminal_trace": terminal_trace or "0"}, api.PaymentRequest)
        trace = terminal_trace or await self._parts.keyed.trace(key)
        request = _checked(values | {"terminal_trace": trace}, api.PaymentRequest)
        return await self._parts.keyed.submit(PAYMENTS, _body(request), key=key, wait_s=self._config.pay_wait_s)

    async def status(self, gateway_serial: str) -> api.Payment | Refused | Undecided:
        """One payment as it is now."""
        return await self._get(f"/v1/payments/{_serial(gateway_serial)}", {}, api.Payment)

    async def list(
        self,
        *,
        account_date: str | None = None,
        biller_account: str | None = None,
        state: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> api.PaymentPage | Refused | Undecided:
        """The station's payments, newest first."""
        query = {
            "account_date": account_date,
            "biller_account": biller_account,
            "state": state,
            "cursor": cursor,
            "limit": limit,
        }
        return await self._get("/v1/payments", query, api.PaymentPage)

    async def inquire(self, idempotency_key: str) -> Fate:
        """What became of a key? A key the gateway never took is refused for good from now on (Tombstone)."""
        return await self._parts.keyed.inquire(_checked(idempotency_key, api.IdempotencyKey))

    async def last(self) -> Last | None:
        """The newest request whose fate is open, also of an earlier run, else the newest of all; None if there is none.

        An open one is inquired about: found, refused, or tombstoned from now on. A decided payment is looked at again.
        `also` holds every other request whose fate is open or whose payment was not final; all are asked about within
        read_deadline_s.
        """
        entries = await self._parts.keyed.last_entries()
        ends = self._clock.monotonic() + self._config.read_deadline_s
        found = [await self._described(entry, ends) for entry in entries]
        return replace(found[0], also=tuple(found[1:])) if found else None

    async def _described(self, entry: Entry, ends: float) -> Last:
        known = known_payment(entry)  # before the answer is journaled
        begun, fate = entry.begun, await self._fate(entry, known, ends)
        return Last(
            key=begun.key,
            kind=_KINDS[begun.path.rpartition("/")[2]],
            path=begun.path,
            request=msgspec.json.decode(begun.body),
            began_at=begun.at,
            fate=fate,
            known=known,
        )

    async def _fate(self, entry: Entry, known: api.Payment | None, ends: float) -> Fate:
        """What became of a journaled request, asked for until then. known: its payment as last proven."""
        keyed, key = self._parts.keyed, entry.begun.key
        left_s = ends - self._clock.monotonic()
        if entry.ended is not None and known is None:
            return ended_fate(entry)
        if left_s <= 0:
            return Undecided(key=key, why="no time was left to ask about it")
        if known is None:
            return await keyed.inquire(key, deadline_s=left_s)
        return await keyed.look(entry, known, deadline_s=left_s)

    async def cancel(
        self,
        gateway_serial: str,
        reason: str,
        *,
        authorization: str | None = None,
        idempotency_key: str | None = None,
    ) -> KeyedAnswer:
        """Take a payment back (撤销), or give up one that was not sent."""
        request = _checked({"reason": reason, "authorization": authorization}, api.CancellationRequest)
        return await self._parts.keyed.submit(
            f"/v1/payments/{_serial(gateway_serial)}/cancellations",
            _body(request),
            key=_key(idempotency_key),
            wait_s=self._config.pay_wait_s,
        )

    async def refund(
        self, gateway_serial: str, amount: Fen, reason: str, *, idempotency_key: str | None = None
    ) -> KeyedAnswer:
        """Give money back (退费): a payment of its own that waits for approval."""
        request = _checked({"amount_fen": amount.value, "reason": reason}, api.RefundRequest)
        path = f"/v1/payments/{_serial(gateway_serial)}/refunds"
        return await self._parts.keyed.submit(path, _body(request), key=_key(idempotency_key))

    async def report_write(
        self, gateway_serial: str, *, ok: bool, card_data: str | None = None, idempotency_key: str | None = None
    ) -> KeyedAnswer:
        """Tell whether a meter card was written; card_data: hex. Repeatable after a failure."""
        request = _checked({"result": "ok" if ok else "failed", "card_data": card_data}, api.CardWriteRequest)
        path = f"/v1/payments/{_serial(gateway_serial)}/card-writes"
        return await self._parts.keyed.submit(path, _body(request), key=_key(idempotency_key))

    async def balance(self) -> api.AccountBalance | Refused | Undecided:
        """The station's prepaid balance."""
        return await self._get("/v1/account", {}, api.AccountBalance)

    async def entries(self, *, cursor: str | None = None) -> api.EntryPage | Refused | Undecided:
        """Movements of the prepaid account, newest first."""
        return await self._get("/v1/account/entries", {"cursor": cursor}, api.EntryPage)

    async def services(self) -> api.ServiceList | Refused | Undecided:
        """What this station may sell now."""
        return await self._get("/v1/services", {}, api.ServiceList)

    async def gateway_time(self) -> api.TimeAnswer | Undecided:
        """The gateway's clock and open day. Unsigned: good for setting a clock, proof of nothing."""
        raw = await self._parts.wire.fetch("/v1/time", self._config.reply_timeout_ms / 1000)
        return read_time(raw) or Undecided(key=None, why="no readable time")

    @property
    def _parts(self) -> "_Opened":
        if self._opened is None:
            raise RuntimeError("the terminal is not open: use `async with Terminal(...)`")
        return self._opened

    async def _get(self, path: str, query: Mapping[str, object], kind: type[T]) -> T | Refused | Undecided:
        given = [
            f"{name}={quote(str(_checked(value, _QUERY[name])), safe='@')}"
            for name, value in query.items()
            if value is not None
        ]
        target = "?".join([path, "&".join(given)] if given else [path])
        answer = await self._parts.tries.ask(Ask(method="GET", target=target), deadline_s=self._config.read_deadline_s)
        return read_plain(answer, kind)

    def _bill(self, answer: ReplyProof | Open) -> api.BillAnswer | api.BillPending | Refused | Undecided:
        pending = isinstance(answer, ReplyProof) and answer.status == 202
        return read_plain(answer, api.BillPending) if pending else read_plain(answer, api.BillAnswer)


def _checked(value: Any, kind: Any) -> Any:
    """The value as `kind`, or ValueError: what the gateway would call malformed never leaves."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as wrong:
        told = str(wrong)  # of a value that is in no list it repeats the value
        raise ValueError("not one of the listed values" if told.startswith("Invalid enum value") else told) from wrong


def _key(key: str | None) -> str | None:
    """Checked before it is journaled: a key that cannot be signed would stay open for ever."""
    return None if key is None else str(_checked(key, api.IdempotencyKey))


def _serial(text: str) -> str:
    if not is_serial(text):
        raise ValueError("not a gateway serial: expected 24 characters, the first eight a date")
    return text


def _body(request: api.Request) -> bytes:
    members = msgspec.to_builtins(request)
    return msgspec.json.encode({name: value for name, value in members.items() if value not in (None, {})})
