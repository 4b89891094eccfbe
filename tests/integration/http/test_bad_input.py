"""design s10: bad input on every route is refused clearly, by a signed reply, and the book is as it was but for
nonce and evidence."""

from typing import Any

import msgspec
import pytest

from contracts.routes import ROUTES as CONTRACT
from tests.integration.http.house import House
from tests.integration.http.shops import Shop, new_key

SERIAL = "2026112406H0P4QWR2D3RMF7"
GOOD: dict[str, dict[str, Any]] = {
    "/v1/bill-queries": {"service": "power.bill", "biller_account": "46001234"},
    "/v1/payments": {
        "service": "mobile.topup",
        "biller_account": "13900000001",
        "amount_fen": 1000,
        "terminal_trace": "1",
        "params": {"carrier": "cmcc"},
    },
    "/v1/payment-inquiries": {"idempotency_key": "abcdefghijklmnop"},
    "/v1/payments/{gateway_serial}/cancellations": {"reason": "录入错误"},
    "/v1/payments/{gateway_serial}/card-writes": {"result": "ok"},
    "/v1/payments/{gateway_serial}/refunds": {"amount_fen": 10, "reason": "多缴"},
}
POSTS = sorted(GOOD)


def test_every_writing_route_is_tried() -> None:
    assert {route.path for route in CONTRACT if route.request} == set(POSTS)


BODIES: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "no json": (b"amount=1", 400),
    "null": (b"null", 400),
    "list": (b"[]", 400),
    "text": (b'"x"', 400),
    "number": (b"1", 400),
    "no members": (b"{}", 400),
    "cut off": (b'{"service":"power', 400),
    "two documents": (b"{} {}", 400),
    "trailing comma": (b'{"a":1,}', 400),
    "comment": (b"{/* */}", 400),
    "unknown member": (b'{"nobody":1}', 400),
    "broken UTF-8": (b'{"reason":"\xff\xfe"}', 400),
    "overlong UTF-8": (b'{"reason":"\xc0\xaf"}', 400),
    "surrogate": (b'{"reason":"\xed\xa0\x80"}', 400),
    "BOM": (b"\xef\xbb\xbf{}", 400),
    "UTF-16": ('{"reason":"x"}'.encode("utf-16"), 400),
    "GBK": ('{"reason":"录入"}'.encode("gbk"), 400),
    "NUL": (b'{"reason":"a\\u0000b"}', 400),
    "raw NUL": (b'{"reason":"a\x00b"}', 400),
    "deep": (b'{"params":' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
    "deep objects": (b'{"a":' * 2000 + b"1" + b"}" * 2000, 400),
    "huge integer": (b'{"amount_fen":' + b"9" * 5000 + b"}", 400),
    "huge exponent": (b'{"amount_fen":1e999999999}', 400),
    "fraction": (b'{"amount_fen":10.5}', 400),
    "whole fraction": (b'{"amount_fen":1000.0}', 400),
    "not a number": (b'{"amount_fen":NaN}', 400),
    "infinity": (b'{"amount_fen":-Infinity}', 400),
    "duplicate": (b'{"reason":"a","reason":"b"}', 400),
    "too large": (b'{"reason":"' + b"x" * 17_000 + b'"}', 413),
}


async def _refused(house: House, shop: Shop, path: str, body: bytes, status: int, **options: Any) -> Any:
    before = house.counts()
    target = path.format(gateway_serial=SERIAL)
    reply = await shop.post(target, body, key=new_key(), **options)
    assert (reply.status, reply.signed) == (status, True), reply.body
    assert len(reply.body) < 1000
    after = house.counts()
    # Once the signature holds, nonce and evidence stay, and nothing else.
    assert (after.pop("nonces"), after.pop("records")) == (before.pop("nonces") + 1, before.pop("records") + 1)
    assert after == before
    return reply


@pytest.mark.parametrize("path", POSTS)
async def test_bodies_that_are_no_request(house: House, path: str) -> None:
    shop = await house.shop()
    for name, (body, status) in BODIES.items():
        reply = await _refused(house, shop, path, body, status)
        assert reply.slug == ("too-large" if status == 413 else "malformed"), name
    (kept,) = house.sql("SELECT body FROM records ORDER BY record_id DESC LIMIT 1")
    assert kept[0] == BODIES["too large"][0]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json; charset=gbk", "application/problem+json", "application/xml"]
)
async def test_media_types(house: House, path: str, content_type: str) -> None:
    shop = await house.shop()
    await _refused(house, shop, path, msgspec.json.encode(GOOD[path]), 415, content_type=content_type)


def _variants() -> list[tuple[str, str, Any]]:
    wrong: dict[str, list[Any]] = {
        "service": [1, None, "", "x", "Mobile.topup", "mobile.topup\n", "a." + "b" * 40, ["mobile.topup"]],
        "biller_account": [13900000001, "", "x" * 33, "1 2", "139\n", "１３９", None, "../../x", "'; --"],
        "amount_fen": [0, -1, 10**10 + 1, "1000", True, None, [1], 10**15],
        "terminal_trace": ["", "x" * 33, 1, "a b"],
        "params": [[], "x", {"carrier": 1}, {"Carrier": "cmcc"}, {"carrier": ""}, {f"p{n}": "x" for n in range(9)}],
        "query_token": ["short", 1, "x" * 65],
        "confirm_repeat": ["", "a b c d e f g h i"],
        "cash_received_fen": [0, "1"],
        "idempotency_key": ["short", "x" * 65, "a" * 15 + " ", 1],
        "reason": ["", "x" * 201, 1, "a\nb"],
        "result": ["maybe", "OK", True, "ok\n"],
        "card_data": ["xyz", "0" * 2049, 1],
        "authorization": ["short", {}],
    }
    optional = {
        "/v1/payments": ["query_token", "confirm_repeat", "cash_received_fen"],
        "/v1/bill-queries": ["params"],
        "/v1/payments/{gateway_serial}/card-writes": ["card_data"],
        "/v1/payments/{gateway_serial}/cancellations": ["authorization"],
    }
    found = []
    for path, body in GOOD.items():
        for name in [*body, *optional.get(path, [])]:
            found += [(path, name, value) for value in wrong[name]]
    return found


async def test_every_member_of_every_body_is_checked(house: House) -> None:
    shop = await house.shop()
    for path, name, value in _variants():
        reply = await _refused(house, shop, path, msgspec.json.encode(GOOD[path] | {name: value}), 400)
        field = reply.json.get("field", "")
        assert field.startswith(f"$.{name}") or name == "params", (path, name, value, reply.body)


async def test_required_members_are_required(house: House) -> None:
    shop = await house.shop()
    for path, body in GOOD.items():
        for name in set(body) - {"params"}:
            left = {key: value for key, value in body.items() if key != name}
            reply = await _refused(house, shop, path, msgspec.json.encode(left), 400)
            assert name in reply.json["detail"]


async def test_a_service_checks_its_own_form(house: House) -> None:
    """What the adapter declares: account pattern and parameters; decided before the key, which stays free."""
    shop = await house.shop()
    for changes, field in (
        ({"biller_account": "abc"}, "$.biller_account"),
        ({"params": {}}, "$.params.carrier"),
        ({"params": {"carrier": "xxxx"}}, "$.params.carrier"),
        ({"params": {"carrier": "cmcc", "other": "1"}}, "$.params.other"),
    ):
        body = msgspec.json.encode(GOOD["/v1/payments"] | changes)
        reply = await _refused(house, shop, "/v1/payments", body, 400)
        assert (reply.slug, reply.json["field"]) == ("malformed", field)


@pytest.mark.parametrize("path", [route.path for route in CONTRACT if route.keyed])
async def test_keys_are_required_and_well_formed(house: House, path: str) -> None:
    shop = await house.shop()
    body, target = msgspec.json.encode(GOOD[path]), path.format(gateway_serial=SERIAL)
    missing = await shop.post(target, body)
    assert (missing.status, missing.json["field"], missing.signed) == (400, "Idempotency-Key", True)
    for key in ("short", '"quoted-0123456789"', "x" * 65, "abcdefghijklmno p", ""):
        request = shop.sign("POST", target, body, key=new_key())
        lines = list((request.headers | {"Idempotency-Key": key}).items())
        reply = await shop.send_raw(request.raw(lines=lines), request.field)
        assert (reply.status, reply.slug, reply.signed) == (400, "malformed", False)


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/v1/payments?limit=0", "limit"),
        ("/v1/payments?limit=101", "limit"),
        ("/v1/payments?limit=1e1", "limit"),
        ("/v1/payments?limit=01", "limit"),
        ("/v1/payments?limit=%EF%BC%91", "limit"),
        ("/v1/payments?limit=", "limit"),
        ("/v1/payments?limit", "limit"),
        ("/v1/payments?limit=1&limit=1", "limit"),
        ("/v1/payments?state=success", "state"),
        ("/v1/payments?state=SUCCESS%20", "state"),
        ("/v1/payments?account_date=2026-02-30", "account_date"),
        ("/v1/payments?account_date=20260228", "account_date"),
        ("/v1/payments?account_date=2026-02-28%0A", None),
        ("/v1/payments?biller_account=a+b", "biller_account"),
        ("/v1/payments?biller_account=a%20b", "biller_account"),
        ("/v1/payments?biller_account=" + "9" * 33, "biller_account"),
        ("/v1/payments?cursor=x", "cursor"),
        ("/v1/payments?cursor=" + "a" * 65, "cursor"),
        ("/v1/payments?page=1", "page"),
        ("/v1/payments?Limit=1", "Limit"),
        ("/v1/payments?&", None),
        ("/v1/payments?limit=1&", None),
        ("/v1/payments?=1", None),
        ("/v1/payments?a%26limit=1", None),
        ("/v1/account?x=1", "x"),
        ("/v1/services?x=1", "x"),
        (f"/v1/payments/{SERIAL}?x=1", "x"),
        ("/v1/account/entries?limit=1", "limit"),
        ("/v1/account/entries?cursor=0", "cursor"),
        ("/v1/account/entries?cursor=-1", "cursor"),
        ("/v1/account/entries?cursor=9999999999999999999", "cursor"),
    ],
)
async def test_queries_are_strict(house: House, target: str, field: str | None) -> None:
    shop = await house.shop()
    before = house.counts()
    request = shop.sign("GET", "/v1/account") if "%0A" in target else shop.sign("GET", target)
    reply = await shop.send_raw(request.raw(target=target), request.field)
    assert (reply.status, reply.slug) == (400, "malformed"), reply.body
    assert reply.json.get("field") == field
    assert house.counts() == before


async def test_writing_routes_take_no_query(house: House) -> None:
    shop = await house.shop()
    for path in POSTS:
        reply = await _refused(house, shop, path + "?x=1", msgspec.json.encode(GOOD[path]), 400)
        assert reply.json["field"] == "x"


@pytest.mark.parametrize("value", ["wait=x", "wait", "wait=-1", "respond-async", "", "wait=\xff", "w" * 4000])
async def test_an_unreadable_preference_is_no_preference(house: House, value: str) -> None:
    shop = await house.shop()
    request = shop.sign("GET", f"/v1/payments/{(await shop.pay()).json['gateway_serial']}", prefer=value)
    assert (await shop.send(request)).status == 200
