"""Which faults each operation can show, and what they make of an answer."""

import msgspec
from aiohttp import web

from adapters.kit.delivery import GARBAGE
from adapters.kit.faults import NOTICE_KINDS, Fault, Kind
from adapters.tv.simulator.messages import Answer, refuse
from adapters.tv.simulator.records import Record

TOKEN, ACCOUNT, ORDER, RESULT = "token", "account", "order", "result"
REFUND, REFUND_RESULT, DAY_FILE = "refund", "refund-result", "day-file"

_EVERY_CALL = frozenset(Kind) - NOTICE_KINDS - {Kind.PARTIAL, Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL, Kind.ABSENT}
_ABOUT_MONEY = _EVERY_CALL | {Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL}
SUPPORTED = {
    TOKEN: _EVERY_CALL,
    ACCOUNT: _ABOUT_MONEY | {Kind.ABSENT},
    ORDER: _ABOUT_MONEY,
    RESULT: _ABOUT_MONEY | {Kind.ABSENT},
    REFUND: _ABOUT_MONEY,
    REFUND_RESULT: _ABOUT_MONEY | {Kind.ABSENT},
    DAY_FILE: _EVERY_CALL | {Kind.WRONG_AMOUNT, Kind.ABSENT},
}
"""The kinds of every operation. bad-signature: replies are not signed, so it is a proxy's page that holds the right
text. day-file: wrong-amount and absent issue a file whose first line is one fen up, or missing; the next manifest names
the right one."""
CALL_KINDS = frozenset(Kind) - NOTICE_KINDS
_ABSENT = {ACCOUNT: "account_not_found", RESULT: "order_not_found", REFUND_RESULT: "refund_not_found"}
_UNMAPPED_STATE = "SETTLED"


def pair(code: str) -> Answer:
    """The refusal behind "422.account_closed"."""
    status, _, rest = code.partition(".")
    return refuse(int(status), rest) if status.isdigit() and 400 <= int(status) < 600 else refuse(422, code)


def said_instead(operation: str, fault: Fault | None) -> Answer | None:
    """The refusal that takes the place of the business, None where it is to be done."""
    match None if fault is None else fault.kind:
        case Kind.BUSY_UNPAID:
            return Answer(503, {"error": "busy"}) if operation == TOKEN else refuse(503, "busy")
        case Kind.MAINTENANCE:
            error = Answer(503, {"error": "temporarily_unavailable"}, {"Retry-After": "5"})
            return error if operation == TOKEN else refuse(503, "maintenance")
        case Kind.ABSENT if operation in _ABSENT:
            return refuse(404, _ABSENT[operation])
        case Kind.DECLINE if fault is not None and fault.code and operation != ORDER:
            return Answer(401, {"error": fault.code}) if operation == TOKEN else pair(fault.code)
    return None


def bent(said: Answer, fault: Fault | None) -> Answer:
    """The answer, with what the fault makes of it once the business is done."""
    kind, body = None if fault is None else fault.kind, dict(said.body)
    if kind is Kind.BUSY_PAID:
        return refuse(503, "busy")
    if kind is Kind.UNMAPPED_CODE and fault is not None:
        if fault.code or "state" not in body:
            return pair(fault.code or "422.unheard_of")
        body["state"] = _UNMAPPED_STATE
    if kind is Kind.WRONG_AMOUNT:
        body |= {name: body[name] + 1 for name in ("amount_fen", "due_fen") if name in body}
    if kind is Kind.WRONG_SERIAL:
        name = "client_order_id" if "client_order_id" in body else "account_no"
        if name in body:
            body[name] = body[name][:-1] + ("0" if body[name][-1] != "0" else "1")
    if kind is Kind.EXTRA_MEMBER:
        body["zz_note"] = {"a": [1.5, None]}
    return Answer(said.status, body, said.headers, said.raw)


def reply(said: Answer, fault: Fault | None) -> web.Response:
    """The reply's bytes; members in the order of their names."""
    kind = None if fault is None else fault.kind
    if kind is Kind.HTTP_500_PAID:
        return web.Response(status=500)
    answer = bent(said, fault)
    body = msgspec.json.encode(answer.body, order="sorted") if answer.raw is None else answer.raw
    media = "application/json" if answer.raw is None else "application/octet-stream"
    if kind is Kind.BAD_SIGNATURE:
        media = "text/html"
    if kind is Kind.GARBAGE:
        body = GARBAGE
    return web.Response(status=answer.status, body=body, headers={**answer.headers, "Content-Type": media})


def one_fen_up(lines: list[Record]) -> list[Record]:
    """The first line one fen too high."""
    changed = [msgspec.structs.replace(record, amount_fen=record.amount_fen + 1) for record in lines[:1]]
    return changed + lines[1:]


def first_missing(lines: list[Record]) -> list[Record]:
    """The first line left out."""
    return lines[1:]
