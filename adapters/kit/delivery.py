"""What a fault does to a call and to the connection, before and after the business; the same for all partners."""

import asyncio
import socket
import struct

from aiohttp import web

from adapters.kit.faults import Fault, Kind

GARBAGE = b"\x00\xff<html>502 Bad Gateway"
"""A body that nobody can read."""


def cut(request: web.BaseRequest, *, reset: bool = False) -> web.Response:
    """Close the connection without a reply, with a FIN or with a RST. The response returned reaches nobody."""
    transport = request.transport
    if transport is not None:
        if reset:
            sock: socket.socket = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
    return web.Response(status=500)


async def prevented(request: web.BaseRequest, fault: Fault | None) -> web.Response | None:
    """What takes the place of the whole call, nothing done; None where it goes on, perhaps later than it came."""
    kind = None if fault is None else fault.kind
    if kind is Kind.CUT_BEFORE:
        return cut(request)
    if kind is Kind.HTTP_500_UNPAID:
        return web.Response(status=500)
    if fault is not None and kind in (Kind.LATE_ARRIVAL, Kind.UNPAID_SILENT):
        await asyncio.sleep(fault.delay_s)
    return cut(request) if kind is Kind.UNPAID_SILENT else None


async def deliver(request: web.BaseRequest, response: web.Response, fault: Fault | None) -> web.Response:
    """What becomes of the reply on its way, once the business is done."""
    if fault is None:
        return response
    if fault.kind in (Kind.PAID_THEN_SILENT, Kind.PAID_THEN_LATE):
        await asyncio.sleep(fault.delay_s)
    if fault.kind in (Kind.PAID_THEN_CUT, Kind.PAID_THEN_SILENT):
        return cut(request)
    if fault.kind is Kind.PAID_THEN_RESET:
        return cut(request, reset=True)
    return response
