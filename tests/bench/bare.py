"""A server that does nothing but answer: the first stone of the floor. `python -m tests.bench.bare`."""

import asyncio
import sys

import uvloop
from aiohttp import web

HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store, no-transform"}
BODY = b'{"gateway_serial":"' + b"x" * 780 + b'"}'
"""About as long as a payment."""


async def _answer(request: web.BaseRequest) -> web.StreamResponse:
    await request.read()
    return web.Response(status=202, headers=HEADERS, body=BODY)


async def _serve() -> None:
    server = web.Server(_answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listener.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
