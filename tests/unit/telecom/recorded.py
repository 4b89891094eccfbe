"""The partner's recorded messages, and orders and queries of ours that lead to them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.telecom import load_table
from adapters.telecom.fields import BEIJING
from adapters.telecom.signing import SignType, read_object, sign, write_object
from adapters.telecom.wire import Agent, Answer, Doubt, open_reply
from contracts.biller import BillQuery, PayOrder, ResultQuery, UndoOrder
from contracts.money import Fen
from contracts.states import OrderKind

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "telecom"
NAMES = sorted(path.name.removesuffix(".request.http") for path in VECTORS.glob("*.request.http"))
NOW = datetime(2026, 11, 24, 10, 15, 0, tzinfo=BEIJING).astimezone(UTC)
SECRETS = {"01": "Tel-Test-Secret-01-0123456789abcdef", "02": "Tel-Test-Secret-02-fedcba9876543210"}
AGENT = Agent("8801000123", "01", SignType.HMAC, SECRETS)
AGENT_KEY_02 = Agent("8801000123", "02", SignType.HMAC, SECRETS)
AGENT_MD5 = Agent("8801000124", "01", SignType.MD5, {"01": "TELLEGACY0123456789ABCDEF0123456"})
CODES = load_table()


def name(number: int) -> str:
    """The vector's name by its number."""
    return next(found for found in NAMES if found.startswith(f"{number:02d}-"))


def body(number: int, side: str) -> bytes:
    """Body bytes of the recorded request or reply."""
    raw = (VECTORS / f"{name(number)}.{side}.http").read_bytes()
    return raw.partition(b"\r\n\r\n")[2]


def members(number: int, side: str) -> dict[str, str]:
    """Members of the recorded body, empty ones dropped."""
    return read_object(body(number, side), 65_536)


def agent_of(number: int) -> Agent:
    """The agent whose keys the vector was made with."""
    return {39: AGENT_KEY_02, 40: AGENT_MD5}.get(number, AGENT)


def answer(number: int) -> Answer | Doubt:
    """The recorded reply, opened as the reply to the recorded request."""
    nonce = read_nonce(number)
    return open_reply(agent_of(number), nonce, 200, body(number, "reply"))


def authentic(number: int) -> Answer:
    """As answer(), for replies that must be authentic."""
    found = answer(number)
    assert isinstance(found, Answer)
    return found


def read_nonce(number: int) -> str:
    """The nonce of the recorded request."""
    return "" if number == 38 else members(number, "request")["nonce"]


def changed(number: int, **new: str | None) -> Answer | Doubt:
    """The recorded reply with members replaced, added or (None) left out, signed again as the platform would."""
    reply: dict[str, str | None] = {**members(number, "reply"), **new}
    return open_reply(AGENT, read_nonce(number), 200, resign({k: v for k, v in reply.items() if v is not None}))


def resign(reply: Mapping[str, str], agent: Agent = AGENT) -> bytes:
    """Members signed with the agent's key, as bytes."""
    bare = {key: value for key, value in reply.items() if key != "sign"}
    secret = agent.secrets[bare.get("keyNo", "01")]
    return write_object({**bare, "sign": sign(agent.sign_type, secret, bare)})


def pay_order(number: int, **new: Any) -> PayOrder:
    """The order that sends the recorded bill/pay or topup/order."""
    sent = members(number, "request")
    topup = "faceValue" in sent
    carrier = {"1": "cmcc", "2": "cucc", "3": "ctcc", "4": "cbn"}[sent["ispCode"]]
    sms = {"sms": sent["SMSFlag"]} if "SMSFlag" in sent else {}
    bill = {} if topup else {key: sent[key] for key in ("queryNo", "ispCode", "accType")}
    facts: dict[str, Any] = {
        "service": "mobile.topup" if topup else "mobile.bill",
        "gateway_serial": "20261124" + "0" * 16,
        "partner_serial": sent["orderNo"],
        "institution_code": sent["shopNo"],
        "biller_account": sent["accNo"],
        "amount": Fen.from_yuan(sent["faceValue" if topup else "amount"]),
        "params": {"carrier": carrier, **sms},
        "bill": bill,
        "created_at": NOW,
        "send_by": NOW,
        "send_deadline": 1e9,
    }
    return PayOrder(**{**facts, **new})


def undo_order(number: int, kind: OrderKind = OrderKind.REVERSE, **original: Any) -> UndoOrder:
    """The order that sends the recorded bill/reverse."""
    sent = members(number, "request")
    payment = pay_order(
        4,
        partner_serial=sent["origOrderNo"],
        biller_account=sent["accNo"],
        amount=Fen.from_yuan(sent["amount"]),
        **original,
    )
    return UndoOrder(
        kind=kind,
        partner_serial=sent["revNo"],
        original=payment,
        original_biller_serial=None,
        send_by=NOW,
        send_deadline=1e9,
    )


def result_query(number: int, **new: Any) -> ResultQuery:
    """The question that sends the recorded order/query; account and amount as the recorded answer has them."""
    sent, told = members(number, "request"), members(number, "reply")
    carrier = {"1": "cmcc", "2": "cucc"}[told.get("ispCode", "1")]
    facts: dict[str, Any] = {
        "kind": OrderKind.PAY,
        "service": "mobile.topup" if sent["orderType"] == "2" else "mobile.bill",
        "partner_serial": sent["orderNo"],
        "original_partner_serial": None,
        "biller_account": told.get("accNo", "13900000001"),
        "biller_serial": None,
        "amount": Fen.from_yuan(told.get("amount", "50.00")),
        "params": {"carrier": carrier},
        "created_at": NOW,
    }
    return ResultQuery(**{**facts, **new})


def bill_question(number: int) -> BillQuery:
    """The question that sends the recorded bill/query."""
    sent = members(number, "request")
    carrier = {"1": "cmcc", "2": "cucc", "3": "ctcc", "4": "cbn"}[sent["ispCode"]]
    fixed = sent["accType"] == "02"
    return BillQuery(
        service="broadband.bill" if fixed else "mobile.bill",
        institution_code="JN00170023",
        biller_account=sent["accNo"],
        params={"carrier": carrier, **({"line": "fixed"} if fixed else {})},
    )
