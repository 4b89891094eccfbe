"""Which faults each operation can show, and what they do to answer and connection."""

import msgspec
from aiohttp import web

from adapters.kit.delivery import GARBAGE
from adapters.kit.faults import NOTICE_KINDS, Fault, Kind
from adapters.telecom.simulator import notices
from adapters.telecom.simulator.gate import Call, Gate
from adapters.telecom.simulator.messages import (
    BILL_PAY,
    BILL_QUERY,
    BILL_REVERSE,
    ORDER_QUERY,
    RECON_FILE,
    TOP_UP,
    Answer,
    fen,
    refuse,
    yuan,
)

_AMOUNTS = ("amount", "faceValue", "succAmount")
_SERIALS = ("orderNo", "origOrderNo")
_EVERY_CALL = frozenset(Kind) - NOTICE_KINDS - {Kind.PARTIAL, Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL, Kind.ABSENT}

SUPPORTED = {
    BILL_QUERY: _EVERY_CALL,
    BILL_PAY: _EVERY_CALL | {Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL},
    BILL_REVERSE: _EVERY_CALL | {Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL, Kind.ABSENT},
    TOP_UP: _EVERY_CALL | NOTICE_KINDS | {Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL, Kind.PARTIAL},
    ORDER_QUERY: _EVERY_CALL | {Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL, Kind.ABSENT},
    RECON_FILE: _EVERY_CALL | {Kind.WRONG_AMOUNT, Kind.ABSENT},
    notices.NOTICE: notices.KINDS,
}
"""The kinds of every operation. recon/file: wrong-amount and absent issue a file whose first line is one fen up, or
missing; the next call issues the right one."""

CALL_KINDS = frozenset(Kind) - NOTICE_KINDS
"""Kinds that are used up by a call."""

_CODES_INSTEAD = {Kind.BUSY_UNPAID: "9003", Kind.MAINTENANCE: "9005", Kind.ABSENT: "2404"}
HTTP_HEADERS = {"Content-Type": "application/json; charset=utf-8"}
"""Of every reply with a body (s1)."""


def said_instead(call: Call, fault: Fault | None) -> Answer | None:
    """The refusal that takes the place of the business, None where the business is to be done."""
    if fault is None or (fault.kind is Kind.ABSENT and call.operation == RECON_FILE):
        return None
    code = _CODES_INSTEAD.get(fault.kind)
    if fault.kind is Kind.DECLINE and call.operation not in (BILL_PAY, TOP_UP):
        code = fault.code
    return None if code is None else refuse(call.operation, code, call.members)


def reply(gate: Gate, call: Call, said: Answer, fault: Fault | None) -> web.Response:
    """The reply, with what the fault makes of it."""
    kind = None if fault is None else fault.kind
    if kind is Kind.HTTP_500_PAID:
        return web.Response(status=500)
    if kind is Kind.GARBAGE:
        return web.Response(body=GARBAGE, headers=HTTP_HEADERS)
    if kind is Kind.BUSY_PAID:
        said = refuse(call.operation, "9003", call.members)
    if kind is Kind.UNMAPPED_CODE and fault is not None:
        said = Answer(fault.code or "7777", said.msg, said.fields)
    fields = dict(said.fields)
    if kind is Kind.WRONG_AMOUNT and call.operation != RECON_FILE:
        fields |= {name: yuan(fen(fields[name]) + 1) for name in _AMOUNTS if name in fields}
    if kind is Kind.WRONG_SERIAL:
        fields |= {name: notices.other(fields[name]) for name in _SERIALS if fields.get(name)}
    if kind is Kind.EXTRA_MEMBER:
        fields["zzNote"] = "a=b&c"
    body = gate.seal(call, Answer(said.code, said.msg, fields), notices.bent if kind is Kind.BAD_SIGNATURE else None)
    return web.Response(body=body, headers=HTTP_HEADERS)


def account_in(raw: bytes) -> tuple[str | None, str | None]:
    """accNo and orderNo of a body, as far as they can be seen before anything is checked."""
    try:
        members = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None, None
    if not isinstance(members, dict):
        return None, None
    account, number = members.get("accNo"), members.get("orderNo")
    return (account if isinstance(account, str) else None, number if isinstance(number, str) else None)
