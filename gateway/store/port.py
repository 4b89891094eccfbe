"""The port of the store: what the flow may ask for, and how it may fail. Both engines implement it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gateway.core.rows import OutboxRow
from gateway.core.steps import Work

T = TypeVar("T")
Unit = Callable[[Sequence[Any], Any], Work[list[Any]]]
Listener = Callable[[Sequence[OutboxRow]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The units of work a store runs, by the type of the items they take; several types may share a unit.

    item_type, reply_type: unions of tagged structs, or one; what may cross to the writer process and back.
    read_units: those for `look`; they yield Now, Read and Scan only.
    """

    units: Mapping[type, Unit]
    read_units: Mapping[type, Unit]
    item_type: Any
    reply_type: Any


class StoreError(Exception):
    """Why an item has no reply. in_doubt: it may have been committed all the same."""

    def __init__(self, cause: str, *, in_doubt: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.in_doubt = in_doubt


class StoreBusy(StoreError):
    """Queue full, connections used up, lock not had in time, or the engine is down: try again later."""


class StoreFull(StoreError):
    """The disk is full, failing or read-only. Nothing was written."""


class LostRace(StoreError):
    """The item alone met a guard or a unique index several times in a row. Nothing was written."""


class UnitFailed(StoreError):
    """The unit raised, or gave the engine a value it cannot hold: our bug. Nothing was written."""


class ItemTooLarge(StoreError):
    """The item alone is more than one frame to the writer may hold. Nothing was written."""


class StoreRefused(StoreError):
    """The store must not be opened as it is: wrong schema version, file in use, unsafe settings."""


class Snapshot(Protocol):
    """The book as of one moment, for plain SQL that changes nothing."""

    @property
    def engine(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    def rows(
        self, sql: str, params: Mapping[str, Any] | None = None, slice_rows: int = 10_000
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Slices of at most slice_rows records; parameters are written `:name`. Flags come as 0 and 1."""
        ...


class Store(Protocol):
    """One book. Every method is called on the event loop that opened it."""

    async def open(self) -> None:
        """Connect and check. Raises StoreRefused for good reasons, StoreBusy where the engine is not there."""
        ...

    async def close(self) -> None:
        """Take nothing more, finish what is queued, let everything go."""
        ...

    async def run(self, item: Any) -> Any:
        """Queue an item for its unit and return its reply once the commit is durable. Raises StoreError."""
        ...

    async def look(self, item: Any) -> Any:
        """The reply of a read-only unit, from one consistent snapshot of the primary. Raises StoreError."""
        ...

    def listen(self, callback: Listener) -> None:
        """Have callback called on the event loop with the outbox rows of each committed batch, oldest first.

        SQLite: of every batch of the installation's writer. PostgreSQL: of this process. Rows that other commands
        write are not told: whoever must see every row sweeps the table too.
        """
        ...

    def lost(self) -> str | None:
        """Why this process must end: what the book told it is no longer in it. None: it may go on."""
        ...

    def depth(self) -> int:
        """Items given to `run` and not yet answered."""
        ...

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        """Call `use` with a snapshot that ends when it returns."""
        ...
