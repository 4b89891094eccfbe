"""How PostgreSQL keeps the hot tables: room for updates, and vacuum before dead rows are many.

By default a table is vacuumed when a fifth of it is dead: with ten million payments that is two million rows, and the
small partial indexes (unpublished, ready, in flight, open) would carry an entry for each of them.
"""

from collections.abc import Mapping

_OFTEN = {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"}
# Few rows, updated without end and never in an indexed column: the new version fits beside the old (HOT), and vacuum
# is due by count.
_TINY = {"fillfactor": "50", "autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "1000"}

STORAGE: Mapping[str, Mapping[str, str]] = {
    "station_balances": _TINY,
    "settings": _TINY,
    "leases": _TINY,
    "allowances": _TINY,
    "biller_controls": _TINY,
    "partner_counters": _TINY,
    # A payment, its order and its attempt are updated within seconds of their insert, most of them on the same page.
    "payments": {"fillfactor": "90", **_OFTEN},
    "orders": {"fillfactor": "80", **_OFTEN},
    "attempts": {"fillfactor": "90", **_OFTEN},
    "outbox": {"fillfactor": "90", **_OFTEN},
    "records": {"fillfactor": "90", **_OFTEN},
    "nonces": _OFTEN,
}
"""Storage parameters by table; the others are as PostgreSQL has them."""
