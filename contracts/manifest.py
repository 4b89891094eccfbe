"""What an adapter declares about its biller: facts with their source, checked at import (style s6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum

from contracts.money import Fen


class Can(StrEnum):
    """Optional abilities. Declared exactly when the adapter implements the protocol of the same name."""

    QUERY_BILL = "QUERY_BILL"
    QUERY_RESULT = "QUERY_RESULT"
    REVERSE = "REVERSE"
    CANCEL = "CANCEL"
    REFUND = "REFUND"
    WRITE_CONFIRM = "WRITE_CONFIRM"
    NOTICE = "NOTICE"
    FETCH_RECON = "FETCH_RECON"


class BillModel(StrEnum):
    """FETCH_PAY: a bill query gives the token that pay needs. VALIDATE_PAY: a query is possible, not needed.
    DIRECT: no query."""

    FETCH_PAY = "fetch-pay"
    VALIDATE_PAY = "validate-pay"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """What a service needs besides the account. `choices` maps each allowed value to its Chinese label."""

    name: str
    title: str
    choices: Mapping[str, str] = field(default_factory=dict)
    pattern: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFacts:
    """Facts of one service of a biller. Times in whole seconds; ages count from the last attempt's `send_by` (M6)."""

    title: str
    bill_model: BillModel
    account_pattern: str
    amount_min: Fen
    amount_max: Fen
    amounts: tuple[Fen, ...] = ()  # the only face values on sale; empty: any between min and max
    params: tuple[Param, ...] = ()
    call_deadline_s: int
    ask_after_s: int = 0  # 0: the biller never answers Accepted
    result_due_s: int = 0
    absent_final_after_s: int
    absent_void_after_s: int | None
    partial: bool = False
    repeat_safe: bool = False
    order_expires: bool = False  # each order carries a time, at most its send_by, from which the biller refuses it
    can_reverse: bool = False
    can_cancel: bool = False
    reverse_repeat_safe: bool = False
    cancel_repeat_safe: bool = False
    cut_off_local: time = time(0, 0)  # settle_date D covers [D-1 cut-off, D cut-off); 00:00 is the calendar day
    settle_lag_days: int = 0
    card_meter: bool = False
    query_valid_s: int = 1800
    query_min_interval_s: int = 1  # no two questions about one order closer than this
    closed_local: tuple[tuple[time, time], ...] = ()  # daily windows [from, to) in which nothing is sent
    source: str

    def __post_init__(self) -> None:
        if self.absent_final_after_s < self.call_deadline_s:
            raise ValueError(f"{self.title}: absent_final_after_s is below call_deadline_s")
        if self.absent_void_after_s is not None and self.absent_void_after_s <= self.absent_final_after_s:
            raise ValueError(f"{self.title}: absent_void_after_s must lie after absent_final_after_s")
        if bool(self.ask_after_s) != bool(self.result_due_s):
            raise ValueError(f"{self.title}: ask_after_s and result_due_s go together")
        if not Fen(0) < self.amount_min <= self.amount_max:
            raise ValueError(f"{self.title}: amount_min must be above 0 and at most amount_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One biller. `name` equals the adapter's folder; `flows` maps each service it sells to its facts.

    Raises ValueError where there is no way to resolve an unknown (neither QUERY_RESULT nor FETCH_RECON).
    """

    name: str
    title: str
    can: frozenset[Can]
    flows: Mapping[str, FlowFacts]
    concurrency: int
    rate_per_s: int
    serial_digits: int | None = None  # the partner takes date + digits, this many in all; None: our own serial
    file_is_complete: bool = False
    source: str

    def __post_init__(self) -> None:
        if not self.can & {Can.QUERY_RESULT, Can.FETCH_RECON}:
            raise ValueError(f"{self.name}: no way to resolve an unknown: declare QUERY_RESULT or FETCH_RECON")
        if not self.flows:
            raise ValueError(f"{self.name}: no service")
        if self.concurrency < 1 or self.rate_per_s < 1:
            raise ValueError(f"{self.name}: concurrency and rate_per_s must be at least 1")
        for service, facts in self.flows.items():
            needs = {Can.REVERSE: facts.can_reverse, Can.CANCEL: facts.can_cancel}
            if any(wanted and ability not in self.can for ability, wanted in needs.items()):
                raise ValueError(f"{self.name}: {service} undoes what the manifest cannot")
