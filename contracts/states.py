"""Names of states and events of payments and orders; the tables of moves are in `gateway/core/states.py`."""

from enum import StrEnum


class State(StrEnum):
    """State of a payment (design s3). CREATED is never stored."""

    CREATED = "CREATED"
    RESERVED = "RESERVED"
    SENT = "SENT"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    REVERSING = "REVERSING"
    REVERSED = "REVERSED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    PAID_WAIT_WRITE = "PAID_WAIT_WRITE"
    WRITTEN = "WRITTEN"
    WRITE_FAILED = "WRITE_FAILED"


class Event(StrEnum):
    """What moves a payment. The first five are our own commands, the rest is evidence."""

    RESERVE = "RESERVE"
    SEND = "SEND"
    GIVE_UP = "GIVE_UP"
    REVERSE = "REVERSE"
    CANCEL = "CANCEL"
    ACCEPTED = "ACCEPTED"
    PAID = "PAID"
    DECLINED = "DECLINED"
    NOT_SENT = "NOT_SENT"
    LOST = "LOST"
    ABSENT_FINAL = "ABSENT_FINAL"
    REVERSED = "REVERSED"
    CANCELLED = "CANCELLED"
    REFUSED = "REFUSED"
    REFUSED_UNWRITTEN = "REFUSED_UNWRITTEN"
    REFUSED_BAD_WRITE = "REFUSED_BAD_WRITE"
    WROTE = "WROTE"
    WRITE_BAD = "WRITE_BAD"


class OrderKind(StrEnum):
    """Kinds of money-moving request to a biller (design s3)."""

    PAY = "PAY"
    REVERSE = "REVERSE"
    CANCEL = "CANCEL"
    REFUND = "REFUND"
    WRITE_CONFIRM = "WRITE_CONFIRM"
    DEBIT = "DEBIT"
    PAYOUT = "PAYOUT"


class OrderState(StrEnum):
    """READY: may go. SENT: a byte may have left. DONE: did happen. REFUSED: the biller said no.
    VOID: proven not to have happened, or undone. UNKNOWN: only evidence may answer."""

    READY = "READY"
    SENT = "SENT"
    DONE = "DONE"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    VOID = "VOID"


class OrderEvent(StrEnum):
    """What moves an order (worked example s4.2)."""

    CLAIM = "claim"
    NOT_SENT = "not_sent"
    ACCEPTED = "accepted"
    PAID = "paid"
    DECLINED = "declined"
    REVERSED = "reversed"
    CANCELLED = "cancelled"
    WROTE = "wrote"
    REFUSED = "refused"
    LOST = "lost"
    ABSENT_FINAL = "absent_final"
    GIVE_UP = "give_up"
    EXPIRED = "expired"
    RESTORED = "restored"


FINAL: frozenset[State] = frozenset({State.SUCCESS, State.FAILED, State.REVERSED, State.CANCELLED, State.WRITTEN})
"""States answered with 201 (evidence or a cancel may still move the first two)."""

OPEN: frozenset[State] = frozenset(
    {
        State.RESERVED,
        State.SENT,
        State.UNKNOWN,
        State.REVERSING,
        State.CANCELLING,
        State.PAID_WAIT_WRITE,
        State.WRITE_FAILED,
    }
)
"""States in which M7 counts a payment as open."""

HOLDING: frozenset[State] = frozenset({State.RESERVED, State.SENT, State.UNKNOWN, State.REVERSING})
"""States in which a payment (not a top-up, not a refund) holds amount and fee in the reserved account."""
