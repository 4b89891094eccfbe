"""The whole platform behind the front door: book, business, tokens, faults; one call at a time from bytes to reply."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from adapters.kit.book import BookLine, Journal, JournalBrokenError
from adapters.kit.clock import SimulatorClock, Timers
from adapters.kit.delivery import deliver, prevented
from adapters.kit.faults import Fault, FaultBoard, Kind
from adapters.tv.simulator import messages, staging
from adapters.tv.simulator.day_files import DayFiles
from adapters.tv.simulator.desk import Desk
from adapters.tv.simulator.messages import Answer, MalformedError, refuse
from adapters.tv.simulator.records import Book, line_of
from adapters.tv.simulator.tokens import Tokens

JSON_TYPES = frozenset({"application/json", "application/json; charset=utf-8"})
POSTS = frozenset({staging.TOKEN, staging.ORDER, staging.REFUND})


@dataclass(frozen=True, slots=True)
class Limits:
    """What the client may do (s1, s2); 0 lifts a limit."""

    at_once: int = 100
    tokens_per_minute: int = 10
    maintenance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a simulator runs. book None: a temporary file. fixed_at: epoch seconds at which its clock stands still."""

    host: str = "127.0.0.1"
    port: int = 0
    book: Path | None = None
    fixed_at: int | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known path. keys: what the path names."""

    operation: str
    keys: tuple[str, ...]
    request: web.BaseRequest


class Platform:
    """Owns the book and everything that changes it. Calls of one event loop only."""

    def __init__(self, options: Options) -> None:
        self.clock = SimulatorClock(options.fixed_at)
        self.timers = Timers(self.clock)
        self.board = FaultBoard(staging.SUPPORTED)
        self.journal = Journal(options.book)
        self.book = Book(self.journal)
        self.desk = Desk(self.book, self.clock, self.timers)
        self.files = DayFiles(self.book, self.journal, self.clock)
        self.tokens = Tokens(self.clock, options.limits.tokens_per_minute)
        self._limits = options.limits
        self._running, self._most = 0, 0

    def open(self) -> None:
        """Open the book and go on with what an earlier run left open. Raises sqlite3.Error."""
        self.journal.open()
        self.book.load()
        self.files.load()
        self.desk.resume()

    async def close(self) -> None:
        """Close the book. Raises JournalBrokenError where its end could not be written."""
        self.timers.close()
        self.journal.close()

    async def durable(self) -> None:
        """As Journal.durable()."""
        await self.journal.durable()

    def lines(self) -> Iterator[BookLine]:
        """The whole book."""
        return (line_of(record) for record in self.book)

    def decide(self, order_no: str, state: int, amount_fen: int | None) -> BookLine:
        """As Desk.decide()."""
        return line_of(self.desk.decide(order_no, state, amount_fen))

    def render(self, acct_date: str) -> bytes:
        """The text of the day file."""
        return self.files.render(_dashed(acct_date))

    def issue(self, acct_date: str) -> tuple[int, int]:
        """As DayFiles.issue()."""
        made = self.files.issue(_dashed(acct_date))
        return made.issue, len(made.packed())

    def most_at_once(self) -> int:
        """How many calls have run at once, at most."""
        return self._most

    async def serve(self, call: Call) -> web.Response:
        """One call of a known path and method, with the fault it draws."""
        readable = _readable(call.request)
        raw = await call.request.read() if readable else b""
        fault = self._draw(call, raw)
        instead = await prevented(call.request, fault)
        if instead is not None:
            return instead
        self._running += 1
        try:
            said = self._turned_away(call, raw) or await self._do(call, raw, fault)
            await self.durable()
            response = staging.reply(said, fault)
            if not readable:
                response.force_close()
            return await deliver(call.request, response, fault)
        except JournalBrokenError:
            return web.Response(status=500)
        finally:
            self._running -= 1

    def _turned_away(self, call: Call, raw: bytes) -> Answer | None:
        """The checks from the token to the size, in the order of s6."""
        headers, limits = call.request.headers, self._limits
        if call.operation == staging.TOKEN:
            return None
        if not self.tokens.valid(headers.getall("Authorization", [])):
            return refuse(401, "invalid_token")
        self._most = max(self._most, self._running)
        if limits.at_once and self._running > limits.at_once:
            return refuse(429, "rate_limited")
        if limits.maintenance and self._maintained():
            return refuse(503, "maintenance")
        if call.operation not in POSTS:
            return refuse(400, "malformed") if raw or not _readable(call.request) else None
        if "Content-Encoding" in headers or headers.get("Content-Type") not in JSON_TYPES:
            return refuse(415, "unsupported_media_type")
        if (call.request.content_length or 0) > messages.BODY_LIMIT:
            return refuse(413, "too_large")
        return None if "Content-Length" in headers else refuse(400, "malformed")

    def _maintained(self) -> bool:
        local = self.clock.local()
        return local.weekday() == 1 and local.day <= 7 and 1 <= local.hour < 3

    async def _do(self, call: Call, raw: bytes, fault: Fault | None) -> Answer:
        if fault is not None and fault.kind is Kind.SLOW:
            await asyncio.sleep(fault.delay_s)
        instead = staging.said_instead(call.operation, fault)
        if instead is not None:
            return instead
        try:
            return self._business(call, raw, fault)
        except MalformedError as wrong:
            name = str(wrong)
            return refuse(400, "malformed", name if name.isascii() and len(name) <= 64 else "")

    def _business(self, call: Call, raw: bytes, fault: Fault | None) -> Answer:
        desk, keys = self.desk, call.keys
        kind = None if fault is None else fault.kind
        match call.operation:
            case staging.TOKEN:
                headers = call.request.headers
                return self.tokens.give(headers.getall("Authorization", []), headers.get("Content-Type", ""), raw)
            case staging.ACCOUNT:
                return desk.account(_formed(messages.ACCOUNT.fullmatch(keys[0]), keys[0]))
            case staging.ORDER:
                members = messages.read_body(raw, messages.ORDER)
                if messages.read_moment(members["not_after"]) is None:
                    raise MalformedError("not_after")
                decline = staging.pair(fault.code or "") if fault is not None and kind is Kind.DECLINE else None
                return desk.order(members, decline)
            case staging.RESULT:
                return desk.result(_formed(messages.ID.fullmatch(keys[0]), keys[0]))
            case staging.REFUND:
                number = _formed(messages.ID.fullmatch(keys[0]), keys[0])
                return desk.ask_refund(number, messages.read_body(raw, messages.REFUND))
            case staging.REFUND_RESULT:
                return desk.refund(_formed(messages.ID.fullmatch(keys[0]), keys[0]))
            case _:
                bend = {Kind.WRONG_AMOUNT: staging.one_fen_up, Kind.ABSENT: staging.first_missing}.get(
                    kind or Kind.SLOW
                )
                return self.files.fetch(keys[0], keys[1], bend)

    def _draw(self, call: Call, raw: bytes) -> Fault | None:
        if not self.board:
            return None
        return self.board.take(call.operation, self._account(call, raw), staging.CALL_KINDS)

    def _account(self, call: Call, raw: bytes) -> str | None:
        """The account a call is about, as far as it can be seen before anything is checked."""
        if call.operation == staging.ACCOUNT:
            return call.keys[0]
        if call.operation == staging.ORDER:
            try:
                return str(messages.read_body(raw, messages.ORDER)["account_no"])
            except MalformedError:
                return None
        known = self.book.orders.get(call.keys[0]) if call.keys else None
        known = known or (self.book.refunds.get(call.keys[0]) if call.keys else None)
        return None if known is None else known.account_no


def _readable(request: web.BaseRequest) -> bool:
    """Whether its body is read at all: what is packed, too long or without a length is refused unread."""
    packed = "Content-Encoding" in request.headers or "Transfer-Encoding" in request.headers
    return not packed and (request.content_length or 0) <= messages.BODY_LIMIT


def _formed(found: object, value: str) -> str:
    if not found:
        raise MalformedError("")
    return value


def _dashed(acct_date: str) -> str:
    return f"{acct_date[:4]}-{acct_date[4:6]}-{acct_date[6:]}"
