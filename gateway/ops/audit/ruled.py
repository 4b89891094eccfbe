"""What one statement of SQL can say: balanced transactions, open payments, dates."""

# ruff: noqa: S608 - names of our own tables and states

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.states import HOLDING, OPEN
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import is_in, records
from gateway.store.port import Snapshot


@dataclass(frozen=True, slots=True)
class Rule:
    """A check that is data. count: how many rows were looked at; each other query selects (about, detail)."""

    name: str
    count: str
    queries: tuple[str, ...]


_OPEN = f"{is_in('state', OPEN)} AND kind <> 'REFUND'"


def _first_time_open(alias: str) -> str:
    """States no payment comes back to once it has ended: whoever is in one has been open since its acceptance."""
    return f"{is_in(f'{alias}.state', HOLDING)} AND {alias}.kind <> 'REFUND'"


RULES: Sequence[Rule] = (
    Rule(
        "sum-zero",
        "SELECT count(*) FROM transactions",
        (
            (
                "SELECT p.txn_id, 'its legs sum to ' || SUM(p.amount_fen) FROM postings p"
                " GROUP BY p.txn_id HAVING SUM(p.amount_fen) <> 0"
            ),
            (
                "SELECT t.txn_id, 'it has no legs' FROM transactions t"
                " WHERE NOT EXISTS (SELECT 1 FROM postings p WHERE p.txn_id = t.txn_id)"
            ),
            (
                "SELECT p.txn_id, 'its legs have no transaction' FROM postings p"
                " WHERE NOT EXISTS (SELECT 1 FROM transactions t WHERE t.txn_id = p.txn_id)"
            ),
            (
                "SELECT 'the whole book', 'all postings sum to ' || SUM(p.amount_fen) FROM postings p"
                " HAVING SUM(p.amount_fen) <> 0"
            ),
        ),
    ),
    Rule(
        "open-payment-once",  # M7
        f"SELECT count(*) FROM payments WHERE {_OPEN}",
        (
            (
                "SELECT MIN(gateway_serial), count(*) || ' open and unconfirmed payments of one account and amount'"
                f" FROM payments WHERE {_OPEN} AND confirmed_repeat = 0"
                " GROUP BY biller, biller_account, amount_fen HAVING count(*) > 1"
            ),
            (
                # Of any two, the later must have been confirmed beside the earlier: also of two confirmations.
                "SELECT b.gateway_serial, 'open beside ' || a.gateway_serial || ', and neither was confirmed beside"
                " the other' FROM payments a JOIN payments b ON b.biller = a.biller"
                " AND b.biller_account = a.biller_account AND b.amount_fen = a.amount_fen"
                f" AND b.gateway_serial > a.gateway_serial WHERE {_first_time_open('a')} AND {_first_time_open('b')}"
                " AND COALESCE(b.confirmed_beside, '') NOT LIKE '%' || a.gateway_serial || '%'"
                " AND COALESCE(a.confirmed_beside, '') NOT LIKE '%' || b.gateway_serial || '%'"
            ),
            (
                "SELECT MIN(gateway_serial), 'query token used ' || count(*) || ' times' FROM payments"
                " WHERE query_token IS NOT NULL GROUP BY query_token HAVING count(*) > 1"
            ),
        ),
    ),
    Rule(
        "dates",  # M10
        "SELECT count(*) FROM transactions",
        (
            (
                "SELECT t.txn_id, 'posting_date ' || t.posting_date || ' is no day of the bureau' FROM transactions t"
                " WHERE NOT EXISTS (SELECT 1 FROM days d WHERE d.account_date = t.posting_date)"
            ),
            (
                "SELECT t.txn_id, 'posted on ' || t.posting_date || ', before its account_date ' || t.account_date"
                " FROM transactions t WHERE t.posting_date < t.account_date"
            ),
            (
                "SELECT t.txn_id, 'posted on ' || t.posting_date || ' after that day was closed' FROM transactions t"
                " JOIN days d ON d.account_date = t.posting_date"
                " WHERE d.closed_at IS NOT NULL AND t.created_at > d.closed_at"
            ),
            (
                "SELECT d.account_date, 'it is ' || d.state || ' and closed_at does not say so' FROM days d"
                " WHERE (d.state = 'CLOSED') <> (d.closed_at IS NOT NULL)"
            ),
            (
                "SELECT t.txn_id, 'its dates are not those of its payment' FROM transactions t"
                " JOIN payments p ON p.gateway_serial = t.gateway_serial"
                " WHERE t.account_date <> p.account_date OR t.settle_date <> p.settle_date"
                " OR t.account_date IS NULL OR t.settle_date IS NULL"
            ),
            (
                "SELECT p.gateway_serial, 'account_date ' || p.account_date || ' is no day of the bureau'"
                " FROM payments p WHERE NOT EXISTS (SELECT 1 FROM days d WHERE d.account_date = p.account_date)"
            ),
            (
                "SELECT p.gateway_serial, 'settle_date ' || p.settle_date || ' is no window of ' || p.biller"
                " FROM payments p WHERE p.kind = 'PAY' AND NOT EXISTS (SELECT 1 FROM windows w"
                " WHERE w.biller = p.biller AND w.settle_date = p.settle_date)"
            ),
        ),
    ),
)


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """sum-zero, open-payment-once, dates."""
    return [await run_rule(snapshot, rule) for rule in RULES]


async def run_rule(snapshot: Snapshot, rule: Rule, params: Mapping[str, object] | None = None) -> Checked:
    """Run one rule."""
    found = Findings(rule.name)
    async for (count,) in records(snapshot, rule.count, params):
        found.rows = count
    for sql in rule.queries:
        async for subject, detail in records(snapshot, sql, params):
            found.add(subject, detail)
    return found.checked()
