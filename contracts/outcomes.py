"""What a biller's answer means (style s4). An answer is a value, never an exception.

`raw` on each answer: the partner's bytes as received (body, or frame), kept as evidence (M11); never compared or shown.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from contracts.money import Fen


class Reason(StrEnum):
    """Our closed list of reasons a payment did not happen, whatever the biller's code was."""

    BILLER_REFUSED = "biller-refused"
    ACCOUNT_NOT_FOUND = "account-not-found"
    ACCOUNT_STATE = "account-state"
    AMOUNT = "amount"
    BILL_CHANGED = "bill-changed"
    NO_ARREARS = "no-arrears"
    CARRIER = "carrier"
    BATCH_DEBIT = "batch-debit"
    BILLER_LIMIT = "biller-limit"
    FAILED_LATER = "failed-later"
    EXPIRED_UNSENT = "expired-unsent"
    GIVEN_UP = "given-up"
    ABSENT = "absent"
    RULED = "ruled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """The biller booked it. `paid` may be less than ordered (partial); `biller_date` is its own accounting date."""

    biller_serial: str
    paid: Fen
    biller_date: str | None = None  # YYYY-MM-DD
    resp_code: str = ""
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The biller proves that nothing is booked under our serial. Its code untouched, our reason beside it."""

    resp_code: str
    reason: Reason
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The biller took it and decides later: the payment stays SENT and is asked about after `ask_after_s`."""

    biller_serial: str
    ask_after_s: int
    resp_code: str = ""
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Proven not booked: no byte left us, or an answer that proves it (M4). The same serial may go again."""

    cause: str
    retry_after_s: int = 1
    resp_code: str = ""
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """It may have been paid: only evidence may answer (M4, M5)."""

    cause: str
    resp_code: str = ""
    biller_serial: str = ""
    alarm: bool = False  # an authentic answer that contradicts the request (amount, account, serial)
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The biller has it and has not decided."""

    resp_code: str = ""
    biller_serial: str = ""
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """query_result only: "no such payment". The core decides by age (M6)."""

    resp_code: str = ""
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """The original is undone, nothing is owed: by our reversal or cancel, or by the partner itself."""

    biller_serial: str = ""
    resp_code: str = ""
    biller_date: str | None = None
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StillPaid:
    """The reversal or cancel is refused and the answer proves that the original is booked and stays booked."""

    resp_code: str
    reason: str
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverPaid:
    """The answer says that the original is not booked ("original not found"). The core decides by age (M6)."""

    resp_code: str
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotUndone:
    """The reversal or cancel is refused; the answer proves only that this request did nothing."""

    resp_code: str
    reason: str
    raw: bytes = field(default=b"", repr=False, compare=False)


Outcome = Paid | Accepted | Declined | NotSent | Unknown
"""From pay()."""
Evidence = Paid | Pending | Declined | Unknown | Absent | Undone
"""From query_result(), notices and files. NotSent is no evidence: a question that did not leave says nothing."""
Undoing = Undone | StillPaid | NeverPaid | NotUndone | Pending | NotSent | Unknown
"""From reverse() and cancel()."""
