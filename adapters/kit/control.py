"""A client for the control interface every simulator has, for tests, the kit and the demo."""

from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec

from adapters.kit.book import BookLine
from adapters.kit.faults import Fault


class ControlError(RuntimeError):
    """The simulator refused the control call; the text says why."""


class Control:
    """Controls one simulator at `url` (its base address). The session belongs to the caller."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/") + "/_control/"
        self._session = session

    async def set_faults(self, *faults: Fault) -> None:
        """Put these in the place of all faults; none: end them. Raises ControlError for one that cannot be shown."""
        await self._call("POST", "faults", {"faults": msgspec.to_builtins(faults)})

    async def faults(self) -> list[dict[str, Any]]:
        """The faults in force, each with `left`: how often it will still show (None: without end)."""
        found: list[dict[str, Any]] = msgspec.json.decode(await self._call("GET", "faults"))["faults"]
        return found

    async def book(self, order_no: str | None = None) -> list[BookLine]:
        """Every record, or every record under one number, oldest first under each number."""
        raw = await self._call("GET", "book")
        lines: Sequence[BookLine] = msgspec.json.Decoder(BookLine).decode_lines(raw)
        return [line for line in lines if order_no in (None, line.order_no)]

    async def clock(self, offset_s: int) -> None:
        """Move the simulator's clock to so many seconds after real (or fixed) time; what is due then happens."""
        await self._call("POST", "clock", {"offset_s": offset_s})

    async def decide(self, order_no: str, state: int, succ_amount_fen: int | None = None) -> None:
        """End an open record by hand. state: the partner's own number. Raises ControlError where it is final."""
        await self._call("POST", "decide", {"orderNo": order_no, "state": state, "succAmount": succ_amount_fen})

    async def file(self, acct_date: str) -> bytes:
        """The day file of a date (yyyyMMdd) as it would be issued now."""
        return await self._call("GET", f"file?acctDate={acct_date}")

    async def issue(self, acct_date: str) -> None:
        """Issue the day file of a date now, before its hour."""
        await self._call("POST", "issue", {"acctDate": acct_date})

    async def _call(self, method: str, what: str, body: object = None) -> bytes:
        data = None if body is None else msgspec.json.encode(body)
        async with self._session.request(method, self._url + what, data=data, allow_redirects=False) as reply:
            raw = await reply.read()
            if reply.status != 200:
                raise ControlError(f"{method} {what}: {reply.status} {raw[:300].decode('utf-8', 'replace')}")
            return raw
