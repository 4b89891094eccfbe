"""What the platform takes and says: member rules of requests, texts of codes (telecom interface 3.4 s2-s8)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from adapters.telecom.simulator.clock import BEIJING, read_date
from contracts.money import Fen

BILL_QUERY = "bill/query"
BILL_PAY = "bill/pay"
BILL_REVERSE = "bill/reverse"
TOP_UP = "topup/order"
ORDER_QUERY = "order/query"
RECON_FILE = "recon/file"

COMMON = frozenset({"agentNo", "keyNo", "signType", "version", "timestamp", "nonce", "sign"})
"""Members every request has (s2)."""
ECHOED = ("orderNo", "revNo", "origOrderNo")
"""Members that refusals echo when they were well formed (s2)."""

_NUMBER = r"[0-9]{20}"
_AMOUNT = r"(?:0|[1-9][0-9]{0,6})\.[0-9]{2}"
_MOBILE = r"1[3-9][0-9]{9}"
_ACCOUNT = {"01": _MOBILE, "02": r"0[0-9]{9,11}", "03": r"[A-Za-z0-9@._-]{4,32}"}
_ANY_ACCOUNT = "|".join(f"(?:{pattern})" for pattern in _ACCOUNT.values())
_ISP, _ACC_TYPE, _SHOP, _CHANNEL = "[1-4]", "0[1-3]", "[A-Za-z0-9]{1,20}", "[0-9]{2}"

_MANDATORY: Mapping[str, Mapping[str, str]] = {
    BILL_QUERY: {"ispCode": _ISP, "accType": _ACC_TYPE, "accNo": _ANY_ACCOUNT},
    BILL_PAY: {
        "orderNo": _NUMBER,
        "ispCode": _ISP,
        "accType": _ACC_TYPE,
        "accNo": _ANY_ACCOUNT,
        "amount": _AMOUNT,
        "queryNo": r"Q[0-9]{23}",
        "shopNo": _SHOP,
        "payType": "0",
        "channel": _CHANNEL,
    },
    BILL_REVERSE: {
        "revNo": _NUMBER,
        "origOrderNo": _NUMBER,
        "accNo": _ANY_ACCOUNT,
        "amount": _AMOUNT,
        "shopNo": _SHOP,
    },
    TOP_UP: {
        "orderNo": _NUMBER,
        "ispCode": _ISP,
        "accNo": _MOBILE,
        "faceValue": r"(?:0|[1-9][0-9]{0,6})\.00",
        "shopNo": _SHOP,
        "channel": _CHANNEL,
    },
    ORDER_QUERY: {"orderNo": _NUMBER, "orderType": "[1-3]"},
    RECON_FILE: {"acctDate": "[0-9]{8}"},
}
_OPTIONAL: Mapping[str, Mapping[str, str]] = {BILL_PAY: {"SMSFlag": "[01]"}, TOP_UP: {"SMSFlag": "[01]"}}
OPERATIONS = tuple(_MANDATORY)
"""Every business call; its path is `/v3/` and its name."""

_CHECKS = {
    name: (
        tuple((member, re.compile(pattern)) for member, pattern in members.items()),
        {member: re.compile(pattern) for member, pattern in _OPTIONAL.get(name, {}).items()},
        COMMON | set(members) | set(_OPTIONAL.get(name, {})),
    )
    for name, members in _MANDATORY.items()
}
_CREATED = {BILL_PAY: "orderNo", TOP_UP: "orderNo", BILL_REVERSE: "revNo"}
_ACCOUNT_OF_TYPE = {acc_type: re.compile(pattern) for acc_type, pattern in _ACCOUNT.items()}

_TEXTS = {
    "1001": "报文格式错误",
    "1002": "代理商不存在",
    "1003": "签名错误",
    "1004": "密钥编号或签名方式错误",
    "1005": "时间戳超出允许范围",
    "1006": "随机数重复",
    "1007": "代理商已停用",
    "2001": "重复订单，原交易已成功",
    "2002": "订单号已用于其他交易",
    "2003": "原交易处理中",
    "2004": "原交易已返销",
    "2010": "欠费金额已变化，请重新查询",
    "2011": "号码不存在或不属于该运营商",
    "2012": "号码状态不允许缴费",
    "2013": "查询流水无效",
    "2014": "金额超出允许范围",
    "2015": "无欠费",
    "2016": "托收中，请次日再试",
    "2017": "号码在运营商黑名单中",
    "2018": "失败订单号60秒内不可再用",
    "2019": "直充订单不可返销",
    "2030": "代理商预存款不足",
    "2031": "超过代理商日限额",
    "2404": "订单不存在",
    "2501": "文件未生成",
    "2502": "文件已过保存期",
    "9001": "系统错误",
    "9002": "运营商应答超时",
    "9003": "系统繁忙",
    "9004": "调用过于频繁",
    "9005": "系统维护中",
}
_FLOW_TEXTS = {
    (BILL_QUERY, "0000"): "查询成功",
    (ORDER_QUERY, "0000"): "查询成功",
    (BILL_PAY, "0000"): "销账成功",
    (BILL_REVERSE, "0000"): "返销成功",
    (BILL_REVERSE, "2010"): "超过返销时限",
    (BILL_REVERSE, "2011"): "发票已打印",
    (BILL_REVERSE, "2012"): "预存款已使用",
    (BILL_REVERSE, "2014"): "号码或金额与原交易不符",
    (BILL_REVERSE, "2404"): "原交易不存在",
    (TOP_UP, "0000"): "受理成功",
    (TOP_UP, "2001"): "重复订单，原交易已受理",
    (TOP_UP, "2010"): "面值产品不可售",
    (TOP_UP, "2011"): "号码不属于该运营商",
    (TOP_UP, "2012"): "号码状态不允许充值",
    (RECON_FILE, "0000"): "成功",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is signed: code, text for staff, members of the message."""

    code: str
    msg: str
    fields: Mapping[str, str] = field(default_factory=dict)


def answer(operation: str, code: str, fields: Mapping[str, str] | None = None) -> Answer:
    """An answer with the platform's text for this code of this flow."""
    return Answer(code, _FLOW_TEXTS.get((operation, code)) or _TEXTS.get(code, "其他错误"), fields or {})


def well_formed(members: Mapping[str, str]) -> dict[str, str]:
    """The numbers of a request that a refusal echoes."""
    number = re.compile(_NUMBER)
    return {name: members[name] for name in ECHOED if number.fullmatch(members.get(name, ""))}


def refuse(operation: str, code: str, members: Mapping[str, str]) -> Answer:
    """A refusal with its echoes."""
    return answer(operation, code, well_formed(members))


def fen(text: str) -> int:
    """Yuan of the wire as fen; the member rules have seen the form."""
    return Fen.from_yuan(text).value


def yuan(amount: int) -> str:
    """Fen as yuan with two decimals."""
    return Fen(amount).to_yuan()


def fault_in(operation: str, members: Mapping[str, str], now_s: int) -> str | None:
    """The first member that breaks a rule of s4 or s5, None where all are in order.

    now_s: the platform's time; the date in a number that is being created is at most one day away from it (s4).
    """
    mandatory, optional, known = _CHECKS[operation]
    for name in members:
        if name not in known:
            return name
    for name, pattern in mandatory:
        if not pattern.fullmatch(members.get(name, "")):
            return name
    for name, pattern in optional.items():
        if name in members and not pattern.fullmatch(members[name]):
            return name
    if "accType" in members and not _ACCOUNT_OF_TYPE[members["accType"]].fullmatch(members["accNo"]):
        return "accNo"
    if "acctDate" in members and read_date(members["acctDate"]) is None:
        return "acctDate"
    return _number_fault(operation, members, now_s)


def _number_fault(operation: str, members: Mapping[str, str], now_s: int) -> str | None:
    for name in ECHOED:
        if name in members and read_date(members[name][:8]) is None:
            return name
    created = _CREATED.get(operation)
    if created is not None:
        written = read_date(members[created][:8])
        today = _today(now_s)
        if written is None or abs((written - today).days) > 1:
            return created
    return None


def _today(now_s: int) -> date:
    return datetime.fromtimestamp(now_s, BEIJING).date()
