"""The partner's recorded messages, and orders and queries of ours that lead to them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.transport.http import Reply
from adapters.tv import load_table
from contracts.biller import BillQuery, PayOrder, ResultQuery
from contracts.money import Fen
from contracts.states import OrderKind

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "tv"
NAMES = sorted(path.name.removesuffix(".request.http") for path in VECTORS.glob("*.request.http"))
CODES = load_table()
SEND_BY = datetime(2026, 11, 24, 2, 16, 0, 999_999, tzinfo=UTC)


def raw(number: int, side: str) -> bytes:
    """The whole recorded message."""
    name = next(found for found in NAMES if found.startswith(f"{number:02d}-"))
    return (VECTORS / f"{name}.{side}.http").read_bytes()


def body(number: int, side: str) -> bytes:
    """Its body."""
    return raw(number, side).partition(b"\r\n\r\n")[2]


def reply(number: int) -> Reply:
    """The recorded reply, as the wire layer hands it on."""
    head, _, content = raw(number, "reply").partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Reply(int(status.split()[1]), {name.lower(): value for name, value in pairs}, content)


def changed(number: int, **new: Any) -> Reply:
    """The recorded reply with members replaced or added; ... leaves one out."""
    told = reply(number)
    members = {name: value for name, value in {**json.loads(told.body), **new}.items() if value is not ...}
    return Reply(told.status, told.headers, json.dumps(members, ensure_ascii=False).encode())


def pay_order(number: int, **new: Any) -> PayOrder:
    """The order that sends the recorded request."""
    sent = json.loads(body(number, "request"))
    facts: dict[str, Any] = {
        "service": "tv.bill",
        "gateway_serial": "20261124" + "0" * 16,
        "partner_serial": sent["client_order_id"],
        "institution_code": sent["shop_no"],
        "biller_account": sent["account_no"],
        "amount": Fen(sent["amount_fen"]),
        "params": {"product": sent["product"]},
        "created_at": SEND_BY,
        "send_by": SEND_BY,
        "send_deadline": 10.0,
    }
    return PayOrder(**{**facts, **new})


def result_query(number: int, **new: Any) -> ResultQuery:
    """The question the recorded reply answers."""
    told = json.loads(body(number, "reply"))
    facts: dict[str, Any] = {
        "kind": OrderKind.PAY,
        "service": "tv.bill",
        "partner_serial": told.get("client_order_id", "20261124-01JDEMO0999"),
        "original_partner_serial": None,
        "biller_account": told.get("account_no", "00000001"),
        "biller_serial": None,
        "amount": Fen(told.get("amount_fen", 2001)),
        "params": {"product": told.get("product", "tv")},
        "created_at": SEND_BY,
    }
    return ResultQuery(**{**facts, **new})


def bill_query(account: str, **params: str) -> BillQuery:
    """A question about an account."""
    return BillQuery(service="tv.bill", institution_code="JN00170023", biller_account=account, params=params)
