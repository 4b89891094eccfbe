"""Keeps this process's leases: of the jobs that only one process does at a time, those that are ours now."""

from collections.abc import Collection

from gateway.core.held import Held
from gateway.core.leases import LEASE_MS, DropLeases, HoldLeases, LeasesHeld
from gateway.flow.parts import Parts
from gateway.store.port import StoreError

RENEW_S = 1.0
ACT_S = LEASE_MS / 1000 - 1
"""So long after it was asked for, a lease is acted under. The book refuses who acts later, if another has it then."""


class Leases:
    """Leases by name. sole: no other process has this book open."""

    def __init__(self, parts: Parts, names: Collection[str], *, sole: bool) -> None:
        self._parts, self._names, self._sole = parts, sorted(names), sole
        self._held: dict[str, Held] = {}
        self._until = 0.0

    def held(self, name: str) -> Held | None:
        """The lease to act under, or None where another process has it."""
        return self._held.get(name) if self._parts.clock.boottime() < self._until else None

    def moved(self, held: Held) -> None:
        """The book refused who acted under it."""
        if self._held.get(held.name) == held:
            del self._held[held.name]

    async def open(self) -> None:
        """Ask for the first time, then again and again."""
        if self._names:
            await self._try()
            self._parts.tasks.for_ever("leases", self._renew_later, self._parts.clock)

    async def renew(self) -> None:
        """One round. Raises StoreError; what was held stays so until its time is over."""
        asked_at = self._parts.clock.boottime()
        wanted = HoldLeases(owner=self._parts.worker, names=self._names, sole=self._sole)
        reply = await self._parts.store.run(wanted)
        if not isinstance(reply, LeasesHeld):
            raise TypeError(type(reply).__name__)
        self._held, self._until = {held.name: held for held in reply.held}, asked_at + ACT_S

    async def close(self) -> None:
        """Let others have them at once."""
        held, self._held = list(self._held.values()), {}
        if held:
            try:
                await self._parts.store.run(DropLeases(held=held))
            except StoreError as error:
                self._parts.note.chore_failed("leases", error)  # they end by themselves soon

    async def _renew_later(self) -> float:
        await self._parts.clock.sleep(RENEW_S)
        await self._try()
        return 0

    async def _try(self) -> None:
        try:
            await self.renew()
        except StoreError as error:
            self._parts.note.chore_failed("leases", error)
