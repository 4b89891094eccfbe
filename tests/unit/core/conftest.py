"""A house for every test that wants one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stand.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Two stations with 500,000 fen each, at noon of 2026-11-24."""
    made = House(tmp_path, durable=False)
    yield made
    made.close()
