"""One connection to the primary, checked before anyone uses it."""

import asyncio
import re
from typing import Any

import msgspec

from gateway.store.port import StoreBusy, StoreError, StoreRefused
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.identity import check_identity
from gateway.store.postgres.servers import Servers
from gateway.store.version import SQL as VERSION_SQL
from gateway.store.version import TABLE as VERSION_TABLE
from gateway.store.version import check_version

GRACE_MS = 2_000
_DURABLE = frozenset({"on", "remote_apply"})
_NAMES = re.compile(r"(?:(?:FIRST|ANY)\s+)?(?P<count>\d+)\s*\((?P<list>[^()]*)\)|(?P<bare>[^()]*)", re.IGNORECASE)
_SETTINGS = (
    "SELECT current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,"
    " current_setting('synchronous_standby_names') AS synchronous_standby_names,"
    " current_setting('full_page_writes') AS full_page_writes"
)


async def connect(config: PostgresConfig, role: str, servers: Servers | None = None) -> Any:
    """A connection that writes, to whichever host is the primary. Raises StoreRefused, StoreBusy.

    Its replies are waited for a little longer than the server's own time-out, so that a server that has vanished
    without a word is noticed. servers: what the store knows of its servers; alone, nothing is known, and whose book
    lies there is not asked.
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
    connection = await (servers or Servers(config, known=False)).connect(settings, command_s)
    try:
        await check_durability(connection, config)
        if servers is not None and servers.known:
            await check_schema(connection)
            await check_identity(connection, config, servers)
    except BaseException as error:  # boundary: an unchecked connection is let go, whatever stopped the check
        connection.terminate()
        if isinstance(error, (StoreError, asyncio.CancelledError)):
            raise
        raise StoreBusy(f"PostgreSQL does not answer: {error}") from error
    return connection


async def find_primary(config: PostgresConfig) -> PostgresConfig:
    """The configuration with the primary alone, for tools that take one URL. Raises StoreRefused, StoreBusy."""
    servers = Servers(config, known=False)
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
    if not all_confirm(found["synchronous_standby_names"]):
        raise StoreRefused(
            "stand-by hosts are configured, but synchronous_standby_names does not have every stand-by that it names"
            " confirm each commit: whichever is promoted must hold what was acknowledged"
        )
    for name in ("fsync", "full_page_writes"):
        if found[name] != "on":
            raise StoreRefused(f"stand-by hosts are configured, but {name} is {found[name]}; it must be on")


def all_confirm(names: str) -> bool:
    """Whether `synchronous_standby_names` waits for every stand-by that it names, by its documented forms.

    `FIRST 1 (a, b)` and `ANY 1 (a, b)` do not: one of the two may lack a commit that was acknowledged.
    """
    found = _NAMES.fullmatch(names.strip())
    if found is None:
        return False
    listed = [name.strip() for name in (found["list"] or found["bare"]).split(",")]
    return "" not in listed and "*" not in listed and int(found["count"] or 1) == len(listed)


async def check_schema(connection: Any) -> None:
    """StoreRefused unless the database has the version this code needs."""
    exists = await connection.fetchval("SELECT to_regclass($1::text)::text", VERSION_TABLE)
    check_version(await connection.fetchval(VERSION_SQL) if exists else None)
