"""What a single row may hold and which row it must point to, as the engines enforce it.

Foreign keys: only those that hold for ever and cost little. None on a column an update sets (a row that points to
one inserted in the same Write would need deferred checks), and none from what outlives its payment: keys (M3),
breaks, alarms and records may name a payment that has moved to the archive, or one that never was. None from evidence
to orders: the check of an order that leaves for the archive would read all the evidence there is. None from
payments to stations: on PostgreSQL each check locks the station's row for all of its payments (tried: a tenth of what
an acceptance costs the server); the payment moves the station's balance, which has one, in the same commit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from certs.core.life import PROVISIONED, REGISTERED, REQUESTED
from certs.core.stock import Stock
from contracts.bus import DEAD_REASONS
from contracts.money import FEN_MAX
from contracts.states import OrderKind, OrderState, State

WITHOUT_ROWID: frozenset[str] = frozenset({"nonces"})
"""Tables that are their own primary key index on SQLite."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """columns → parent's parent_columns."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


def one_of(column: str, values: Iterable[str]) -> str:
    """A condition that a column holds one of these texts; those that come first are found first.

    Not `IN (…)`: SQLite makes a table of a list of more than two for every row that it checks (tried: a third of the
    cost of inserting a payment).
    """
    return " OR ".join(f"{column} = {str(value)!r}" for value in values)


def check_flag(column: str) -> str:
    """A condition that a number is 0 or 1."""
    return f"{column} BETWEEN 0 AND 1"


def _to(parent: str, *columns: str) -> ForeignKey:
    return ForeignKey(columns, parent, columns)


_STATION = _to("stations", "institution_code")

FOREIGN_KEYS: Mapping[str, tuple[ForeignKey, ...]] = {
    "terminals": (_STATION,),
    "operators": (_STATION,),
    "trainings": (_to("operators", "institution_code", "operator_id"),),
    "certificates": (_to("staff", "staff_id"),),
    "usb_key_steps": (_to("usb_keys", "key_serial"),),
    "bindings": (
        _to("certificates", "keyid"),
        _to("terminals", "institution_code", "terminal_id"),
        _to("operators", "institution_code", "operator_id"),
    ),
    "station_services": (_STATION,),
    "station_balances": (_STATION,),
    "orders": (_to("payments", "gateway_serial"),),
    "attempts": (_to("orders", "order_serial"),),
    "postings": (_to("transactions", "txn_id"),),
    "vouchers": (_STATION, _to("transactions", "txn_id")),
    "evidence": (_to("payments", "gateway_serial"),),
    "query_tokens": (_STATION,),
    "authorizations": (_STATION,),
    "replay_files": (_to("replay_plans", "plan_sha256"),),
    "replay_steps": (_to("replay_plans", "plan_sha256"), _to("dead_letters", "letter_id")),
}

_STORED = [state for state in State if state is not State.CREATED]
_WINDOW_STATES = ("OPEN", "CLOSED", "MATCHING", "BALANCED", "WITH_BREAKS", "SETTLED")

CHECKS: Mapping[str, Mapping[str, str]] = {
    "stations": {
        "state": one_of("state", ("ACTIVE", "SUSPENDED", "CLOSED")),
        "overdraft": "overdraft_limit_fen >= 0",
    },
    "trainings": {"valid": "valid_from < valid_until"},
    "staff": {"state": one_of("state", ("ACTIVE", "LEFT"))},
    "certificates": {
        "state": one_of("state", sorted(REGISTERED)),
        "valid": "not_before < not_after",
        "staff": "(role = 'operator') = (staff_id IS NOT NULL)",
        "revoked": "revoked_for IS NULL OR state = 'REVOKED'",
    },
    "bindings": {
        "ends": "unbound_at IS NULL OR unbound_at >= bound_at",
        "people": f"approved_by <> prepared_by OR approved_by = '{PROVISIONED}'",
    },
    "certificate_requests": {
        "state": one_of("state", sorted(REQUESTED)),
        "people": "state = 'APPLIED' OR state = 'REFUSED' OR decided_by <> applied_by",
        "decided": "(state = 'APPLIED') = (decided_by IS NULL)",
        "issued": "(state = 'ISSUED') = (keyid IS NOT NULL)",
    },
    "certificate_steps": {"number": "number >= 1"},
    "usb_keys": {"state": one_of("state", sorted(Stock))},
    "usb_key_steps": {"people": "prepared_by IS NULL OR prepared_by <> staff"},
    "approvals": {
        "state": one_of("state", ("OPEN", "APPROVED", "REJECTED", "DONE")),
        "people": "state = 'OPEN' OR state = 'REJECTED' OR decided_by <> prepared_by",
        "signed": "state = 'OPEN' OR decided_by IS NOT NULL AND signature IS NOT NULL AND keyid IS NOT NULL",
    },
    "revocation_lists": {
        "number": "number >= 0",
        "times": "this_update <= published_at AND published_at < next_update",
    },
    "partner_certificates": {
        "use": one_of("use", ("sign", "tls", "ca", "watch")),
        "state": one_of("state", ("PREPARED", "ACTIVE", "CLOSED")),
        "valid": "not_before < not_after",
        "people": "state <> 'ACTIVE' OR approved_by <> added_by",
    },
    "tariffs": {
        "amounts": "fee_fen >= 0 AND min_fen >= 0 AND min_fen <= max_fen",
        "times": "send_before_s > 0 AND reverse_after_s >= 0",
    },
    "commission_plans": {
        "rate": "rate_ppm BETWEEN 0 AND 1000000",
        "share": "station_tenths BETWEEN 0 AND 10",
    },
    "days": {"state": one_of("state", ("OPEN", "CLOSED"))},
    "windows": {"state": one_of("state", _WINDOW_STATES)},
    # Available may be below zero by the overdraft limit, which is the station's: no check can see it.
    "station_balances": {
        "available": f"available_fen BETWEEN -{FEN_MAX} AND {FEN_MAX}",
        "reserved": f"reserved_fen BETWEEN 0 AND {FEN_MAX}",
        "receivable": f"receivable_fen BETWEEN 0 AND {FEN_MAX}",
    },
    "idempotency_keys": {
        "kind": one_of("kind", ("PAYMENT", "REFUSED", "TOMBSTONE", "UNDECIDED")),
        "payment": "kind <> 'PAYMENT' OR gateway_serial IS NOT NULL",
        "refused": "kind <> 'REFUSED' OR problem IS NOT NULL",
    },
    "payments": {
        "kind": one_of("kind", ("PAY", "DEBIT", "REFUND")),
        "state": one_of("state", _STORED),
        "amount": f"amount_fen BETWEEN 0 AND {FEN_MAX}",
        "fee": f"fee_fen BETWEEN 0 AND {FEN_MAX}",
        "paid": f"paid_fen BETWEEN 0 AND {FEN_MAX}",
    },
    "orders": {
        "kind": one_of("kind", OrderKind),
        "state": one_of("state", OrderState),
        "attempts": "attempts >= 0",
    },
    "attempts": {"number": "attempt >= 1", "times": "claimed_at <= send_by AND send_by <= call_deadline"},
    "postings": {
        "leg": "leg >= 0",
        "amount": f"amount_fen BETWEEN -{FEN_MAX} AND {FEN_MAX}",
    },
    "archive_totals": {"legs": "legs > 0"},
    "vouchers": {"amount": f"amount_fen BETWEEN 1 AND {FEN_MAX}"},
    # A sealed record has its day, its place and its link of the chain; an unsealed one has none of them (M11).
    "records": {"sealed": "(day IS NULL) = (position IS NULL) AND (day IS NULL) = (chain IS NULL)"},
    "seals": {"count": "count >= 0", "signed": "(signature IS NULL) = (signed_at IS NULL)"},
    "allowances": {
        "share": one_of("share", ("calls", "questions")),
        "amounts": "concurrency >= 0 AND rate_per_s >= 0",
    },
    "query_tokens": {"state": one_of("state", ("ASKED", "ANSWERED", "REFUSED"))},
    "authorizations": {
        "kind": one_of("kind", ("cancel", "over-limit")),
        "amount": f"amount_fen BETWEEN 0 AND {FEN_MAX}",
        "once": "used_by IS NULL OR revoked_by IS NULL",
        "revoked": "(revoked_by IS NULL) = (revoked_at IS NULL)",
    },
    "attachments": {"size": "size BETWEEN 1 AND 5242880"},
    "biller_controls": {
        "state": one_of("state", ("OPEN", "PAUSED", "DRAINING")),
        "limits": "(concurrency IS NULL OR concurrency > 0) AND (rate_per_s IS NULL OR rate_per_s > 0)",
        "said": "state = 'OPEN' OR record_id IS NOT NULL",
        "limits_said": "(concurrency IS NULL AND rate_per_s IS NULL) OR limits_record_id IS NOT NULL",
    },
    "partner_counters": {"next": "next_number >= 1"},
    "dead_letters": {
        "reason": one_of("reason", DEAD_REASONS),
        "state": one_of("state", ("OPEN", "QUARANTINED", "CLOSED")),
        "amount": f"amount_fen BETWEEN 0 AND {FEN_MAX}",
        "runs": "runs >= 0",
    },
    "replay_plans": {
        "state": one_of("state", ("KEPT", "APPROVED", "RUNNING", "DONE")),
        "steps": "items >= 1 AND spread BETWEEN 0 AND items AND done BETWEEN 0 AND spread",
        "approved": "(state = 'KEPT') = (approval IS NULL)",
        "run": "(state = 'RUNNING' OR state = 'DONE') = (run_record IS NOT NULL)",
        "ended": "state <> 'DONE' OR done = items",
    },
    "replay_steps": {
        "number": "number >= 1",
        "outcome": one_of("outcome", ("sent-again", "asked", "call-running", "nothing", "skipped")),
        "done": "(outcome IS NULL) = (at IS NULL) AND (outcome IS NULL) = (run_record IS NULL)"
        " AND (outcome IS NULL) = (verdict_now IS NULL)",
        "as_planned": "outcome IS NULL OR outcome = 'skipped' OR verdict_now = verdict_planned",
    },
}
"""Conditions by table and name. NULL passes, as in SQL."""
