"""The rules of the document on the simulator: order of checks, identity, tokens, refunds, its book over a restart."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.kit.control import Control, ControlError
from adapters.tv.simulator import Limits, Options, Running, start
from tests.unit.tv.recorded import body, raw
from tests.unit.tv_sim.conftest import AT
from tests.unit.tv_sim.speaking import exchange, http, token, under

GOOD = json.loads(body(6, "request"))


def order(key: bytes, **new: Any) -> bytes:
    members = {name: value for name, value in {**GOOD, **new}.items() if value is not ...}
    return http("POST", "/v1/orders", key, json.dumps(members).encode())


async def ask(running: Running, request: bytes) -> tuple[int, Any]:
    status, _, content = await exchange(running.port, request)
    told = json.loads(content)
    return status, told.get("code") or told.get("state")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (http("GET", "/v1/nothing", b"bad"), (404, "not_found")),
        (http("GET", "/v1/orders", b"bad"), (405, "method_not_allowed")),
        (http("GET", "/v1/accounts/00000001?x=1", b"bad"), (404, "not_found")),
        (http("POST", "/v1/orders", b"bad", b"{", Content_Type="text/plain"), (401, "invalid_token")),
        (http("GET", "/v1/accounts/1", b"bad"), (401, "invalid_token")),
    ],
    ids=range(5),
)
async def test_path_and_token_come_first(running: Running, request_: bytes, answer: tuple[int, str]) -> None:
    assert await ask(running, request_) == answer


@pytest.mark.parametrize(
    ("headers", "content", "answer"),
    [
        ({"Content_Type": "text/plain"}, b"x" * 5_000, (415, "unsupported_media_type")),
        ({"Content_Type": "application/json;charset=utf-8"}, b"{}", (415, "unsupported_media_type")),
        ({"Content_Encoding": "gzip"}, b"{}", (415, "unsupported_media_type")),
        ({}, b" " * 4_097, (413, "too_large")),
        ({}, b"[]", (400, "malformed")),
        ({}, b"\xef\xbb\xbf{}", (400, "malformed")),
        ({}, b'{"\\ud800":1,"\\ud800":2}', (400, "malformed")),
        ({}, b"[" * 4_000, (400, "malformed")),
    ],
    ids=range(8),
)
async def test_media_type_size_and_form(
    running: Running, headers: dict[str, str], content: bytes, answer: tuple[int, str]
) -> None:
    request = http("POST", "/v1/orders", await token(running.port), content, **headers)
    assert await ask(running, request) == answer


@pytest.mark.parametrize(
    ("new", "answer"),
    [
        ({"amount_fen": "2001"}, (400, "malformed")),
        ({"amount_fen": -1}, (400, "malformed")),
        ({"amount_fen": 1e3}, (400, "malformed")),
        ({"amount_fen": True}, (400, "malformed")),
        ({"shop_no": None}, (400, "malformed")),
        ({"shop_no": ...}, (400, "malformed")),
        ({"note": "x"}, (400, "malformed")),
        ({"not_after": "2026-11-24T02:16:00Z"}, (400, "malformed")),
        ({"not_after": "2026-02-30T10:16:00+08:00"}, (400, "malformed")),
        ({"not_after": "2026-11-24T10:15:00+08:00", "account_no": "10000404"}, (422, "expired")),
        ({"not_after": "2026-11-24T10:25:01+08:00", "account_no": "10000404"}, (422, "not_after_too_far")),
        ({"not_after": "2026-11-24T10:25:00+08:00"}, (202, "ACCEPTED")),
        ({"account_no": "90000404", "product": "tv"}, (422, "account_not_found")),
        ({"account_no": "90000003", "product": "tv"}, (422, "wrong_product")),
        ({"account_no": "00000003", "amount_fen": 1}, (422, "account_closed")),
        ({"amount_fen": 99}, (422, "amount_out_of_range")),
        ({"account_no": "00000002"}, (202, "ACCEPTED")),
    ],
    ids=str,
)
async def test_the_order_of_checks(
    running: Running, control: Control, new: dict[str, Any], answer: tuple[int, str]
) -> None:
    assert await ask(running, order(await token(running.port), **new)) == answer
    assert len(await control.book()) == (answer[0] == 202), "a refusal leaves no order (s4)"


async def test_an_id_pays_at_most_once(running: Running, control: Control) -> None:
    """s4: known with the same content, whatever its state and time: the order as it is; else a conflict."""
    key = await token(running.port)
    assert await ask(running, order(key, account_no="00000005")) == (202, "ACCEPTED")
    await asyncio.sleep(1.1)
    again = order(key, account_no="00000005", shop_no="S2", not_after="2026-11-24T10:00:00+08:00")
    assert await ask(running, again) == (200, "FAILED")
    assert await ask(running, order(key, account_no="00000006")) == (409, "order_conflict")
    (line,) = await control.book()
    assert (line.received, line.charged_fen, line.fail_code) == (3, 0, "account_closed")


async def test_the_sixth_token_revokes_the_oldest_and_the_eleventh_is_refused(running: Running) -> None:
    keys = [await token(running.port) for _ in range(6)]
    account = http("GET", "/v1/accounts/00000001", b"0" * 48)
    told = [(await exchange(running.port, under(account, key)))[0] for key in keys]
    assert told == [401, 200, 200, 200, 200, 200]
    for _ in range(4):
        await token(running.port)
    status, headers, content = await exchange(running.port, raw(1, "request"))
    assert (status, json.loads(content), headers["retry-after"]) == (429, {"error": "slow_down"}, "60")


async def test_a_token_ends_after_half_an_hour(running: Running, control: Control) -> None:
    key = await token(running.port)
    account = http("GET", "/v1/accounts/00000001", key)
    await control.clock(1_799)
    assert (await ask(running, account))[0] == 200
    await control.clock(1_801)
    assert (await ask(running, account))[0] == 401


async def test_refunds(running: Running, control: Control) -> None:
    """s3.4: from the day after, once at a time, anew after a rejection."""
    key = await token(running.port)
    path = f"/v1/orders/{GOOD['client_order_id']}/refund-requests"

    def refund(key: bytes, number: str, path: str = path) -> bytes:
        return http("POST", path, key, json.dumps({"client_refund_id": number, "reason": "误缴"}).encode())

    assert await ask(running, refund(key, "R1")) == (404, "order_not_found")
    await ask(running, order(key))
    assert await ask(running, refund(key, "R1")) == (409, "order_not_refundable")
    await control.decide(GOOD["client_order_id"], 2)
    assert await ask(running, refund(key, "R1")) == (409, "too_early")
    await control.clock(86_400)
    key = await token(running.port)
    assert await ask(running, refund(key, "R1")) == (202, "REQUESTED")
    assert await ask(running, refund(key, "R1")) == (200, "REQUESTED")
    assert await ask(running, refund(key, "R1", "/v1/orders/other/refund-requests")) == (409, "refund_conflict")
    assert await ask(running, refund(key, "R2")) == (409, "already_requested")
    await control.decide("R1", 3)
    assert await ask(running, refund(key, "R2")) == (202, "REQUESTED")
    await control.decide("R2", 2)
    assert await ask(running, http("GET", "/v1/refund-requests/R2", key)) == (200, "APPROVED")
    assert await ask(running, http("GET", "/v1/refund-requests/R3", key)) == (404, "refund_not_found")
    assert sum(line.charged_fen for line in await control.book()) == 0


async def test_the_book_outlives_a_restart(tmp_path: Path) -> None:
    """What was open goes on, and what was issued stays."""
    options = Options(fixed_at=AT, book=tmp_path / "book.db")
    running = await start(options)
    assert await ask(running, order(await token(running.port))) == (202, "ACCEPTED")
    await running.close()
    running = await start(options)
    async with aiohttp.ClientSession() as session:
        control = Control(running.url, session)
        await asyncio.sleep(1.1)
        (line,) = await control.book()
        assert (line.state, line.charged_fen, line.acct_date) == ("booked", 2_001, "20261124")
        await control.issue("20261124")
        with pytest.raises(ControlError, match="final already"):
            await control.decide(line.order_no, 2)
    await running.close()
    running = await start(options)
    assert [len(issues) for issues in running.platform.files._issues.values()] == [1]
    await running.close()


async def test_maintenance_on_the_first_tuesday() -> None:
    at = AT - 21 * 86_400 - 9 * 3_600  # 2026-11-03 01:15, a Tuesday
    running = await start(Options(fixed_at=at, limits=Limits(maintenance=True)))
    try:
        account = http("GET", "/v1/accounts/00000001", await token(running.port))
        assert await ask(running, account) == (503, "maintenance")
    finally:
        await running.close()
