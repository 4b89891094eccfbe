"""Speaks to the simulator as a stranger does: bytes over a socket."""

import asyncio
import re

from tests.unit.tv.recorded import raw

TOKEN_CALL = raw(1, "request")


async def exchange(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send these bytes; status, headers in lower case, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status, *lines = head.decode("ascii").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(status.split()[1]), {name.lower(): value for name, value in pairs}, body


async def token(port: int) -> bytes:
    """A fresh one."""
    _, _, body = await exchange(port, TOKEN_CALL)
    found = re.search(rb'"access_token":"([0-9a-f]{48})"', body)
    assert found is not None, body
    return found[1]


def under(request: bytes, access_token: bytes) -> bytes:
    """A recorded request with another token."""
    return re.sub(rb"Bearer [0-9a-f]{48}", b"Bearer " + access_token, request)


def http(method: str, path: str, access_token: bytes, body: bytes = b"", **headers: str) -> bytes:
    """A request of our own; headers with "" are left out."""
    lines = {"Host": "x", "Authorization": f"Bearer {access_token.decode()}", "Connection": "close"}
    if method == "POST":
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
