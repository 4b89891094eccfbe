"""What `bianmin db restored` does beside the core: alone with the book, order by order, to the end."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any, Protocol

from gateway.config import Config, PostgresStore, SqliteStore
from gateway.core.env import Env
from gateway.core.items import NotNow
from gateway.core.restored import BeginRestore, EndRestore, Restored, RestoreOrders
from gateway.ops.desk import SqliteDesk, entropy, house_units
from gateway.ops.shared import NotSo
from gateway.store.port import StoreRefused

_OTHERS = (
    "SELECT DISTINCT application_name || ' from ' || coalesce(host(client_addr), 'here') AS who FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'bianmin-%' AND NOT pid = ANY($1::int[])"
)
_LEASED = (
    "SELECT name || ' by ' || owner AS who, until - (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS left_ms"
    " FROM leases WHERE until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint ORDER BY until"
)
LEASE_MAX_MS = 60_000
"""A lease that ends later than this was taken by a clock that was wrong: nobody holds it."""


class Runs(Protocol):
    """Whoever runs items; every Store does."""

    async def run(self, item: Any) -> Any:
        """See Store.run."""
        ...


async def make_safe(config: Config, env: Env) -> int:
    """Put what the copy had under way in doubt; how many orders. Again after a crash: it goes on.

    Raises NotSo where somebody serves the book, or where a partner's numbers of a day are used up.
    """
    alone = _alone_on_sqlite(config.store, env) if isinstance(config.store, SqliteStore) else None
    async with alone or _alone_on_postgres(config.store, env) as book:  # type: ignore[arg-type]  # one or the other
        begun = await book.run(BeginRestore(entropy=entropy()))
        if isinstance(begun, NotNow):
            raise NotSo(f"{begun.cause}: the book stays closed; run this again on another day")
        if isinstance(book, _PostgresBook):
            await book.check_alone()
        turned = await put_in_doubt(book)
        if isinstance(book, _PostgresBook):
            await book.settle_here()
        await book.run(EndRestore())
    return turned


async def put_in_doubt(book: Runs) -> int:
    """Every undecided order, in batches; how many were changed."""
    turned, after = 0, ""
    while True:
        reply: Restored = await book.run(RestoreOrders(after=after, entropy=entropy()))
        turned += reply.turned
        if reply.after is None:
            return turned
        after = reply.after


@contextlib.asynccontextmanager
async def _alone_on_sqlite(store: SqliteStore, env: Env) -> AsyncIterator[Runs]:
    """The lock of `serve` is ours until the end."""
    from gateway.store.sqlite.process import take_lock

    try:
        lock = take_lock(store.path)
    except StoreRefused as served:
        raise NotSo(served.cause) from served
    try:
        desk = SqliteDesk(store, env)
        desk.open()
        try:
            yield desk
        finally:
            desk.close()
    finally:
        os.close(lock)


class _PostgresBook:
    """The store, and a connection that looks who else is there."""

    def __init__(self, settings: PostgresStore, env: Env) -> None:
        from gateway.store.postgres.store import PostgresStore as Store

        self._config = settings.connection()
        self._store = Store(self._config, house_units(), env, known=False)
        self._looking: Any = None

    async def open(self) -> None:
        from gateway.store.postgres.connection import check_schema, connect

        self._looking = await connect(self._config, "db")
        await check_schema(self._looking)
        await self.check_alone()
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()
        if self._looking is not None:
            self._looking.terminate()

    async def run(self, item: Any) -> Any:
        return await self._store.run(item)

    async def check_alone(self) -> None:
        """NotSo where others have connections, or renew a lease.

        A lease that is merely not over (of a process that died, or of the book that was lost) is waited for.
        """
        own = [self._looking.get_server_pid(), *self._store.backends()]
        others = [row["who"] for row in await self._looking.fetch(_OTHERS, own)]
        held = await self._held()
        if held and not others:
            await asyncio.sleep(max(held.values()) / 1000)
            others = sorted(await self._held())
        if others:
            raise NotSo(f"the book is in use, stop that first: {', '.join(sorted(others))}")

    async def _held(self) -> dict[str, int]:
        """Leases that are not over, and how long they run, in ms."""
        rows = await self._looking.fetch(_LEASED)
        return {row["who"]: row["left_ms"] for row in rows if row["left_ms"] <= LEASE_MAX_MS}

    async def settle_here(self) -> None:
        """The book is at home here from now on."""
        from gateway.store.postgres.identity import keep_identity

        await keep_identity(self._looking)


@contextlib.asynccontextmanager
async def _alone_on_postgres(settings: PostgresStore, env: Env) -> AsyncIterator[Runs]:
    book = _PostgresBook(settings, env)
    try:
        await book.open()
        yield book
    finally:
        await book.close()
