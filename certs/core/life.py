"""The life of a certificate as one table: what may happen to it in which state, and what it is then (CERT-02, M12).

Practice of registration authorities (domain s10): each step is asked for, looked at, and done, with reason and moment.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Life(StrEnum):
    """States. APPLIED, APPROVED, REFUSED are of a request; from ISSUED on there is a certificate."""

    APPLIED = "APPLIED"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    ISSUED = "ISSUED"
    BOUND = "BOUND"
    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"


class Event(StrEnum):
    """What happens to a certificate. EXPIRE is the clock's, all others are people's."""

    APPLY = "apply"
    APPROVE = "approve"
    REFUSE = "refuse"
    ISSUE = "issue"
    BIND = "bind"
    ACTIVATE = "activate"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    REPLACE = "replace"
    REVOKE = "revoke"
    EXPIRE = "expire"


PROVISIONED = "init"
"""Who did the steps of what was provisioned whole, before there was any staff to do them (JOIN-16)."""

_L, _E = Life, Event
_LIVE = (_L.ISSUED, _L.BOUND, _L.ACTIVE, _L.FROZEN)

TABLE: Mapping[tuple[Life | None, Event], Life] = {
    (None, _E.APPLY): _L.APPLIED,
    (_L.APPLIED, _E.APPROVE): _L.APPROVED,
    (_L.APPLIED, _E.REFUSE): _L.REFUSED,
    (_L.APPROVED, _E.REFUSE): _L.REFUSED,
    (_L.APPROVED, _E.ISSUE): _L.ISSUED,
    (_L.ISSUED, _E.BIND): _L.BOUND,
    (_L.BOUND, _E.ACTIVATE): _L.ACTIVE,
    **{(state, _E.FREEZE): _L.FROZEN for state in (_L.ISSUED, _L.BOUND, _L.ACTIVE)},
    (_L.FROZEN, _E.UNFREEZE): _L.ACTIVE,
    (_L.ACTIVE, _E.REPLACE): _L.REPLACED,
    (_L.FROZEN, _E.REPLACE): _L.REPLACED,
    **{(state, _E.REVOKE): _L.REVOKED for state in (*_LIVE, _L.REPLACED)},
    **{(state, _E.EXPIRE): _L.EXPIRED for state in _LIVE},
}
"""What is not here is refused. REVOKED and EXPIRED are the end; of a REPLACED one the key may still turn out stolen."""

REQUESTED = frozenset({_L.APPLIED, _L.APPROVED, _L.REFUSED, _L.ISSUED})
"""States of a request."""
REGISTERED = frozenset({*_LIVE, _L.REVOKED, _L.EXPIRED, _L.REPLACED})
"""States of a certificate."""
LIVE = frozenset(_LIVE)
"""States from which there is still a way to ACTIVE."""
BOUND = frozenset({_L.BOUND, _L.ACTIVE, _L.FROZEN})
"""States in which a station's certificate has a binding, unless it was frozen before it was ever bound."""


def after(state: str | None, event: Event) -> Life | None:
    """The state that `event` leads to from `state` (None: there is nothing yet); None where it may not happen."""
    return TABLE.get((None if state is None else Life(state), event))


class RevokedFor(StrEnum):
    """Why a certificate is revoked: the reason codes of RFC 5280 s5.3.1 that a bureau needs."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


def diagram() -> str:
    """The table as a Mermaid state diagram, one line per pair of states, in the table's order."""
    return draw(TABLE.items())


def draw(steps: Iterable[tuple[tuple[StrEnum | None, StrEnum], StrEnum]]) -> str:
    """Any steps of (state, event) → state; events that lead the same way share a line."""
    lines: dict[tuple[str, str], list[str]] = {}
    for (state, event), to in steps:
        lines.setdefault((str(state or "[*]"), str(to)), []).append(str(event))
    ends = sorted({to for _, to in lines} - {state for state, _ in lines})
    drawn = [f"    {state} --> {to}: {' / '.join(events)}" for (state, to), events in lines.items()]
    return "\n".join(["stateDiagram-v2", *drawn, *(f"    {state} --> [*]" for state in ends)])
