"""The front door (telecom interface 3.4 s1): a real HTTP server before the platform."""

import re

from aiohttp import web

from adapters.kit.server import Door, closed
from adapters.telecom.signing import REQUEST_LIMIT
from adapters.telecom.simulator import messages
from adapters.telecom.simulator.premises import Options, Platform

_PATHS = {f"/v3/{name}": name for name in messages.OPERATIONS}
_DOWNLOAD = "/v3/recon/download?token="
_CONTENT_TYPE = re.compile(r"application/json\s*;\s*charset=utf-8", re.IGNORECASE)


class Running(Door[Platform]):
    """A simulator that listens. url: its base address, without a slash at the end."""

    async def dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        """A business call, or a download."""
        target = request.raw_path
        operation = _PATHS.get(target)
        if operation is not None:
            status = _front_door(request)
            if status is not None:
                return closed(status)
            raw = await request.read()
            return await self.platform.serve(request, operation, raw)
        if target.startswith(_DOWNLOAD):
            return self._download(request, target.removeprefix(_DOWNLOAD))
        return closed(404)

    def _download(self, request: web.BaseRequest, token: str) -> web.Response:
        if request.method != "GET":
            return closed(405)
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


async def start(options: Options) -> Running:
    """Start a simulator on the running event loop. Close what it returns."""
    return await Running(Platform(options), options.host).start(options.port)
