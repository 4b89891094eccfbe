"""The control interface of every simulator: `/_control/…` on its own port. Not part of any partner's interface."""

from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import msgspec
from aiohttp import web

from adapters.kit.book import BookLine, JournalBrokenError
from adapters.kit.clock import SimulatorClock, Timers, read_date
from adapters.kit.faults import ANY, BadFaultError, Fault, FaultBoard, Kind

PREFIX = "/_control/"
"""Where it begins."""
Refuse = Callable[[float], Awaitable[None]]
"""Closes the listener for that many seconds."""
_OFFSET_MAX_S = 400 * 86_400
_REFUSING = frozenset({Kind.REFUSE_CONNECTION})


class UndecidableError(ValueError):
    """The record cannot be decided so; the text says why."""


class Controlled(Protocol):
    """What the interface controls: one simulator behind its front door. Dates are yyyyMMdd."""

    @property
    def board(self) -> FaultBoard:
        """The faults in force."""
        ...

    @property
    def clock(self) -> SimulatorClock:
        """The simulator's clock."""
        ...

    @property
    def timers(self) -> Timers:
        """What is due when the clock is moved."""
        ...

    async def durable(self) -> None:
        """Return when everything the book shows is on disk. Raises JournalBrokenError."""
        ...

    def lines(self) -> Iterable[BookLine]:
        """The whole book."""
        ...

    def decide(self, order_no: str, state: int, amount_fen: int | None) -> BookLine:
        """End an open record by hand. state: the partner's number. Raises UndecidableError."""
        ...

    def render(self, acct_date: str) -> bytes:
        """The day file as it would be issued now."""
        ...

    def issue(self, acct_date: str) -> tuple[int, int]:
        """Issue the day file now, before its hour: the issue and its size in bytes."""
        ...

    def most_at_once(self) -> int:
        """How many calls of one client have run at once, at most, since the start."""
        ...


class _Faults(msgspec.Struct, forbid_unknown_fields=True):
    faults: list[Fault]


class _Clock(msgspec.Struct, forbid_unknown_fields=True):
    offset_s: int


class _Decision(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    order_no: str
    state: int
    succ_amount: int | None = None


class _Day(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    acct_date: str


async def control(platform: Controlled, request: web.BaseRequest, refuse: Refuse) -> web.Response:
    """Answer one control call. 422: the body is wrong; 409: the book does not allow it; 403: not from loopback."""
    if not ip_address(request.remote or "0.0.0.0").is_loopback:  # noqa: S104 - an unknown peer is no loopback
        return _error(403, "loopback only")
    target = urlsplit(request.raw_path)
    handler = _HANDLERS.get((request.method, target.path.removeprefix(PREFIX)))
    if handler is None:
        return _error(404, "no such control call")
    query = {name: values[-1] for name, values in parse_qs(target.query).items()}
    try:
        response = await handler(platform, await request.read(), query, refuse)
        await platform.durable()
    except (msgspec.MsgspecError, BadFaultError) as error:
        return _error(422, str(error))
    except UndecidableError as error:
        return _error(409, str(error))
    except JournalBrokenError as error:
        return _error(500, str(error))
    return response


async def _set_faults(platform: Controlled, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    faults = msgspec.json.decode(raw, type=_Faults).faults
    platform.board.replace(faults)
    response = _json({"faults": platform.board.listing()})
    refusals = [fault for fault in faults if fault.kind is Kind.REFUSE_CONNECTION]
    for fault in refusals:
        name = platform.board.operations[0] if fault.on == ANY else fault.on
        platform.board.take(name, fault.account, _REFUSING)
    if refusals:
        response.force_close()
        await refuse(max(fault.delay_s for fault in refusals))
    return response


async def _faults(platform: Controlled, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    return _json({"faults": platform.board.listing()})


async def _clock(platform: Controlled, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    offset_s = msgspec.json.decode(raw, type=_Clock).offset_s
    if abs(offset_s) > _OFFSET_MAX_S:
        return _error(422, f"offset_s is at most {_OFFSET_MAX_S} either way")
    platform.clock.offset_s = offset_s
    platform.timers.run_due()
    return _json({"offset_s": offset_s, "now": platform.clock.now_stamp(), "acctDate": platform.clock.acct_date()})


async def _decide(platform: Controlled, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    decision = msgspec.json.decode(raw, type=_Decision)
    return _json(platform.decide(decision.order_no, decision.state, decision.succ_amount))


async def _book(platform: Controlled, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    await platform.durable()
    lines = b"".join(msgspec.json.encode(line) + b"\n" for line in platform.lines())
    return web.Response(body=lines, headers={"Content-Type": "application/x-ndjson"})


async def _file(platform: Controlled, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    acct_date = query.get("acctDate", "")
    if read_date(acct_date) is None:
        return _error(422, "acctDate is yyyyMMdd")
    body = platform.render(acct_date)
    return web.Response(body=body, headers={"Content-Type": "application/octet-stream"})


async def _issue(platform: Controlled, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    acct_date = msgspec.json.decode(raw, type=_Day).acct_date
    if read_date(acct_date) is None:
        return _error(422, "acctDate is yyyyMMdd")
    number, size = platform.issue(acct_date)
    return _json({"acctDate": acct_date, "issueNo": f"{number:02d}", "fileSize": size})


async def _load(platform: Controlled, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    return _json({"mostAtOnce": platform.most_at_once()})


_Handler = Callable[[Controlled, bytes, dict[str, str], Refuse], Awaitable[web.Response]]
_HANDLERS: dict[tuple[str, str], _Handler] = {
    ("POST", "faults"): _set_faults,
    ("GET", "faults"): _faults,
    ("POST", "clock"): _clock,
    ("POST", "decide"): _decide,
    ("GET", "book"): _book,
    ("GET", "file"): _file,
    ("GET", "load"): _load,
    ("POST", "issue"): _issue,
}


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), headers={"Content-Type": "application/json; charset=utf-8"})


def _error(status: int, text: str) -> web.Response:
    response = _json({"error": text})
    response.set_status(status)
    return response
