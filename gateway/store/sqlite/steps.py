"""What each step of a unit means on one SQLite connection, inside an open transaction."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, assert_never

from gateway.core.rows import OutboxRow, Row
from gateway.core.steps import Archive, Claim, Key, Now, Numbers, Purge, Read, Scan, Step, Write
from gateway.store import plan
from gateway.store.driver import check_reads_only
from gateway.store.queries import BY_KEYS, PURGES, SCANNED
from gateway.store.shapes import getter, shape_of
from gateway.store.sqlite import text

Getter = Callable[[Any], Key]


class Steps:
    """Answers the steps of the units of one transaction. outbox: the outbox rows written so far."""

    def __init__(self, connection: sqlite3.Connection, now_ms: Callable[[], int]) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self.outbox: list[OutboxRow] = []

    def answer(self, step: Step) -> Any:
        """The answer to one step. Raises Raced, sqlite3's errors, KeyError for a name the catalogue lacks."""
        match step:
            case Now():
                return self._now_ms()
            case Claim():
                return self._claim(step.rows)
            case Read():
                return read(self._connection, step.query, step.keys)
            case Scan():
                return scan(self._connection, step)
            case Numbers():
                return self._numbers(step)
            case Write():
                return self._write(step)
            case Purge():
                self._connection.execute(PURGES[step.query], step.params)
                return None
            case Archive():
                return self._archive(step.rows)
            case _:
                assert_never(step)

    def look(self, step: Step) -> Any:
        """The answer to a step of a read unit. ValueError for any other."""
        check_reads_only(step)
        return self.answer(step)

    def _claim(self, rows: Iterable[Row]) -> set[Key]:
        ours: set[Key] = set()
        for group in plan.group_inserts(rows):
            names = group.columns_used()
            given = self._watched(group.rows, getter(names), group.shape.key_of, ours)
            self._connection.executemany(text.claim(group.shape, names), given)
        return ours

    def _watched(self, rows: Iterable[Any], values: Getter, key_of: Getter, ours: set[Key]) -> Iterator[Key]:
        """The values of each row, and its key into `ours` if its insert changed something.

        executemany asks for the next values once the last were inserted, so the count of changes tells of each row;
        a multi-row INSERT … RETURNING says the same and takes half as long again.
        """
        connection = self._connection
        before = connection.total_changes
        for row in rows:
            yield values(row)
            after = connection.total_changes
            if after != before:
                ours.add(key_of(row))
                before = after

    def _numbers(self, step: Numbers) -> int:
        if step.count < 1:
            raise ValueError("at least one number must be asked for")
        asked = {"biller": step.biller, "day": step.day, "count": step.count}
        (after,) = self._connection.execute(text.NUMBERS, asked).fetchone()
        return int(after) - step.count

    def _archive(self, rows: Iterable[Row]) -> None:
        groups = plan.group_inserts(rows)
        for group in groups:
            self._connection.executemany(text.archive(group.shape), map(group.shape.values, group.rows))
        # What refers to others leaves before them.
        for group in reversed(groups):
            held = map(getter(group.shape.key + group.shape.guard), group.rows)
            done = self._connection.executemany(text.leave(group.shape), held)
            if done.rowcount != len(group.rows):
                raise plan.Raced(group.shape.table)

    def _write(self, step: Write) -> None:
        # Updates first: a row that leaves a unique index makes room for one that enters it.
        for update in plan.group_updates(step.updates):
            shape = update.shape
            take = getter(update.columns)
            held = getter(shape.key + shape.guard)
            values = [take(after) + held(before) for before, after in update.pairs]
            done = self._connection.executemany(text.update(shape, update.columns), values)
            if done.rowcount != len(values):
                raise plan.Raced(shape.table)
        for group in plan.group_inserts(step.inserts):
            names = group.columns_used()
            self._connection.executemany(text.insert(group.shape, names), map(getter(names), group.rows))
        self.outbox += plan.outbox_rows(step)


def read(connection: sqlite3.Connection, query: str, keys: Iterable[Key]) -> list[Row]:
    """The rows of a by-keys query, once each."""
    shape = shape_of(BY_KEYS[query].row)
    width = len(BY_KEYS[query].on)
    wanted = list(dict.fromkeys(keys))
    if any(len(key) != width for key in wanted):
        raise ValueError(f"{query} is asked by keys of {width} values")
    size = text.chunk_size(query)
    found: list[Row] = []
    for start in range(0, len(wanted), size):
        chunk = wanted[start : start + size]
        count = min(text.padded(len(chunk)), size)
        values = [value for key in chunk for value in key]
        values += [None] * ((count - len(chunk)) * width)
        found += map(shape.build, connection.execute(text.by_keys(query, count), values))
    return found


def scan(connection: sqlite3.Connection, step: Scan) -> list[Row]:
    """The rows of a scanned query, in its order."""
    shape = shape_of(SCANNED[step.query].row)
    return list(map(shape.build, connection.execute(text.scanned(step.query), step.params)))
