"""SQLite as a plain synchronous class: a batch of items in, one commit, replies out.

The writer process runs one; tests, tools and simulations may run one in their own process.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.core.rows import OutboxRow
from gateway.store.driver import drive, replies_for
from gateway.store.plan import Raced
from gateway.store.port import LostRace, StoreBusy, StoreError, UnitFailed, Units
from gateway.store.sqlite.connection import BUSY_TIMEOUT_MS, Fault, as_store_error, classify, open_writer
from gateway.store.sqlite.steps import Steps
from gateway.store.sqlite.text import NOW
from gateway.store.version import SQL as VERSION_SQL
from gateway.store.version import TABLE as VERSION_TABLE
from gateway.store.version import check_version

TRIES = 3
_log = logging.getLogger("bianmin.store")


@dataclass(slots=True)
class Batch:
    """One reply per item, in order: a reply, or the StoreError that says why there is none."""

    replies: list[Any]
    outbox: list[OutboxRow] = field(default_factory=list)


class SqliteEngine:
    """The one writer of a file, or one of a few (each commit takes the file's write lock).

    now_ms: stands in for the database's clock. execute() and look() belong to one thread at a time. broken: an I/O
    error left it open what the disk holds; the process must end, so that the next start recovers from the log.
    """

    def __init__(
        self,
        path: Path,
        units: Units,
        env: Any,
        *,
        now_ms: Callable[[], int] | None = None,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    ) -> None:
        self.path = path
        self.broken = False
        self._units = units
        self._env = env
        self._now_ms = now_ms
        self._busy_timeout_ms = busy_timeout_ms
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file and check its version. Raises StoreRefused, StoreFull, StoreBusy."""
        connection = None
        try:
            connection = open_writer(self.path, self._busy_timeout_ms)
            check_version(read_version(connection))
        except (sqlite3.Error, StoreError) as error:
            if connection is not None:
                connection.close()
            raise error if isinstance(error, StoreError) else as_store_error(error) from error
        self._connection = connection

    def close(self) -> None:
        """Close the file; what was committed is safe."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection; RuntimeError before open()."""
        if self._connection is None:
            raise RuntimeError("the engine is not open")
        return self._connection

    def execute(self, items: Sequence[Any]) -> Batch:
        """Run all items in one transaction, each unit once, units in order of their first item; commit once.

        Where a guard, an index or a unit itself refuses, everything is rolled back and done again item by item (each
        in a savepoint, one commit for all), so that a bad item has no neighbours. Never raises for an item.
        """
        try:
            return self._together(items)
        except StoreError as error:
            return Batch([error] * len(items))
        except Exception as error:  # boundary: whatever a unit raised, the items are tried apart
            if not is_race(error):
                _log.warning("unit.redone", extra={"cause": f"{type(error).__name__}: {error}"})
        try:
            return self._apart(items)
        except StoreError as error:
            return Batch([error] * len(items))

    def look(self, item: Any) -> Any:
        """The reply of a read unit, from one snapshot. Raises StoreError, or what the unit raised."""
        return look(self.connection, self._units, self._env, [item], clock_of(self.connection, self._now_ms))[0]

    def _together(self, items: Sequence[Any]) -> Batch:
        steps = self._begin()
        replies: list[Any] = [None] * len(items)
        try:
            for places in group_by_unit(self._units.units, items):
                answers = self._run([items[at] for at in places], steps)
                for at, answer in zip(places, answers, strict=True):
                    replies[at] = answer
        except BaseException as error:  # boundary: rolls back and raises on
            self._rollback()
            self._raise_if_engine(error)
            raise
        self._commit()
        return Batch(replies, steps.outbox)

    def _apart(self, items: Sequence[Any]) -> Batch:
        steps = self._begin()
        try:
            replies = [self._alone(item, steps) for item in items]
        except BaseException as error:  # boundary: rolls back and raises on
            self._rollback()
            self._raise_if_engine(error)
            raise
        self._commit()
        return Batch(replies, steps.outbox)

    def _alone(self, item: Any, steps: Steps) -> Any:
        """One item in a savepoint, again where a guard or index refuses it; a StoreError as reply if it will not."""
        refused: BaseException | None = None
        for _ in range(TRIES):
            told = len(steps.outbox)
            self.connection.execute("SAVEPOINT item")
            try:
                (reply,) = self._run([item], steps)
            except Exception as error:  # boundary: this item's fault alone
                self._raise_if_engine(error)
                self.connection.execute("ROLLBACK TO item")
                self.connection.execute("RELEASE item")
                del steps.outbox[told:]
                refused = error
                if not is_race(error):
                    _log.exception("unit.failed")
                    return UnitFailed(f"{type(item).__name__}: {type(error).__name__}: {error}")
            else:
                self.connection.execute("RELEASE item")
                return reply
        return LostRace(f"{type(item).__name__}: {refused}")

    def _run(self, items: Sequence[Any], steps: Steps) -> list[Any]:
        unit = self._units.units[type(items[0])]
        return replies_for(len(items), drive(unit(items, self._env), steps.answer))

    def _begin(self) -> Steps:
        if self.broken:
            raise StoreBusy("the database's disk failed; the writer is stopping")
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise as_store_error(error) from error
        # One reading of the clock serves the whole transaction: its units agree on what time it is.
        now = clock_of(self.connection, self._now_ms)()
        return Steps(self.connection, lambda: now)

    def _commit(self) -> None:
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            # After a failed fsync nobody knows what the log on disk holds; only recovery does.
            self.broken = classify(error) is Fault.BROKEN
            self._rollback()
            raise as_store_error(error, in_doubt=self.broken) from error

    def _rollback(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _raise_if_engine(self, error: BaseException) -> None:
        """Raise what is no item's fault: disk full, file locked. All items share it."""
        fault = classify(error)
        if fault in (Fault.BUSY, Fault.FULL, Fault.BROKEN):
            raise as_store_error(error) from error


def is_race(error: BaseException) -> bool:
    """Whether another try may end otherwise."""
    return isinstance(error, Raced) or classify(error) is Fault.RACE


def group_by_unit(units: Any, items: Iterable[Any]) -> list[list[int]]:
    """Places of the items of each unit, units in order of first appearance. KeyError for an item of no unit."""
    groups: dict[Any, list[int]] = {}
    for at, item in enumerate(items):
        groups.setdefault(units[type(item)], []).append(at)
    return list(groups.values())


def read_version(connection: sqlite3.Connection) -> str | None:
    """The version row, or None where there is none."""
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchone()
    found = connection.execute(VERSION_SQL).fetchone() if exists else None
    return None if found is None else str(found[0])


def clock_of(connection: sqlite3.Connection, now_ms: Callable[[], int] | None = None) -> Callable[[], int]:
    """The clock of a connection: whole ms since the epoch, as SQLite reads them, or the one that stands in for it."""
    return now_ms or (lambda: int(connection.execute(NOW).fetchone()[0]))


def look(
    connection: sqlite3.Connection, units: Units, env: Any, items: Sequence[Any], now_ms: Callable[[], int]
) -> list[Any]:
    """The replies of one read unit for these items, in a transaction that writes nothing."""
    connection.execute("BEGIN")
    try:
        unit = units.read_units[type(items[0])]
        return replies_for(len(items), drive(unit(items, env), Steps(connection, now_ms).look))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
