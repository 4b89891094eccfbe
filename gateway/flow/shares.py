"""What this process may use of a biller: slots whose number changes as processes come and go."""

import math
from collections.abc import Callable, Mapping

from contracts.clock import Clock
from contracts.limits import Slots
from contracts.manifest import Manifest
from gateway.core.allowances import CALLS, HOLD_MS, QUESTIONS, Grant, Holding, Size, shares_of

START_S = HOLD_MS / 1000 - 1
"""So long after it was asked for, an allowance lets calls start: it ends before others may count on its end."""


class Share:
    """Slots of one share of a biller, as contracts.limits.Slots counts them.

    alone: no other process calls the biller, so all of the share is ours for ever. Else there is nothing until the
    first grant; and what was granted lets no call start once it is too old.
    """

    def __init__(self, biller: str, name: str, size: Size, clock: Clock, *, alone: bool) -> None:
        self.biller, self.name, self._clock = biller, name, clock
        self._slots = Slots(size.concurrency, size.rate_per_s) if alone else Slots(0, 0)
        self._until = math.inf if alone else -math.inf
        self._older = 0
        self.place, self.among = 0, 1
        self.holder: str | None = None
        self.changed: Callable[[], None] = lambda: None

    def in_use(self) -> int:
        """Calls that run now, those of names that are over included."""
        return self._older + self._slots.in_use()

    def try_take(self, now: float) -> bool:
        """One slot and one token, or nothing. now: Clock.monotonic()."""
        return self.good() and self._slots.try_take(now)

    def free(self, now: float) -> int:
        """How many could be taken at this moment."""
        return self._slots.free(now) if self.good() else 0

    def next_at(self, now: float) -> float | None:
        """See Slots.next_at; None also where only a grant can help."""
        return self._slots.next_at(now) if self.good() else None

    def release(self) -> None:
        """A call is over. Those of names that are over count first, so that never too few are thought in use."""
        if self._older:
            self._older -= 1
        else:
            self._slots.release()

    def good(self) -> bool:
        """Whether calls may start. Asked by the clock that runs through suspension: who wakes up must not go on."""
        return self._clock.boottime() < self._until

    # the allowance

    def limits(self) -> Size:
        """What it may use now, or might if it were good."""
        return Size(self._slots.concurrency, self._slots.rate_per_s)

    def quiet(self) -> bool:
        """Whether no call runs and none began within the last second."""
        return not self.in_use() and not self._slots.tokens_out(self._clock.monotonic())

    def holding(self, *, closed_ms: int = 0) -> Holding:
        """What it holds until it is told otherwise: its limits, or what is in use where that is more."""
        slots, now = self._slots, self._clock.monotonic()
        return Holding(
            biller=self.biller,
            share=self.name,
            concurrency=max(slots.concurrency, slots.in_use()),
            rate_per_s=max(slots.rate_per_s, slots.tokens_out(now)),
            closed_ms=closed_ms,
        )

    def limit(self, size: Size) -> None:
        """Of a process that is alone: so much and no more from now on."""
        if size != self.limits():
            self._slots.resize(size.concurrency, size.rate_per_s)
            self.changed()

    def granted(self, grant: Grant, holder: str, until: float) -> bool:
        """Use so much, until then (Clock.boottime()). True where it holds less now than it did."""
        slots = self._slots
        less = grant.concurrency < slots.concurrency or grant.rate_per_s < slots.rate_per_s
        slots.resize(grant.concurrency, grant.rate_per_s)
        self.holder, self._until, self.place, self.among = holder, until, grant.place, grant.among
        self.changed()
        return less

    def lapsed(self) -> None:
        """Nothing is held any more; calls that run go on, and the book counts them as long as they are in flight."""
        self._older += self._slots.in_use()
        self._slots, self._until = Slots(0, 0), -math.inf


def make_shares(
    manifest: Manifest, clock: Clock, *, calls: bool = True, questions: bool = True, alone: bool = True
) -> dict[str, Share]:
    """The shares of a biller that a process uses, by name. Who only asks uses CALLS where questions have none."""
    sizes: Mapping[str, Size] = shares_of(manifest)
    wanted = {CALLS} if calls or QUESTIONS not in sizes else set()
    wanted |= {QUESTIONS} & set(sizes) if questions else set()
    return {name: Share(manifest.name, name, sizes[name], clock, alone=alone) for name in sorted(wanted)}
