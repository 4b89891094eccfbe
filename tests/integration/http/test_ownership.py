"""Object-level authorisation: every operation that names an object, with every other station's objects."""

from typing import Any

import pytest

from contracts.routes import ROUTES as CONTRACT
from tests.integration.http.house import House
from tests.integration.http.shops import Shop, new_key

BODIES: dict[str, dict[str, Any]] = {
    "/v1/payments/{gateway_serial}/cancellations": {"reason": "x"},
    "/v1/payments/{gateway_serial}/card-writes": {"result": "ok"},
    "/v1/payments/{gateway_serial}/refunds": {"amount_fen": 1, "reason": "x"},
}
NAMING = [route for route in CONTRACT if route.segments and route.signed]


async def _objects(house: House, owner: Shop) -> dict[str, list[str]]:
    bill = {"service": "power.bill", "biller_account": "46001234"}
    token = (await owner.post("/v1/bill-queries", bill, prefer="wait=0")).json["query_token"]
    await house.answer_bill(token)
    unsent = (await owner.pay()).json["gateway_serial"]
    done = (await owner.pay()).json["gateway_serial"]
    await house.paid(done, 1000)
    doubt = (await owner.pay()).json["gateway_serial"]
    await house.judge(doubt, "Unknown", cause="reset-after-send")
    card = (await owner.pay(5000, service="power.card", params={})).json["gateway_serial"]
    await house.paid(card, 5000)
    return {"gateway_serial": [unsent, done, doubt, card], "token": [token]}


def test_every_operation_on_an_object_is_in_the_matrix() -> None:
    assert {route.path for route in NAMING if route.request} == set(BODIES)


async def test_nobody_reaches_anothers_objects(house: House) -> None:
    """404, as for what does not exist: not even that it exists is told. The key stays free."""
    owner, stranger = await house.shop(), await house.shop()
    objects = await _objects(house, owner)
    before = house.counts()
    states = house.sql("SELECT gateway_serial, state, version FROM payments ORDER BY 1")
    asked = 0
    for route in NAMING:
        (name,) = route.segments
        for value in objects[name]:
            target = route.path.format(**{name: value})
            key = new_key()
            if route.request is None:
                reply = await stranger.get(target)
            else:
                reply = await stranger.post(target, BODIES[route.path], key=key)
                missing = await stranger.post("/v1/payment-inquiries", {"idempotency_key": key})
                assert missing.json == {"found": False, "tombstone": True}
            assert (reply.status, reply.slug, reply.signed) == (404, "not-found", True), route.path
            assert value not in reply.body.decode()
            asked += 1
    assert asked == 4 * 4 + 1
    after = house.counts()
    for table in ("payments", "orders", "transactions", "postings", "outbox", "query_tokens"):
        assert after[table] == before[table]
    assert house.sql("SELECT gateway_serial, state, version FROM payments ORDER BY 1") == states


async def test_the_owner_does_reach_them(house: House) -> None:
    """The same matrix by the owner: none of it is 404, so the one above refuses for the right reason."""
    owner = await house.shop()
    objects = await _objects(house, owner)
    for route in NAMING:
        (name,) = route.segments
        for value in objects[name]:
            target = route.path.format(**{name: value})
            body = BODIES.get(route.path)
            reply = await (owner.get(target) if body is None else owner.post(target, body, key=new_key()))
            assert reply.status != 404, (route.path, reply.body)


async def test_lists_hold_only_ones_own(house: House) -> None:
    owner, stranger = await house.shop(), await house.shop()
    objects = await _objects(house, owner)
    listed = (await stranger.get("/v1/payments")).json["items"]
    cursor = max(objects["gateway_serial"])
    assert listed == (await stranger.get(f"/v1/payments?cursor={cursor}")).json["items"] == []
    lines = (await stranger.get("/v1/account/entries")).json["items"]
    assert [line["recipe"] for line in lines] == ["R13"]


async def test_anothers_bill_query_buys_nothing(house: House) -> None:
    owner, stranger = await house.shop(), await house.shop()
    (token,) = (await _objects(house, owner))["token"]
    reply = await stranger.pay(5050, service="power.bill", biller_account="46001234", params={}, query_token=token)
    assert (reply.status, reply.slug) == (422, "query-token-stale")


@pytest.mark.parametrize("serial", ["2026112406H0P4QWR2D3RMFI", "x", "2026112406H0P4QWR2D3RMF", "%E4%BD%A0"])
async def test_what_is_no_serial_is_not_found(house: House, serial: str) -> None:
    shop = await house.shop()
    assert (await shop.get(f"/v1/payments/{serial}")).slug == "not-found"
