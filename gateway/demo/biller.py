"""The biller's simulator as the demo sees it: its control interface, over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Self

import aiohttp
import msgspec

from gateway.demo.faults import DemoFault

Fault = Mapping[str, object]
"""As the control interface takes it: on, kind, account, times, delay_s, code."""


class Line(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One record of its book. charged_fen: what is owed for it now."""

    order_no: str
    kind: str
    account: str
    amount_fen: int
    charged_fen: int
    state: str
    received: int


_lines = msgspec.json.Decoder(Line)


class Biller:
    """Talks to one simulator. Use it as `async with Biller(url)`."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/_control/"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # The listener is closed on purpose at times: an idle connection must not be taken for a live one.
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=10)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def set_faults(self, faults: Sequence[Fault]) -> None:
        """Put these in the place of all faults in force."""
        await self._call("POST", "faults", msgspec.json.encode({"faults": faults}))

    async def book(self) -> list[Line]:
        """Its whole book."""
        return _lines.decode_lines(await self._call("GET", "book"))

    async def _call(self, method: str, what: str, body: bytes | None = None) -> bytes:
        assert self._session is not None, "use `async with`"
        try:
            async with self._session.request(method, self._url + what, data=body) as reply:
                raw = await reply.read()
        except (aiohttp.ClientError, TimeoutError) as failed:
            raise DemoFault(f"the simulator's control interface does not answer: {failed}") from failed
        if reply.status != 200:
            raise DemoFault(f"{method} {what}: the simulator answered {reply.status} {raw[:200].decode()}")
        return raw
