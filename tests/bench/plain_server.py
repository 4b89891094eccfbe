"""A biller's server for the bench: answers POST /pay after a fixed time. `python -m tests.bench.plain_server`.

GET /stats: how many calls were taken and answered, and how many at once. POST /release: answer from now on (started
with --shut it holds every call until then). --dead: it takes calls and never answers.
"""

import argparse
import asyncio
import itertools
import sys
from collections import deque
from typing import cast

import msgspec
import uvloop

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Stats(msgspec.Struct):
    """Counts since the start."""

    taken: int = 0
    answered: int = 0
    at_once: int = 0
    most_at_once: int = 0


class Server:
    """State of the biller. delay_s: from the last byte of a call to the first of its answer."""

    def __init__(self, delay_s: float, *, shut: bool, dead: bool) -> None:
        self.delay_s, self.dead = delay_s, dead
        self.opened = asyncio.Event()
        if not shut:
            self.opened.set()
        self.stats = Stats()
        self.numbers = itertools.count(1)
        self.waiting: deque[Connection] = deque()

    def take(self, connection: "Connection", body: bytes) -> None:
        """A call has come."""
        stats = self.stats
        stats.taken += 1
        stats.at_once += 1
        stats.most_at_once = max(stats.most_at_once, stats.at_once)
        connection.body = body
        if not self.dead:
            if self.opened.is_set():
                asyncio.get_running_loop().call_later(self.delay_s, self.answer, connection)
            else:
                self.waiting.append(connection)

    def release(self) -> None:
        """Begin to answer; what waits is answered after the delay."""
        self.opened.set()
        for connection in self.waiting:
            asyncio.get_running_loop().call_later(self.delay_s, self.answer, connection)
        self.waiting.clear()

    def answer(self, connection: "Connection") -> None:
        """Book it."""
        asked = msgspec.json.decode(connection.body)
        self.stats.at_once -= 1
        self.stats.answered += 1
        paid = {"serial": asked["serial"], "paid_fen": asked["amount_fen"], "biller_serial": f"P{next(self.numbers)}"}
        connection.reply(msgspec.json.encode(paid))


class Connection(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._buffer = b""
        if head.startswith(b"POST /pay "):
            self._server.take(self, body)
            return
        if head.startswith(b"POST /release "):
            self._server.release()
        self.reply(msgspec.json.encode(self._server.stats))

    def reply(self, body: bytes) -> None:
        """Answer the call of this connection."""
        if self._transport is not None:
            self._transport.write(HEAD % len(body) + body)


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def _serve(delay_s: float, *, shut: bool, dead: bool) -> None:
    server = Server(delay_s, shut=shut, dead=dead)
    listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listener.serve_forever()


def main() -> None:
    """Print the port, serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=int, default=0)
    parser.add_argument("--shut", action="store_true")
    parser.add_argument("--dead", action="store_true")
    given = parser.parse_args()
    uvloop.run(_serve(given.delay_ms / 1000, shut=given.shut, dead=given.dead))


if __name__ == "__main__":
    main()
