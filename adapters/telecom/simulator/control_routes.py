"""The control interface: `/_control/…` on the simulator's own port. Not part of the partner's interface."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

import msgspec
from aiohttp import web

from adapters.kit.book import JournalBrokenError
from adapters.kit.faults import ANY, BadFaultError, Fault, Kind
from adapters.telecom.simulator import staging
from adapters.telecom.simulator.clock import read_date
from adapters.telecom.simulator.desk import UndecidableError
from adapters.telecom.simulator.premises import Platform
from adapters.telecom.simulator.records import State, line_of

PREFIX = "/_control/"
"""Where it begins."""
Refuse = Callable[[float], Awaitable[None]]
"""Closes the listener for that many seconds."""
_OFFSET_MAX_S = 400 * 86_400
_REFUSING = frozenset({Kind.REFUSE_CONNECTION})


class _Faults(msgspec.Struct, forbid_unknown_fields=True):
    faults: list[Fault]


class _Clock(msgspec.Struct, forbid_unknown_fields=True):
    offset_s: int


class _Decision(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    order_no: str
    state: State
    succ_amount: int | None = None


class _Day(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    acct_date: str


async def control(platform: Platform, request: web.BaseRequest, refuse: Refuse) -> web.Response:
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
        await platform.book.durable()
    except (msgspec.MsgspecError, BadFaultError) as error:
        return _error(422, str(error))
    except UndecidableError as error:
        return _error(409, str(error))
    except JournalBrokenError as error:
        return _error(500, str(error))
    return response


async def _set_faults(platform: Platform, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    faults = msgspec.json.decode(raw, type=_Faults).faults
    platform.board.replace(faults)
    response = _json({"faults": platform.board.listing()})
    refusals = [fault for fault in faults if fault.kind is Kind.REFUSE_CONNECTION]
    for fault in refusals:
        name = next(iter(staging.SUPPORTED)) if fault.on == ANY else fault.on
        platform.board.take(name, fault.account, _REFUSING)
    if refusals:
        response.force_close()
        await refuse(max(fault.delay_s for fault in refusals))
    return response


async def _faults(platform: Platform, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    return _json({"faults": platform.board.listing()})


async def _clock(platform: Platform, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    offset_s = msgspec.json.decode(raw, type=_Clock).offset_s
    if abs(offset_s) > _OFFSET_MAX_S:
        return _error(422, f"offset_s is at most {_OFFSET_MAX_S} either way")
    platform.clock.offset_s = offset_s
    platform.timers.run_due()
    return _json({"offset_s": offset_s, "now": platform.clock.now_stamp(), "acctDate": platform.clock.acct_date()})


async def _decide(platform: Platform, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    decision = msgspec.json.decode(raw, type=_Decision)
    record = platform.desk.decide(decision.order_no, decision.state, decision.succ_amount)
    return _json(line_of(record))


async def _book(platform: Platform, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    await platform.book.durable()
    lines = b"".join(msgspec.json.encode(line_of(record)) + b"\n" for record in platform.book)
    return web.Response(body=lines, headers={"Content-Type": "application/x-ndjson"})


async def _file(platform: Platform, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    acct_date = query.get("acctDate", "")
    if read_date(acct_date) is None:
        return _error(422, "acctDate is yyyyMMdd")
    body = platform.recon.render(acct_date)
    return web.Response(body=body, headers={"Content-Type": "application/octet-stream"})


async def _issue(platform: Platform, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    acct_date = msgspec.json.decode(raw, type=_Day).acct_date
    if read_date(acct_date) is None:
        return _error(422, "acctDate is yyyyMMdd")
    issue = platform.recon.issue(acct_date)
    return _json({"acctDate": acct_date, "issueNo": f"{issue.issue:02d}", "fileSize": len(issue.body)})


async def _load(platform: Platform, raw: bytes, query: dict[str, str], refuse: Refuse) -> web.Response:
    return _json({"mostAtOnce": platform.gate.most_at_once})


_Handler = Callable[[Platform, bytes, dict[str, str], Refuse], Awaitable[web.Response]]
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
