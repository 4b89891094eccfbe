"""What a station asks about itself and about bills, and the unsigned operations."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from certs.certificates import Role, parse_certificate
from certs.keys import PemSigner
from certs.pilot import issue, make_key
from contracts.routes import ROUTES as CONTRACT
from gateway.http.routes import ROUTES
from tests.integration.http.house import House, eventually
from tests.integration.http.shops import Reply, Shop

BILL: dict[str, Any] = {"service": "power.bill", "biller_account": "46001234"}


def test_every_operation_of_the_contract_is_served() -> None:
    assert {route.contract.operation for route in ROUTES} == {route.operation for route in CONTRACT}
    assert len(ROUTES) == len(CONTRACT)


async def test_a_bill_is_held_for_the_biller(house: House) -> None:
    """PAY-02: masked name and address, and a token that ties the query to the payment."""
    shop = await house.shop()
    call = asyncio.create_task(shop.post("/v1/bill-queries", BILL))
    await eventually(lambda: house.server.holding.held == 1)
    ((token, topic),) = house.sql(
        "SELECT q.query_token, o.topic FROM query_tokens q"
        " JOIN outbox o ON CAST(o.payload AS TEXT) LIKE '%' || q.query_token || '%'"
    )
    assert topic == "bianmin.request.power"
    await house.answer_bill(token)
    reply = await asyncio.wait_for(call, 5)
    bill = reply.json
    assert (reply.status, bill["query_token"], reply.signed) == (200, token, True)
    assert (bill["customer_name"], bill["address"], bill["total_fen"]) == ("*三", "幸福路****", 5050)
    assert bill["bills"] == [{"period": "2026-10", "amount_fen": 5000, "penalty_fen": 50}]
    assert (await shop.get(f"/v1/bill-queries/{token}")).json == bill
    paid = await shop.pay(5050, **BILL, params={}, query_token=token)
    assert paid.status == 202, paid.body
    again = await shop.pay(5050, **BILL, params={}, query_token=token)
    assert (again.status, again.slug) == (422, "query-token-stale")


async def test_a_slow_biller_gives_202_and_a_place_to_ask(house: House) -> None:
    shop = await house.shop()
    slow = await shop.post("/v1/bill-queries", BILL, prefer="wait=0")
    token = slow.json["query_token"]
    assert (slow.status, set(slow.json)) == (202, {"query_token", "expires_at"})
    assert slow.header("Location") == f"/v1/bill-queries/{token}"
    assert (await shop.get(f"/v1/bill-queries/{token}")).status == 202
    asking = asyncio.create_task(shop.get(f"/v1/bill-queries/{token}", prefer="wait=10"))
    await eventually(lambda: house.server.holding.held == 1)
    refused = {"problem": "account-not-found", "detail": "The biller answered 14.", "shop_text": "查无此户"}
    await house.answer_bill(token, **refused)
    reply = await asyncio.wait_for(asking, 5)
    assert (reply.status, reply.slug, reply.json["shop_text"]) == (422, "account-not-found", "查无此户")


async def test_an_old_bill_query_says_so(house: House) -> None:
    shop = await house.shop()
    token = (await shop.post("/v1/bill-queries", BILL, prefer="wait=0")).json["query_token"]
    house.sql(f"UPDATE query_tokens SET expires_at = 1 WHERE query_token = '{token}'")
    stale = await shop.get(f"/v1/bill-queries/{token}")
    assert (stale.status, stale.slug) == (422, "query-token-stale")


async def test_account_and_statement(house: House) -> None:
    """ACC-10: the low balance is told; lines form a chain, newest first, page by page."""
    shop = await house.shop(low_balance_fen=499_000)
    before = (await shop.get("/v1/account")).json
    assert before["low_balance"] is False
    for n in range(30):
        await shop.pay(1000 + n)
    account = (await shop.get("/v1/account")).json
    spent = sum(1100 + n for n in range(30))
    assert account["available_fen"] == 500_000 - spent
    assert (account["reserved_fen"], account["posted_fen"], account["low_balance"]) == (spent, 500_000, True)
    first = (await shop.get("/v1/account/entries")).json
    rest = (await shop.get(f"/v1/account/entries?cursor={first['next_cursor']}")).json
    lines = first["items"] + rest["items"]
    assert (len(first["items"]), len(lines), rest["next_cursor"]) == (50, 61, None)
    available = [line for line in reversed(lines) if line["account"] == "2001"]
    for was, now in pairwise(available):
        assert was["balance_after_fen"] + now["amount_fen"] == now["balance_after_fen"]
    assert available[-1]["balance_after_fen"] == account["available_fen"]
    assert len({line["entry_id"] for line in lines}) == 61


async def test_services_say_what_can_be_sold_now(house: House) -> None:
    """SVC-05: only what is loaded onto this station."""
    shop = await house.shop(services=["mobile.topup", "power.bill"])
    topup, bill = sorted((await shop.get("/v1/services")).json["items"], key=lambda entry: str(entry["service"]))
    assert (topup["service"], topup["open"], topup["closed_reason"]) == ("mobile.topup", True, None)
    assert (topup["fee_fen"], topup["max_fen"], topup["bill_model"]) == (100, 1_000_000, "direct")
    carrier = {"name": "carrier", "title": "运营商", "choices": {"cmcc": "移动", "cucc": "联通"}, "required": True}
    assert (topup["params"], bill["params"], bill["bill_model"]) == ([carrier], [], "fetch-pay")
    house.breaker["tele"] = 9
    closed = (await shop.get("/v1/services")).json["items"][0]
    assert (closed["open"], closed["closed_reason"]) == (False, "收费单位暂时连接不上，请稍后再试")


async def test_time_is_unsigned(house: House) -> None:
    shop = await house.shop()
    reply = await shop.send_raw(b"GET /v1/time HTTP/1.1\r\nHost: anything\r\n\r\n")
    now = datetime.fromisoformat(reply.json["now"])
    assert (reply.status, abs(datetime.now(UTC) - now) < timedelta(seconds=10)) == (200, True)
    assert (reply.header("Signature"), reply.header("Content-Digest") is not None) == (None, True)
    assert len(reply.json["account_date"]) == 10


async def test_certificates_of_the_gateway_only(house: House) -> None:
    shop = await house.shop()
    key = make_key()
    archive = PemSigner(
        issue(house.pki.issuing, Role.ARCHIVE, key.public_key(), operator="archive", now=datetime.now(UTC)), key
    )
    await house.register_own(house.pki.reply, "reply")
    await house.register_own(archive, "archive")
    for signer in (house.pki.reply, archive):
        reply = await _plain(shop, f"/v1/certificates/{signer.keyid}")
        leaf, issuer = reply.body.split(b"-----END CERTIFICATE-----\n")[:2]
        assert reply.header("Content-Type") == "application/pem-certificate-chain"
        assert parse_certificate(leaf + b"-----END CERTIFICATE-----\n").keyid == signer.keyid
        assert parse_certificate(issuer + b"-----END CERTIFICATE-----\n") == house.pki.issuing.certificate
    for unknown in (shop.signer.keyid, "0" * 64, shop.signer.keyid.upper(), "x"):
        assert (await _plain(shop, f"/v1/certificates/{unknown}")).status == 404


async def _plain(shop: Shop, target: str) -> Reply:
    return await shop.send_raw(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def test_the_description_is_the_contracts_own(house: House) -> None:
    shop = await house.shop()
    reply = await _plain(shop, "/openapi.json")
    description = json.loads(reply.body)
    assert (reply.status, description["openapi"][:3]) == (200, "3.1")
    paths = {f"{method} {path}" for path, methods in description["paths"].items() for method in methods}
    assert {f"{route.method.lower()} {route.path}" for route in CONTRACT} <= paths


@pytest.mark.parametrize("target", ["/v1/time?x=1", "/v1/time?", "//v1/time", "/v1/./time", "/v1/time/", "/v1/%74ime"])
async def test_unsigned_operations_are_held_to_the_same_targets(house: House, target: str) -> None:
    shop = await house.shop()
    reply = await _plain(shop, target)
    assert reply.status in (400, 401)
    assert not reply.signed
