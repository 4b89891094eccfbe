"""A circuit breaker as a plain state machine: time comes in as an argument, nothing waits here.

One Breaker belongs to one event loop and one biller; it decides whether a call may start, never what a payment is.
"""

from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """CLOSED: calls pass. OPEN: none passes until the cool-down ends. HALF_OPEN: one probe at a time passes."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When to open and for how long. Times in seconds.

    failures_to_open: transport failures in a row. cool_down_s doubles with each failed probe up to cool_down_max_s.
    probe_timeout_s: a probe nobody reported on by then counts as failed (its caller was cancelled).
    Raises ValueError for values that could never open, never close, or shrink.
    """

    failures_to_open: int = 5
    cool_down_s: float = 5.0
    cool_down_max_s: float = 120.0
    probe_timeout_s: float = 90.0

    def __post_init__(self) -> None:
        if self.failures_to_open < 1:
            raise ValueError("failures_to_open must be at least 1")
        if not 0 < self.cool_down_s <= self.cool_down_max_s:
            raise ValueError("cool_down_s must be above 0 and at most cool_down_max_s")
        if self.probe_timeout_s <= 0:
            raise ValueError("probe_timeout_s must be above 0")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to make one call; hand it back with the result. `round` tells calls of an earlier phase apart."""

    round: int
    probe: bool


class Breaker:
    """Counts transport failures in a row and stops calls to a biller that does not answer.

    `now` is Clock.monotonic(), in seconds, and never goes back. Every Ticket is handed to succeeded, failed or
    abandoned once. Results of calls that started before the last change of state are ignored: a slow failure of an
    hour ago neither opens a healthy breaker nor closes an open one.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._round = 0
        self._failures = 0
        self._open_until: float | None = None
        self._cool_down_s = policy.cool_down_s
        self._probe_until: float | None = None

    def state(self, now: float) -> BreakerState:
        """The state at `now`; asking changes nothing."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def failures(self) -> int:
        """Transport failures in a row since the last success."""
        return self._failures

    def retry_at(self, now: float) -> float | None:
        """When the next call may be let through; None if one may start now."""
        match self.state(now):
            case BreakerState.CLOSED:
                return None
            case BreakerState.OPEN:
                return self._open_until
        return self._probe_until if self._probe_runs(now) else None

    def try_start(self, now: float) -> Ticket | None:
        """Leave for one call, or None. In HALF_OPEN the first caller gets the probe, all others wait for it."""
        match self.state(now):
            case BreakerState.CLOSED:
                return Ticket(self._round, probe=False)
            case BreakerState.OPEN:
                return None
        if self._probe_runs(now):
            return None
        if self._probe_until is not None:  # the last probe was never reported on
            self._open(now)
            return None
        self._round += 1
        self._probe_until = now + self._policy.probe_timeout_s
        return Ticket(self._round, probe=True)

    def succeeded(self, ticket: Ticket) -> None:
        """The biller answered, whatever it said: a refusal is an answer."""
        if ticket.round != self._round:
            return
        self._failures = 0
        if ticket.probe:
            self._round += 1
            self._open_until = self._probe_until = None
            self._cool_down_s = self._policy.cool_down_s

    def failed(self, ticket: Ticket, now: float) -> None:
        """No usable answer: refused, reset, silent."""
        if ticket.round != self._round:
            return
        self._failures += 1
        if ticket.probe or self._failures >= self._policy.failures_to_open:
            self._open(now)

    def abandoned(self, ticket: Ticket) -> None:
        """The call was not made after all: it says nothing, and a probe may be taken by the next caller."""
        if ticket.probe and ticket.round == self._round:
            self._round += 1
            self._probe_until = None

    def _probe_runs(self, now: float) -> bool:
        return self._probe_until is not None and now < self._probe_until

    def _open(self, now: float) -> None:
        if self._open_until is not None:  # opened again by a probe: wait longer each time
            self._cool_down_s = min(self._cool_down_s * 2, self._policy.cool_down_max_s)
        self._round += 1
        self._open_until = now + self._cool_down_s
        self._probe_until = None
