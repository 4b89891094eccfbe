"""Keeps this process's allowances: says every second what it holds, and takes what it is given."""

import asyncio
from collections.abc import Callable, Collection

from gateway.core.allowances import CALLS, Dealt, Holding, Renew
from gateway.flow.parts import Parts
from gateway.flow.shares import START_S, Share
from gateway.store.port import StoreError

RENEW_S = 1.0
QUIET_STEPS, QUIET_STEP_S = 25, 0.05


class Allowances:
    """The shares of one process in the book. closed_ms(biller): how long its breaker lets nothing through.

    A name lives as long as it is renewed in time. After a gap the process comes back under a new one, with nothing:
    what the old one left in flight is counted by the book, not by us.
    """

    def __init__(self, parts: Parts, shares: Collection[Share], closed_ms: Callable[[str], int]) -> None:
        self._parts, self._shares, self._closed_ms = parts, list(shares), closed_ms
        self._names, self._good_until = 1, float("inf")
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Under which it holds what it holds."""
        return f"{self._parts.worker}.{self._names}"

    async def open(self) -> None:
        """Ask for the first time, then again and again. Without an answer no call starts; that is all."""
        await self._try()
        self._task = self._parts.tasks.for_ever("allowances", self._renew_later, self._parts.clock)

    async def renew(self) -> bool:
        """One round. True: others wait for what it gives back, or it has no name any more. Raises StoreError."""
        asked_at = self._parts.clock.boottime()
        if asked_at >= self._good_until:
            self._lapse()
        dealt = await self._run(leaving=False)
        if dealt.lapsed:
            self._lapse()
            return True
        self._good_until = asked_at + START_S
        grants = {(grant.biller, grant.share): grant for grant in dealt.grants}
        less = [share.granted(grants[share.biller, share.name], self.name, self._good_until) for share in self._shares]
        return any(less)

    async def close(self) -> None:
        """Give everything back, once the second of the last call's token is over. No call runs any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for _ in range(QUIET_STEPS):
            if all(share.quiet() for share in self._shares):
                break
            await self._parts.clock.sleep(QUIET_STEP_S)
        try:
            await self._run(leaving=True)
        except StoreError as error:
            self._parts.note.chore_failed("allowances", error)  # they end by themselves soon

    async def _renew_later(self) -> float:
        await self._parts.clock.sleep(RENEW_S)
        await self._try()
        return 0

    async def _try(self) -> None:
        """Once, and once more where there is something to give back: it is not to lie about for a second."""
        try:
            if await self.renew():
                await self.renew()
        except StoreError as error:
            self._parts.note.chore_failed("allowances", error)

    async def _run(self, *, leaving: bool) -> Dealt:
        dealt = await self._parts.store.run(Renew(worker=self.name, holdings=self._holdings(), leaving=leaving))
        if not isinstance(dealt, Dealt):
            raise TypeError(type(dealt).__name__)
        return dealt

    def _holdings(self) -> list[Holding]:
        return [
            share.holding(closed_ms=self._closed_ms(share.biller) if share.name == CALLS else 0)
            for share in self._shares
        ]

    def _lapse(self) -> None:
        self._names += 1
        self._good_until = float("inf")
        for share in self._shares:
            share.lapsed()
