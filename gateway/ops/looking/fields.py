"""What `ops in-doubt`, `ops breaks` and `ops search` print with --json: these fields, no others; times RFC 3339 UTC.

Accounts are masked (style s8). A field may be added; none changes its meaning or goes.
"""

from collections.abc import Sequence

import msgspec


class Hands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Departments by what they may: prepare or do alone, and approve what another person has prepared."""

    may: list[str]
    approve: list[str]


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens by itself. what: send, ask, reverse, wait-for-file, nothing. at: when; None: not by time."""

    what: str
    at: str | None


class Doubt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment in doubt. rung: the resolver's (1 asks, 2 reverses, 3 waits for the file, 4 two people).

    rule_from: from when on two people may rule; now where that is past. plan: an open plan to rule, its SHA-256.
    """

    gateway_serial: str
    state: str
    kind: str
    institution_code: str
    service: str
    biller: str
    biller_account: str
    amount_fen: int
    fee_fen: int
    account_date: str
    since: str
    age_s: int
    rung: int
    asks: int
    next_step: Step
    reverse_at: str | None
    rule_from: str
    may_rule_now: bool
    plan: str | None
    rulers: Hands


class Broken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A break. evidence_id: what opened it; ruling: the ruling it contradicts. by_ruling: two people may rule on it
    (`ops rule`); else it is put right by an adjustment. payment_state: None where the payment is not in the book."""

    break_id: str
    code: str
    state: str
    biller: str
    gateway_serial: str | None
    payment_state: str | None
    amount_fen: int
    opened_at: str
    age_s: int
    detail: str
    evidence_id: str | None
    ruling: str | None
    closed_at: str | None
    resolution: str | None
    by_ruling: bool
    owners: Hands


class Raised(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alarm."""

    alarm_id: str
    kind: str
    biller: str | None
    gateway_serial: str | None
    detail: str
    raised_at: str
    age_s: int
    seen_at: str | None


class Found(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment that a text was found in. matched: the fields that hold it. archived: it has left the book."""

    gateway_serial: str
    state: str
    kind: str
    institution_code: str
    terminal_id: str
    operator_id: str
    terminal_trace: str
    service: str
    biller: str
    biller_account: str
    biller_serial: str | None
    amount_fen: int
    account_date: str
    accepted_at: str
    trace_id: str
    archived: bool
    matched: list[str]


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something else that `ops search` found by its id. what: dead-letter, break, alarm, replay-plan, plan.

    state: of an alarm SEEN or OPEN. at: when it came. look: the words after `bianmin` that show it.
    """

    what: str
    id: str
    state: str
    gateway_serial: str | None
    biller: str | None
    at: str
    look: str


def plain(values: Sequence[msgspec.Struct]) -> list[object]:
    """As --json prints them."""
    return [msgspec.to_builtins(value) for value in values]
