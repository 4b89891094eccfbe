"""SQL texts that both engines get right only in this form."""

import re

import pytest

from gateway.core import rows
from gateway.store.indexes import spell_out
from gateway.store.postgres import text as postgres
from gateway.store.queries import BY_KEYS, PURGES, SCANNED
from gateway.store.shapes import shape_of
from gateway.store.sqlite import text as sqlite


def test_names_become_numbers_once_each() -> None:
    sql, names = postgres.numbered("a = :x AND b < :y OR c = :x AND d = '12:30' AND e::text = :y")
    assert sql == "a = $1 AND b < $2 OR c = $1 AND d = '12:30' AND e::text = $2"
    assert names == ("x", "y")


def test_lists_are_spelled_out() -> None:
    assert spell_out("t.state IN ('A', 'B') AND k = 1") == "(t.state = 'A' OR t.state = 'B') AND k = 1"
    assert spell_out("x IN (SELECT y FROM z)") == "x IN (SELECT y FROM z)"
    assert spell_out("n IN (1, 2)") == "n IN (1, 2)"


def test_few_texts_serve_all_sizes() -> None:
    assert [sqlite.padded(count) for count in (1, 2, 3, 4, 5, 64, 65)] == [1, 2, 4, 4, 8, 64, 128]
    assert sqlite.by_keys("payments", 4).count("(?)") == 4


def test_sqlite_starts_from_the_keys_and_never_lists_row_values() -> None:
    for query in BY_KEYS:
        sql = sqlite.by_keys(query, 2)
        assert "FROM k CROSS JOIN" in sql
        assert "IN (VALUES" not in sql
        assert "FOR " not in sql


@pytest.mark.parametrize("query", [name for name, query in BY_KEYS.items() if query.lock])
def test_locks_are_taken_in_key_order_and_only_by_units_that_write(query: str) -> None:
    locking = postgres.by_keys(query, True)
    key = ", ".join(f"t.{name}" for name in shape_of(BY_KEYS[query].row).key)
    assert locking.endswith(f" ORDER BY {key} FOR {BY_KEYS[query].lock.upper()} OF t")
    # Design s7: a read joined to the locking statement sees the state before the wait.
    assert not BY_KEYS[query].sql
    assert " FOR " not in postgres.by_keys(query, False)


def test_rows_another_gateway_holds_are_skipped() -> None:
    for query, scanned in SCANNED.items():
        sql, _ = postgres.scanned(query, True)
        assert sql.endswith(" FOR UPDATE OF t SKIP LOCKED") == (scanned.lock == "skip")
        assert "LOCKED" not in postgres.scanned(query, False)[0]


def test_only_nonces_and_ended_allowances_are_ever_deleted() -> None:
    tables = ("nonces", "allowances")
    assert all(sql.startswith(tuple(f"DELETE FROM {table} WHERE " for table in tables)) for sql in PURGES.values())


def test_an_update_repeats_its_guard() -> None:
    shape = shape_of(rows.Balance)
    assert sqlite.update(shape, ("available_fen",)) == (
        "UPDATE station_balances SET available_fen = ? WHERE institution_code = ? AND version = ?"
    )
    assert "t.version = v.w_version" in postgres.write((shape,), ())
    nullable = shape_of(rows.Authorization)
    assert "used_by IS ?" in sqlite.update(nullable, ("used_by",))
    assert "t.used_by IS NOT DISTINCT FROM v.w_used_by" in postgres.write((nullable,), ())


def test_a_batch_is_one_statement_whose_parameters_follow_on() -> None:
    payment, balance = shape_of(rows.Payment), shape_of(rows.Balance)
    sql = postgres.write((balance, payment), (payment,))
    assert sql.startswith("WITH u_station_balances AS (UPDATE")
    # Per update what may change, key and guard; then all columns of the new payments.
    count = (4 + 1 + 1) + (len(payment.mutable) + 1 + 2) + len(payment.names)
    assert set(re.findall(r"\$\d+", sql)) == {f"${at}" for at in range(1, count + 1)}
    # What enters an index of a table waits for what leaves it.
    assert "WHERE (SELECT count(*) FROM u_payments) >= 0" in sql
    counts = "(SELECT count(*) FROM u_station_balances), (SELECT count(*) FROM u_payments)"
    assert sql.endswith(f"SELECT {counts}, {postgres.TRANSACTION}")
    assert postgres.write((), (payment,)).endswith(f") SELECT {postgres.TRANSACTION}")
