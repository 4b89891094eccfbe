"""Claim on SQLite: what is ours is told row by row, also where taken and free keys alternate."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.core.rows import Nonce
from gateway.core.steps import Claim
from gateway.store.shapes import shape_of
from gateway.store.sqlite.steps import Steps


@pytest.fixture
def steps() -> Iterator[Steps]:
    shape = shape_of(Nonce)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(
            f"CREATE TABLE {shape.table} ({', '.join(shape.names)}, PRIMARY KEY ({', '.join(shape.key)}))"
        )
        yield Steps(connection, lambda: 0)


def nonces(*names: str) -> list[Nonce]:
    return [Nonce(bucket=1, keyid="k", nonce=name, arrival_id=f"a-{name}", created=1) for name in names]


@pytest.mark.parametrize("taken", ["", "a", "b", "c", "d", "ab", "ac", "bd", "cd", "abc", "abcd"])
def test_only_the_free_ones_are_ours(steps: Steps, taken: str) -> None:
    assert steps.answer(Claim(nonces(*taken))) == {(1, "k", name) for name in taken}
    assert steps.answer(Claim(nonces(*"abcd"))) == {(1, "k", name) for name in "abcd" if name not in taken}
    assert steps.answer(Claim(nonces(*"abcd"))) == set()


def test_one_key_twice_is_ours_once(steps: Steps) -> None:
    assert steps.answer(Claim(nonces("b", "a", "b"))) == {(1, "k", "a"), (1, "k", "b")}
    assert steps.answer(Claim([])) == set()
