"""What each step of a unit means on one PostgreSQL connection, inside an open transaction."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, assert_never

from gateway.core.rows import OutboxRow, Row
from gateway.core.steps import Archive, Claim, Key, Now, Numbers, Purge, Read, Scan, Step, Write
from gateway.store import plan
from gateway.store.driver import check_reads_only
from gateway.store.postgres import text
from gateway.store.queries import BY_KEYS, SCANNED
from gateway.store.shapes import Shape, getter, shape_of

Mint = Callable[[str, str, int], Awaitable[int]]


class Steps:
    """Answers the steps of one unit. mint: numbers of a partner's day. outbox: the outbox rows written so far.

    transaction: the server's number of it (xid8), once something is written; 0: nothing is.
    """

    def __init__(self, connection: Any, mint: Mint | None) -> None:
        self._connection = connection
        self._mint = mint
        self._locking = mint is not None
        self.outbox: list[OutboxRow] = []
        self.transaction = 0

    async def answer(self, step: Step) -> Any:
        """The answer to one step. Raises Raced, asyncpg's errors, KeyError for a name the catalogue lacks."""
        match step:
            case Now():
                return await self._connection.fetchval(text.NOW)
            case Claim():
                return await self._claim(step.rows)
            case Read():
                return await self._read(step)
            case Scan():
                sql, names = text.scanned(step.query, self._locking)
                shape = shape_of(SCANNED[step.query].row)
                return _rows(shape, await self._connection.fetch(sql, *_named(names, step.params)))
            case Numbers():
                return await self._numbers(step)
            case Write():
                return await self._write(step)
            case Purge():
                sql, names = text.purge(step.query)
                await self._connection.execute(sql, *_named(names, step.params))
                return None
            case Archive():
                return await self._archive(step.rows)
            case _:
                assert_never(step)

    async def look(self, step: Step) -> Any:
        """The answer to a step of a read unit. ValueError for any other."""
        check_reads_only(step)
        return await self.answer(step)

    async def _claim(self, rows: Iterable[Row]) -> set[Key]:
        ours: set[Key] = set()
        for group in plan.group_inserts(rows):
            values = _arrays(map(group.shape.values, group.rows))
            ours.update(map(tuple, await self._connection.fetch(text.claim(group.shape), *values)))
        return ours

    async def _read(self, step: Read) -> list[Row]:
        catalogued = BY_KEYS[step.query]
        keys = list(dict.fromkeys(step.keys))
        if any(len(key) != len(catalogued.on) for key in keys):
            raise ValueError(f"{step.query} is asked by keys of {len(catalogued.on)} values")
        if not keys:
            return []
        sql = text.by_keys(step.query, self._locking)
        return _rows(shape_of(catalogued.row), await self._connection.fetch(sql, *_arrays(keys)))

    async def _numbers(self, step: Numbers) -> int:
        if step.count < 1 or self._mint is None:
            raise ValueError("at least one number must be asked for, by a unit that writes")
        return await self._mint(step.biller, step.day, step.count)

    async def _archive(self, rows: Iterable[Row]) -> None:
        groups = plan.group_inserts(rows)
        for group in groups:
            values = _arrays(map(group.shape.values, group.rows))
            await self._connection.execute(text.archive(group.shape), *values)
        # What refers to others leaves before them.
        for group in reversed(groups):
            held = _arrays(map(getter(group.shape.key + group.shape.guard), group.rows))
            done = await self._connection.execute(text.leave(group.shape), *held)
            if done != f"DELETE {len(group.rows)}":
                raise plan.Raced(group.shape.table)

    async def _write(self, step: Write) -> None:
        updates = plan.group_updates(step.updates)
        inserts = plan.group_inserts(step.inserts)
        if not updates and not inserts:
            return
        sql = text.write(tuple(update.shape for update in updates), tuple(group.shape for group in inserts))
        values: list[Any] = []
        for update in updates:
            shape = update.shape
            held = getter(shape.key + shape.guard)
            values += _arrays(shape.movable(after) + held(before) for before, after in update.pairs)
        for group in inserts:
            values += _arrays(map(group.shape.values, group.rows))
        counts = await self._connection.fetchrow(sql, *values)
        for update, count in zip(updates, counts, strict=False):
            if count != len(update.pairs):
                raise plan.Raced(update.shape.table)
        self.transaction = counts[-1]
        self.outbox += plan.outbox_rows(step)


def _arrays(records: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    """One array per column out of one record per row."""
    return list(zip(*records, strict=True))


def _named(names: Iterable[str], params: dict[str, Any]) -> list[Any]:
    return [params[name] for name in names]


def _rows(shape: Shape, records: Iterable[Any]) -> list[Row]:
    return [shape.build(tuple(record)) for record in records]
