"""A scenario of the failure-timing matrix as data: what is staged, done and required (design s5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from adapters.kit.faults import Kind
from adapters.kit.stage import Code, Need, Op, Result, Who
from contracts.states import State

PATIENCE_MS = 1_000
"""How long the adapter under test waits for an answer, in real milliseconds, unless a scenario says otherwise."""
WITHIN_S = 0.2
"""Real seconds of delay that such an adapter sits out."""
BEYOND_S = 1.3
"""Real seconds of delay that outlast it."""
HELD_S = 2.0
"""Real seconds for which a request is held on its way: it outlasts our patience and what we do after that."""
ASKED_S = 90
"""Seconds of the flow's time by which it must have asked once about a payment in doubt."""
SETTLING_S = 3600
"""Seconds of the flow's time within which a resolvable doubt must have ended: not found is believed late, and asked
about ever more seldom."""


class Age(StrEnum):
    """Moments that a service's declared facts fix, counted from the present one."""

    OVERDUE = "the call's deadline is past"
    ASK = "an accepted payment is asked about"
    ABSENT_FINAL = "not found is believed"
    ABSENT_VOID = "not found is believed no more"
    RESULT_DUE = "an accepted payment should have ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A fault to stage. only: staged where the service declares this need. code: put in the place of the reply's."""

    on: Op
    kind: Kind
    times: int | None = 1
    delay_s: float = 0
    code: Code | None = None
    only: Need | None = None
    who: Who | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """Put these troubles in the place of all former ones; none: end them."""

    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True)
class Pay:
    """Accept a payment; nothing is sent before the flow settles."""

    who: Who = Who.USUAL


@dataclass(frozen=True, slots=True)
class Settle:
    """Let the flow do what is due, to the end."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Let the flow do what is due beside the steps that follow, until End."""


@dataclass(frozen=True, slots=True)
class End:
    """Wait for what Begin began."""


@dataclass(frozen=True, slots=True)
class Booked:
    """Wait until the simulator has the newest payment in its book."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let real seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Advance:
    """Let time pass, all of it at once, and settle where `settle`."""

    by: int | Age
    settle: bool = True


@dataclass(frozen=True, slots=True)
class Spent:
    """Let time pass, little by little, until the simulator has shown every trouble that is shown a set number of times.

    How soon a flow asks or repeats is its own business; it must within SETTLING_S.
    """


@dataclass(frozen=True, slots=True)
class Reverse:
    """Let policy reverse the payment in doubt."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """A person takes the payment back. granted: whether the flow must take the request."""

    granted: bool = True


@dataclass(frozen=True, slots=True)
class Decide:
    """End the open record by hand."""

    result: Result


@dataclass(frozen=True, slots=True)
class Expect:
    """The newest payment is in one of these states now. or_later: also allowed where results come by themselves.

    patience_s: real seconds within which it must get there; 0: at once.
    """

    states: frozenset[State]
    or_later: frozenset[State] = frozenset()
    patience_s: float = 0


@dataclass(frozen=True, slots=True)
class Undo:
    """The newest reversal or cancel of the payment is in this state (contracts.states.OrderState), or there is none."""

    state: str | None


Step = Show | Pay | Settle | Begin | End | Booked | Pause | Advance | Spent | Reverse | Cancel | Decide | Expect | Undo
"""One thing a scenario does or looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the matrix.

    story: what happens, in a sentence. needs: declared facts without which it is not played. end: the states required
    when at most `settling_s` of the flow's time have passed after the steps. breaks: codes that must be open then;
    may_break: codes that may be open besides; no others. silent: the biller never says what became of it, so that
    UNKNOWN is the right end and the books cannot be compared. patience_ms: real milliseconds the adapter waits for an
    answer.
    """

    name: str
    story: str
    needs: frozenset[Need] = frozenset()
    steps: tuple[Step, ...]
    end: frozenset[State]
    breaks: frozenset[str] = frozenset()
    may_break: frozenset[str] = frozenset()
    silent: bool = False
    settling_s: int = SETTLING_S
    patience_ms: int = PATIENCE_MS

    def applies(self, declared: frozenset[Need]) -> bool:
        """Whether a service with these declared facts must pass it."""
        return self.needs <= declared


def one_of(*states: State) -> frozenset[State]:
    """A set of states, short to write."""
    return frozenset(states)


def show(*troubles: Trouble) -> Show:
    """Stage these troubles."""
    return Show(troubles)


def expect(*states: State, or_later: Iterable[State] = (), patience_s: float = 0) -> Expect:
    """Look at the state."""
    return Expect(frozenset(states), frozenset(or_later), patience_s)
