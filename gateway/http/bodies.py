"""Reading a request's body: whole, in time, and no more than is allowed."""

import asyncio

from aiohttp import hdrs

from gateway.http.problems import BadRequest
from gateway.http.protocol import Incoming


async def read_body(incoming: Incoming, *, limit: int, seconds: float) -> bytes:
    """The body, at most `limit` bytes. Raises BadRequest: `too-large`, or `malformed` if it does not come in time.

    ConnectionError where the client went away meanwhile.
    """
    payload = incoming.payload
    announced = incoming.head.headers.get(hdrs.CONTENT_LENGTH)
    # The parser has seen to it that this is one number.
    if announced is not None and int(announced) > limit:
        raise _too_large(limit)
    if payload.is_eof():
        body = payload.read_nowait()
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while part := await payload.readany():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise BadRequest("malformed", f"The body did not come within {seconds:g} s.") from None
    return b"".join(parts)


def _too_large(limit: int) -> BadRequest:
    return BadRequest("too-large", f"A body of more than {limit} bytes.")
