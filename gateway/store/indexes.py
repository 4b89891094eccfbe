"""Indexes: those that hold a rule (unique) and those a query of the catalogue stands on; nothing else has one.

Partial wherever the query is: the working set of open payments and orders stays small while the book grows.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from certs.core.life import LIVE
from contracts.states import OPEN, State

_LIST = re.compile(r"([\w.]+) IN \(('[A-Z0-9_]+'(?:, '[A-Z0-9_]+')*)\)")


@dataclass(frozen=True, slots=True)
class IndexRule:
    """An index of one table; `where` makes it partial."""

    name: str
    columns: tuple[str, ...]
    where: str = ""
    unique: bool = False


def spell_out(sql: str) -> str:
    """A condition with each list of texts, `x IN ('A', 'B')`, as a chain of ORs.

    SQLite makes a table of a list of more than two for every row whose partial index it keeps; and it uses such an
    index only for a query that says the same in the same words, so its queries are spelled out too.
    """
    return _LIST.sub(lambda found: f"({' OR '.join(f'{found[1]} = {text}' for text in found[2].split(', '))})", sql)


def _in(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in sorted(values))})"


# Written as the catalogue writes it.
_PAID = (
    f"{_in('state', (State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITTEN, State.WRITE_FAILED))} AND kind <> 'REFUND'"
)
_OPEN = f"{_in('state', OPEN)} AND kind <> 'REFUND'"

INDEXES: Mapping[str, tuple[IndexRule, ...]] = {
    # A key is registered once, whatever became of its certificate; and no CA numbers two alike.
    "certificates": (
        IndexRule("public_key", ("public_key_sha256",), unique=True),
        IndexRule("serial", ("issuer_keyid", "serial"), "serial <> ''", unique=True),
        IndexRule("staff", ("staff_id",), "staff_id IS NOT NULL"),
        IndexRule("usb_key", ("key_serial",), "key_serial <> ''"),
        IndexRule("live", ("not_after",), _in("state", LIVE)),
    ),
    "bindings": (
        IndexRule("keyid", ("keyid",), "unbound_at IS NULL", unique=True),
        IndexRule("station", ("institution_code",), "unbound_at IS NULL"),
    ),
    "certificate_requests": (
        IndexRule("public_key", ("public_key_sha256",), "state <> 'REFUSED'", unique=True),
        IndexRule("keyid", ("keyid",), "keyid IS NOT NULL", unique=True),
    ),
    # A partner's key too is registered once, whatever became of it.
    "partner_certificates": (IndexRule("public_key", ("public_key_sha256",), unique=True),),
    "approvals": (IndexRule("open", ("prepared_at",), "state = 'OPEN'"),),
    "tariffs": (IndexRule("service", ("service", "effective_from")),),
    "commission_plans": (IndexRule("service", ("service", "effective_from")),),
    "payments": (
        # M7: one open and unconfirmed payment per biller account and amount.
        IndexRule("open", ("biller", "biller_account", "amount_fen"), f"{_OPEN} AND confirmed_repeat = 0", unique=True),
        IndexRule("open", ("biller", "biller_account", "amount_fen"), _OPEN),
        IndexRule(
            "cards",
            ("biller", "biller_account"),
            _in("state", ("PAID_WAIT_WRITE", "WRITE_FAILED")),
        ),
        # What was paid for the same account and amount on a day: what a replay must not repeat (M7).
        IndexRule(
            "paid",
            ("biller", "biller_account", "amount_fen", "account_date"),
            _PAID,
        ),
        # A query token buys once.
        IndexRule("query_token", ("query_token",), "query_token IS NOT NULL", unique=True),
        IndexRule("cancels", ("cancels",), "cancels IS NOT NULL"),
        IndexRule("station", ("institution_code", "gateway_serial")),
    ),
    "orders": (
        IndexRule("partner_serial", ("biller", "partner_serial"), unique=True),
        # One call at most in flight per biller account (design s3.3).
        IndexRule("in_flight", ("biller", "biller_account"), "in_flight = 1", unique=True),
        # At most one order of a payment is READY or SENT.
        IndexRule("moving", ("gateway_serial",), "state IN ('READY', 'SENT')", unique=True),
        IndexRule("payment", ("gateway_serial",)),
        IndexRule("turn", ("biller", "biller_account"), "(state = 'READY' OR in_flight = 1)"),
        IndexRule("ready", ("next_try_at", "order_serial"), "state = 'READY' AND hold = 0"),
        IndexRule("expiry", ("send_before",), "state = 'READY'"),
        IndexRule("overdue", ("call_deadline",), "in_flight = 1"),
        IndexRule("ask", ("ask_at", "order_serial"), "state IN ('SENT', 'UNKNOWN') AND in_flight = 0"),
    ),
    "attempts": (IndexRule("order", ("order_serial", "attempt"), unique=True),),
    "transactions": (IndexRule("payment", ("gateway_serial",), "gateway_serial IS NOT NULL"),),
    # A station's statement is a chain: each number once.
    "postings": (IndexRule("chain", ("owner", "seq"), "seq IS NOT NULL", unique=True),),
    # One voucher, one deposit; and what leaves the transactions is looked up here.
    "vouchers": (IndexRule("transaction", ("txn_id",), unique=True),),
    "records": (
        IndexRule("place", ("day", "position"), "day IS NOT NULL", unique=True),
        IndexRule("unsealed", ("record_id",), "day IS NULL"),
        IndexRule("payment", ("gateway_serial",), "gateway_serial IS NOT NULL"),
    ),
    "seals": (IndexRule("unsigned", ("day",), "signature IS NULL"),),
    "evidence": (IndexRule("payment", ("gateway_serial",)),),
    "breaks": (IndexRule("payment", ("gateway_serial",), "gateway_serial IS NOT NULL"),),
    "alarms": (IndexRule("unseen", ("kind", "raised_at"), "seen_at IS NULL"),),
    "authorizations": (
        IndexRule(
            "unused",
            ("institution_code", "service", "biller_account", "amount_fen", "valid_on"),
            "used_by IS NULL AND revoked_by IS NULL",
        ),
    ),
    "outbox": (IndexRule("unpublished", ("message_id",), "published_at IS NULL"),),
    # What was found dead twice is one letter; and a payment's letters are asked for by its evidence.
    "dead_letters": (
        IndexRule("origin", ("origin",), unique=True),
        IndexRule("payment", ("gateway_serial",), "gateway_serial IS NOT NULL"),
    ),
    # No letter stands twice in a plan.
    "replay_steps": (
        IndexRule("letter", ("letter_id", "plan_sha256"), unique=True),
        IndexRule("due", ("plan_sha256", "number"), "outcome IS NULL"),
    ),
}

ARCHIVE_INDEXES: Mapping[str, tuple[IndexRule, ...]] = {
    "orders": (IndexRule("payment", ("gateway_serial",)),),
    "attempts": (IndexRule("order", ("order_serial", "attempt"), unique=True),),
    "transactions": (IndexRule("payment", ("gateway_serial",)),),
    "postings": (IndexRule("chain", ("owner", "seq"), "seq IS NOT NULL", unique=True),),
    "records": (
        IndexRule("place", ("day", "position"), unique=True),
        IndexRule("payment", ("gateway_serial",), "gateway_serial IS NOT NULL"),
    ),
    "evidence": (IndexRule("payment", ("gateway_serial",)),),
}
"""Of the archive's tables, by the name of their twins: for evidence, the whole audit, and a key that is asked about."""
