"""From a Write step to what each table gets."""

import msgspec
import pytest

from gateway.core import rows
from gateway.core.steps import Write
from gateway.store import plan
from gateway.store.shapes import Kind, all_shapes, getter, shape_of


def balance(version: int, fen: int, code: str = "s") -> rows.Balance:
    return rows.Balance(institution_code=code, available_fen=fen, version=version)


def setting(name: str, value: int = 1) -> rows.Setting:
    return rows.Setting(name=name, value=value)


def test_inserts_come_by_table_and_key() -> None:
    day = rows.Day(account_date="2026-11-24", opened_at=1)
    groups = plan.group_inserts([day, setting("b"), balance(0, 1), setting("a")])
    assert [group.shape.table for group in groups] == ["settings", "days", "station_balances"]
    assert [row.name for row in groups[0].rows] == ["a", "b"]


def test_columns_that_are_null_everywhere_are_left_out() -> None:
    open_day = rows.Day(account_date="1", opened_at=1)
    closed = rows.Day(account_date="2", opened_at=1, closed_at=5)
    (group,) = plan.group_inserts([open_day])
    assert group.columns_used() == ("account_date", "state", "opened_at")
    (group,) = plan.group_inserts([open_day, closed])
    assert group.columns_used() == ("account_date", "state", "opened_at", "closed_at")


def test_updates_name_the_columns_that_change() -> None:
    (update,) = plan.group_updates([(balance(1, 5, "b"), balance(2, 4, "b")), (balance(1, 5, "a"), balance(2, 5, "a"))])
    assert update.columns == ("available_fen", "version")
    assert [before.institution_code for before, _ in update.pairs] == ["a", "b"]


def test_a_chain_becomes_one_update_and_a_broken_one_none() -> None:
    one, two, three = balance(1, 5), balance(2, 4), balance(3, 3)
    (update,) = plan.group_updates([(one, two), (two, three)])
    assert update.pairs == [(one, three)]
    with pytest.raises(ValueError, match="do not follow"):
        plan.group_updates([(one, two), (one, three)])


def test_what_is_fixed_stays() -> None:
    with pytest.raises(ValueError, match="MUTABLE"):
        plan.group_updates([(balance(1, 5), balance(2, 5, "other"))])
    posting = rows.Posting(txn_id="t", leg=0, recipe="R", account="2001", owner="s", amount_fen=1)
    with pytest.raises(ValueError, match="MUTABLE"):
        plan.group_updates([(posting, msgspec.structs.replace(posting, amount_fen=2))])


def test_an_update_that_changes_nothing_still_holds_its_guard() -> None:
    (update,) = plan.group_updates([(balance(1, 5), balance(1, 5))])
    assert update.columns == ("available_fen",)
    assert plan.group_updates([(setting("a"), setting("a"))]) == []


def test_outbox_rows_are_told_as_listed() -> None:
    messages = [rows.OutboxRow(message_id=name, topic="t", key="k", payload=b"", created_at=1) for name in "ba"]
    assert plan.outbox_rows(Write(inserts=[messages[0], setting("a"), messages[1]])) == messages


def test_every_struct_has_a_shape() -> None:
    for shape in all_shapes():
        assert shape.key
        assert not set(shape.key) & set(shape.nullable)
        assert set(shape.guard) <= set(shape.mutable)
    payment = shape_of(rows.Payment)
    assert payment.column("confirmed_repeat").kind is Kind.FLAG
    assert payment.column("paid_fen").nullable


def test_a_row_comes_back_as_it_went() -> None:
    day = rows.Day(account_date="1", opened_at=1)
    shape = shape_of(rows.Day)
    assert shape.build(shape.values(day)) == day
    tariff = rows.Tariff(version="v", service="s", effective_from="d", fee_fen=0, min_fen=1, max_fen=2)
    built = shape_of(rows.Tariff).build(
        [int(value) if value is True else value for value in shape_of(rows.Tariff).values(tariff)]
    )
    assert built == tariff
    assert built.fee_returns_on_cancel is True


def test_a_field_without_column_type_is_refused() -> None:
    class Odd(rows.Row, frozen=True, kw_only=True):
        TABLE = "odd"
        KEY = ("a",)
        a: list[int]

    with pytest.raises(TypeError, match="no column type"):
        shape_of(Odd)


def test_a_getter_always_gives_a_tuple() -> None:
    assert getter(())(setting("a")) == ()
    assert getter(("name",))(setting("a")) == ("a",)
    assert getter(("value", "name"))(setting("a")) == (1, "a")
