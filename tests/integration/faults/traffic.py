"""Terminals that keep paying in a thread of their own, each payment asked for again under its key until it is answered,
and the fault proxies, whose connections must go on while the test itself waits."""

import asyncio
import threading
import time
import zlib
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

from tests.integration.http.shops import Reply, Shop
from tests.stand.proxy import Cut, FaultProxy

T = TypeVar("T")
LANES, PAUSE_S, AGAIN_S = 6, 0.08, 0.1
ANSWER_S = 120.0
"""How long one payment is asked for again before its terminal gives up."""
AMOUNTS = (1_000, 2_000, 3_000)
LATER = frozenset({429, 500, 502, 503, 504})
SIGN_AGAIN = frozenset({"request-running", "signature-expired"})
"""Problems that leave the key free. A restored book refuses for a minute what may have been signed before."""


class Traffic:
    """An event loop in a thread. Use as a context manager."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="traffic", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T], seconds: float = 300) -> T:
        """Run it there, and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run it there."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    @contextmanager
    def proxy(self, upstream: int, port: int = 0) -> Iterator["Wire"]:
        """A fault proxy to a loopback port; port: where it listens, 0: anywhere."""
        proxy = FaultProxy("127.0.0.1", upstream)
        proxy.port = port
        self.do(proxy.__aenter__())
        try:
            yield Wire(self, proxy)
        finally:
            self.do(proxy.__aexit__(None, None, None))


class Wire:
    """A proxy, from the test's own thread."""

    def __init__(self, traffic: Traffic, proxy: FaultProxy) -> None:
        self._traffic, self._proxy = traffic, proxy

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._proxy.port

    def faults(self, **changes: Any) -> None:
        """See FaultProxy.set_faults."""
        self._traffic.do(self._proxy.set_faults(**changes))

    def clear(self) -> None:
        """See FaultProxy.clear_faults."""
        self._traffic.do(self._proxy.clear_faults())

    def cut(self, how: Cut) -> int:
        """Cut what is open; how many connections there were."""

        async def cut() -> int:
            return self._proxy.cut_all(how)

        return self._traffic.do(cut())

    def bytes(self) -> int:
        """What has passed."""
        return sum(link.request_bytes + link.reply_bytes for link in self._proxy.links)


class Load:
    """told: by key, the serial that a proven reply promised. ended: keys that one called SUCCESS. refused: by key, the
    problem. broken: how many tries ended without a proven reply."""

    def __init__(self, traffic: Traffic, shops: Sequence[Shop], mark: str) -> None:
        self._traffic, self._shops, self.mark = traffic, list(shops), mark
        self.told: dict[str, str] = {}
        self.ended: set[str] = set()
        self.refused: dict[str, str] = {}
        self.unanswered: set[str] = set()
        self.broken = self._number = 0
        self._stop = False
        self._done, self._held = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        self._traffic.begin(self._run())
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        assert self._done.wait(ANSWER_S + 30), "the terminals hang"

    def grown(self, by: int, within_s: float = 90.0) -> None:
        """Until so many more payments were promised."""
        goal, until = len(self.told) + by, time.monotonic() + within_s
        while len(self.told) < goal:
            assert time.monotonic() < until, f"{len(self.told)} of {goal} payments; {self.broken} tries broke"
            time.sleep(0.02)

    def through(self, port: int) -> None:
        """Reach the gateways at another port from the next payment on."""
        for shop in self._shops:
            shop.port = port

    def hold(self) -> None:
        """No new payment; those that are asked for go on."""
        self._held.set()

    def go_on(self) -> None:
        """Pay again."""
        self._held.clear()

    def forget(self, told: Mapping[str, str]) -> None:
        """Promises that the case itself has undone."""
        for key in told:
            del self.told[key]
            self.ended.discard(key)

    async def _run(self) -> None:
        try:
            await asyncio.gather(*(self._lane(lane) for lane in range(LANES)))
        finally:
            self._done.set()

    async def _lane(self, lane: int) -> None:
        shop = self._shops[lane % len(self._shops)]
        while not self._stop:
            if self._held.is_set():
                await asyncio.sleep(AGAIN_S)
                continue
            self._number += 1
            number = self._number
            await self._until_answered(shop, f"{self.mark}-{number:06d}-{'k' * 12}", number)
            await asyncio.sleep(PAUSE_S)

    async def _until_answered(self, shop: Shop, key: str, number: int) -> None:
        # Two in a row go to one account, which must be called in turn.
        account = f"139{zlib.crc32(self.mark.encode()) % 1000:03d}{number // 2 % 100_000:05d}"
        fen = AMOUNTS[number % len(AMOUNTS)]
        wait = 2 if number % 3 == 0 else None
        until = time.monotonic() + ANSWER_S
        while time.monotonic() < until:
            reply = await self._try(shop, key, account, fen, wait)
            if reply is None:
                self.broken += 1
            elif reply.status in (200, 201, 202):
                self.told[key] = reply.json["gateway_serial"]
                if reply.json["state"] == "SUCCESS":
                    self.ended.add(key)
                return
            elif reply.status not in LATER and reply.slug not in SIGN_AGAIN:
                self.refused[key] = reply.slug
                return
            await asyncio.sleep(AGAIN_S)
        self.unanswered.add(key)

    async def _try(self, shop: Shop, key: str, account: str, fen: int, wait: int | None) -> Reply | None:
        """A proven reply, or None."""
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            reply = await shop.pay(fen, key=key, biller_account=account, wait=wait)
            return reply if reply.signed else None
        return None
