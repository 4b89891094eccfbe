"""What an authentic reply or notice means: (flow, code, state) through codes.toml, facts compared. Pure, never raises.

A contradiction to the request is Unknown with an alarm, a member out of form is Unknown, a code not listed for the
flow is Unknown. Source: telecom interface 3.4 s5, s6, s8.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from adapters.telecom import fields, wire
from adapters.telecom.fields import BadField, Mismatch
from adapters.telecom.signing import REQUEST_LIMIT, BadObject, read_object
from adapters.telecom.wire import Agent, Answer
from adapters.transport.codes import CodeTable, Means, Row, refused
from contracts.biller import BadNotice, Notice, PayOrder, ResultQuery, UndoOrder
from contracts.money import Fen
from contracts.outcomes import (
    Absent,
    Accepted,
    Declined,
    Evidence,
    NeverPaid,
    NotSent,
    NotUndone,
    Outcome,
    Paid,
    Pending,
    Reason,
    StillPaid,
    Undoing,
    Undone,
    Unknown,
)

ACK = b"success"
"""The whole body that acknowledges a notice (s6)."""
ASK_AFTER_S = 60
"""First question about an accepted top-up, in seconds: usually final within 2 minutes, to be polled within 10 (s6)."""
_NOTICE_WINDOW = timedelta(seconds=300)
_NOTHING = Fen(0)
_FAIL_CODE = re.compile(r"[0-9A-Za-z_-]{1,16}")
T = TypeVar("T")


def pay_outcome(answer: Answer, order: PayOrder, codes: CodeTable) -> Outcome:
    """The reply to bill/pay or topup/order (s8.1, s8.3, s8.5)."""
    flow = "topup" if order.service == wire.TOPUP else "pay"
    amount_name = "faceValue" if flow == "topup" else "amount"

    def judge(row: Row) -> Outcome:
        members = answer.members
        if row.means not in {Means.PAID, Means.ACCEPTED}:
            _echoes(answer, {"orderNo": order.partner_serial})
            return refused(row, answer.code)
        fields.same(members, "orderNo", order.partner_serial)
        fields.same(members, "accNo", order.biller_account)
        fields.same_amount(members, amount_name, order.amount)
        plat_no = fields.text(members, "platNo", fields.PLAT_NO)
        if row.means is Means.ACCEPTED:
            fields.moment(members, "acceptTime")
            return Accepted(biller_serial=plat_no, ask_after_s=ASK_AFTER_S, resp_code=answer.code)
        fields.moment(members, "payTime")
        return Paid(
            biller_serial=plat_no,
            paid=order.amount,
            biller_date=fields.day(members, "acctDate"),
            resp_code=answer.code,
        )

    return _judged(answer, codes.find(flow, answer.code), judge)


def undo_outcome(answer: Answer, order: UndoOrder, codes: CodeTable) -> Undoing:
    """The reply to bill/reverse (s5.3, s8.4)."""

    def judge(row: Row) -> Undoing:
        members = answer.members
        if row.means is not Means.UNDONE:
            _echoes(answer, {"revNo": order.partner_serial, "origOrderNo": order.original.partner_serial})
            return _not_undone(row, answer)
        fields.same(members, "origOrderNo", order.original.partner_serial)
        fields.same(members, "accNo", order.original.biller_account)
        fields.same_amount(members, "amount", order.original.amount)
        fields.text(members, "revNo", fields.ORDER_NO)
        match members.get("revFlag"):
            case "1":
                fields.same(members, "revNo", order.partner_serial)
            case "2":
                pass  # done before: revNo and revPlatNo are the first reversal's, perhaps under another number of ours
            case _:
                raise BadField("revFlag")
        return Undone(
            biller_serial=fields.text(members, "revPlatNo", fields.PLAT_NO),
            resp_code=answer.code,
            biller_date=fields.day(members, "acctDate"),
        )

    return _judged(answer, codes.find("reverse", answer.code), judge)


def result_evidence(answer: Answer, query: ResultQuery, codes: CodeTable) -> Evidence:
    """The reply to order/query about a payment or an undo (s5.5, s8.6). Age is the core's to judge (s9)."""
    order_type = wire.order_type(query.kind, query.service)
    flow = {"1": "query-pay", "2": "query-topup", "3": "query-undo"}[order_type]
    state = answer.members.get("state", "") if answer.code == "0000" else ""

    def judge(row: Row) -> Evidence:
        members = answer.members
        if answer.code != "0000":
            _echoes(answer, {"orderNo": query.partner_serial})
            return Absent(resp_code=answer.code) if row.means is Means.ABSENT else _unknown(row, answer)
        fields.same(members, "orderNo", query.partner_serial)
        fields.same(members, "orderType", order_type)
        fields.same(members, "accNo", query.biller_account)
        fields.same_amount(members, "amount", query.amount)
        if carrier := wire.CARRIERS.get(query.params.get("carrier", "")):
            fields.same(members, "ispCode", carrier)
        if order_type == "3":
            if query.original_partner_serial is not None:
                fields.same(members, "origOrderNo", query.original_partner_serial)
            plat_no = fields.text(members, "platNo", fields.PLAT_NO)
            return Undone(biller_serial=plat_no, resp_code=answer.code, biller_date=fields.day(members, "acctDate"))
        return _state(row, answer.code, members, query.amount)

    return _judged(answer, codes.find(flow, answer.code, state), judge)


def read_notice(agent: Agent, body: bytes, now: datetime, codes: CodeTable) -> Notice | BadNotice:
    """One result notice of a top-up (s6). now: aware. BadNotice for what is not authentic, fresh or readable.

    An authentic notice that contradicts itself is answered and handed on as Unknown with an alarm.
    """
    try:
        members = read_object(body, REQUEST_LIMIT)
    except BadObject:
        return BadNotice(cause="notice.unreadable")
    if not wire.is_signed(agent, members):
        return BadNotice(cause="notice.sign", status=401)
    try:
        if members.get("version") != wire.VERSION:
            raise BadField("version")
        if abs(now - fields.moment(members, "timestamp")) > _NOTICE_WINDOW:
            return BadNotice(cause="notice.timestamp", status=401)
        order_no = fields.text(members, "orderNo", fields.ORDER_NO)
        account = fields.text(members, "accNo", wire.MOBILE)
        face_value = fields.amount(members, "faceValue")
        row = codes.find("notice", "notice", members.get("state", ""))
        if row is None:
            raise BadField("state")
    except BadField as failure:
        return BadNotice(cause=f"notice.malformed.{failure}")
    try:
        evidence = _state(row, "", members, face_value)
    except (BadField, Mismatch) as failure:
        evidence = Unknown(cause=f"notice.mismatch.{failure}", alarm=True)
    return Notice(partner_serial=order_no, biller_account=account, amount=face_value, evidence=evidence, ack=ACK)


def _state(row: Row, code: str, members: Mapping[str, str], ordered: Fen) -> Evidence:
    """What `state` proves about a payment, its amounts agreeing with it (s8.6)."""
    plat_no = fields.text(members, "platNo", fields.PLAT_NO)
    charged = fields.amount(members, "succAmount")
    if row.means is Means.PAID:
        fields.moment(members, "finishTime")
        whole = members["state"] == "2"
        if (whole and charged != ordered) or (not whole and not _NOTHING < charged < ordered):
            raise Mismatch("succAmount")
        return Paid(biller_serial=plat_no, paid=charged, biller_date=fields.day(members, "acctDate"), resp_code=code)
    if charged != _NOTHING:
        raise Mismatch("succAmount")
    if row.means is Means.PENDING:
        return Pending(resp_code=code, biller_serial=plat_no)
    if row.means is Means.UNDONE:
        return Undone(
            biller_serial=fields.text(members, "revPlatNo", fields.PLAT_NO),
            resp_code=code,
            biller_date=fields.day(members, "acctDate"),
        )
    if row.means is Means.DECLINED:
        fail_code = members.get("failCode", "")
        resp_code = fail_code if _FAIL_CODE.fullmatch(fail_code) else code
        return Declined(resp_code=resp_code, reason=Reason(row.reason))
    return Unknown(cause="reply.state", resp_code=code, biller_serial=plat_no)


def _judged(answer: Answer, row: Row | None, judge: Callable[[Row], T]) -> T | Unknown:
    """Run the flow's own judgement; what it cannot stand for is Unknown."""
    plat_no = answer.members.get("platNo", "")
    held = plat_no if fields.PLAT_NO.fullmatch(plat_no) else ""
    if row is None:
        return Unknown(cause="code.unmapped", resp_code=answer.code, biller_serial=held)
    try:
        return judge(row)
    except Mismatch as failure:
        return Unknown(cause=f"reply.mismatch.{failure}", resp_code=answer.code, alarm=True)
    except BadField as failure:
        return Unknown(cause=f"reply.malformed.{failure}", resp_code=answer.code, biller_serial=held)


def _echoes(answer: Answer, sent: Mapping[str, str]) -> None:
    """A refusal names what it refuses (s2); one before any business (s8.1) may precede the reading of numbers."""
    early = answer.code[0] in "19"
    for name, value in sent.items():
        if name in answer.members or not early:
            fields.same(answer.members, name, value)


def _not_undone(row: Row, answer: Answer) -> Undoing:
    if row.means is Means.STILL_PAID:
        return StillPaid(resp_code=answer.code, reason=row.reason)
    if row.means is Means.NEVER_PAID:
        return NeverPaid(resp_code=answer.code)
    if row.means is Means.NOT_UNDONE:
        return NotUndone(resp_code=answer.code, reason=row.reason)
    if row.means is Means.NOT_SENT:
        return NotSent(cause=f"code.{answer.code}", retry_after_s=row.retry_after_s, resp_code=answer.code)
    return _unknown(row, answer)


def _unknown(row: Row, answer: Answer) -> Unknown:
    return Unknown(cause=f"code.{row.code}", resp_code=answer.code)
