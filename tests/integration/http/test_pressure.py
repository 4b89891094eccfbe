"""Too many, too slow, gone too soon: limits hold, nothing is overspent, nothing is lost, nothing keeps running."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.core import items
from tests.integration.http.house import QUIET, House, eventually
from tests.integration.http.shops import Shop, new_key, read_reply


async def _narrow(house: House, shop: Shop, **limits: Any) -> None:
    await house.reopen(limits=replace(QUIET, **limits))
    shop.port = house.port


async def test_64_terminals_never_overspend_one_balance(any_house: House) -> None:
    """M2: 64 keys at once on a balance that covers ten; ten are taken, the rest is refused for good."""
    shop = await any_house.shop(money_fen=10 * 1100 + 99)
    replies = await asyncio.gather(*(shop.pay(1000, biller_account=f"139{n:08d}") for n in range(64)))
    statuses = sorted(reply.status for reply in replies)
    assert statuses == [202] * 10 + [422] * 54
    assert {reply.slug for reply in replies if reply.status == 422} == {"insufficient-balance"}
    account = (await shop.get("/v1/account")).json
    assert (account["available_fen"], account["reserved_fen"]) == (99, 11_000)
    assert all(reply.signed for reply in replies)


async def test_one_key_64_times_at_once_is_one_payment(any_house: House) -> None:
    """M3, each try with a nonce of its own."""
    shop = await any_house.shop()
    key = new_key()
    tries = (shop.pay(1000, key=key, biller_account="13900000001") for _ in range(64))
    replies = await asyncio.gather(*tries)
    assert {reply.status for reply in replies} == {202}
    assert len({reply.json["gateway_serial"] for reply in replies}) == 1
    assert sum(reply.header("Idempotent-Replayed") is None for reply in replies) == 1
    assert (await shop.get("/v1/account")).json["reserved_fen"] == 1100


async def test_accept_and_inquiry_race_on_one_row(any_house: House) -> None:
    """M3: whoever wins, both tell the same story."""
    shop = await any_house.shop()
    for _ in range(8):
        key = new_key()
        paid, asked = await asyncio.gather(
            shop.pay(1000, key=key), shop.post("/v1/payment-inquiries", {"idempotency_key": key})
        )
        if asked.json["found"]:
            assert (paid.status, asked.json["payment"]["gateway_serial"]) == (202, paid.json["gateway_serial"])
        else:
            assert (paid.status, paid.slug) == (409, "tombstoned")


async def test_beyond_the_limit_is_503_signed_and_decides_nothing(house: House) -> None:
    shop = await house.shop()
    await _narrow(house, shop, in_flight=2)
    gate, real = asyncio.Event(), house.store.run

    async def run(item: Any) -> Any:
        await gate.wait()
        return await real(item)

    house.store.run = run  # type: ignore[method-assign]
    running = [asyncio.create_task(shop.pay(100 + n)) for n in range(2)]
    await eventually(lambda: house.server.holding.in_flight == 2)
    key = new_key()
    refused = await shop.pay(500, key=key, biller_account="13900000001")
    assert (refused.status, refused.slug, refused.signed) == (503, "overloaded", True)
    assert refused.header("Retry-After") == "1"
    gate.set()
    assert [(await task).status for task in running] == [202, 202]
    assert (await shop.pay(500, key=key, biller_account="13900000001")).status == 202


async def test_held_calls_do_not_count_as_in_flight_and_have_their_own_limit(house: House) -> None:
    shop = await house.shop()
    await _narrow(house, shop, in_flight=1, held=3)
    calls = []
    for n in range(3):
        calls.append(asyncio.create_task(shop.pay(100 + n, wait=30)))
        await eventually(lambda n=n: house.server.holding.held == n + 1)  # type: ignore[misc]
    at_once = await asyncio.wait_for(shop.pay(700, wait=30), 2)
    assert at_once.status == 202
    await house.server.stop(2)
    # A drain lets them answer what is known now.
    assert [(await call).status for call in calls] == [202] * 3
    assert house.server.holding.held == 0


async def test_too_many_of_one_station_are_no_harm_to_another(house: House) -> None:
    shop, other = await house.shop(), await house.shop()
    await _narrow(house, shop, station_rate=1, station_burst=2)
    other.port = house.port
    slugs = [(await shop.pay()).status for _ in range(4)]
    assert slugs == [202, 202, 429, 429]
    assert (await other.pay()).status == 202


async def test_a_slow_head_loses_its_connection(house: House) -> None:
    shop = await house.shop()
    await _narrow(house, shop, head_s=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    request = shop.sign("GET", "/v1/account")
    writer.write(request.raw())
    assert (await read_reply(reader, shop.pki, request.field)).status == 200
    writer.write(b"GET /v1/account HTTP/1.1\r\n")
    lines = 0
    while lines < 90 and not reader.at_eof():  # nine seconds: fewer than the ten of a head without this limit
        await asyncio.sleep(0.1)
        writer.write(f"X-{lines}: 1\r\n".encode())
        lines += 1
    assert lines < 90, "it may go on writing"
    assert await reader.read() == b""
    writer.close()


async def test_a_slow_first_head_too(house: House) -> None:
    shop = await house.shop()
    await _narrow(house, shop, head_s=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    await asyncio.sleep(0.05)
    writer.write(b"G")
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()


async def test_an_idle_connection_ends(house: House) -> None:
    shop = await house.shop()
    await _narrow(house, shop, keepalive_s=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()


async def test_a_slow_body_is_refused(house: House) -> None:
    shop = await house.shop()
    await _narrow(house, shop, body_s=0.3)
    before = house.counts()
    request = shop.sign("POST", "/v1/payment-inquiries", b'{"idempotency_key":"abcdefghijklmnop"}')
    head, _, body = request.raw().partition(b"\r\n\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    writer.write(head + b"\r\n\r\n" + body[:5])
    reply = await asyncio.wait_for(read_reply(reader, shop.pki, request.field), 2)
    assert (reply.status, reply.slug, reply.signed, reply.header("Connection")) == (400, "malformed", False, "close")
    writer.close()
    assert house.counts() == before


async def test_a_reader_that_does_not_read_loses_its_connection(house: House) -> None:
    shop = await house.shop()
    for n in range(60):
        await shop.pay(100 + n)
    await _narrow(house, shop, write_s=0.3)
    _, writer = await asyncio.open_connection("127.0.0.1", shop.port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(400):
        writer.write(shop.sign("GET", "/v1/payments?limit=60").raw())
    await eventually(lambda: house.server.connections() == 0, 20)
    writer.close()


async def test_more_connections_than_allowed_are_closed(house: House) -> None:
    shop = await house.shop()
    await _narrow(house, shop, connections=2)
    first = [await asyncio.open_connection("127.0.0.1", shop.port) for _ in range(2)]
    await eventually(lambda: house.server.connections() == 2)
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    writer.write(b"GET /v1/time HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 2)
    for _, other in [*first, (reader, writer)]:
        other.close()
    await eventually(lambda: house.server.connections() == 0)
    assert (await shop.get("/v1/account")).status == 200


async def test_a_client_that_leaves_during_the_commit_changes_nothing(house: House) -> None:
    """The decision runs to its end; the terminal finds it by its key."""
    shop = await house.shop()
    gate, real, seen = asyncio.Event(), house.store.run, list[Any]()

    async def run(item: Any) -> Any:
        if isinstance(item, items.Accept):
            seen.append(item)
            await gate.wait()
        return await real(item)

    house.store.run = run  # type: ignore[method-assign]
    key = new_key()
    body = (
        b'{"service":"mobile.topup","biller_account":"13900000001","amount_fen":1000,"terminal_trace":"1",'
        b'"params":{"carrier":"cmcc"}}'
    )
    _, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    writer.write(shop.sign("POST", "/v1/payments", body, key=key).raw())
    await eventually(lambda: len(seen) == 1)
    writer.transport.abort()
    await eventually(lambda: house.server.connections() == 0 or house.server.holding.in_flight == 1)
    await asyncio.sleep(0.05)
    gate.set()
    await eventually(lambda: house.server.holding.in_flight == 0)
    found = await shop.post("/v1/payment-inquiries", {"idempotency_key": key})
    assert (found.json["found"], found.json["payment"]["state"]) == (True, "RESERVED")


async def test_a_stop_waits_for_what_runs(house: House) -> None:
    shop = await house.shop()
    gate, real = asyncio.Event(), house.store.run

    async def run(item: Any) -> Any:
        await gate.wait()
        return await real(item)

    house.store.run = run  # type: ignore[method-assign]
    idle = await asyncio.open_connection("127.0.0.1", shop.port)
    paying = asyncio.create_task(shop.pay(1000))
    await eventually(lambda: house.server.holding.in_flight == 1)
    stopping = asyncio.create_task(house.server.stop(5))
    await asyncio.sleep(0.1)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", shop.port)
    assert not stopping.done()
    gate.set()
    assert (await paying).status == 202
    await asyncio.wait_for(stopping, 2)
    idle[1].close()
