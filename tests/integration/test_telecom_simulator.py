"""The telecom simulator as a foreign client sees it: the recorded vectors, its durability, its notices."""

import asyncio
import hashlib
import json
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from adapters.kit.control import Control
from adapters.kit.faults import Fault, Kind
from adapters.telecom.signing import SignType, check, read_object
from adapters.telecom.simulator import Limits, Options, Running, start
from adapters.telecom.simulator.agents import AGENTS
from adapters.telecom.simulator.clock import stamp
from tests.unit.telecom_sim.agent import AT, PAY, AgentClient, exchange, http, number, signed

VECTORS = Path(__file__).parents[1] / "vectors" / "telecom"
KEY = AGENTS["8801000123"].keys["01"]
MUST_DIFFER = {"downloadPath", "sign"}


class Listener:
    """The agent's notice address: keeps what comes, answers as told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, str]] = []
        self.arrived: list[float] = []
        self.answers: list[tuple[int, bytes]] = []
        self._runner = web.ServerRunner(web.Server(self._take))
        self.url = ""

    async def _take(self, request: web.BaseRequest) -> web.Response:
        self.bodies.append(read_object(await request.read(), 8192))
        self.arrived.append(asyncio.get_running_loop().time())
        status, body = self.answers.pop(0) if self.answers else (200, b"success")
        return web.Response(status=status, body=body)

    async def open(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/notices/telecom"

    async def close(self) -> None:
        await self._runner.cleanup()

    async def wait(self, many: int, timeout_s: float = 5) -> None:
        async with asyncio.timeout(timeout_s):
            while len(self.bodies) < many:
                await asyncio.sleep(0.01)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def running(listener: Listener) -> AsyncIterator[Running]:
    made = await start(Options(fixed_at=AT, notice_url=listener.url))
    yield made
    await made.close()


@pytest.fixture
async def control(running: Running) -> AsyncIterator[Control]:
    async with aiohttp.ClientSession() as session:
        yield Control(running.url, session)


@pytest.fixture
def agent(running: Running) -> AgentClient:
    return AgentClient(running)


def vector(number_: int, what: str) -> bytes:
    (path,) = VECTORS.glob(f"{number_:02d}-*.{what}.http")
    return path.read_bytes()


async def replay(running: Running, number_: int) -> None:
    """Send one recorded request as it is; the reply must be the recorded one but for what must differ."""
    status, body = await exchange(running.port, vector(number_, "request"))
    head, _, recorded = vector(number_, "reply").partition(b"\r\n\r\n")
    assert status == int(head.split()[1])
    if b"downloadPath" not in recorded:
        assert body == recorded, f"vector {number_}: {body.decode()}"
        return
    ours, theirs = read_object(body, 65536), read_object(recorded, 65536)
    assert {k: v for k, v in ours.items() if k not in MUST_DIFFER} == {
        k: v for k, v in theirs.items() if k not in MUST_DIFFER
    }
    assert check(SignType.HMAC, KEY, ours)


async def test_recorded_vectors(running: Running, control: Control, agent: AgentClient, listener: Listener) -> None:
    """All calls in their order, the ones between the recorded ones (queries, one payment) made by us."""

    async def through(first: int, last: int) -> None:
        for each in range(first, last + 1):
            await replay(running, each)

    await through(1, 7)
    await agent.query_no("13800000008")
    await replay(running, 8)
    await agent.query_no("13800000009")
    await through(9, 11)
    members = await agent.pay_members(number(5), "13800000002", ispCode="2", amount="100.00")
    assert (await agent.call("bill/pay", **members))["code"] == "0000"
    await through(12, 15)
    await control.clock(13 * 3600)  # past the cut-over; the recorded request would rightly be too old for the clock
    sent = read_object(vector(16, "request").partition(b"\r\n\r\n")[2], 8192)
    late = signed({k: v for k, v in sent.items() if k != "sign"}, timestamp="20261124231500")
    _, body = await exchange(running.port, http("/v3/bill/reverse", json.dumps(late).encode()))
    assert body == vector(16, "reply").partition(b"\r\n\r\n")[2]
    await control.clock(0)
    await through(17, 24)
    await listener.wait(3)
    for got, which in zip(sorted(listener.bodies, key=lambda b: b["orderNo"]), (25, 26, 27), strict=True):
        told = read_object(vector(which, "request").partition(b"\r\n\r\n")[2], 8192)
        assert {k: v for k, v in got.items() if k not in {"nonce", "sign"}} == {
            k: v for k, v in told.items() if k not in {"nonce", "sign"}
        }
        assert check(SignType.HMAC, KEY, got)
    await asyncio.sleep(1.1)  # order/query of one number: not within 2 s
    await through(28, 31)
    await control.clock(61)
    await replay(running, 32)
    await control.clock(0)
    await control.decide(number(203), 2)
    await through(33, 40)
    await control.set_faults(Fault("bill/query", Kind.EXTRA_MEMBER))
    await replay(running, 41)
    await agent.query_no("13800000002")
    await control.set_faults(Fault("bill/pay", Kind.UNMAPPED_CODE))
    await replay(running, 42)
    await control.issue("20261124")
    await through(43, 44)
    asked = await agent.call("recon/file", acctDate="20261124")
    status, body = await exchange(running.port, http(asked["downloadPath"], b"", "GET", {"Content-Type": ""}))
    recorded_file = (VECTORS / "TEL_8801000123_20261124_01.csv").read_bytes()
    assert (status, body) == (200, recorded_file)
    assert await control.file("20261123") == (VECTORS / "TEL_8801000123_20261123_01.csv").read_bytes()


async def test_file_of_the_day(running: Running, control: Control, agent: AgentClient, tmp_path: Path) -> None:
    for each in range(1, 4):
        assert (await agent.pay(number(each)))["code"] == "0000"
    assert (await agent.reverse(number(9), number(2)))["code"] == "0000"
    await agent.top_up(number(4), "13900000006")
    assert (await agent.pay(number(6), "13800000003", ispCode="3", amount="35.53"))["code"] == "0000"
    body = await control.file("20261124")
    lines = body.decode("gb18030").split("\r\n")
    assert lines[-1] == ""
    assert "王，小明" in body.decode("gb18030")
    book = await control.book()
    trailer = lines[-2].split(",")
    assert trailer[1:9] == ["6", "4", "145.06", "1", "-36.51", "1", "50.00", "158.55"]
    assert sum(line.charged_fen for line in book) == 15855
    cut = tmp_path / "before-trailer"
    cut.write_bytes(body[: body.rindex(b"\r\n", 0, -2) + 2])
    summed = subprocess.run(["sha256sum", cut], capture_output=True, text=True, check=True)
    assert trailer[9] == summed.stdout.split()[0]

    await control.clock(24 * 3600)
    agent.now += 24 * 3600
    first = await agent.call("recon/file", acctDate="20261124")
    assert (first["issueNo"], first["fileName"]) == ("01", "TEL_8801000123_20261124_01.csv")
    await control.set_faults(Fault("recon/file", Kind.ABSENT))
    wrong = await agent.call("recon/file", acctDate="20261124")
    right = await agent.call("recon/file", acctDate="20261124")
    again = await agent.call("recon/file", acctDate="20261124")
    assert [wrong["issueNo"], right["issueNo"], again["issueNo"]] == ["02", "03", "03"]
    assert right["fileSha256"] == again["fileSha256"] != wrong["fileSha256"]
    for path, expected in ((again["downloadPath"], 200), (again["downloadPath"][:-1] + "x", 404)):
        status, got = await exchange(running.port, http(path, b"", "GET"))
        assert status == expected
        assert expected == 404 or hashlib.sha256(got).hexdigest() == again["fileSha256"]
    await control.clock(24 * 3600 + 301)
    assert (await exchange(running.port, http(again["downloadPath"], b"", "GET")))[0] == 404


async def test_file_hours(control: Control, agent: AgentClient) -> None:
    async def code(acct_date: str) -> str:
        return (await agent.call("recon/file", acctDate=acct_date))["code"]

    assert [await code(day) for day in ("20261124", "20261123", "20260826", "20260825")] == [
        "2501",
        "0000",
        "0000",
        "2502",
    ]
    ready = 15 * 3600 + 15 * 60  # to 01:30:00 of the next day
    for offset, expected in ((ready - 1, "2501"), (ready, "0000")):
        await control.clock(offset)
        agent.now = (AT or 0) + offset
        assert await code("20261124") == expected


async def test_notice_schedule(control: Control, agent: AgentClient, listener: Listener) -> None:
    """15, 60, 300, 900, 3600 s after the try before, six in all, one noticeNo, fresh nonces."""
    listener.answers = [(500, b""), (200, b"success\n"), (200, b"SUCCESS"), (302, b""), (200, b""), (200, b"no")]
    await agent.top_up(number(1), "13900000006")
    await listener.wait(1)
    offset = 0
    for tries, gap in enumerate((15, 60, 300, 900, 3600), 1):
        await asyncio.sleep(0.05)
        await control.clock(offset + gap - 3)
        await asyncio.sleep(0.05)
        assert len(listener.bodies) == tries, "too early"
        offset += gap
        await control.clock(offset)
        await listener.wait(tries + 1)
    await control.clock(offset + 90_000)
    await asyncio.sleep(0.1)
    assert [body["tryNo"] for body in listener.bodies] == ["1", "2", "3", "4", "5", "6"]
    assert len({body["nonce"] for body in listener.bodies}) == 6
    assert len({body["noticeNo"] for body in listener.bodies}) == 1
    assert listener.bodies[3]["timestamp"] == stamp((AT or 0) + 375)


async def test_no_notice_after_success_or_for_0008(agent: AgentClient, control: Control, listener: Listener) -> None:
    await agent.top_up(number(1), "13900000006")
    await agent.top_up(number(2), "13900010008")
    await listener.wait(1)
    await control.clock(90_000)
    await asyncio.sleep(0.1)
    assert [body["orderNo"] for body in listener.bodies] == [number(1)]
    assert {line.order_no: line.state for line in await control.book()} == {
        number(1): "booked",
        number(2): "booked",
    }


def launch(book: Path) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "adapters.telecom.simulator", "--book", str(book), "--no-limits"]
    process = subprocess.Popen([*command, "--at", "20261124101500"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", process.stdout.readline())
    assert found is not None
    return process, int(found.group(1))


async def test_kill_9_loses_no_booked_order(tmp_path: Path) -> None:
    """Every payment answered 0000 before the kill is booked after it, once, and in the file of the day."""
    book = tmp_path / "book.db"
    process, port = launch(book)
    answered: set[str] = set()

    async def pay_on(lane: int) -> None:
        for each in range(1_000):
            query = json.dumps(signed({"ispCode": "1", "accType": "01", "accNo": f"1381234{lane:04d}"})).encode()
            _, body = await exchange(port, http("/v3/bill/query", query))
            bill = read_object(body, 65536)
            order_no = number(lane * 10_000 + each)
            pay = {**PAY, "orderNo": order_no, "accNo": bill["accNo"], "queryNo": bill["queryNo"]}
            _, body = await exchange(port, http("/v3/bill/pay", json.dumps(signed(pay)).encode()))
            if read_object(body, 65536)["code"] == "0000":
                answered.add(order_no)

    async with asyncio.TaskGroup() as group:
        lanes = [group.create_task(_until_killed(pay_on(lane))) for lane in range(12)]
        await asyncio.sleep(random.uniform(0.4, 0.9))
        process.send_signal(signal.SIGKILL)
    assert lanes
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert len(answered) > 20, "the kill must come in the middle"

    process, port = launch(book)
    try:
        async with aiohttp.ClientSession() as session:
            control = Control(f"http://127.0.0.1:{port}", session)
            lines = {line.order_no: line for line in await control.book()}
            assert answered <= {no for no, line in lines.items() if line.state == "booked"}
            named = {line.split(b",")[3].decode() for line in (await control.file("20261124")).split(b"\r\n")[1:-2]}
            assert named == {no for no, line in lines.items() if line.state == "booked"}
    finally:
        process.terminate()
        assert process.wait(10) == 0
        if process.stdout is not None:
            process.stdout.close()
    with sqlite3.connect(book) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


async def _until_killed(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except (OSError, ValueError, asyncio.IncompleteReadError):
        return  # the process is gone


async def test_open_orders_and_notices_survive_a_restart(tmp_path: Path, listener: Listener) -> None:
    options = Options(fixed_at=AT, notice_url=listener.url, book=tmp_path / "book.db", limits=Limits(0, 0, 0))
    first = await start(options)
    agent = AgentClient(first)
    listener.answers = [(500, b"")]
    await agent.top_up(number(1), "13900000006")  # its notice fails and is due again in 15 s
    await agent.top_up(number(2), "13900000004")  # ends in 30 s
    members = await agent.pay_members(number(3))
    await listener.wait(1)
    await asyncio.sleep(0.05)
    await first.close()
    second = await start(options)
    try:
        agent = AgentClient(second)
        assert (await agent.call("bill/pay", **members))["code"] == "2013", "queryNo is lost at a restart"
        async with aiohttp.ClientSession() as session:
            await Control(second.url, session).clock(40)
        await listener.wait(3)
        assert {(body["orderNo"], body["tryNo"]) for body in listener.bodies} == {
            (number(1), "1"),
            (number(1), "2"),
            (number(2), "1"),
        }
        assert (await agent.order(number(2), "2"))["state"] == "2"
    finally:
        await second.close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port", "99999"], "--port is 0 to 65535"),
        (["--port", "-1"], "--port is 0 to 65535"),
        (["--port", "{taken}"], "cannot listen on 127.0.0.1:{taken}"),
        (["--book", "{folder}"], "cannot be used as a book"),
        (["--book", "{folder}/none/x.db"], "cannot be used as a book"),
        (["--book", "{text}"], "cannot be used as a book"),
        (["--notice-url", "garbage"], "--notice-url is http"),
    ],
)
def test_a_wrong_option_is_one_line(words: list[str], told: str, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database " * 500)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        names = {"taken": taken.getsockname()[1], "folder": tmp_path, "text": text}
        command = [sys.executable, "-m", "adapters.telecom.simulator", *(word.format(**names) for word in words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert told.format(**names) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
