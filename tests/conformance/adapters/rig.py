"""Builds everything a scenario needs, plays it, and leaves nothing behind."""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import aiohttp

from adapters.kit.control import Control
from adapters.kit.matrix import MATRIX
from adapters.kit.player import Report, play
from adapters.kit.stage import Stage
from contracts.biller import Adapter, Biller
from gateway.core.env import Env
from tests.conformance.adapters.grounds import Ground, ground_of, registered
from tests.stand.flow import Door, GatewayFlow, env_of
from tests.stand.flow_parts import HandClock, provision

_MEMORY = Path("/dev/shm")
"""Where a book costs no disk write; its file is a real one all the same."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A flow and a simulator that nobody has used."""

    flow: GatewayFlow
    control: Control
    folder: Path


def folder_of_its_own() -> "tempfile.TemporaryDirectory[str]":
    """A folder that goes away."""
    return tempfile.TemporaryDirectory(prefix="bianmin-kit-", dir=_MEMORY if _MEMORY.is_dir() else None)


class _Books:
    """Provisioned books, one per adapter, made when first asked for and kept for the life of the process."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tempfile.TemporaryDirectory[str], Path]] = {}

    def of(self, name: str, env: Env) -> Path:
        if name not in self._kept:
            folder = folder_of_its_own()
            self._kept[name] = folder, provision(Path(folder.name), env)
        return self._kept[name][1]


BOOKS = _Books()


@cache
def grounds() -> dict[str, tuple[Adapter, Ground]]:
    """Every registered adapter with its ground."""
    return {name: (adapter, ground_of(name, adapter)) for name, adapter in registered().items()}


def stages() -> dict[str, Stage]:
    """Every service of every registered adapter."""
    return {stage.service: stage for _, ground in grounds().values() for stage in ground.stages}


@asynccontextmanager
async def rig_for(
    stage: Stage, patience_ms: int, *, wrap: Callable[[Biller], Biller] | None = None, env: Env | None = None
) -> AsyncIterator[Rig]:
    """wrap: puts something between flow and adapter. env: other declared facts for the flow."""
    adapter, ground = grounds()[stage.manifest.name]
    with folder_of_its_own() as name:
        folder, clock, door = Path(name), HandClock(), Door()
        await door.open()
        try:
            simulator = await ground.start(folder, door.url)
            try:
                biller = adapter.build(ground.config(folder, simulator.url, patience_ms), clock)
                flow = GatewayFlow(
                    folder,
                    biller if wrap is None else wrap(biller),
                    clock=clock,
                    door=door,
                    simulator_url=simulator.url,
                    provisioned=BOOKS.of(adapter.manifest.name, env_of(adapter.manifest)),
                    env=env,
                )
                async with flow, aiohttp.ClientSession(trust_env=False) as session:
                    yield Rig(flow, Control(simulator.url, session), folder)
            finally:
                await simulator.close()
        finally:
            await door.close()


async def play_on(
    stage: Stage, scenario: str, *, wrap: Callable[[Biller], Biller] | None = None, env: Env | None = None
) -> Report:
    """One scenario of the matrix on a rig of its own."""
    row = MATRIX[scenario]
    async with rig_for(stage, row.patience_ms, wrap=wrap, env=env) as rig:
        return await play(row, stage, rig.flow, rig.control)
