"""The first byte leaves before send_deadline or never, however long connecting took (design s3.5)."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.transport.guard import Guard, Withheld
from adapters.transport.http import HttpCall, HttpCaller, MayHaveLeft, NeverLeft, Reply, Result, TimeOuts
from contracts import traces
from contracts.clock import Clock
from tests.unit.transport.partners import Answering, FakeClock, LoopClock, Visit, partner, polite, reply, self_signed

QUICK = TimeOuts(connect_ms=2_000, total_ms=4_000)


def post(deadline: float | None, time_outs: TimeOuts = QUICK) -> HttpCall:
    return HttpCall(
        method="POST", target="/pay", body=b"money", time_outs=time_outs, reply_limit=1_000, send_deadline=deadline
    )


@asynccontextmanager
async def caller(
    url: str, clock: Clock, connections: int = 10, context: ssl.SSLContext | None = None
) -> AsyncIterator[HttpCaller]:
    made = HttpCaller(clock=clock, base_url=url, connections=connections, ssl_context=context)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def relay_late(port: int) -> Answering:
    """Passes a connection on to `port`, but only after 0.4 s."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    async def relay(visit: Visit) -> None:
        await asyncio.sleep(0.4)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(visit.reader, writer), pump(reader, visit.writer))
        finally:
            writer.close()

    return relay


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_in_time() -> None:
    async with partner(polite) as far, caller(far.url, FakeClock()) as near:
        assert isinstance(await near.call(post(100.1)), Reply)
        assert far.got.endswith(b"money")


async def test_the_deadline_itself_is_too_late() -> None:
    async with partner(polite) as far, caller(far.url, FakeClock()) as near:
        assert await near.call(post(100.0)) == NeverLeft("send_deadline")
        assert (far.connections, far.got) == (1, b"")


async def test_too_late_on_a_kept_connection_too() -> None:
    async with partner(polite) as far, caller(far.url, FakeClock()) as near:
        assert isinstance(await near.call(post(None)), Reply)
        before = far.got
        assert await near.call(post(99.0)) == NeverLeft("send_deadline")
        assert far.connections == 1
        assert far.got == before
        assert isinstance(await near.call(post(101.0)), Reply)  # the pool is none the worse


async def test_slow_connecting_passes_the_deadline(tmp_path: Path) -> None:
    """TCP stands at once, the TLS handshake takes 0.4 s, the deadline is in 0.2 s: no byte of the request leaves."""
    server_side, client_side = self_signed(tmp_path)
    async with (
        partner(polite, server_side) as far,
        partner(relay_late(far.port)) as between,
        caller(f"https://localhost:{between.port}", LoopClock(), context=client_side) as near,
    ):
        started = now()
        assert await near.call(post(started + 0.2)) == NeverLeft("send_deadline")
        assert now() - started >= 0.4
        await asyncio.sleep(0.05)
        assert (far.connections, far.got) == (1, b"")
        # The same slow way, with time enough: it is the deadline that held it back.
        assert isinstance(await near.call(post(now() + 2.0)), Reply)


async def test_slow_connecting_in_time(tmp_path: Path) -> None:
    server_side, client_side = self_signed(tmp_path)
    async with partner(polite, server_side) as far, caller(far.url, LoopClock(), context=client_side) as near:
        assert isinstance(await near.call(post(now() + 2.0)), Reply)


async def test_waiting_for_the_pool_passes_the_deadline() -> None:
    async def slow(visit: Visit) -> None:
        while True:
            await visit.request()
            await asyncio.sleep(0.4)
            await visit.send(reply(b"late"))

    async with partner(slow) as far, caller(far.url, LoopClock(), connections=1) as near:
        first = asyncio.create_task(near.call(post(None)))
        await asyncio.sleep(0.1)
        assert await near.call(post(now() + 0.1)) == NeverLeft("send_deadline")
        assert isinstance(await first, Reply)
        assert far.requests == 1


async def test_a_stop_between_header_and_write_is_seen() -> None:
    """The look at the header passes (101 < 101.5), the last look before the write does not (102)."""
    async with partner(polite) as far, caller(far.url, FakeClock(step=1.0)) as near:
        assert await near.call(post(101.5)) == NeverLeft("send_deadline")
        await asyncio.sleep(0.05)
        assert far.got == b""


async def test_a_blocked_loop_is_seen() -> None:
    """The process stands still after connecting; its first act afterwards is the look at the clock."""

    class Stopping(LoopClock):
        looks = 0

        def boottime(self) -> float:
            self.looks += 1
            return super().boottime() + (10.0 if self.looks > 1 else 0.0)

    async with partner(polite) as far, caller(far.url, Stopping()) as near:
        assert await near.call(post(now() + 5.0)) == NeverLeft("send_deadline")
        await asyncio.sleep(0.05)
        assert far.got == b""


async def test_nothing_is_written_between_the_last_look_and_the_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp must hold back the header until then: at the last look no byte may have reached the socket."""
    looks: list[int] = []
    async with partner(polite) as far:

        class Counting(FakeClock):
            def boottime(self) -> float:
                looks.append(len(sent))
                return 0.0

        sent: list[bytes] = []
        real = asyncio.selector_events._SelectorSocketTransport.write  # type: ignore[attr-defined]

        def write(transport: object, data: bytes) -> None:
            if b"POST" in bytes(data) or b"money" in bytes(data):
                sent.append(bytes(data))
            real(transport, data)

        monkeypatch.setattr(asyncio.selector_events._SelectorSocketTransport, "write", write)  # type: ignore[attr-defined]
        async with caller(far.url, Counting()) as near:
            assert isinstance(await near.call(post(1.0)), Reply)
    assert looks == [0, 0]
    assert len(sent) == 1  # header and body in one piece
    assert sent[0].startswith(b"POST /pay HTTP/1.1\r\n")
    assert sent[0].endswith(b"\r\n\r\nmoney")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_dead_kept_connection_is_not_used_again_by_itself(method: str) -> None:
    """aiohttp would send a GET again by itself; whoever calls decides that, not the client."""

    async def once(visit: Visit) -> None:
        await visit.request()
        await visit.send(reply(b"hello"))
        await visit.request()
        visit.writer.close()

    call = HttpCall(method=method, target="/", body=b"x" if method == "POST" else None, time_outs=QUICK, reply_limit=99)
    async with partner(once) as far, caller(far.url, FakeClock()) as near:
        assert isinstance(await near.call(call), Reply)
        result: Result = await near.call(call)
        assert isinstance(result, MayHaveLeft)
        assert far.requests == 2


def test_guard_lets_out_once() -> None:
    guard = Guard(lambda: 1.0, 2.0, has_body=False)
    guard.headers_ready()
    assert guard.passed
    with pytest.raises(Withheld):
        guard.headers_ready()
    assert guard.withheld == ""  # this says that something left, so nothing may say the opposite


async def test_not_open() -> None:
    near = HttpCaller(clock=FakeClock(), base_url="http://localhost:1", connections=1)
    with pytest.raises(RuntimeError):
        await near.call(post(None))
    await near.close()


async def test_unused_listener_sees_nothing_after_close() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        async with caller(f"http://127.0.0.1:{listener.getsockname()[1]}", LoopClock()) as near:
            waiting = asyncio.create_task(near.call(post(None, TimeOuts(connect_ms=500, total_ms=600))))
            await asyncio.sleep(0.1)
            await near.close()
            assert isinstance(await waiting, MayHaveLeft)


async def test_a_request_carries_the_trace_context_of_its_task() -> None:
    async with partner(polite) as far, caller(far.url, FakeClock()) as near:
        await near.call(post(None))
        assert b"traceparent" not in far.got.lower()
        mark = traces.CURRENT.set("00-" + "1" * 32 + "-" + "2" * 16 + "-01")
        try:
            await near.call(post(None))
        finally:
            traces.CURRENT.reset(mark)
        assert far.got.lower().count(b"traceparent: 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01") == 1
