"""One idempotency key, one effect (M3)."""

# ruff: noqa: S608 - names of our own tables and states

from collections.abc import Sequence

from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked
from gateway.ops.audit.ruled import Rule, run_rule
from gateway.store.port import Snapshot

_SAME_KEY = "k.institution_code = p.institution_code AND k.key = p.idempotency_key"

ONE_KEY = Rule(
    "one-key-one-effect",
    "SELECT count(*) FROM idempotency_keys",
    (
        (
            "SELECT p.gateway_serial, 'its key ' || p.idempotency_key || ' is not a PAYMENT key that names it'"
            f" FROM payments p WHERE NOT EXISTS (SELECT 1 FROM idempotency_keys k WHERE {_SAME_KEY}"
            " AND k.kind = 'PAYMENT' AND k.gateway_serial = p.gateway_serial)"
        ),
        # Keys of cancels, card writes and refused refunds name a payment that has a key of its own.
        (
            "SELECT k.institution_code || ' ' || k.key, 'it names ' || COALESCE(k.gateway_serial, 'nothing')"
            " || ', which is no payment of its station' FROM idempotency_keys k WHERE k.kind = 'PAYMENT'"
            " AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.gateway_serial = k.gateway_serial"
            " AND p.institution_code = k.institution_code)"
            # A key stays when its payment moves.
            " AND NOT EXISTS (SELECT 1 FROM archive_payments p WHERE p.gateway_serial = k.gateway_serial"
            " AND p.institution_code = k.institution_code)"
        ),
        (
            "SELECT k.institution_code || ' ' || k.key, k.kind || ' and it has the payment ' || p.gateway_serial"
            f" FROM idempotency_keys k JOIN payments p ON {_SAME_KEY} WHERE k.kind <> 'PAYMENT'"
        ),
        (
            "SELECT MIN(p.gateway_serial), count(*) || ' payments under the key ' || p.idempotency_key FROM payments p"
            " GROUP BY p.institution_code, p.idempotency_key HAVING count(*) > 1"
        ),
        (
            "SELECT k.institution_code || ' ' || k.key, k.kind || ' and it names ' || k.gateway_serial"
            " FROM idempotency_keys k WHERE k.kind <> 'PAYMENT' AND k.gateway_serial IS NOT NULL"
        ),
    ),
)


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """one-key-one-effect."""
    return [await run_rule(snapshot, ONE_KEY)]
