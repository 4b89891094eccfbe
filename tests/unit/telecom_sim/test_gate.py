"""The front door and the order of checks (telecom interface 3.4 s1-s3)."""

import asyncio
import json

import pytest

from adapters.kit.control import Control
from adapters.kit.faults import Fault, Kind
from adapters.telecom.signing import check, read_object
from adapters.telecom.simulator import Limits, Options, Running, start
from adapters.telecom.simulator.agents import AGENTS
from tests.unit.telecom_sim.agent import AT, AgentClient, exchange, http, number, signed

QUERY = {"ispCode": "1", "accType": "01", "accNo": "13800000001"}
BODY = json.dumps(signed(QUERY)).encode()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (http("/v3/bill/nothing", BODY), 404),
        (http("/v3/bill/query?x=1", BODY), 404),
        (http("/v3/bill/query", b"", "GET"), 405),
        (http("/v3/recon/download?token=x", BODY), 405),
        (http("/v3/recon/download?token=" + "0" * 32, b"", "GET"), 404),
        (http("/v3/bill/query", b"0\r\n\r\n", headers={"Content-Length": "", "Transfer-Encoding": "chunked"}), 411),
        (http("/v3/bill/query", b"", headers={"Content-Length": ""}), 411),
        (http("/v3/bill/query", b" " * 8193), 413),
        (http("/v3/bill/query", BODY, headers={"Content-Type": "application/json"}), 415),
        (http("/v3/bill/query", BODY, headers={"Content-Type": "text/plain; charset=utf-8"}), 415),
        (http("/v3/bill/query", BODY, headers={"Content-Encoding": "gzip"}), 415),
    ],
)
async def test_front_door(running: Running, request_: bytes, status: int) -> None:
    assert await exchange(running.port, request_) == (status, b"")


# Each request breaks its own rule and every later one, so the first check in the order must answer.
BAD = {"timestamp": "20261124100959", "version": "3.3", "unknown": "x"}


@pytest.mark.parametrize(
    ("members", "code"),
    [
        (signed({**QUERY, **BAD}, keyNo="03", nonce="short"), "1004"),
        (signed({**QUERY, **BAD, "keyNo": ""}, nonce="short"), "1004"),
        (signed({**QUERY, **BAD}, signType="MD5"), "1004"),
        (signed({**QUERY, **BAD}, sign="0" * 64, nonce="short"), "1003"),
        (signed({**QUERY, **BAD}, nonce="short"), "1001"),
        (signed({**QUERY, **BAD}, version="3.4", nonce="short"), "1005"),
        (signed({**QUERY, "unknown": "x"}, timestamp="20261124102001"), "1005"),
        (signed({**QUERY, "unknown": "x"}, timestamp="20261324101500"), "1005"),
        (signed({**QUERY, "unknown": "x"}, nonce="short"), "1001"),
        (signed({**QUERY, "unknown": "x"}, "8801000125"), "1007"),
        (signed({**QUERY, "unknown": "x"}), "1001"),
        (signed(QUERY | {"accNo": "12800000001"}), "1001"),
        (signed(QUERY | {"accNo": "053188886666"}), "1001"),
        (signed(QUERY | {"ispCode": "5"}), "1001"),
        (signed(QUERY, timestamp="20261124101000"), "0000"),
        (signed(QUERY, timestamp="20261124102000"), "0000"),
        (signed(QUERY, keyNo="02"), "0000"),
        (signed(QUERY, "8801000124"), "0000"),
    ],
)
async def test_order_of_checks(running: Running, members: dict[str, str], code: str) -> None:
    status, body = await exchange(running.port, http("/v3/bill/query", json.dumps(members).encode()))
    reply = read_object(body, 65_536)
    assert (status, reply["code"]) == (200, code)
    agent = AGENTS[members["agentNo"]]
    assert reply["keyNo"] == (members["keyNo"] if members["keyNo"] in agent.keys else "01")
    assert check(agent.sign_type, agent.keys[reply["keyNo"]], reply)
    assert reply.get("nonce") == (members["nonce"] if len(members["nonce"]) >= 16 else None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"agentNo":8801000123}',
        b'{"agentNo":"8801000123","agentNo":"8801000123"}',
        b"\xef\xbb\xbf" + BODY,
        BODY[:-1],
        json.dumps(signed(QUERY) | {"x": "a\x01"}).encode(),
    ],
)
async def test_unreadable_bodies_are_answered_unsigned(running: Running, body: bytes) -> None:
    status, raw = await exchange(running.port, http("/v3/bill/query", body))
    assert (status, read_object(raw, 65_536)) == (
        200,
        {"code": "1001", "msg": "body", "respTime": "20261124101500"},
    )


async def test_a_nonce_is_good_once_in_15_minutes_per_agent(
    running: Running, agent: AgentClient, control: Control
) -> None:
    nonce = "N" * 16
    codes = [(await agent.call("bill/query", **QUERY, nonce=nonce))["code"] for _ in range(2)]
    other = signed(QUERY, "8801000124", nonce=nonce)
    _, body = await exchange(running.port, http("/v3/bill/query", json.dumps(other).encode()))
    codes.append(read_object(body, 65_536)["code"])
    for offset in (899, 901):
        await control.clock(offset)
        agent.now = (AT or 0) + offset
        codes.append((await agent.call("bill/query", **QUERY, nonce=nonce))["code"])
    assert codes == ["0000", "1006", "0000", "1006", "0000"]


@pytest.mark.parametrize(
    ("day", "code"), [("20261122", "1001"), ("20261123", "0000"), ("20261125", "0000"), ("20261126", "1001")]
)
async def test_a_number_is_created_within_a_day(agent: AgentClient, day: str, code: str) -> None:
    assert (await agent.pay(number(1, day)))["code"] == code
    refused = await agent.top_up(number(2, "20261199"))
    assert (refused["code"], refused["orderNo"]) == ("1001", number(2, "20261199"))


async def test_limits_of_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 at once, 100 a second, one order query in 2 s (s1)."""
    running = await start(Options(fixed_at=AT))
    seconds = 100.0
    monkeypatch.setattr(type(running.platform.clock), "steady", lambda _: seconds)
    try:
        agent = AgentClient(running)
        await agent.top_up(number(1), "13900000007")
        assert (await agent.order(number(1), "2"))["code"] == "0000"
        assert (await agent.order(number(1), "2"))["code"] == "9004"
        assert (await agent.order(number(2), "2"))["code"] == "2404"
        calls = [agent.call("bill/query", **QUERY) for _ in range(110)]
        codes = [reply["code"] for reply in await asyncio.gather(*calls)]
        assert codes.count("0000") == 97
        seconds += 1
        running.platform.board.replace([Fault("bill/query", Kind.SLOW, times=None, delay_s=0.4)])
        calls = [agent.call("bill/query", **QUERY) for _ in range(60)]
        codes = [reply["code"] for reply in await asyncio.gather(*calls)]
        assert codes.count("0000") == 50
        assert (await agent.call("bill/query", **QUERY))["code"] == "0000", "the places are free again"
    finally:
        await running.close()


async def test_maintenance() -> None:
    running = await start(Options(fixed_at=AT, limits=Limits(maintenance=True)))
    try:
        agent = AgentClient(running)
        begins = 15 * 3600 + 45 * 60
        codes = []
        for offset in (begins - 1, begins, begins + 1799, begins + 1800):
            running.platform.clock.offset_s = offset
            agent.now = (AT or 0) + offset
            codes.append((await agent.call("bill/query", **QUERY))["code"])
        assert codes == ["0000", "9005", "9005", "0000"]
    finally:
        await running.close()


async def test_a_taken_port(running: Running) -> None:
    """Nothing stays open behind the error; an unclosed socket or file would fail the test."""
    with pytest.raises(OSError):
        await start(Options(port=running.port))
