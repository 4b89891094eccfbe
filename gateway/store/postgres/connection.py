"""One connection to the primary, checked before anyone uses it."""

import asyncio
from typing import Any

import msgspec

from gateway.store.port import StoreBusy, StoreError, StoreRefused
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.servers import Servers
from gateway.store.version import SQL as VERSION_SQL
from gateway.store.version import TABLE as VERSION_TABLE
from gateway.store.version import check_version

GRACE_MS = 2_000
_DURABLE = frozenset({"on", "remote_apply"})
_SETTINGS = (
    "SELECT current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,"
    " current_setting('synchronous_standby_names') AS synchronous_standby_names,"
    " current_setting('full_page_writes') AS full_page_writes"
)


async def connect(config: PostgresConfig, role: str, servers: Servers | None = None) -> Any:
    """A connection that writes, to whichever host is the primary. Raises StoreRefused, StoreBusy.

    Its replies are waited for a little longer than the server's own time-out, so that a server that has vanished
    without a word is noticed. servers: what the store knows of its servers; alone, nothing is known.
    """
    settings = dict(config.server_settings(role))
    return await _connect(config, settings, (config.statement_ms + GRACE_MS) / 1000, servers)


async def connect_for_snapshot(config: PostgresConfig, servers: Servers | None = None) -> Any:
    """A connection whose statements and transaction may take as long as they need, planned as usual."""
    settings = {"application_name": "bianmin-snapshot", "statement_timeout": "0"}
    return await _connect(config, {**settings, "idle_in_transaction_session_timeout": "0"}, None, servers)


async def _connect(
    config: PostgresConfig, settings: dict[str, str], command_s: float | None, servers: Servers | None
) -> Any:
    connection = await (servers or Servers(config)).connect(settings, command_s)
    try:
        await check_durability(connection, config)
    except BaseException as error:  # boundary: an unchecked connection is let go, whatever stopped the check
        connection.terminate()
        if isinstance(error, (StoreError, asyncio.CancelledError)):
            raise
        raise StoreBusy(f"PostgreSQL does not answer: {error}") from error
    return connection


async def find_primary(config: PostgresConfig) -> PostgresConfig:
    """The configuration with the primary alone, for tools that take one URL. Raises StoreRefused, StoreBusy."""
    servers = Servers(config)
    connection = await connect(config, "db", servers)
    connection.terminate()
    return msgspec.structs.replace(config, hosts=(servers.place,), standby_hosts=())


async def check_durability(connection: Any, config: PostgresConfig) -> None:
    """StoreRefused where stand-bys are configured and a commit would not wait for one, or for the disk (M4).

    Without stand-bys a commit waits for this server's disk as far as we can say so; fsync is the server's own.
    Asked on every connection: after a fail-over it is another server, with settings of its own.
    """
    found = await connection.fetchrow(_SETTINGS)
    commit = found["synchronous_commit"]
    if not config.standby_hosts:
        if commit == "off":
            await connection.execute("SET synchronous_commit = on")
        return
    if commit not in _DURABLE:
        raise StoreRefused(f"stand-by hosts are configured, but synchronous_commit is {commit}; it must be on")
    if not found["synchronous_standby_names"].strip():
        raise StoreRefused("stand-by hosts are configured, but synchronous_standby_names is empty")
    for name in ("fsync", "full_page_writes"):
        if found[name] != "on":
            raise StoreRefused(f"stand-by hosts are configured, but {name} is {found[name]}; it must be on")


async def check_schema(connection: Any) -> None:
    """StoreRefused unless the database has the version this code needs."""
    exists = await connection.fetchval("SELECT to_regclass($1::text)::text", VERSION_TABLE)
    check_version(await connection.fetchval(VERSION_SQL) if exists else None)
