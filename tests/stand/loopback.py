"""Refuses every connection of the test process that would leave this machine."""

import ipaddress
import socket
import sys
from typing import Any

import uvloop

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", ""})


class OutsideNetworkError(RuntimeError):
    """A test reached for the outside network. Not an OSError: product code must not take it for a failed connection."""


def _text(host: str | bytes | None) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""


def is_loopback(host: str | bytes | None) -> bool:
    """Whether a host name or address stays on this machine. Names other than localhost do not: they need DNS."""
    text = _text(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return text.lower() in _NAMES


def refuse_outside(host: str | bytes | None) -> None:
    """Raise OutsideNetworkError unless `host` is loopback."""
    if not is_loopback(host):
        raise OutsideNetworkError(f"tests stay on loopback; {host!r} is outside")


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event in _EVENTS:
        sock, address = args[0], args[1]
        # sendmsg on a connected socket has no address; Unix sockets have a path.
        if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            refuse_outside(address[0])
    elif event == "socket.getaddrinfo" and not _is_numeric(args[0]):
        refuse_outside(args[0])


def _is_numeric(host: str | bytes | None) -> bool:
    """A literal address needs no DNS; whether it may be connected to is asked at connect."""
    try:
        ipaddress.ip_address(_text(host))
    except ValueError:
        return False
    return True


def _guard_uvloop() -> None:
    """uvloop connects inside libuv, where no audit event is raised."""
    plain: Any = uvloop.Loop.create_connection

    async def create_connection(
        self: uvloop.Loop, protocol_factory: Any, host: str | None = None, port: int | None = None, **options: Any
    ) -> Any:
        refuse_outside(host)
        return await plain(self, protocol_factory, host, port, **options)

    uvloop.Loop.create_connection = create_connection  # type: ignore[method-assign,assignment]


def install() -> None:
    """Arm the guard for the life of this process; more calls change nothing (audit hooks cannot be taken away)."""
    if not getattr(sys, "_bianmin_loopback_guard", False):
        sys._bianmin_loopback_guard = True  # type: ignore[attr-defined]
        sys.addaudithook(_audit)
        _guard_uvloop()
