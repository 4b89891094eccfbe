"""The fault proxy does to a connection exactly what it says."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from tests.stand.ports import free_port
from tests.stand.proxy import Cut, FaultProxy, Faults

REPLY = b"reply:" + bytes(range(200))


class Upstream:
    """Answers each line with REPLY and keeps what it was sent; `ends` says how its connections ended."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ends: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while piece := await reader.read(65536):
                self.received += piece
                if piece.endswith(b"\n"):
                    writer.write(REPLY)
            self.ends.append("fin")
        except ConnectionResetError:
            self.ends.append("reset")
        writer.close()


@asynccontextmanager
async def standing(faults: Faults | None = None) -> AsyncIterator[tuple[Upstream, FaultProxy]]:
    """A fresh upstream with a proxy in front."""
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    async with server, FaultProxy("127.0.0.1", upstream.port, faults) as proxy:
        yield upstream, proxy


@asynccontextmanager
async def dialled(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client connection through the proxy."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], limit_s: float = 2.0) -> None:
    """Wait until a callable is true."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_clean_wire_passes_everything_and_the_end() -> None:
    async with standing() as (upstream, proxy), dialled(proxy) as (reader, writer):
        body = b"x" * 300_000 + b"\n"
        writer.write(body)
        assert await reader.readexactly(len(REPLY)) == REPLY
        writer.write_eof()
        assert await reader.read() == b""
        assert bytes(upstream.received) == body
        assert upstream.ends == ["fin"]
        assert (proxy.links[0].request_bytes, proxy.links[0].reply_bytes) == (len(body), len(REPLY))


@pytest.mark.parametrize("passed", [0, 1, 57])
async def test_cut_reply_after_exactly_so_many_bytes_by_reset(passed: int) -> None:
    async with standing(Faults(cut_reply_after=passed)) as (upstream, proxy), dialled(proxy) as (reader, writer):
        writer.write(b"pay\n")
        assert await reader.readexactly(passed) == REPLY[:passed]
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        assert bytes(upstream.received) == b"pay\n"
        await until(lambda: upstream.ends == ["reset"])


async def test_cut_reply_by_fin_is_an_orderly_end() -> None:
    async with (
        standing(Faults(cut_reply_after=10, cut=Cut.FIN)) as (upstream, proxy),
        dialled(proxy) as (reader, writer),
    ):
        writer.write(b"pay\n")
        assert await reader.read() == REPLY[:10]
        await until(lambda: upstream.ends == ["fin"])


@pytest.mark.parametrize("passed", [0, 3])
async def test_cut_request_lets_exactly_so_many_bytes_through(passed: int) -> None:
    async with standing(Faults(cut_request_after=passed)) as (upstream, proxy), dialled(proxy) as (reader, writer):
        writer.write(b"pay it\n")
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        await until(lambda: upstream.ends == ["reset"])
        assert bytes(upstream.received) == b"pay it\n"[:passed]
        assert proxy.links[0].request_bytes == passed


async def test_silent_cut_is_half_open() -> None:
    faults = Faults(cut_reply_after=0, cut=Cut.SILENT)
    async with standing(faults) as (upstream, proxy), dialled(proxy) as (reader, writer):
        writer.write(b"pay\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        writer.write(b"more\n")
        await asyncio.sleep(0.05)
        assert bytes(upstream.received) == b"pay\n"
        assert upstream.ends == []
        await proxy.clear_faults()
        async with dialled(proxy) as (next_reader, next_writer):
            next_writer.write(b"ask\n")
            assert await next_reader.readexactly(len(REPLY)) == REPLY
        assert not reader.at_eof()


async def test_refuse_closes_the_port_and_gives_it_back() -> None:
    async with standing(Faults(refuse=True)) as (_, proxy):
        port = proxy.port
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await proxy.set_faults(refuse=False)
        assert proxy.port == port
        async with dialled(proxy) as (reader, writer):
            writer.write(b"pay\n")
            assert await reader.readexactly(len(REPLY)) == REPLY
            await proxy.set_faults(refuse=True)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"again\n")
            assert await reader.readexactly(len(REPLY)) == REPLY


async def test_delay_is_latency_in_order_and_not_throughput() -> None:
    faults = Faults(delay_ms=60, jitter_ms=30, seed=7)
    async with standing(faults) as (upstream, proxy), dialled(proxy) as (reader, writer):
        start = time.monotonic()
        for number in range(200):
            writer.write(b"%d," % number)
            await asyncio.sleep(0.001)
        writer.write(b"\n")
        await reader.readexactly(len(REPLY))
        elapsed = time.monotonic() - start
        assert bytes(upstream.received) == b"".join(b"%d," % number for number in range(200)) + b"\n"
        assert 0.12 <= elapsed < 12  # both ways once; 200 pieces one after another would take 12 s at least


async def test_trickle_sends_small_pieces() -> None:
    faults = Faults(trickle_bytes=50, trickle_gap_ms=20)
    async with standing(faults) as (_, proxy), dialled(proxy) as (reader, writer):
        start = time.monotonic()
        writer.write(b"pay\n")
        pieces: list[bytes] = []
        while len(b"".join(pieces)) < len(REPLY):
            pieces.append(await reader.read(65536))
        assert b"".join(pieces) == REPLY
        assert max(len(piece) for piece in pieces) == 50
        assert time.monotonic() - start >= 5 * 0.02


async def test_cut_on_accept_and_cut_all() -> None:
    async with standing(Faults(cut_on_accept=True)) as (upstream, proxy), dialled(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        await proxy.clear_faults()
        async with dialled(proxy) as (second, writer):
            writer.write(b"pay\n")
            await second.readexactly(len(REPLY))
            assert proxy.cut_all(Cut.RESET) == 1
            with pytest.raises(ConnectionResetError):
                await second.readexactly(1)
        await until(lambda: upstream.ends.count("reset") == 2)


async def test_dead_upstream_resets_the_client() -> None:
    async with FaultProxy("127.0.0.1", free_port()) as proxy, dialled(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)


def test_resets_under_uvloop_too() -> None:
    async def run() -> None:
        async with standing(Faults(cut_reply_after=3)) as (_, proxy), dialled(proxy) as (reader, writer):
            writer.write(b"pay\n")
            assert await reader.readexactly(3) == REPLY[:3]
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
