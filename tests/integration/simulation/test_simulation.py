"""Thousands of payments through faults, in seconds, on a real SQLite file. `SIM_SEED=n` plays one run again.

A run is a seed: which shops pay what, which requests and answers get lost, come late, twice or in another order, when
workers die, when commits lose their answers, how time goes by. At rest both books agree to the fen.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core import rows
from gateway.ops.audit.run import audit_sqlite
from tests.integration.simulation.oracle import books, disagreements, never_twice
from tests.integration.simulation.world import World

RUNS = int(os.environ.get("SIM_RUNS", "10"))
FIRST = int(os.environ.get("SIM_SEED", "0"))
STEPS = 600

WEIGHTS: dict[str, int] = {
    "pay": 14,
    "claim": 16,
    "travel": 14,
    "hear": 14,
    "commit": 22,
    "wait": 10,
    "sweep": 5,
    "resolve": 6,
    "time_out": 4,
    "notice": 5,
    "decide": 3,
    "cancel": 4,
    "write": 3,
    "inquire": 2,
    "deposit": 3,
    "chores": 2,
    "crash": 1,
}


def run(folder: Path, seed: int, steps: int) -> World:
    """One simulated day; the world at rest."""
    chance, world = random.Random(seed), World(folder, seed=seed)
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    for step in range(steps):
        (name,) = chance.choices(names, weights)
        act: Callable[[int], None] = getattr(world, name)
        act(chance.getrandbits(20))
        if step % 50 == 0:
            assert list(never_twice(world)) == []
    world.settle_down()
    return world


def check(folder: Path, seed: int, steps: int) -> int:
    print(f"SIM_SEED={seed}")
    world = run(folder, seed, steps)
    try:
        assert list(disagreements(world)) == []
        ours, theirs = books(world)
        assert ours == theirs
        payments = len(world.house.rows_of(rows.Payment))
    finally:
        world.close()
    report = audit_sqlite(world.house.path, world.house.env, at_ms=world.house.now)
    assert [(found.name, found.violations[:3]) for found in report.checks if not found.ok] == []
    return payments


def test_both_books_agree_after_a_day_of_faults(tmp_path: Path) -> None:
    """M1-M10 and no payment twice; by default a few hundred payments."""
    seeds = [FIRST] if "SIM_SEED" in os.environ else range(FIRST, FIRST + RUNS)
    paid = 0
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        paid += check(folder, seed, STEPS)
    print(f"{paid} payments")
    assert paid > 25 * len(seeds)


@pytest.mark.soak
def test_soak(tmp_path: Path) -> None:
    """Hundreds of seeds, each longer than the last."""
    for seed in range(10_000, 10_000 + int(os.environ.get("SIM_RUNS", "200"))):
        folder = tmp_path / str(seed)
        folder.mkdir()
        check(folder, seed, STEPS + 5 * (seed - 10_000))


def test_a_seed_is_a_day(tmp_path: Path) -> None:
    """The same seed gives the same book, row for row."""
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        world = run(folder, 7, 200)
        found.append([world.house.rows_of(kind) for kind in (rows.Payment, rows.Order, rows.Posting, rows.EvidenceRow)])
        world.close()
    assert found[0] == found[1]
