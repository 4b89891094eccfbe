"""Every way a partner can fail on a real socket, and what it proves (style s4)."""

import asyncio
import gzip
import socket

import aiohttp
import pytest

from adapters.transport.http import HttpCall, HttpCaller, MayHaveLeft, NeverLeft, Reply, TimeOuts, client_timeout
from contracts.sent import SENT
from tests.unit.transport.partners import Answering, FakeClock, Visit, partner, polite, reply
from tests.unit.transport.test_guard import caller, post

SHORT = TimeOuts(connect_ms=300, total_ms=500)
PATIENT = TimeOuts(connect_ms=2_000, total_ms=2_500)
"""For those that connect: a machine that stalls must not look like a partner that does not answer."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_refused() -> None:
    async with caller(f"http://localhost:{free_port()}", FakeClock()) as near:
        assert await near.call(post(None)) == NeverLeft("ClientConnectorError")


async def test_name_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    async with caller("http://nowhere.invalid", FakeClock()) as near:
        assert await near.call(post(None)) == NeverLeft("ClientConnectorDNSError")


async def test_tls_to_a_plain_server() -> None:
    async with partner(polite) as far, caller(f"https://localhost:{far.port}", FakeClock()) as near:
        assert isinstance(await near.call(post(None)), NeverLeft)
        assert b"money" not in far.got


async def test_handshake_that_never_ends() -> None:
    async def silent(visit: Visit) -> None:
        await visit.reader.read(-1)

    async with partner(silent) as far, caller(f"https://localhost:{far.port}", FakeClock()) as near:
        assert await near.call(post(None, SHORT)) == NeverLeft("ConnectionTimeoutError")


async def test_pool_that_never_frees() -> None:
    async def silent(visit: Visit) -> None:
        await visit.request()
        await asyncio.sleep(5)

    async with partner(silent) as far, caller(far.url, FakeClock(), connections=1) as near:
        first = asyncio.create_task(near.call(post(None, TimeOuts(connect_ms=300, total_ms=1_000))))
        await asyncio.sleep(0.05)
        assert await near.call(post(None, SHORT)) == NeverLeft("ConnectionTimeoutError")
        assert isinstance(await first, MayHaveLeft)
        assert far.requests == 1


async def test_a_repeat_that_finds_nobody_is_not_proven_unsent() -> None:
    """The first try went out on a kept connection and was lost; that the second was refused proves nothing."""

    async def once(visit: Visit) -> None:
        await visit.request()
        await visit.send(reply(b"hello"))
        await visit.request()
        far.stop_listening()
        await asyncio.sleep(0.05)
        visit.writer.close()

    call = HttpCall(method="GET", target="/", time_outs=SHORT, reply_limit=99)
    async with partner(once) as far, caller(far.url, FakeClock()) as near:
        assert isinstance(await near.call(call), Reply)
        assert await near.call(call) == MayHaveLeft("ClientConnectorError")


CLASSES: list[tuple[Exception, type]] = [
    (aiohttp.ClientConnectorError(None, OSError(111, "refused")), NeverLeft),  # type: ignore[arg-type]
    (aiohttp.ClientConnectorDNSError(None, OSError(-2, "unknown")), NeverLeft),  # type: ignore[arg-type]
    (aiohttp.ConnectionTimeoutError(), NeverLeft),
    (aiohttp.InvalidURL("x"), NeverLeft),
    (aiohttp.ClientOSError(104, "reset"), MayHaveLeft),
    (aiohttp.ClientConnectionError(), MayHaveLeft),
    (aiohttp.ServerDisconnectedError(), MayHaveLeft),
    (aiohttp.ServerTimeoutError(), MayHaveLeft),
    (aiohttp.SocketTimeoutError(), MayHaveLeft),
    (aiohttp.ClientPayloadError(), MayHaveLeft),
    (aiohttp.ClientError(), MayHaveLeft),
    (TimeoutError(), MayHaveLeft),
    (ConnectionResetError(), MayHaveLeft),
    (OSError(), MayHaveLeft),
    (ValueError(), MayHaveLeft),
    (MemoryError(), MayHaveLeft),
]


@pytest.mark.parametrize(("failure", "expected"), CLASSES, ids=[type(failure).__name__ for failure, _ in CLASSES])
async def test_which_classes_prove_that_nothing_left(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, expected: type
) -> None:
    """style s4's table, class by class, beside what the guard saw."""

    async def fail(*_: object) -> Reply:
        raise failure

    monkeypatch.setattr(HttpCaller, "_exchange", fail)
    async with caller("http://localhost:1", FakeClock()) as near:
        assert await near.call(post(None)) == expected(type(failure).__name__)


async def close_on_accept(visit: Visit) -> None:
    visit.writer.close()


async def close_after_request(visit: Visit) -> None:
    await visit.request()
    visit.writer.close()


async def reset_after_request(visit: Visit) -> None:
    await visit.request()
    visit.reset()


async def reset_on_accept(visit: Visit) -> None:
    visit.reset()


async def silence(visit: Visit) -> None:
    await visit.request()
    await asyncio.sleep(5)


async def dribble(visit: Visit) -> None:
    """A byte now and then keeps any read time-out quiet; only the total ends it."""
    await visit.request()
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        await visit.send(b"x")
        await asyncio.sleep(0.05)


def sending(raw: bytes) -> Answering:
    async def answer(visit: Visit) -> None:
        await visit.request()
        await visit.send(raw)
        visit.writer.close()

    return answer


FAULTS: dict[str, Answering] = {
    "closed on accept": close_on_accept,
    "reset on accept": reset_on_accept,
    "closed after request": close_after_request,
    "reset after request": reset_after_request,
    "silence": silence,
    "dribble": dribble,
    "half header": sending(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut body": sending(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
    "cut chunk": sending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf"),
    "garbage": sending(b"\x00\xff\x01 garbage \r\n\r\n"),
    "other protocol": sending(b"SSH-2.0-OpenSSH\r\n"),
    "two lengths": sending(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "length is no number": sending(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    "endless header": sending(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
    "too long by its length": sending(reply(b"x" * 1_001)),
    "too long without a length": sending(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_proves_nothing(fault: str) -> None:
    async with partner(FAULTS[fault]) as far, caller(far.url, FakeClock()) as near:
        assert isinstance(await near.call(post(None, PATIENT)), MayHaveLeft)
        assert far.requests <= 1
        assert far.connections == 1


async def test_limit_is_inclusive() -> None:
    async with partner(sending(reply(b"x" * 1_000))) as far, caller(far.url, FakeClock()) as near:
        found = await near.call(post(None))
        assert isinstance(found, Reply)
        assert len(found.body) == 1_000


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent", "303 See"])
async def test_redirects_are_not_followed(status: str) -> None:
    async with partner(polite) as other:
        raw = reply(b"", f"Location: {other.url}/pay", status=status)
        async with partner(sending(raw)) as far, caller(far.url, FakeClock()) as near:
            found = await near.call(post(None))
            assert isinstance(found, Reply)
            assert found.status == int(status[:3])
        assert other.connections == 0


async def test_gzip_stays_as_sent() -> None:
    bomb = gzip.compress(b"0" * 500_000)
    assert len(bomb) < 1_000
    async with partner(sending(reply(bomb, "Content-Encoding: gzip"))) as far, caller(far.url, FakeClock()) as near:
        found = await near.call(post(None))
        assert isinstance(found, Reply)
        assert found.body == bomb
        assert b"Accept-Encoding: identity\r\n" in far.got


async def test_every_status_is_a_reply() -> None:
    for status in ("404 Not Found", "500 Oops", "503 Busy"):
        async with partner(sending(reply(b"page", status=status))) as far, caller(far.url, FakeClock()) as near:
            found = await near.call(post(None))
            assert isinstance(found, Reply)
            assert (found.status, found.body) == (int(status[:3]), b"page")


async def test_no_cookie_comes_back_and_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    async with partner(polite) as far, caller(far.url, FakeClock()) as near:
        assert isinstance(await near.call(post(None)), Reply)
        assert isinstance(await near.call(post(None)), Reply)
        assert far.connections == 1
        assert b"cookie" not in far.got.lower()


async def test_target_goes_out_as_given() -> None:
    call = HttpCall(method="GET", target="/a%2Fb?token=%41", time_outs=SHORT, reply_limit=99)
    async with partner(polite) as far, caller(far.url, FakeClock()) as near:
        assert isinstance(await near.call(call), Reply)
        assert far.got.startswith(b"GET /a%2Fb?token=%41 HTTP/1.1\r\n")


async def test_length_is_sent_and_nothing_chunked() -> None:
    async with partner(polite) as far, caller(far.url, FakeClock()) as near:
        await near.call(post(None))
        assert b"Content-Length: 5\r\n" in far.got
        assert b"chunked" not in far.got.lower()


def test_long_time_outs_are_not_rounded_up() -> None:
    """aiohttp rounds time-outs above its threshold (5 s) up to a full second of its clock: past a call deadline."""
    for total_ms in (4_000, 18_000, 57_000):
        made = client_timeout(TimeOuts(connect_ms=2_000, total_ms=total_ms))
        assert made.total == total_ms / 1000
        assert made.ceil_threshold > total_ms / 1000


async def test_cancelling_leaves_nothing_open() -> None:
    async with partner(silence) as far, caller(far.url, FakeClock()) as near:
        call = asyncio.create_task(near.call(post(None)))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


@pytest.mark.parametrize("bad", [(0, 10), (10, 10), (11, 10), (-1, 10)])
def test_a_total_that_ends_first_is_refused(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError):
        TimeOuts(connect_ms=bad[0], total_ms=bad[1])


async def test_fifty_at_once() -> None:
    async with partner(polite) as far, caller(far.url, FakeClock(), connections=5) as near:
        found = await asyncio.gather(*(near.call(post(None)) for _ in range(50)))
        assert all(isinstance(one, Reply) for one in found)
        assert far.connections <= 5


async def test_m11_what_left_is_noted_and_what_did_not_is_not() -> None:
    """M11: the first line, the headers that may be evidence, the body, byte for byte; never a password's header."""

    async def silent(visit: Visit) -> None:
        await visit.request()
        await asyncio.sleep(5)

    sent: list[bytes] = []
    token = SENT.set(sent)
    try:
        async with partner(polite) as far, caller(far.url, FakeClock()) as near:
            headers = {
                "Content-Type": "text/x",
                "Authorization": "Basic c2VjcmV0",
                "Signature": "bm=:AA==:",
                "X-Key": "k",
            }
            call = HttpCall(
                method="POST", target="/pay?a=%E4", body=b"money", headers=headers, time_outs=SHORT, reply_limit=100
            )
            assert isinstance(await near.call(call), Reply)
            line = b"POST /pay?a=%E4 HTTP/1.1\r\nHost: localhost:" + str(far.port).encode()
            assert sent == [line + b"\r\nContent-Type: text/x\r\nSignature: bm=:AA==:\r\n\r\nmoney"]
            assert far.got.startswith(line[: line.index(b"\r\n")])
            assert await near.call(post(0.0)) == NeverLeft("send_deadline")
        async with partner(silent) as far, caller(far.url, FakeClock()) as near:
            assert isinstance(await near.call(post(None, SHORT)), MayHaveLeft)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await near.call(post(None))
        async with caller(f"http://localhost:{free_port()}", FakeClock()) as near:
            assert isinstance(await near.call(post(None)), NeverLeft)
    finally:
        SENT.reset(token)
    assert [one.rpartition(b"\r\n\r\n")[2] for one in sent] == [b"money"] * 3
