"""The rule that the first byte of a request leaves before its `send_deadline`, or never (design s3.5)."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp


class Withheld(Exception):
    """Raised inside the client at the last moment before the first byte: nothing of this request was written."""


class Guard:
    """Lets one request out once, and only while boottime() < send_deadline.

    boottime: Clock.boottime. send_deadline: on that clock, in seconds, or None for requests that move no money.
    `passed` says whether a byte may have been handed to the transport; `withheld` why none was.
    """

    __slots__ = ("_boottime", "_has_body", "_send_deadline", "passed", "withheld")

    def __init__(self, boottime: Callable[[], float], send_deadline: float | None, has_body: bool) -> None:
        self._boottime, self._send_deadline, self._has_body = boottime, send_deadline, has_body
        self.passed = False
        self.withheld = ""

    def headers_ready(self) -> None:
        """The connection stands and the header is built; without a body this is the last moment before the write."""
        self._refuse_late()
        if not self._has_body:
            self._pass()

    def body_ready(self) -> None:
        """The last moment before header and body are written in one piece."""
        if not self.passed:
            self._refuse_late()
            self._pass()

    def _refuse_late(self) -> None:
        if self.passed:
            # aiohttp repeats a GET on its own where a kept connection proved dead; nothing here is sent twice.
            raise Withheld("repeat")
        if self._send_deadline is not None and self._boottime() >= self._send_deadline:
            self.withheld = "send_deadline"
            raise Withheld(self.withheld)

    def _pass(self) -> None:
        self.passed = True


def tracing() -> aiohttp.TraceConfig:
    """Trace hooks that ask the Guard given as `trace_request_ctx` of each request.

    aiohttp buffers the header and awaits `on_request_chunk_sent` immediately before it writes header and first chunk
    together (StreamWriter.write; despite its name the hook runs before the write), with no suspension between: that
    is later than any check around connect. tests/unit/transport/test_guard.py holds aiohttp to it.
    """
    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(_on_headers)
    config.on_request_chunk_sent.append(_on_chunk)
    return config


async def _on_headers(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    context.trace_request_ctx.headers_ready()


async def _on_chunk(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    context.trace_request_ctx.body_ready()
