"""Triggers: what is append-only stays so, whoever writes: the gateway, a tool, or a person with a console (M2).

And one for PostgreSQL, where a gateway may have read long before it writes: see `_FUNCTION_RIVALS`.
"""

# ruff: noqa: S608 - names of our own tables and states

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.states import OPEN
from gateway.core import rows
from gateway.core.rows import Row
from gateway.store.shapes import shape_of

_FUNCTION = """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$"""


def _open(alias: str) -> str:
    states = ", ".join(repr(str(state)) for state in sorted(OPEN))
    return f"{alias}.state IN ({states}) AND {alias}.kind <> 'REFUND'"


# The index lets one open and unconfirmed payment in (M7). It has room again when that one ends, while another that was
# confirmed beside it is still open: a gateway that had looked before all this would not know. It runs when the rows
# are in the index, once for a whole batch: whoever could be confirmed unseen from then on would find these rows open.
# The error is that of the index, so that the batch is done again item by item.
_FUNCTION_RIVALS = f"""CREATE FUNCTION refuse_unseen_rival() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM fresh f CROSS JOIN LATERAL (
      SELECT p.gateway_serial FROM payments p WHERE p.biller = f.biller AND p.biller_account = f.biller_account
        AND p.amount_fen = f.amount_fen AND {_open("p")}) rival
    WHERE f.confirmed_repeat = 0 AND {_open("f")} AND rival.gateway_serial <> f.gateway_serial
  ) THEN
    RAISE EXCEPTION 'a payment of this account and amount is open' USING ERRCODE = 'unique_violation';
  END IF;
  RETURN NULL;
END $$"""


@dataclass(frozen=True, slots=True)
class Guard:
    """What may never happen to rows of a table. columns: those no update may name; all when empty and updates=True."""

    row: type[Row]
    updates: bool
    columns: tuple[str, ...] = ()
    once: tuple[str, ...] = ()


def _all_but(row: type[Row], *free: str) -> tuple[str, ...]:
    return tuple(name for name in shape_of(row).names if name not in free)


GUARDS: tuple[Guard, ...] = (
    Guard(rows.Transaction, updates=True),
    Guard(rows.Posting, updates=True),
    Guard(rows.EvidenceRow, updates=True, columns=_all_but(rows.EvidenceRow, "waiting")),
    # The sealer gives a record its place once; from then on it is fixed.
    Guard(
        rows.Record,
        updates=True,
        columns=_all_but(rows.Record, "day", "position", "chain"),
        once=("day", "position", "chain"),
    ),
    # A key outlives its payment (M3); what it means is set inside its first commit, by updates.
    Guard(rows.Key, updates=False),
)


def sqlite_triggers() -> Iterator[str]:
    """CREATE TRIGGER statements for SQLite."""
    for guard in GUARDS:
        table = shape_of(guard.row).table
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}"
        for name, event, condition in _updates(guard):
            when = f" WHEN {condition}" if condition else ""
            yield f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table}{when} {refuse}"


def postgresql_triggers() -> Iterator[str]:
    """The function and CREATE TRIGGER statements for PostgreSQL."""
    yield _FUNCTION
    for guard in GUARDS:
        table = shape_of(guard.row).table
        call = "EXECUTE FUNCTION refuse_change()"
        yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW {call}"
        yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}"
        for name, event, condition in _updates(guard):
            when = f" WHEN ({condition})" if condition else ""
            yield f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} FOR EACH ROW{when} {call}"
    yield _FUNCTION_RIVALS
    yield (
        "CREATE TRIGGER payments_rivals AFTER INSERT ON payments REFERENCING NEW TABLE AS fresh"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_unseen_rival()"
    )


def _updates(guard: Guard) -> Iterator[tuple[str, str, str]]:
    if guard.updates:
        yield "no_update", f"UPDATE OF {', '.join(guard.columns)}" if guard.columns else "UPDATE", ""
    if guard.once:
        condition = " OR ".join(f"OLD.{name} IS NOT NULL" for name in guard.once)
        yield "set_once", f"UPDATE OF {', '.join(guard.once)}", condition
