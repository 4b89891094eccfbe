"""The front door (telecom interface 3.4 s1): a real HTTP server before the platform."""

import asyncio
import re
import socket
from contextlib import AsyncExitStack, suppress

from aiohttp import web

from adapters.telecom.signing import REQUEST_LIMIT
from adapters.telecom.simulator import control_routes, messages
from adapters.telecom.simulator.premises import Options, Platform

_PATHS = {f"/v3/{name}": name for name in messages.OPERATIONS}
_DOWNLOAD = "/v3/recon/download?token="
_CONTENT_TYPE = re.compile(r"application/json\s*;\s*charset=utf-8", re.IGNORECASE)
_KEEP_ALIVE_S = 30


class Running:
    """A simulator that listens. url: its base address, without a slash at the end."""

    def __init__(self, platform: Platform, host: str) -> None:
        self.platform, self.host = platform, host
        self.port = 0
        self._server = web.Server(self._handle, keepalive_timeout=_KEEP_ALIVE_S, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.2)
        self._site: web.SockSite | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._busy: set[web.RequestHandler] = set()

    @property
    def url(self) -> str:
        """Base address and address of the control interface."""
        return f"http://{self.host}:{self.port}"

    async def open(self, port: int) -> None:
        """Open the book and listen. Raises OSError where the port is taken, sqlite3.Error where the book is bad."""
        self.platform.open()
        await self._runner.setup()
        await self._listen(port)

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
            return await self._dispatch(request)
        finally:
            self._busy.discard(connection)

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        operation = _PATHS.get(target)
        if operation is not None:
            status = _front_door(request)
            if status is not None:
                return _closed(status)
            raw = await request.read()
            return await self.platform.serve(request, operation, raw)
        if target.startswith(_DOWNLOAD):
            return self._download(request, target.removeprefix(_DOWNLOAD))
        if target.startswith(control_routes.PREFIX):
            return await control_routes.control(self.platform, request, self.refuse_connections)
        return _closed(404)

    def _download(self, request: web.BaseRequest, token: str) -> web.Response:
        if request.method != "GET":
            return _closed(405)
        body = self.platform.recon.download(token)
        if body is None:
            return web.Response(status=404)
        return web.Response(body=body, headers={"Content-Type": "application/octet-stream"})


def _front_door(request: web.BaseRequest) -> int | None:
    """The status that turns the request away before its body is looked at, None where it may come in."""
    headers = request.headers
    if request.method != "POST":
        return 405
    length = headers.get("Content-Length", "")
    if "Transfer-Encoding" in headers or not length:
        return 411
    if int(length) > REQUEST_LIMIT:
        return 413
    if "Content-Encoding" in headers or not _CONTENT_TYPE.fullmatch(headers.get("Content-Type", "")):
        return 415
    return None


def _closed(status: int) -> web.Response:
    """No body, and no more on this connection: what is left of the request on it was not read."""
    response = web.Response(status=status)
    response.force_close()
    return response


async def start(options: Options) -> Running:
    """Start a simulator on the running event loop. Close what it returns."""
    running = Running(Platform(options), options.host)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(running.close)
        await running.open(options.port)
        undo.pop_all()
    return running
