"""Triggers that keep append-only tables so, whoever writes: the gateway, a tool, or a person with a console (M2).

A row leaves a table with an archive only where the archive holds the same row; the archive itself never changes. And
one for PostgreSQL, where a gateway may have read long before it writes: see `_FUNCTION_RIVALS`.
"""

# ruff: noqa: S608 - names of our own tables and states

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.states import OPEN
from gateway.core import rows
from gateway.core.rows import ARCHIVED, Row
from gateway.store.shapes import Shape, archive_of, shape_of

_FUNCTION = """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$"""
_LEAVE = """CREATE FUNCTION {table}_may_leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM {archive} a WHERE {same}) THEN
    RETURN OLD;
  END IF;
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


def _fixed(row: type[Row]) -> Guard:
    """What no item ever changes stays as it was inserted."""
    return Guard(row, updates=True, columns=_all_but(row, *row.MUTABLE))


GUARDS: tuple[Guard, ...] = (
    Guard(rows.Payment, updates=False),
    Guard(rows.Order, updates=False),
    Guard(rows.Attempt, updates=False),
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
    # Whose key it was, who let it in and who approved what, is asked years later.
    _fixed(rows.RegisteredCertificate),
    _fixed(rows.Binding),
    _fixed(rows.CertificateRequest),
    Guard(rows.CertificateStep, updates=True),
    _fixed(rows.UsbKey),
    Guard(rows.UsbKeyStep, updates=True),
    _fixed(rows.StaffMember),
    _fixed(rows.Approval),
    Guard(rows.RevocationList, updates=True),
    _fixed(rows.PartnerCertificate),
    Guard(rows.Attachment, updates=True),
    _fixed(rows.Authorization),
    _fixed(rows.DeadLetter),
    _fixed(rows.ReplayPlan),
    Guard(rows.ReplayFile, updates=True),
    # What became of an item is written once.
    Guard(
        rows.ReplayStep,
        updates=True,
        columns=_all_but(rows.ReplayStep, *rows.ReplayStep.MUTABLE),
        once=rows.ReplayStep.MUTABLE,
    ),
)


def sqlite_triggers() -> Iterator[str]:
    """CREATE TRIGGER statements for SQLite."""
    for guard in GUARDS:
        shape = shape_of(guard.row)
        refuse = f"BEGIN SELECT RAISE(ABORT, '{shape.table} is append-only'); END"
        unless = ""
        if guard.row in ARCHIVED:
            same = _same(shape, "IS")
            unless = f" WHEN NOT EXISTS (SELECT 1 FROM {archive_of(shape)} a WHERE {same})"
        yield f"CREATE TRIGGER {shape.table}_no_delete BEFORE DELETE ON {shape.table}{unless} {refuse}"
        for name, event, condition in _updates(guard):
            when = f" WHEN {condition}" if condition else ""
            yield f"CREATE TRIGGER {shape.table}_{name} BEFORE {event} ON {shape.table}{when} {refuse}"
    for row in ARCHIVED:
        table = archive_of(shape_of(row))
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} never changes'); END"
        yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}"
        yield f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}"


def postgresql_triggers() -> Iterator[str]:
    """The functions and CREATE TRIGGER statements for PostgreSQL."""
    yield _FUNCTION
    call = "EXECUTE FUNCTION refuse_change()"
    for guard in GUARDS:
        shape = shape_of(guard.row)
        table, leave = shape.table, call
        if guard.row in ARCHIVED:
            yield _LEAVE.format(table=table, archive=archive_of(shape), same=_same(shape, "IS NOT DISTINCT FROM"))
            leave = f"EXECUTE FUNCTION {table}_may_leave()"
        yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW {leave}"
        yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}"
        for name, event, condition in _updates(guard):
            when = f" WHEN ({condition})" if condition else ""
            yield f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} FOR EACH ROW{when} {call}"
    for row in ARCHIVED:
        table = archive_of(shape_of(row))
        yield f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {call}"
        yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}"

    yield _FUNCTION_RIVALS
    yield (
        "CREATE TRIGGER payments_rivals AFTER INSERT ON payments REFERENCING NEW TABLE AS fresh"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_unseen_rival()"
    )


def _same(shape: Shape, equal: str) -> str:
    """Column by column; the key by `=`, which finds it in its index."""
    return " AND ".join(
        f"a.{name} {'=' if name in shape.key else equal} OLD.{name}"
        for name in (*shape.key, *(name for name in shape.names if name not in shape.key))
    )


def _updates(guard: Guard) -> Iterator[tuple[str, str, str]]:
    if guard.updates:
        yield "no_update", f"UPDATE OF {', '.join(guard.columns)}" if guard.columns else "UPDATE", ""
    if guard.once:
        condition = " OR ".join(f"OLD.{name} IS NOT NULL" for name in guard.once)
        yield "set_once", f"UPDATE OF {', '.join(guard.once)}", condition
