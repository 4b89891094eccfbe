"""Every slug of api s1 that the server can answer with is reached, with its status, its signature and its headers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.problems import PROBLEMS
from gateway.store.port import LostRace, StoreBusy, StoreFull, UnitFailed
from tests.integration.http.house import QUIET, House
from tests.integration.http.shops import AUTHORITY, Reply, Shop, ms, new_key

Case = Callable[[House, Shop], Awaitable[Reply]]
UNSIGNED = {"signature-missing", "signature-invalid", "certificate-unknown"}
"""Nothing was proven, so nothing is signed."""


async def _malformed(house: House, shop: Shop) -> Reply:
    return await shop.pay(0)


async def _unsigned(house: House, shop: Shop) -> Reply:
    return await shop.send_raw(f"GET /v1/account HTTP/1.1\r\nHost: {AUTHORITY}\r\n\r\n".encode())


async def _wrong_signature(house: House, shop: Shop) -> Reply:
    """Signed by another station's key under this one's keyid."""
    request = shop.sign("GET", "/v1/account")
    other = (await house.shop()).sign("GET", "/v1/account")
    return await shop.send(replace(request, headers=request.headers | {"Signature": other.headers["Signature"]}))


async def _stale(house: House, shop: Shop) -> Reply:
    return await shop.get("/v1/account", created=int(datetime.now(UTC).timestamp()) - 400)


async def _early(shop: Shop) -> Reply:
    created = int(datetime.now(UTC).timestamp()) + 90
    return await shop.post("/v1/payment-inquiries", {"idempotency_key": new_key()}, created=created)


async def _nonce(house: House, shop: Shop) -> Reply:
    request = shop.sign("POST", "/v1/payment-inquiries", b'{"idempotency_key":"abcdefghijklmnop"}')
    assert (await shop.send(request)).status == 200
    return await shop.send(request)


async def _unknown(house: House, shop: Shop) -> Reply:
    stranger = Shop("100001", house.pki.station("100001"), house.pki, house.port)
    return await stranger.get("/v1/account")


async def _expired(house: House, shop: Shop) -> Reply:
    signer = house.pki.station("100001")
    now = datetime.now(UTC)
    life = {"not_before": ms(now - timedelta(hours=2)), "not_after": ms(now - timedelta(hours=1))}
    return await (await house.shop(signer=signer, **life)).get("/v1/account")


async def _revoked(house: House, shop: Shop) -> Reply:
    house.sql(f"UPDATE certificates SET state = 'REVOKED' WHERE keyid = '{shop.signer.keyid}'")
    return await shop.pay()


async def _unbound(house: House, shop: Shop) -> Reply:
    house.sql(f"UPDATE bindings SET unbound_at = bound_at + 1 WHERE keyid = '{shop.signer.keyid}'")
    return await shop.get("/v1/services")


async def _suspended(house: House, shop: Shop) -> Reply:
    house.sql(f"UPDATE stations SET state = 'SUSPENDED', reason = 'inspection' WHERE institution_code = '{shop.code}'")
    return await shop.pay()


async def _untrained(house: House, shop: Shop) -> Reply:
    untrained = await house.shop(trained_until=ms(datetime.now(UTC)) + 400)
    await asyncio.sleep(0.5)
    return await untrained.pay()


async def _not_open(house: House, shop: Shop) -> Reply:
    return await (await house.shop(services=["power.bill"])).pay()


async def _unauthorized(house: House, shop: Shop) -> Reply:
    house.sql(
        "INSERT INTO tariffs SELECT 'TF-2', service, '2021-01-01', fee_fen, min_fen, max_fen, send_before_s,"
        " reverse_after_s, fee_returns_on_cancel, 1 FROM tariffs"
    )
    house.sql(
        "INSERT INTO commission_plans SELECT 'TF-2', service, '2021-01-01', rate_ppm, station_tenths, rounding"
        " FROM commission_plans"
    )
    serial = (await shop.pay(5000, service="power.card", params={})).json["gateway_serial"]
    await house.paid(serial, 5000)
    return await shop.post(f"/v1/payments/{serial}/cancellations", {"reason": "x"}, key=new_key())


async def _not_found(house: House, shop: Shop) -> Reply:
    return await shop.get("/v1/payments/2026112406H0P4QWR2D3RMF7")


async def _lost_race(house: House, shop: Shop) -> Reply:
    house.fail(LostRace("again and again"))
    return await shop.pay()


async def _tombstoned(house: House, shop: Shop) -> Reply:
    key = new_key()
    await shop.post("/v1/payment-inquiries", {"idempotency_key": key})
    return await shop.pay(key=key)


async def _repeat(house: House, shop: Shop) -> Reply:
    await shop.pay(biller_account="13900000001")
    return await shop.pay(biller_account="13900000001")


async def _conflict(house: House, shop: Shop) -> Reply:
    serial = (await shop.pay()).json["gateway_serial"]
    await house.judge(serial, "Unknown", cause="reset-after-send")
    return await shop.post(f"/v1/payments/{serial}/cancellations", {"reason": "x"}, key=new_key())


async def _too_large(house: House, shop: Shop) -> Reply:
    return await shop.post("/v1/payments", b" " * 16_385, key=new_key())


async def _media_type(house: House, shop: Shop) -> Reply:
    return await shop.post("/v1/payments", b"{}", key=new_key(), content_type="text/json")


async def _key_reused(house: House, shop: Shop) -> Reply:
    key = new_key()
    await shop.pay(1000, key=key)
    return await shop.pay(1001, key=key)


async def _balance(house: House, shop: Shop) -> Reply:
    return await shop.pay(500_000)


async def _amount(house: House, shop: Shop) -> Reply:
    return await shop.pay(1_000_001)


async def _token(house: House, shop: Shop) -> Reply:
    return await shop.pay(service="power.bill", params={})


async def _account(house: House, shop: Shop) -> Reply:
    bill = {"service": "power.bill", "biller_account": "46001234"}
    token = (await shop.post("/v1/bill-queries", bill, prefer="wait=0")).json["query_token"]
    await house.answer_bill(token, problem="account-not-found")
    return await shop.get(f"/v1/bill-queries/{token}")


async def _too_many(house: House, shop: Shop) -> Reply:
    await house.reopen(limits=replace(QUIET, station_rate=1, station_burst=3))
    shop.port = house.port
    replies = [await shop.get("/v1/account") for _ in range(3)]
    assert [reply.status for reply in replies] == [200] * 3
    return await shop.get("/v1/account")


async def _closed(house: House, shop: Shop) -> Reply:
    house.breaker["tele"] = 17
    return await shop.pay()


async def _overloaded(house: House, shop: Shop) -> Reply:
    house.fail(StoreBusy("8192 items are waiting already"))
    return await shop.pay()


async def _internal(house: House, shop: Shop) -> Reply:
    house.fail(UnitFailed("Accept: KeyError: 'secret'"))
    return await shop.pay()


CASES: dict[str, Case] = {
    "malformed": _malformed,
    "signature-missing": _unsigned,
    "signature-invalid": _wrong_signature,
    "signature-expired": _stale,
    "nonce-replayed": _nonce,
    "certificate-unknown": _unknown,
    "certificate-expired": _expired,
    "certificate-revoked": _revoked,
    "certificate-not-bound": _unbound,
    "station-suspended": _suspended,
    "operator-not-trained": _untrained,
    "service-not-open": _not_open,
    "authorization-required": _unauthorized,
    "not-found": _not_found,
    "request-running": _lost_race,
    "tombstoned": _tombstoned,
    "repeat-in-doubt": _repeat,
    "state-conflict": _conflict,
    "too-large": _too_large,
    "unsupported-media-type": _media_type,
    "key-reused": _key_reused,
    "insufficient-balance": _balance,
    "amount-out-of-range": _amount,
    "query-token-stale": _token,
    "account-not-found": _account,
    "too-many-requests": _too_many,
    "biller-closed": _closed,
    "overloaded": _overloaded,
    "internal": _internal,
}


def test_no_slug_is_left_out() -> None:
    assert set(CASES) == set(PROBLEMS)


@pytest.mark.parametrize("slug", CASES)
async def test_every_problem(house: House, slug: str) -> None:
    shop = await house.shop()
    reply = await CASES[slug](house, shop)
    kind = PROBLEMS[slug]
    assert (reply.slug, reply.status) == (slug, kind.status), reply.body
    assert reply.signed is (slug not in UNSIGNED), reply.proof
    assert reply.header("Content-Type") == "application/problem+json"
    assert reply.header("Cache-Control") == "no-store, no-transform"
    body = reply.json
    assert (body["status"], body["title"]) == (kind.status, kind.title)
    assert len(body["trace_id"]) == 32
    assert body["shop_text"]
    assert "secret" not in reply.body.decode()
    must_say_when = kind.status in (429, 503) or slug == "request-running"
    assert (reply.header("Retry-After") is not None) is must_say_when
    if slug == "biller-closed":
        assert reply.header("Retry-After") == "17"


async def test_a_signature_from_the_future_is_refused(house: House) -> None:
    shop = await house.shop()
    reply = await _early(shop)
    assert (reply.slug, reply.signed) == ("signature-expired", True)


async def test_a_refused_caller_is_told_so_before_its_content(house: House) -> None:
    shop = await house.shop()
    await _revoked(house, shop)
    reply = await shop.post("/v1/payments", b"not json", key=new_key())
    assert reply.slug == "certificate-revoked"


async def test_5xx_leaves_the_key_free(house: House) -> None:
    """design s10: 429, 503 and 500 decide nothing, the same key may come again."""
    shop = await house.shop()
    key, real = new_key(), house.store.run
    account: dict[str, Any] = {"biller_account": "13900000001"}
    for error in (StoreBusy("full"), StoreBusy("gone", in_doubt=True), StoreFull("disk"), UnitFailed("bug")):
        house.fail(error)
        assert (await shop.pay(key=key, **account)).status >= 500
    house.store.run = real  # type: ignore[method-assign]
    house.breaker["tele"] = 5
    assert (await shop.pay(key=key, **account)).slug == "biller-closed"
    house.breaker.clear()
    assert (await shop.pay(key=key, **account)).status == 202


async def test_a_book_that_cannot_be_read_is_503_and_unsigned(house: House) -> None:
    """Without the certificate nothing can be verified."""
    shop = await house.shop()

    async def look(item: Any) -> Any:
        raise StoreBusy("no reader")

    house.store.look = look  # type: ignore[method-assign]
    reply = await shop.get("/v1/account")
    assert (reply.status, reply.slug, reply.signed) == (503, "overloaded", False)


async def test_replays_of_one_request_pay_once(house: House) -> None:
    """The same signed bytes, many at once: one is taken, the others are told that the nonce is used."""
    shop = await house.shop()
    request = shop.sign(
        "POST",
        "/v1/payments",
        b'{"service":"mobile.topup","biller_account":"13900000001","amount_fen":1000,"terminal_trace":"1",'
        b'"params":{"carrier":"cmcc"}}',
        key=new_key(),
    )
    replies = await asyncio.gather(*(shop.send(request) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [202] + [401] * 7
    assert {reply.slug for reply in replies if reply.status == 401} == {"nonce-replayed"}
    assert all(reply.signed for reply in replies)
    assert house.counts()["payments"] == 1


async def test_pure_reads_keep_no_nonce(house: House) -> None:
    shop = await house.shop()
    request = shop.sign("GET", "/v1/account")
    before = house.counts()
    assert [(await shop.send(request)).status for _ in range(2)] == [200, 200]
    assert house.counts() == before
