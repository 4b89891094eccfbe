"""Where a lower room meets an upper one: the kit drives a payment flow, other rooms add routes, checks and commands."""

from dataclasses import dataclass
from typing import Protocol

from contracts.clock import Clock
from contracts.money import Fen


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A payment as the kit sees it from outside. `undo`: state of its newest reversal or cancel order."""

    gateway_serial: str
    partner_serial: str
    state: str
    amount: Fen
    paid: Fen | None
    in_doubt: bool
    undo: str | None
    breaks: tuple[str, ...]


class Surroundings(Protocol):
    """What a command of a lower room is given as click's `ctx.obj`; the gateway's own is one (design s2)."""

    @property
    def clock(self) -> Clock:
        """The machine's clock."""
        ...


class Flow(Protocol):
    """A whole payment flow around one adapter, as the conformance kit drives it (design s2, s5).

    Time is the flow's own: advance() moves it, with everything that is due at the new time left to settle().
    """

    async def pay(self, service: str, biller_account: str, amount: Fen, params: dict[str, str]) -> str:
        """Accept a payment (with a bill query first where the service wants one); its gateway_serial."""
        ...

    async def cancel(self, gateway_serial: str) -> bool:
        """Ask for a cancel (撤销); False where it is refused."""
        ...

    async def reverse(self, gateway_serial: str) -> None:
        """Let policy reverse (冲正) a payment in doubt now."""
        ...

    async def settle(self) -> None:
        """Run everything that is due, until nothing moves any more at the present time."""
        ...

    async def advance(self, seconds: int) -> None:
        """Let time pass."""
        ...

    async def seen(self, gateway_serial: str) -> Seen:
        """The payment now."""
        ...

    async def all_seen(self) -> list[Seen]:
        """Every payment."""
        ...

    async def violations(self) -> list[str]:
        """What the audit finds wrong with the flow's own book; empty when all is well."""
        ...
