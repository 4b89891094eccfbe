"""A simulator on loopback whose clock stands still at the moment of the vectors."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from adapters.kit.control import Control
from adapters.telecom.simulator import Limits, Options, Running, start
from tests.unit.telecom_sim.agent import AT, AgentClient


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """Without limits on calls."""
    made = await start(Options(fixed_at=AT, limits=Limits(0, 0, 0)))
    yield made
    await made.close()


@pytest.fixture
async def control(running: Running) -> AsyncIterator[Control]:
    async with aiohttp.ClientSession() as session:
        yield Control(running.url, session)


@pytest.fixture
def agent(running: Running) -> AgentClient:
    return AgentClient(running)
