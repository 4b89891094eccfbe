"""Faults a simulator can be told to show, by one closed list of names for all partners.

"Paid" means that the business was done and is in the simulator's book before the fault shows.
Source: the failure-timing matrix of the design, s5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

ANY = "*"
"""As `on`: any operation that knows the kind."""


class Kind(StrEnum):
    """Every fault there is. A simulator declares which of them each of its operations can show."""

    REFUSE_CONNECTION = "refuse-connection"  # the listener is closed for delay_s, at once
    CUT_BEFORE = "cut-before"  # the connection is closed, nothing done
    UNPAID_SILENT = "unpaid-silent"  # nothing done, closed without a reply after delay_s
    HTTP_500_UNPAID = "http-500-unpaid"
    BUSY_UNPAID = "busy-unpaid"  # "busy", nothing done
    MAINTENANCE = "maintenance"  # nothing done
    DECLINE = "decline"  # refused with `code`
    LATE_ARRIVAL = "late-arrival"  # the request is held for delay_s on its way, then treated as if it came only then
    SLOW = "slow"  # taken in at once, done after delay_s, then the normal reply
    PAID_THEN_CUT = "paid-then-cut"
    PAID_THEN_RESET = "paid-then-reset"  # a real RST
    PAID_THEN_SILENT = "paid-then-silent"  # closed without a reply after delay_s
    PAID_THEN_LATE = "paid-then-late"  # done at once, the reply comes after delay_s
    HTTP_500_PAID = "http-500-paid"
    BUSY_PAID = "busy-paid"  # "busy", yet done
    GARBAGE = "garbage"  # done, the body is unreadable
    BAD_SIGNATURE = "bad-signature"
    UNMAPPED_CODE = "unmapped-code"  # done, a code outside the document, or `code`
    WRONG_AMOUNT = "wrong-amount"  # one fen more than was booked, correctly signed
    WRONG_SERIAL = "wrong-serial"  # speaks of another order, correctly signed
    EXTRA_MEMBER = "extra-member"  # a member the document does not know, signed too
    ABSENT = "absent"  # "not found" although it is in the book
    PARTIAL = "partial"
    DUPLICATE_NOTICE = "duplicate-notice"
    NOTICE_BEFORE_REPLY = "notice-before-reply"
    NO_NOTICE = "no-notice"
    OUT_OF_ORDER_NOTICE = "out-of-order-notice"  # held until another order's notice went out, or for delay_s


NEEDS_DELAY = frozenset(
    {
        Kind.REFUSE_CONNECTION,
        Kind.UNPAID_SILENT,
        Kind.LATE_ARRIVAL,
        Kind.SLOW,
        Kind.PAID_THEN_SILENT,
        Kind.PAID_THEN_LATE,
    }
)
"""Kinds that mean nothing without `delay_s`."""

NOTICE_KINDS = frozenset({Kind.DUPLICATE_NOTICE, Kind.NOTICE_BEFORE_REPLY, Kind.NO_NOTICE, Kind.OUT_OF_ORDER_NOTICE})
"""Kinds that change the notices of an order and leave the reply alone."""


class BadFaultError(ValueError):
    """A fault this simulator cannot show, or one that lacks what its kind needs."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault to show.

    on: an operation of the simulator, or "*". times: how often (None: until replaced). account: only calls about this
    biller account. delay_s: real seconds, whatever the simulator's clock says. code: a partner code, where the kind
    takes one.
    """

    on: str
    kind: Kind
    times: int | None = 1
    account: str | None = None
    delay_s: float = 0
    code: str | None = None


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int | None


class FaultBoard:
    """The faults in force; each is used up by the calls it matches, in the order of the list.

    supported: for each operation the kinds it can show. Not for use by several threads.
    """

    def __init__(self, supported: Mapping[str, frozenset[Kind]]) -> None:
        self._supported = supported
        self._armed: list[_Armed] = []

    def replace(self, faults: Sequence[Fault]) -> None:
        """Put these in the place of all former ones. Raises BadFaultError, and then changes nothing."""
        for fault in faults:
            self._check(fault)
        self._armed = [_Armed(fault, fault.times) for fault in faults]

    def take(self, operation: str, account: str | None, among: frozenset[Kind]) -> Fault | None:
        """Use up and return the first fault of the kinds `among` that applies to this call, None for none."""
        for armed in self._armed:
            fault = armed.fault
            if armed.left == 0 or fault.kind not in among or fault.kind not in self._supported.get(operation, ()):
                continue
            if fault.on not in (operation, ANY) or fault.account not in (None, account):
                continue
            armed.left = None if armed.left is None else armed.left - 1
            return fault
        return None

    @property
    def operations(self) -> tuple[str, ...]:
        """Every operation there is, in the simulator's order."""
        return tuple(self._supported)

    def __bool__(self) -> bool:
        """Whether any fault is in force or was, since the list was replaced."""
        return bool(self._armed)

    def listing(self) -> list[dict[str, object]]:
        """Every fault as it was set, plus `left`: how often it will still show (None: without end)."""
        return [{**msgspec.to_builtins(armed.fault), "left": armed.left} for armed in self._armed]

    def _check(self, fault: Fault) -> None:
        if fault.on != ANY and fault.on not in self._supported:
            raise BadFaultError(f"no operation {fault.on!r}; there are: {', '.join(self._supported)}")
        operations = self._supported if fault.on == ANY else (fault.on,)
        if not any(fault.kind in self._supported[name] for name in operations):
            raise BadFaultError(f"{fault.on} cannot show {fault.kind}")
        if fault.kind in NEEDS_DELAY and not 0 < fault.delay_s <= 86_400:
            raise BadFaultError(f"{fault.kind} needs delay_s above 0 and at most 86400")
        if fault.kind is Kind.DECLINE and not fault.code:
            raise BadFaultError("decline needs a code")
        if fault.times is not None and fault.times < 1:
            raise BadFaultError("times must be at least 1, or null")
