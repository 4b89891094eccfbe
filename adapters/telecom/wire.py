"""Requests to the telecom platform, and the proof that a reply is one. Pure: members in, bytes out, and back.

Yuan and Fen meet here, in fields.py and in replies.py only. Source: telecom interface 3.4 s2, s3, s5.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from adapters.telecom import fields
from adapters.telecom.signing import REPLY_LIMIT, BadObject, SignType, check, read_object, sign, write_object
from contracts.biller import BillQuery, PayOrder, ResultQuery, UndoOrder
from contracts.money import Fen
from contracts.states import OrderKind

VERSION = "3.4"
TOPUP = "mobile.topup"
"""The service that goes through topup/order; all others are bills."""
AMOUNT_MAX = Fen(5_000_000)
"""Most of one bill/pay: 50000.00 (s5.2)."""
CARRIERS: Mapping[str, str] = {"cmcc": "1", "cucc": "2", "ctcc": "3", "cbn": "4"}
"""Param `carrier` → ispCode (s4)."""

MOBILE = re.compile(r"1[3-9][0-9]{9}")
"""A mobile number, accType 01 (s4)."""
_ACCOUNTS = {
    "01": MOBILE,
    "02": re.compile(r"0[0-9]{9,11}"),
    "03": re.compile(r"[A-Za-z0-9@._-]{4,32}"),
}
_SHOP_NO = re.compile(r"[A-Za-z0-9]{1,20}")
_ORDER_TYPES = {OrderKind.REVERSE: "3", OrderKind.CANCEL: "3"}


class BadOrder(ValueError):
    """We were asked to send what the platform would refuse: nothing was built. The text names the member."""


@dataclass(frozen=True, slots=True)
class Agent:
    """Who we are to the platform. secrets: keyNo → secret of every key valid now; never printed."""

    agent_no: str
    key_no: str
    sign_type: SignType
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """An authentic reply to exactly our request. code: untouched; members: all, empty ones dropped."""

    code: str
    members: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Doubt:
    """What came back proves nothing. cause: a slug without any value of the message."""

    cause: str


def seal(agent: Agent, members: Mapping[str, str], *, at: datetime, nonce: str) -> bytes:
    """The whole request body: common members, business members, signature (s2, s3).

    at: aware; written as Beijing time cut to the second. nonce: 16-32 of A-Za-z0-9, never used before.
    """
    sent = {
        "agentNo": agent.agent_no,
        "keyNo": agent.key_no,
        "signType": agent.sign_type.value,
        "version": VERSION,
        "timestamp": fields.write_moment(at),
        "nonce": nonce,
        **members,
    }
    sent["sign"] = sign(agent.sign_type, agent.secrets[agent.key_no], sent)
    return write_object(sent)


def open_reply(agent: Agent, nonce: str, status: int, body: bytes) -> Answer | Doubt:
    """Authenticate a reply: HTTP 200, flat object, ours, signed, echoing our nonce (s1, s2). Never raises.

    Only then is there a code. The nonce ties the reply to this request: it is used once.
    """
    if status != 200:
        return Doubt(f"http.{status}")
    try:
        members = read_object(body, REPLY_LIMIT)
    except BadObject:
        return Doubt("reply.unreadable")
    if "sign" not in members:
        return Doubt("reply.unsigned")
    if not is_signed(agent, members):
        return Doubt("reply.sign")
    if members.get("nonce") != nonce:
        return Doubt("reply.nonce")
    try:
        fields.moment(members, "respTime")
        return Answer(fields.text(members, "code", fields.CODE), members)
    except fields.BadField as failure:
        return Doubt(f"reply.malformed.{failure}")


def is_signed(agent: Agent, members: Mapping[str, str]) -> bool:
    """Whether the members name us and our mode and are signed with a key of ours that is valid now."""
    secret = agent.secrets.get(members.get("keyNo", ""))
    if secret is None or members.get("agentNo") != agent.agent_no or members.get("signType") != agent.sign_type:
        return False
    return check(agent.sign_type, secret, members)


def bill_query(query: BillQuery) -> dict[str, str]:
    """Members of /v3/bill/query (s5.1). Raises BadOrder."""
    return _account(query.service, query.biller_account, query.params)


def bill_pay(order: PayOrder) -> dict[str, str]:
    """Members of /v3/bill/pay (s5.2). order.bill: the `echo` of the bill query. Raises BadOrder.

    A bill that was asked about for another carrier or kind of line is refused here: its queryNo is bound to them (s4).
    """
    account = _account(order.service, order.biller_account, order.params)
    if (order.bill.get("ispCode"), order.bill.get("accType")) != (account["ispCode"], account["accType"]):
        raise BadOrder("queryNo")
    if not Fen(0) < order.amount <= AMOUNT_MAX:
        raise BadOrder("amount")
    return {
        "orderNo": _order_no(order.partner_serial, "orderNo"),
        **account,
        "amount": order.amount.to_yuan(),
        "queryNo": _matching(order.bill.get("queryNo", ""), fields.QUERY_NO, "queryNo"),
        "payType": "0",
        "channel": "11",
        "shopNo": _matching(order.institution_code, _SHOP_NO, "shopNo"),
        **_text_message(order.params),
    }


def topup_order(order: PayOrder) -> dict[str, str]:
    """Members of /v3/topup/order (s5.4). Raises BadOrder; a face value not on sale is the platform's to refuse."""
    if not Fen(0) < order.amount <= AMOUNT_MAX or order.amount.value % 100:
        raise BadOrder("faceValue")
    return {
        "orderNo": _order_no(order.partner_serial, "orderNo"),
        "ispCode": isp_code(order.params),
        "accNo": _matching(order.biller_account, _ACCOUNTS["01"], "accNo"),
        "faceValue": order.amount.to_yuan(),
        "shopNo": _matching(order.institution_code, _SHOP_NO, "shopNo"),
        "channel": "11",
        **_text_message(order.params),
    }


def bill_reverse(order: UndoOrder) -> dict[str, str]:
    """Members of /v3/bill/reverse (s5.3), for a reversal and a cancel alike. Raises BadOrder."""
    original = order.original
    return {
        "revNo": _order_no(order.partner_serial, "revNo"),
        "origOrderNo": _order_no(original.partner_serial, "origOrderNo"),
        "accNo": _account(original.service, original.biller_account, original.params)["accNo"],
        "amount": original.amount.to_yuan(),
        "shopNo": _matching(original.institution_code, _SHOP_NO, "shopNo"),
    }


def order_query(query: ResultQuery) -> dict[str, str]:
    """Members of /v3/order/query (s5.5). Raises BadOrder for kinds of order the platform does not know."""
    return {"orderNo": _order_no(query.partner_serial, "orderNo"), "orderType": order_type(query.kind, query.service)}


def recon_file(day: date) -> dict[str, str]:
    """Members of /v3/recon/file (s5.6)."""
    return {"acctDate": day.strftime("%Y%m%d")}


def order_type(kind: OrderKind, service: str) -> str:
    """1 bill payment, 2 top-up, 3 reversal (s5.5). Raises BadOrder for any other kind."""
    if kind is OrderKind.PAY:
        return "2" if service == TOPUP else "1"
    if kind not in _ORDER_TYPES:
        raise BadOrder("orderType")
    return _ORDER_TYPES[kind]


def isp_code(params: Mapping[str, str]) -> str:
    """The shop's choice of carrier (s4), never guessed from the number. Raises BadOrder."""
    carrier = params.get("carrier", "")
    if carrier not in CARRIERS:
        raise BadOrder("ispCode")
    return CARRIERS[carrier]


def _account(service: str, account: str, params: Mapping[str, str]) -> dict[str, str]:
    acc_type = "01"
    if service == "broadband.bill":
        line = params.get("line") or "broadband"
        if line not in {"broadband", "fixed"}:
            raise BadOrder("accType")
        acc_type = "02" if line == "fixed" else "03"
    number = _matching(account, _ACCOUNTS[acc_type], "accNo")
    return {"ispCode": isp_code(params), "accType": acc_type, "accNo": number}


def _text_message(params: Mapping[str, str]) -> dict[str, str]:
    wish = params.get("sms", "")
    if wish not in {"", "0", "1"}:
        raise BadOrder("SMSFlag")
    return {"SMSFlag": wish} if wish else {}


def _order_no(serial: str, name: str) -> str:
    return _matching(serial, fields.ORDER_NO, name)


def _matching(value: str, form: re.Pattern[str], name: str) -> str:
    if not form.fullmatch(value):
        raise BadOrder(name)
    return value
