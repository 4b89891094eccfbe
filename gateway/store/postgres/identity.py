"""Which cluster the book was written on, kept in the book itself: a copy that lies elsewhere shows (M4).

A dump loaded into another cluster has another system identifier; a promoted stand-by and a recovery to a point in
time have another timeline. A base backup started as it was shows only to a process that lived on: its book lacks the
transaction that this process was acknowledged last, and it closes that book for everybody. After any restore the
operator runs `bianmin db restored`, which counts the restores: whoever had the book open before must begin anew.
"""

from typing import Any

import asyncpg

from gateway.core.restoring import RESTORES, RESTORING
from gateway.store.port import StoreRefused
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.servers import RUN_RESTORED, Servers

CLUSTER, TIMELINE = "cluster", "timeline"
_HERE = (
    "SELECT (SELECT system_identifier FROM pg_control_system()) AS cluster,"
    " ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint AS timeline"
)
_CLOSE = (
    "INSERT INTO settings (name, value)"
    " SELECT unnest($1::text[]), (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    " ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value WHERE settings.value = 0"
)
_STATUS = "SELECT pg_xact_status($1::text::xid8)"
_KEPT = "SELECT name, value FROM settings WHERE name = ANY($1::text[])"
_KEEP = (
    "INSERT INTO settings (name, value) SELECT * FROM unnest($1::text[], $2::bigint[])"
    " ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value WHERE settings.value <> EXCLUDED.value"
)


async def check_identity(connection: Any, config: PostgresConfig, servers: Servers) -> None:
    """StoreRefused where the book was written on another cluster, its stand-by was promoted unsynchronised, or it was
    restored and is not yet safe, or was made safe while this process had it open.

    Asked on every connection. With stand-by hosts a later timeline is taken as a fail-over.
    """
    names = [CLUSTER, TIMELINE, RESTORING, RESTORES]
    kept = {row["name"]: row["value"] for row in await connection.fetch(_KEPT, names)}
    here = await connection.fetchrow(_HERE)
    if servers.newest and (await _status(connection, servers.newest)) not in ("committed", None):
        try:
            await _close(connection)
        finally:
            servers.lacks_what_was_acknowledged()
    if kept.get(RESTORING):
        raise StoreRefused(f"a restored book is not yet made safe: {RUN_RESTORED}")
    servers.same_life(kept.get(RESTORES, 0))
    if kept.get(CLUSTER, here["cluster"]) != here["cluster"]:
        raise StoreRefused(f"this book was written on another PostgreSQL cluster: a restored copy; {RUN_RESTORED}")
    was = kept.get(TIMELINE, here["timeline"])
    if here["timeline"] < was or (here["timeline"] > was and not config.standby_hosts):
        raise StoreRefused(
            f"this book was written on timeline {was} and lies on {here['timeline']}: restored, or promoted without"
            f" synchronous replication; {RUN_RESTORED}"
        )
    if (kept.get(CLUSTER), kept.get(TIMELINE)) != (here["cluster"], here["timeline"]):
        # Not written again for nothing: the commit waits for a stand-by.
        await keep_identity(connection)


async def _close(connection: Any) -> None:
    """Nobody may call on what this book says, whether he has noticed or not, until `bianmin db restored` has ended."""
    async with connection.transaction():
        # No stand-by need know it: it is about this server.
        await connection.execute("SET LOCAL synchronous_commit = local")
        await connection.execute(_CLOSE, [RESTORING])


async def _status(connection: Any, transaction: int) -> str | None:
    """What the server knows of a transaction: `committed`, `aborted`, `in progress`; `future`: it is yet to come; None:
    it is too old to tell.
    """
    try:
        status: str | None = await connection.fetchval(_STATUS, str(transaction))
    except asyncpg.InvalidParameterValueError:
        return "future"
    return status


async def keep_identity(connection: Any) -> None:
    """From now on the book is at home on this cluster and timeline."""
    here = await connection.fetchrow(_HERE)
    await connection.execute(_KEEP, [CLUSTER, TIMELINE], [here["cluster"], here["timeline"]])
