"""The load generator against small servers: what it counts, what it refuses to count."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.bench import load, requests
from tests.bench.generator import BadLoadError, Loaded, check
from tests.bench.load import Plan, Report
from tests.bench.quiet import Spent

Answer = Callable[[int], tuple[bytes, float]]
REQUEST = b"POST /v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


def _reply(status: int, body: bytes = b"{}") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@asynccontextmanager
async def _server(answer: Answer) -> AsyncIterator[int]:
    count = 0
    serving: set[asyncio.Task[object] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        serving.add(asyncio.current_task())
        while await _next(reader):
            count += 1
            reply, delay_s = answer(count)
            await asyncio.sleep(delay_s)
            for at in range(0, len(reply), 20):
                writer.write(reply[at : at + 20])
                await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*(task for task in serving if task is not None))


async def _next(reader: asyncio.StreamReader) -> bool:
    try:
        return bool(await reader.readexactly(len(REQUEST)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


async def _drive(port: int, count: int, **changes: object) -> Report:
    values: dict[str, object] = {
        "ports": [port], "requests": "", "connections": 4, "warm_up_s": 0, "measure_s": 0, "out": "", "sample_every": 5,
    }  # fmt: skip
    return await load.run(Plan(**(values | changes)), [REQUEST] * count)  # type: ignore[arg-type]


async def test_every_request_is_answered_once_and_counted() -> None:
    async with _server(lambda _: (_reply(202, b"x" * 300), 0)) as port:
        report = await _drive(port, 50)
    assert report.statuses == {202: 50}
    assert len(report.latencies_ms) == 50
    assert report.ran_dry
    assert len(report.samples) == 10
    assert report.samples[0].reply == _reply(202, b"x" * 300)


async def test_only_201_and_202_count_as_good() -> None:
    async with _server(lambda n: (_reply((201, 202, 409, 503)[n % 4]), 0)) as port:
        report = await _drive(port, 40)
    assert sum(report.statuses.values()) == 40
    assert len(report.latencies_ms) == report.statuses[201] + report.statuses[202] == 20
    assert report.first_refusal


async def test_the_window_ends_by_time_and_what_runs_is_waited_for() -> None:
    async with _server(lambda _: (_reply(202), 0.02)) as port:
        report = await _drive(port, 10_000, measure_s=0.3)
    assert not report.ran_dry
    assert report.elapsed_s >= 0.3
    assert 4 <= sum(report.statuses.values()) <= 4 * 16


async def test_open_loop_counts_from_when_a_request_was_due() -> None:
    # One connection, 40 ms an answer, 50 due a second: the queue grows, and latency with it.
    async with _server(lambda _: (_reply(202), 0.04)) as port:
        report = await _drive(port, 10_000, connections=1, per_s=50, measure_s=1.0)
    assert len(report.latencies_ms) <= 26
    assert report.latencies_ms[-1] > 300


async def test_a_broken_connection_is_told() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        report = await _drive(server.sockets[0].getsockname()[1], 8, measure_s=0.2)
    assert report.broken == 4
    with pytest.raises(BadLoadError, match="broken 4"):
        check(Loaded(report, Spent(1, 1, 0, 0)), None)


def _report(**changes: object) -> Loaded:
    values: dict[str, object] = {
        "elapsed_s": 2.0, "statuses": {202: 4}, "latencies_ms": [1.0, 2.0, 3.0, 4.0], "samples": [], "broken": 0,
        "ran_dry": False,
    }  # fmt: skip
    return Loaded(Report(**(values | changes)), Spent(2.0, 0.5, 0.0, 0.0))  # type: ignore[arg-type]


def test_a_result_of_a_load() -> None:
    result = check(_report(), None).result("accept_sqlite", in_flight=64)
    assert (result.per_s, result.p50_ms, result.p99_ms) == (2.0, 2.0, 4.0)
    assert result.cpu_s_per_1000 == 125.0
    assert result.settings["in_flight"] == 64


def test_refusals_spoil_a_load() -> None:
    with pytest.raises(BadLoadError, match="429"):
        check(_report(statuses={202: 4, 429: 1}), None)


def test_running_dry_spoils_a_load_unless_it_may() -> None:
    with pytest.raises(BadLoadError, match="too few"):
        check(_report(ran_dry=True), None)
    check(_report(ran_dry=True), None, may_run_dry=True)


def test_requests_survive_their_file(tmp_path: Path) -> None:
    given = [REQUEST, b"", REQUEST * 3]
    assert list(requests.load(requests.save(tmp_path / "r", given))) == given
