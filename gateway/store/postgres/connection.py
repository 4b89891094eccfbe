"""One connection to the primary, checked before anyone uses it."""

import asyncio
from typing import Any

import asyncpg

from gateway.store.port import StoreBusy, StoreError, StoreRefused
from gateway.store.postgres.config import PostgresConfig
from gateway.store.version import SQL as VERSION_SQL
from gateway.store.version import TABLE as VERSION_TABLE
from gateway.store.version import check_version

STATEMENTS_KEPT = 1_024
GRACE_MS = 2_000
_DURABLE = frozenset({"on", "remote_apply"})
# Wrong password, unknown role or database, no permission: waiting mends none of them.
_REFUSED_CLASSES = frozenset({"28", "3D", "42"})


async def connect(config: PostgresConfig, role: str) -> Any:
    """A connection that writes, to whichever host accepts writes. Raises StoreRefused, StoreBusy.

    Its replies are waited for a little longer than the server's own time-out, so that a server that has vanished
    without a word is noticed.
    """
    return await _connect(config, dict(config.server_settings(role)), (config.statement_ms + GRACE_MS) / 1000)


async def connect_for_snapshot(config: PostgresConfig) -> Any:
    """A connection whose statements and transaction may take as long as they need, planned as usual."""
    settings = {"application_name": "bianmin-snapshot", "statement_timeout": "0"}
    return await _connect(config, {**settings, "idle_in_transaction_session_timeout": "0"}, None)


async def _connect(config: PostgresConfig, settings: dict[str, str], command_s: float | None) -> Any:
    hosts, ports = config.addresses()
    try:
        connection = await asyncpg.connect(
            host=hosts,
            port=ports,
            user=config.user,
            password=config.password,
            database=config.database,
            ssl=config.ssl,
            timeout=config.connect_ms / 1000,
            command_timeout=command_s,
            statement_cache_size=STATEMENTS_KEPT,
            max_cached_statement_lifetime=0,
            # One statement writes a whole batch; its text is long and is wanted again.
            max_cacheable_statement_size=0,
            target_session_attrs="read-write",
            server_settings=settings,
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        code = getattr(error, "sqlstate", None) or ""
        kind = StoreRefused if code[:2] in _REFUSED_CLASSES else StoreBusy
        raise kind(f"no connection to PostgreSQL: {type(error).__name__}: {error}") from error
    try:
        await check_durability(connection, config)
    except BaseException as error:  # boundary: an unchecked connection is let go, whatever stopped the check
        connection.terminate()
        if isinstance(error, (StoreError, asyncio.CancelledError)):
            raise
        raise StoreBusy(f"PostgreSQL does not answer: {error}") from error
    return connection


async def check_durability(connection: Any, config: PostgresConfig) -> None:
    """StoreRefused where stand-bys are configured and a commit would not wait for one (M4).

    Without stand-bys a commit waits for this server's disk at least, whatever the server's default is.
    Asked on every connection: after a fail-over it is another server, with settings of its own.
    """
    commit = await connection.fetchval("SHOW synchronous_commit")
    if not config.standby_hosts:
        if commit == "off":
            await connection.execute("SET synchronous_commit = on")
        return
    names = await connection.fetchval("SHOW synchronous_standby_names")
    if commit not in _DURABLE:
        raise StoreRefused(f"stand-by hosts are configured, but synchronous_commit is {commit}; it must be on")
    if not names.strip():
        raise StoreRefused("stand-by hosts are configured, but synchronous_standby_names is empty")


async def check_schema(connection: Any) -> None:
    """StoreRefused unless the database has the version this code needs."""
    exists = await connection.fetchval("SELECT to_regclass($1::text)::text", VERSION_TABLE)
    check_version(await connection.fetchval(VERSION_SQL) if exists else None)
