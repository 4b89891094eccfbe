"""What a unit of work may ask of a store, as values (design s7).

A unit is a generator: it yields steps, receives their answers, and returns one reply per item. It does no I/O; a
driver runs it inside one transaction and commits when it returns. So both engines share every line but the driver,
and the rules are tested without any.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.core.rows import Row

T = TypeVar("T")
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Now:
    """Answer: the database's clock, whole ms (int). Read once, first."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Insert rows unless their primary key exists. Answer: the set of primary keys that are ours now.

    Waits for a concurrent transaction that holds the same key; so races between processes are settled here, first.
    """

    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Read:
    """A named query of the catalogue (`gateway/store/queries.py`) for many keys at once. Answer: list of its rows.

    keys: distinct tuples, sorted by the driver where the query locks. Rows come once each, in no order.
    """

    query: str
    keys: Sequence[Key]


@dataclass(frozen=True, slots=True)
class Scan:
    """A named query with named parameters, ordered and limited by its text. Answer: list of its rows."""

    query: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Answer: the first of `count` consecutive numbers of a partner's day, never handed out before (range)."""

    biller: str
    day: str
    count: int


@dataclass(frozen=True, slots=True)
class Write:
    """Everything that changes, in one go, the last step. updates: (as it was read, as it shall be) of one table's rows.

    A guarded row that no longer holds what was read makes the whole unit a lost race: the driver rolls back and does
    its items again, one by one. Answer: None.
    """

    inserts: Sequence[Row] = ()
    updates: Sequence[tuple[Row, Row]] = ()


@dataclass(frozen=True, slots=True)
class Purge:
    """Delete what a named statement selects; nonces, and what ended processes held (never money, never a key).
    Answer: None."""

    query: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Archive:
    """Move rows, as they were read, into their archive tables; before the Write. Answer: None.

    They are all of tables in ARCHIVED. A row that is no longer there as it was read makes the unit a lost race.
    """

    rows: Sequence[Row]


Step = Now | Claim | Read | Scan | Numbers | Write | Purge | Archive
Work = Generator[Step, Any, T]
"""A unit of work that ends in T."""
