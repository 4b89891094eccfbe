"""A TV simulator on loopback whose clock stands still at the moment of the vectors, and the adapter before it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from adapters.kit.clock import read_stamp
from adapters.kit.control import Control
from adapters.tv import build
from adapters.tv.adapter import Tv
from adapters.tv.config import Config
from adapters.tv.simulator import Options, Running, start
from adapters.tv.simulator.tokens import CLIENT_ID, SECRET
from tests.stand.flow_parts import HandClock

AT = read_stamp("20261124101500") or 0


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    made = await start(Options(fixed_at=AT))
    yield made
    await made.close()


@pytest.fixture
async def control(running: Running) -> AsyncIterator[Control]:
    async with aiohttp.ClientSession() as session:
        yield Control(running.url, session)


@pytest.fixture
def config(running: Running, tmp_path: Path) -> Config:
    secret = tmp_path / "tv.secret"
    secret.write_text(SECRET + "\n")
    return Config(base_url=running.url, client_id=CLIENT_ID, client_secret_file=str(secret))


@pytest.fixture
async def tv(config: Config) -> AsyncIterator[Tv]:
    biller = build(config, HandClock(AT * 1000))
    await biller.open()
    yield biller
    await biller.close()
