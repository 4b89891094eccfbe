"""The front door: paths and methods (interface 1.2 s1, s3)."""

import re

from aiohttp import web

from adapters.kit.server import Door
from adapters.tv.simulator import staging
from adapters.tv.simulator.messages import refuse
from adapters.tv.simulator.platform import POSTS, Call, Options, Platform

_PATHS = tuple(
    (re.compile(pattern), operation)
    for pattern, operation in (
        (r"/oauth/token", staging.TOKEN),
        (r"/v1/accounts/([^/?]+)", staging.ACCOUNT),
        (r"/v1/orders", staging.ORDER),
        (r"/v1/orders/([^/?]+)", staging.RESULT),
        (r"/v1/orders/([^/?]+)/refund-requests", staging.REFUND),
        (r"/v1/refund-requests/([^/?]+)", staging.REFUND_RESULT),
        (r"/v1/day-files/([0-9]{4}-[0-9]{2}-[0-9]{2})/([^/?]+)", staging.DAY_FILE),
    )
)


class Running(Door[Platform]):
    """A simulator that listens. url: its base address, without a slash at the end."""

    async def dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        """Find the operation; path and method are the first checks (s6)."""
        for path, operation in _PATHS:
            found = path.fullmatch(request.raw_path)
            if found is not None:
                if request.method != ("POST" if operation in POSTS else "GET"):
                    return staging.reply(refuse(405, "method_not_allowed"), None)
                return await self.platform.serve(Call(operation, found.groups(), request))
        return staging.reply(refuse(404, "not_found"), None)


async def start(options: Options) -> Running:
    """Start a simulator on the running event loop. Close what it returns."""
    return await Running(Platform(options), options.host).start(options.port)
