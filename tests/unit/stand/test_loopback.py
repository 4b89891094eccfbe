"""The guard refuses the outside and leaves loopback alone. 192.0.2.0/24 is for documentation: it leads nowhere."""

import asyncio
import os
import socket

import pytest
import uvloop

from tests.stand.loopback import OutsideNetworkError, is_loopback

OUTSIDE = ("192.0.2.1", 9)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::1%lo", "localhost", b"127.0.0.1", None, ""])
def test_loopback(host: str | bytes | None) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::", "2001:db8::1", "example.com", "127.0.0.1.example.com"])
def test_outside(host: str) -> None:
    assert not is_loopback(host)


def test_connect_and_send_are_refused() -> None:
    with socket.socket() as plain, pytest.raises(OutsideNetworkError):
        plain.connect(OUTSIDE)
    with socket.socket() as plain, pytest.raises(OutsideNetworkError):
        plain.connect_ex(OUTSIDE)
    with socket.socket(type=socket.SOCK_DGRAM) as plain, pytest.raises(OutsideNetworkError):
        plain.sendto(b"x", OUTSIDE)


def test_names_are_not_looked_up() -> None:
    with pytest.raises(OutsideNetworkError):
        socket.getaddrinfo("example.com", 443)
    assert socket.getaddrinfo("localhost", 443)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_event_loops_are_held_too(loop_factory: object) -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close()
            await writer.wait_closed()
        with pytest.raises(OutsideNetworkError):
            await asyncio.open_connection(*OUTSIDE)

    assert callable(loop_factory)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())


def test_product_environment_is_gone() -> None:
    assert [name for name in os.environ if name.startswith(("BIANMIN_", "PG"))] == []
