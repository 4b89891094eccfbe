"""A user-space TCP fault proxy: what a bad network, a firewall or a dying peer does to one connection."""

import asyncio
import random
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

CHUNK_BYTES = 65536


class Cut(StrEnum):
    """How a connection ends. FIN: both sides closed in order. RESET: a real RST to both sides. SILENT: half-open,
    both sides stay connected, whatever they send is swallowed and nothing comes back."""

    FIN = "fin"
    RESET = "reset"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What the proxy does from now on; the default is a clean wire.

    delay_ms, jitter_ms: added one way to every piece (delay ± nothing to jitter, from `seed`); order is kept.
    cut_request_after, cut_reply_after: exactly so many bytes of one connection pass from client to server, or from
    server to client; the first byte beyond them brings the `cut`. None: never.
    cut_on_accept: the `cut` comes before any byte. refuse: the port is closed, connecting is refused.
    trickle_bytes, trickle_gap_ms: replies arrive in pieces of so many bytes with a pause before each; 0 is off.
    """

    delay_ms: int = 0
    jitter_ms: int = 0
    seed: int = 0
    cut_request_after: int | None = None
    cut_reply_after: int | None = None
    cut_on_accept: bool = False
    cut: Cut = Cut.RESET
    trickle_bytes: int = 0
    trickle_gap_ms: int = 0
    refuse: bool = False


@dataclass(slots=True, eq=False)
class Link:
    """One proxied connection and what has passed through it, in bytes."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    request_bytes: int = 0
    reply_bytes: int = 0
    silent: bool = False

    def end(self, how: Cut) -> None:
        """Cut this connection now."""
        if how is Cut.SILENT:
            self.silent = True
            return
        for writer in (self.client, self.server):
            if how is Cut.RESET:
                _reset(writer)
            else:
                writer.close()


@dataclass(slots=True)
class _Flow:
    """One direction of a link."""

    link: Link
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_reply: bool
    passed: int = 0
    queue: asyncio.Queue[tuple[float, bytes]] = field(default_factory=lambda: asyncio.Queue(maxsize=256))


class FaultProxy:
    """Listens on a free loopback port and forwards to (host, port). Use as `async with`; all faults can change live.

    links: every connection since the start, the open ones and the ended ones, oldest first.
    """

    def __init__(self, host: str, port: int, faults: Faults | None = None) -> None:
        self.upstream = (host, port)
        self.port = 0
        self.links: list[Link] = []
        self._faults = faults or Faults()
        self._random = random.Random(self._faults.seed)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[Link] = set()

    async def __aenter__(self) -> Self:
        await self._listen()
        if self._faults.refuse:
            await self._close_port()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._close_port()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in tuple(self._open):
            self._forget(link)

    @property
    def faults(self) -> Faults:
        """What is set now."""
        return self._faults

    async def set_faults(self, **changes: Any) -> None:
        """Change some faults, keep the others; open connections feel it from their next piece on."""
        self._faults = replace(self._faults, **changes)
        if "seed" in changes:
            self._random = random.Random(self._faults.seed)
        if self._faults.refuse:
            await self._close_port()
        elif self._server is None:
            await self._listen()

    async def clear_faults(self) -> None:
        """Back to a clean wire for what comes next; a silent connection stays silent."""
        self._faults = Faults()
        if self._server is None:
            await self._listen()

    def cut_all(self, how: Cut) -> int:
        """Cut every open connection now; how many there were."""
        links = tuple(self._open)
        for link in links:
            link.end(how)
        return len(links)

    async def _listen(self) -> None:
        # A backlog of its own and SO_REUSEADDR: the same port must come back after `refuse`.
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close_port(self) -> None:
        if self._server is not None:
            # Not wait_closed(): from Python 3.12 on it waits for the open connections, and those are to stay.
            self._server.close()
            self._server = None
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._serve(reader, writer))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            # The nearest a proxy can come to a refused upstream: the client's connection is reset.
            _reset(writer)
            return
        link = Link(client=writer, server=upstream_writer)
        self.links.append(link)
        self._open.add(link)
        for side in (writer, upstream_writer):
            # drain() then means "in the kernel", so a cut after N bytes loses none of the N.
            side.transport.set_write_buffer_limits(high=0)
        if self._faults.cut_on_accept:
            link.end(self._faults.cut)
        flows = (
            _Flow(link, reader, upstream_writer, is_reply=False),
            _Flow(link, upstream_reader, writer, is_reply=True),
        )
        try:
            await asyncio.gather(*(job for flow in flows for job in (self._read(flow), self._write(flow))))
        finally:
            self._forget(link)

    async def _read(self, flow: _Flow) -> None:
        """Take pieces off the wire and note when each is due; an empty piece marks the end."""
        piece = b"?"
        while piece:
            try:
                piece = await flow.reader.read(CHUNK_BYTES)
            except OSError:
                piece = b""
                flow.link.end(Cut.RESET if not flow.link.silent else Cut.SILENT)
            faults = self._faults
            late_ms = faults.delay_ms + (self._random.randint(0, faults.jitter_ms) if faults.jitter_ms else 0)
            await flow.queue.put((asyncio.get_running_loop().time() + late_ms / 1000, piece))

    async def _write(self, flow: _Flow) -> None:
        """Forward each piece when it is due, cut where the faults say so."""
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await flow.queue.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if flow.link.silent:
                if not piece:
                    return
                continue
            if not piece:
                _finish(flow.writer)
                return
            limit = self._faults.cut_reply_after if flow.is_reply else self._faults.cut_request_after
            allowed = piece if limit is None else piece[: max(0, limit - flow.passed)]
            await self._forward(flow, allowed)
            if len(allowed) < len(piece):
                flow.link.end(self._faults.cut)

    async def _forward(self, flow: _Flow, piece: bytes) -> None:
        step = self._faults.trickle_bytes if flow.is_reply else 0
        for at in range(0, len(piece), step or len(piece) or 1):
            part = piece[at : at + step] if step else piece
            if step:
                await asyncio.sleep(self._faults.trickle_gap_ms / 1000)
            if flow.link.silent or flow.writer.is_closing():
                return
            flow.passed += len(part)
            if flow.is_reply:
                flow.link.reply_bytes += len(part)
            else:
                flow.link.request_bytes += len(part)
            flow.writer.write(part)
            try:
                await flow.writer.drain()
            except OSError:
                # The receiver is gone; its own reader reports the end.
                return

    def _forget(self, link: Link) -> None:
        self._open.discard(link)
        for writer in (link.client, link.server):
            writer.close()


def _finish(writer: asyncio.StreamWriter) -> None:
    """Pass on an orderly end of one direction; the other may still have something to say."""
    if not writer.is_closing() and writer.can_write_eof():
        try:
            writer.write_eof()
        except OSError:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST: SO_LINGER of zero seconds throws away what is unsent and skips the FIN."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
