"""Any interleaving of shops, workers, billers and clocks keeps M1-M10 and never pays twice (found by search).

The world is that of the simulation; here every step is chosen by hypothesis, which then shortens what fails.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.simulation.oracle import books, disagreements, never_twice
from tests.integration.simulation.world import World
from tests.unit.core.oracle import violations

ACTIONS = (
    "pay pay claim claim travel travel hear hear commit commit commit commit wait wait sweep resolve resolve notice "
    "time_out decide cancel cancel write inquire deposit chores crash"
).split()

steps = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2**20 - 1)), min_size=20, max_size=120)


# Each example is a day of its own, on a file of its own: by default about ten seconds of them, a new seed each run.
FAST_EXAMPLES = 80
PROFILE = settings()


@settings(max_examples=max(FAST_EXAMPLES, PROFILE.max_examples))
@given(steps=steps, seed=st.integers(0, 1000))
def test_m1_to_m10_hold_at_every_commit_and_both_books_agree_at_rest(steps: list[tuple[str, int]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), seed=seed)
        try:
            for number, (name, pick) in enumerate(steps):
                act: Callable[[int], None] = getattr(world, name)
                act(pick)
                if number % 10 == 9:
                    assert violations(world.house) == []
                    assert list(never_twice(world)) == []
            world.settle_down()
            assert list(disagreements(world)) == []
            ours, theirs = books(world)
            assert ours == theirs
        finally:
            world.close()
