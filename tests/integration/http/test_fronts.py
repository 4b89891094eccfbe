"""The two other ports: partners' notices, and what the people who watch it ask."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.http.admin import AdminServer
from gateway.http.partner import PartnerServer
from tests.integration.http.house import QUIET, House


async def _ask(port: int, raw: bytes) -> tuple[int, str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
        body = await reader.readexactly(length) if not raw.startswith(b"HEAD") else b""
    writer.close()
    kind = head.partition("Content-Type: ")[2].partition("\r")[0]
    return int(head.split(" ")[1]), kind, body


async def test_the_pages_of_the_admin_port(house: House) -> None:
    admin = AdminServer(house.services)
    port = await admin.start("127.0.0.1", 0)
    try:
        assert await _ask(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == (
            200,
            "text/plain; charset=utf-8",
            b"ok\n",
        )
        ready = await _ask(port, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ready == (200, "application/json", b'{"ready":true,"reasons":[],"bus":"up"}')
        house.reasons.append("telecom: not signed in")
        assert (await _ask(port, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 503
        status, kind, body = await _ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, kind.startswith("text/plain; version=0.0.4"), body) == (200, True, b"# HELP up\n")
        for raw in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            b"GET /v1/account HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /metrics/.. HTTP/1.1\r\nHost: x\r\n\r\n",
        ):
            assert (await _ask(port, raw))[0] == 404
        assert (await _ask(port, b"HEAD /healthz HTTP/1.0\r\n\r\n"))[0] == 200
        assert (await _ask(port, b"nonsense\r\n\r\n"))[0] == 400
    finally:
        await admin.stop()


class _Adapter:
    """Takes notices; the test decides when its commit is done."""

    def __init__(self) -> None:
        self.committed = asyncio.Event()
        self.seen: list[tuple[str, bytes]] = []

    async def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
        """The bytes the partner's document names."""
        if body == b"bug":
            raise RuntimeError("an adapter's bug")
        self.seen.append((headers["x-sign"], body))
        await self.committed.wait()
        return 200, "text/plain", b"success"


def _notice(body: bytes, path: str = "/notices/telecom", more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Sign: abc\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


async def test_notices(house: House) -> None:
    """Answered only after the commit, with the adapter's own bytes; what fails is never acknowledged."""
    adapter = _Adapter()
    limits = replace(QUIET, in_flight=2, body_s=0.3, notice_s=0.5)
    partner = PartnerServer(replace(house.services, notices={"telecom": adapter.take}, limits=limits))
    port = await partner.start("127.0.0.1", 0)
    try:
        asking = asyncio.create_task(_ask(port, _notice(b"a" * 65_536)))
        await asyncio.sleep(0.1)
        assert (len(adapter.seen), asking.done()) == (1, False)
        adapter.committed.set()
        assert await asking == (200, "text/plain", b"success")
        assert adapter.seen[0] == ("abc", b"a" * 65_536)
        old = b"POST /notices/telecom HTTP/1.0\r\nX-Sign: abc\r\nContent-Length: 1\r\n\r\nx"
        assert (await _ask(port, old))[0] == 200
        chunked = b"POST /notices/telecom HTTP/1.1\r\nHost: x\r\nX-Sign: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await _ask(port, chunked + b"1\r\nx\r\n0\r\n\r\n"))[0] == 200
        for path in ("/notices/power", "/notices/", "/notices", "/notices/telecom/", "/notices/telecom?x", "/"):
            assert (await _ask(port, _notice(b"x", path)))[0] == 404
        assert (await _ask(port, b"GET /notices/telecom HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 404
        assert await _ask(port, _notice(b"a" * 65_537)) == (413, "text/plain", b"")
        assert (await _ask(port, chunked + b"10001\r\n" + b"a" * 65_537 + b"\r\n0\r\n\r\n"))[0] == 413
        assert (await _ask(port, _notice(b"slow body")[:-3]))[0] == 400
        adapter.committed.clear()
        assert (await _ask(port, _notice(b"never committed")))[0] == 500
    finally:
        await partner.stop(1)


async def test_an_adapters_bug_acknowledges_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    partner = PartnerServer(replace(house.services, notices={"telecom": _Adapter().take}))
    port = await partner.start("127.0.0.1", 0)
    try:
        assert await _ask(port, _notice(b"bug")) == (500, "text/plain", b"")
        assert "notice.failed" in caplog.text
    finally:
        await partner.stop(1)


async def test_too_many_notices_are_told_to_come_again(house: House) -> None:
    adapter = _Adapter()
    limits = replace(QUIET, in_flight=1)
    partner = PartnerServer(replace(house.services, notices={"telecom": adapter.take}, limits=limits))
    port = await partner.start("127.0.0.1", 0)
    try:
        first = asyncio.create_task(_ask(port, _notice(b"1")))
        await asyncio.sleep(0.1)
        assert (await _ask(port, _notice(b"2")))[0] == 503
        adapter.committed.set()
        assert (await first)[0] == 200
    finally:
        await partner.stop(1)
