"""What a terminal's questions come back with: the structs of contracts.api, or one of these."""

from dataclasses import dataclass, field
from typing import TypeVar

from contracts import api
from contracts.problems import URN

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway provably said no, and why."""

    problem: api.Problem

    @property
    def slug(self) -> str:
        """The problem's kind, one of contracts.problems."""
        return self.problem.type.removeprefix(URN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """Nothing provable came back in time. Says nothing about the payment unless `sent` is False.

    key: the idempotency key to inquire about, None for a question that moves no money. why: English.
    sent: False where no byte of any try can have left this machine: then nothing happened.
    problem: the last refusal that was proven but decides nothing (a full gateway, a certificate out of date).
    shop_text: what a person must mend before anything can be asked (a USB key that was pulled), in Chinese, else "".
    """

    key: str | None
    why: str
    sent: bool = True
    problem: api.Problem | None = None
    shop_text: str = ""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The gateway never took the request, and the key is refused for good: cash may be given back."""

    key: str


KeyedAnswer = api.Payment | Refused | Undecided
"""Of everything that may move money."""
Fate = api.Payment | Refused | Tombstone | Undecided
"""What became of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """The newest request whose fate was open, else the newest of all, and what became of it.

    kind: `pay`, `cancel`, `refund`, `write`. request: the body as sent. known: the payment as last proven before now.
    also: all other requests that were not known to be over, newest first, each looked at as well; Undecided where
    there was no time left to ask.
    """

    key: str
    kind: str
    path: str
    request: dict[str, object] = field(repr=False)
    began_at: str
    fate: Fate
    known: api.Payment | None
    also: tuple["Last", ...] = ()

    @property
    def also_undecided(self) -> int:
        """Of how many others still nothing can be proven."""
        return sum(isinstance(one.fate, Undecided) for one in self.also)
