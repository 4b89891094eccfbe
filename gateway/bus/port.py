"""The port both drivers implement (design s7)."""

import enum
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.items import Message
from gateway.core.letters import FoundLetter


class Plain(enum.Enum):
    """Verdicts that need no reason."""

    TAKEN = "taken"
    FULL = "full"  # no room now: the message is to be offered again later


TAKEN, FULL = Plain.TAKEN, Plain.FULL


@dataclass(frozen=True, slots=True)
class Dropped:
    """Read and worth nothing any more: an ordinary redelivery. cause: a word for the counters."""

    cause: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Can never be used: it goes whole to the dead letters.

    reason: one of contracts.bus.DEAD_REASONS. detail: holds no value of the message.
    """

    reason: str
    detail: str = ""


Verdict = Plain | Dropped | Dead
Handler = Callable[[Message], Verdict]
Screen = Callable[[Sequence[Message]], Awaitable[Sequence["Message | Verdict"]]]
"""Asks the book once about a batch: each message comes back with the book's own facts, or why it is not for anybody.
Raises StoreError where the book cannot be asked now."""

Keep = Callable[[Sequence[FoundLetter]], Awaitable[None]]
"""Puts dead messages into the book, where people find them. Raises StoreError."""


def always_room() -> int:
    """Of a handler that never says FULL for long."""
    return 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BusView:
    """How a bus does. up: whether it takes messages. lag: messages not yet read, by topic, of this process's share.

    paused: topics whose messages wait because their handler is full. burying: whether dead letters can be put away.
    """

    up: bool
    burying: bool = True
    lag: Mapping[str, int] = field(default_factory=dict)
    paused: Collection[str] = ()

    def told(self) -> str:
        """In one word or a few, for people."""
        if not self.up:
            return "down"
        return "up" if self.burying else "dead letters cannot be written"


class Bus(Protocol):
    """At least once, in no order that matters. Handlers are called on the event loop and must not block or raise."""

    def on_request(self, biller: str, handler: Handler, room: Callable[[], int] = always_room) -> None:
        """Take this biller's request messages (orders, bill queries). room: how many more it would take now."""
        ...

    def on_result(self, handler: Handler, missed: Callable[[], None]) -> None:
        """Take result messages. missed: called where some may have gone by unheard (start, a broken connection)."""
        ...

    def on_dead(self, keep: Keep, ours: Callable[[], bool]) -> None:
        """Have dead messages kept. ours: whether this process is the one that brings what all have found."""
        ...

    async def open(self) -> None:
        """Begin to deliver. Does not wait for a broker and does not fail without one."""
        ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the bus has them all; raises BusDown where it may not have them (then they are sent again)."""
        ...

    async def leave(self) -> None:
        """Take no more requests, so that others get them; publishing and results go on."""
        ...

    def view(self) -> BusView:
        """How it does now."""
        ...

    async def close(self) -> None:
        """Deliver nothing more."""
        ...


class BusDown(Exception):
    """The bus did not take messages, or did not say that it did. taken: ids of those that it has all the same.

    failed: by topic, where the topic is known, what kind of error it was.
    """

    def __init__(
        self, cause: str, taken: Collection[str] = (), *, failed: Mapping[str, type[BaseException]] | None = None
    ) -> None:
        super().__init__(cause)
        self.taken = frozenset(taken)
        self.failed = dict(failed or {})
