"""HTTP/1.1 on aiohttp's parser and connection loop, without its request, response and router objects.

What is left out is what costs: one request is one parsed head and one stream of bytes, one reply is one write.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from gateway.http.answers import Written
from gateway.http.services import Limits

LINGER_S = 2.0
"""How long what a refused client still sends is thrown away, so that it reads its refusal instead of a reset."""
BACKLOG = 1024


class Incoming:
    """One request: its parsed head, and its body as it comes. The least that aiohttp's loop asks of a request."""

    __slots__ = ("_protocol", "_task", "head", "payload")

    def __init__(self, head: RawRequestMessage, payload: StreamReader, task: Any, protocol: Any = None) -> None:
        self.head, self.payload, self._task, self._protocol = head, payload, task, protocol

    def peer_certificate(self) -> bytes | None:
        """DER of the client certificate that the peer's handshake proved; None without one, and without TLS."""
        transport = getattr(self._protocol, "transport", None)
        layer: ssl.SSLObject | None = transport.get_extra_info("ssl_object") if transport is not None else None
        return layer.getpeercert(binary_form=True) if layer is not None else None

    def _cancel(self, error: BaseException) -> None:
        self.payload.set_exception(error)

    def _finish(self) -> None:
        """Nothing to let go."""


Handle = Callable[[Incoming], Awaitable[Written]]
Refuse = Callable[[str, str], Written]
"""(slug, detail) -> the reply to what is no request; the connection ends with it."""


class LeanProtocol(RequestHandler):
    """One connection, with a total time for each head and for each write."""

    __slots__ = ("_front", "_head_timer", "_seen")

    def __init__(self, front: "Front", server: "LeanServer", **settings: Any) -> None:
        super().__init__(server, **settings)
        self._front = front
        self._head_timer: asyncio.TimerHandle | None = None
        self._seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._front.full():
            cast(asyncio.Transport, transport).abort()
            return
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_between():
            if self._head_timer is None and data:
                self._seen = self._request_count
                self._head_timer = self._loop.call_later(self._front.limits.head_s, self._expire)
        elif self._head_timer is not None:
            self._stop_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _is_between(self) -> bool:
        """Whether bytes that come now belong to a head that is not complete."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._messages

    def _expire(self) -> None:
        self._head_timer = None
        if self._request_count == self._seen and self._is_between():
            self.force_close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    async def finish_response(self, request: Any, resp: Any, start_time: float | None) -> tuple[Any, bool]:
        """Write a reply in one go; a peer that does not read it in time loses its connection."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return resp, True
        transport.write(resp.data)
        if self.writing_paused:
            try:
                async with asyncio.timeout(self._front.limits.write_s):
                    await self._drain_helper()
            except (TimeoutError, ConnectionError):
                transport.abort()
                return resp, True
        return resp, False

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Any:
        """What is no HTTP request, or more of one than is read. Its bytes are neither shown nor logged."""
        if isinstance(exc, LineTooLong):
            return self._front.refuse("too-large", "The request line or a header line is too long.")
        if status == 400:
            return self._front.refuse("malformed", "This is not one well-formed HTTP/1.1 request.")
        return self._front.refuse("internal", "Something went wrong here.")


class LeanServer(web.Server):
    """Makes the connections of one front."""

    def __init__(self, front: "Front", handle: Handle, limits: Limits) -> None:
        def incoming(head: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Any:
            return Incoming(head, payload, task, protocol)

        # A client that goes away must not stop a decision half-way: its handler runs to the end.
        super().__init__(cast(Any, handle), request_factory=incoming, handler_cancellation=False)
        self._front = front
        self._settings: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": limits.keepalive_s,
            "lingering_time": LINGER_S,
            "max_line_size": limits.line_bytes,
            "max_field_size": limits.field_bytes,
            "max_headers": limits.header_lines,
            # What is verified is what came: nothing is decoded on the way.
            "auto_decompress": False,
        }

    def __call__(self) -> LeanProtocol:
        return LeanProtocol(self._front, self, loop=self._loop, **self._settings)

    def count(self) -> int:
        """Open connections."""
        return len(self._connections)


class Front:
    """One listening address whose requests one coroutine function answers."""

    def __init__(self, handle: Handle, refuse: Refuse, limits: Limits) -> None:
        self.limits, self.refuse = limits, refuse
        self._handle = handle
        self._server: LeanServer | None = None
        self._listener: asyncio.Server | None = None

    def connections(self) -> int:
        """Open connections."""
        return 0 if self._server is None else self._server.count()

    def full(self) -> bool:
        """Whether one more connection is one too many."""
        return self.connections() >= self.limits.connections

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False) -> int:
        """Listen, and return the port (0 asks for a free one). OSError where the address is not to be had."""
        self._server = LeanServer(self, self._handle, self.limits)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._server, host, port, ssl=tls, backlog=BACKLOG, reuse_port=reuse_port or None
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self, drain_s: float) -> None:
        """Take no more connections, end idle ones, give running requests so many seconds, then end them."""
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(drain_s)
