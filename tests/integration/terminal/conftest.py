"""One small gateway per test, and terminals for it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.terminal import Terminal
from tests.integration.terminal.clocks import FastClock
from tests.integration.terminal.double import Double, Keys, served


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[Double]:
    """A gateway that behaves until its plan says otherwise."""
    async with served(Double(Keys(tmp_path, datetime.now(UTC)))) as running:
        yield running


@pytest.fixture
async def terminal(double: Double) -> AsyncIterator[Terminal]:
    """A terminal whose pauses and deadlines pass twenty times as fast."""
    async with Terminal(double.config(), FastClock(20)) as opened:
        yield opened
