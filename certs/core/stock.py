"""The stock of USB keys as one table: received, handed out, come back, lost, destroyed (CERT-01, CERT-04)."""

from collections.abc import Mapping
from enum import StrEnum

from certs.core.life import draw


class Stock(StrEnum):
    """Where a key is. HANDING_OUT: one person has prepared it for a holder, another has not approved yet."""

    IN_STOCK = "IN_STOCK"
    HANDING_OUT = "HANDING_OUT"
    ISSUED = "ISSUED"
    RETURNED = "RETURNED"
    LOST = "LOST"
    DESTROYED = "DESTROYED"


class Movement(StrEnum):
    """What happens to a key. HAND_OVER is the approval of a hand-out, KEEP its rejection."""

    RECEIVE = "receive"
    HAND_OUT = "hand-out"
    HAND_OVER = "hand-over"
    KEEP = "keep"
    RETURN = "return"
    LOSE = "lost"
    DESTROY = "destroy"


_S, _M = Stock, Movement

TABLE: Mapping[tuple[Stock | None, Movement], Stock] = {
    (None, _M.RECEIVE): _S.IN_STOCK,
    (_S.RETURNED, _M.RECEIVE): _S.IN_STOCK,
    (_S.IN_STOCK, _M.HAND_OUT): _S.HANDING_OUT,
    (_S.HANDING_OUT, _M.HAND_OVER): _S.ISSUED,
    (_S.HANDING_OUT, _M.KEEP): _S.IN_STOCK,
    (_S.ISSUED, _M.RETURN): _S.RETURNED,
    (_S.LOST, _M.RETURN): _S.RETURNED,
    **{(state, _M.LOSE): _S.LOST for state in (_S.IN_STOCK, _S.ISSUED, _S.RETURNED)},
    **{(state, _M.DESTROY): _S.DESTROYED for state in (_S.IN_STOCK, _S.RETURNED)},
}
"""What is not here is refused. A lost key that is found comes back as returned, never straight to its holder."""


def after(state: str | None, movement: Movement) -> Stock | None:
    """The state that a movement leads to; None where it may not happen."""
    return TABLE.get((None if state is None else Stock(state), movement))


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    return draw(TABLE.items())
