"""Which cluster the book was written on, kept in the book itself: a copy that lies elsewhere shows (M4).

A dump loaded into another cluster has another system identifier; a promoted stand-by and a recovery to a point in
time have another timeline. What does not show is a base backup started as it was: after any restore it is the operator
who must run `bianmin db restored`.
"""

from typing import Any

from gateway.store.port import StoreRefused
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.servers import RUN_RESTORED

CLUSTER, TIMELINE = "cluster", "timeline"
_HERE = (
    "SELECT (SELECT system_identifier FROM pg_control_system()) AS cluster,"
    " ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint AS timeline"
)
_KEPT = "SELECT name, value FROM settings WHERE name = ANY($1::text[])"
_KEEP = (
    "INSERT INTO settings (name, value) SELECT * FROM unnest($1::text[], $2::bigint[])"
    " ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value WHERE settings.value <> EXCLUDED.value"
)


async def check_identity(connection: Any, config: PostgresConfig) -> None:
    """StoreRefused where the book was written on another cluster, or its stand-by was promoted unsynchronised.

    With stand-by hosts a later timeline is taken as a fail-over: no acknowledged commit is missing there.
    """
    kept = {row["name"]: row["value"] for row in await connection.fetch(_KEPT, [CLUSTER, TIMELINE])}
    here = await connection.fetchrow(_HERE)
    if kept.get(CLUSTER, here["cluster"]) != here["cluster"]:
        raise StoreRefused(f"this book was written on another PostgreSQL cluster: a restored copy; {RUN_RESTORED}")
    was = kept.get(TIMELINE, here["timeline"])
    if here["timeline"] < was or (here["timeline"] > was and not config.standby_hosts):
        raise StoreRefused(
            f"this book was written on timeline {was} and lies on {here['timeline']}: restored, or promoted without"
            f" synchronous replication; {RUN_RESTORED}"
        )
    if kept != {CLUSTER: here["cluster"], TIMELINE: here["timeline"]}:
        # Not written again for nothing: the commit waits for a stand-by.
        await keep_identity(connection)


async def keep_identity(connection: Any) -> None:
    """From now on the book is at home on this cluster and timeline."""
    here = await connection.fetchrow(_HERE)
    await connection.execute(_KEEP, [CLUSTER, TIMELINE], [here["cluster"], here["timeline"]])
