"""What a case of the table is given, and how much of everything it brings."""

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.integration.faults import oracle
from tests.integration.faults.cluster import Cluster, Member
from tests.integration.faults.traffic import Load
from tests.integration.faults.waiting import until_so


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """rounds: kills, restarts. seconds: how long a disturbance lasts. payments: between two of them. still_s: how long
    a process stands still, away_s: how long a server is away, at least. delay_ms: one way, of a slow wire: there and
    back it is longer than a call's deadline and a send window, at full size than any time-out of ours but one."""

    rounds: int
    seconds: float
    payments: int
    still_s: float
    away_s: float
    delay_ms: int


SMALL = Size(rounds=2, seconds=3, payments=6, still_s=7, away_s=8, delay_ms=1_500)
FULL = Size(rounds=25, seconds=20, payments=12, still_s=30, away_s=60, delay_ms=4_200)


@dataclass(slots=True, kw_only=True)
class Scene:
    """after: what is put back once the books were compared. check: how they are compared."""

    cluster: Cluster
    load: Load
    chance: random.Random
    size: Size
    after: ExitStack = field(default_factory=ExitStack)
    check: Callable[[Cluster, Load], None] = oracle.check

    def pause(self, most_s: float = 0.5) -> None:
        """A moment that no two rounds have in common."""
        time.sleep(self.chance.uniform(0, most_s))

    def restart(self, member: Member, *, crash_at: str = "", clock_s: int = 0) -> None:
        """kill -9, and a new start with these peculiarities, which the next start has no more."""
        self.cluster.kill_all([member])
        member.crash_at, member.clock_s = crash_at, clock_s
        self.cluster.launch(member)
        member.crash_at = ""

    def flows(self, payments: int = 6) -> None:
        """Payments are taken, and others end: the whole way is open."""
        ended = self.ended()
        self.load.grown(payments)
        until_so(lambda: self.ended() >= ended + payments, "payments end")

    def ended(self) -> int:
        """How many payments have ended."""
        return int(self.cluster.one("SELECT count(*) FROM payments WHERE final_at IS NOT NULL"))
