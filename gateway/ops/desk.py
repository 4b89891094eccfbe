"""The book for commands: writes and reads beside a running `serve`, on either engine."""

import contextlib
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeVar

from gateway.config import Config, PostgresStore, SqliteStore
from gateway.core.env import Env
from gateway.core.units import ITEM_TYPE, READ_UNITS, REPLY_TYPE, UNITS
from gateway.store.port import Snapshot, StoreBusy, StoreError, StoreRefused, Units

T = TypeVar("T")


class Desk(Protocol):
    """What commands need of a store (gateway.store.port.Store has it all)."""

    async def run(self, item: Any) -> Any:
        """See Store.run."""
        ...

    async def look(self, item: Any) -> Any:
        """See Store.look."""
        ...

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        """See Store.snapshot."""
        ...


class SqliteDesk:
    """A second writer on the file for as long as one command takes (BEGIN IMMEDIATE, busy time-out)."""

    def __init__(self, store: SqliteStore, env: Env, units: Units | None = None) -> None:
        from gateway.store.sqlite.engine import SqliteEngine

        self._path = store.path
        self._engine = SqliteEngine(store.path, units or house_units(), env)

    def open(self) -> None:
        """Open the file. Raises StoreError."""
        self._engine.open()

    def close(self) -> None:
        """Close the file."""
        self._engine.close()

    async def run(self, item: Any) -> Any:
        """See Store.run."""
        (reply,) = self._engine.execute([item]).replies
        if isinstance(reply, StoreError):
            raise reply
        return reply

    async def look(self, item: Any) -> Any:
        """See Store.look."""
        return self._engine.look(item)

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        """See Store.snapshot."""
        from gateway.store.sqlite.readers import take_snapshot

        return await take_snapshot(self._path, use)


def house_units() -> Units:
    """Every unit of work of this house, as a store takes them."""
    return Units(units=UNITS, read_units=READ_UNITS, item_type=ITEM_TYPE, reply_type=REPLY_TYPE)


@contextlib.asynccontextmanager
async def open_desk(config: Config, env: Env, units: Units | None = None) -> AsyncIterator[Desk]:
    """The book of a configuration, closed afterwards. units: other than the house's. Raises StoreError where it cannot
    be used."""
    if isinstance(config.store, SqliteStore):
        desk = SqliteDesk(config.store, env, units)
        desk.open()
        try:
            yield desk
        finally:
            desk.close()
        return
    from gateway.store.postgres.store import PostgresStore as Store

    store = Store(config.store.connection(), units or house_units(), env)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def entropy() -> int:
    """64 random bits for an item."""
    return secrets.randbits(64)


@contextlib.contextmanager
def reachable(store: SqliteStore | PostgresStore) -> Iterator[None]:
    """Tell a database that migrations cannot reach or use in one line (StoreError)."""
    from sqlalchemy.exc import DBAPIError

    if isinstance(store, SqliteStore) and not store.path.parent.is_dir():
        raise StoreRefused(f"there is no folder {store.path.parent}: run `bianmin init`")
    try:
        yield
    except (DBAPIError, sqlite3.Error) as wrong:
        cause = getattr(wrong, "orig", None) or wrong
        raise StoreRefused(f"the database cannot be used: {cause}") from wrong
    except (OSError, TimeoutError) as wrong:
        raise StoreBusy(f"the database cannot be reached: {wrong}") from wrong
