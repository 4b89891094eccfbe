"""A simulator's front door: a real HTTP server that can close its listener for a while."""

import asyncio
import socket
from abc import abstractmethod
from contextlib import AsyncExitStack, suppress
from typing import Generic, Protocol, Self, TypeVar

from aiohttp import web

from adapters.kit import control_routes
from adapters.kit.control_routes import Controlled


class Housed(Controlled, Protocol):
    """What stands behind the door and owns the book."""

    def open(self) -> None:
        """Open the book and go on with what an earlier run left open. Raises sqlite3.Error."""
        ...

    async def close(self) -> None:
        """Stop what is under way and close the book."""
        ...


P = TypeVar("P", bound=Housed)


class Door(Generic[P]):
    """A simulator that listens; a partner's own door says what it does with a request. url: without a slash at the end.

    keep_alive_s: how long the partner keeps an idle connection.
    """

    def __init__(self, platform: P, host: str, *, keep_alive_s: float = 30) -> None:
        self.platform, self.host = platform, host
        self.port = 0
        self._server = web.Server(self._handle, keepalive_timeout=keep_alive_s, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.2)
        self._site: web.SockSite | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._busy: set[web.RequestHandler] = set()

    @abstractmethod
    async def dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request of the partner's interface."""

    @property
    def url(self) -> str:
        """Base address and address of the control interface."""
        return f"http://{self.host}:{self.port}"

    async def open(self, port: int) -> None:
        """Open the book and listen. Raises OSError where the port is taken, sqlite3.Error where the book is bad."""
        self.platform.open()
        await self._runner.setup()
        await self._listen(port)

    async def start(self, port: int) -> Self:
        """Open, or leave nothing open. Close what it returns."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            await self.open(port)
            undo.pop_all()
        return self

    async def close(self) -> None:
        """Stop listening, break off what runs, close the book."""
        if self._reopening is not None:
            self._reopening.cancel()
            with suppress(asyncio.CancelledError):
                await self._reopening
        await self._runner.cleanup()
        await self.platform.close()

    async def refuse_connections(self, delay_s: float) -> None:
        """Close the listener and every idle connection now; listen again on the same port after `delay_s` seconds."""
        if self._site is None:
            return
        site, self._site = self._site, None
        await site.stop()
        for connection in self._server.connections:
            # close() ends a busy connection after its call; an idle one it would leave open without a reader.
            if connection in self._busy:
                connection.close()
            else:
                connection.force_close()

        async def reopen() -> None:
            await asyncio.sleep(delay_s)
            await self._listen(self.port)

        self._reopening = asyncio.get_running_loop().create_task(reopen())

    async def _listen(self, port: int) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((self.host, port))
        except OSError:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        self._site = web.SockSite(self._runner, sock, backlog=512)
        await self._site.start()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._busy.add(connection)
        try:
            if request.raw_path.startswith(control_routes.PREFIX):
                return await control_routes.control(self.platform, request, self.refuse_connections)
            return await self.dispatch(request)
        finally:
            self._busy.discard(connection)


def closed(status: int) -> web.Response:
    """No body, and no more on this connection: what is left of the request on it was not read."""
    response = web.Response(status=status)
    response.force_close()
    return response
