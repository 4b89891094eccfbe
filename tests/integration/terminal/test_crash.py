"""Power cuts, kill -9 and a second process: the next start knows what to ask, and nobody pays twice."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts import api
from contracts.money import Fen
from gateway.terminal import JournalBusy, Terminal, Tombstone, render_config
from tests.integration.terminal import payer
from tests.integration.terminal.clocks import FastClock
from tests.integration.terminal.double import Double

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def paying(double: Double) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is about to pay, killed at the end whatever it does."""
    file = double.keys.folder / "terminal.toml"
    file.write_text(render_config(double.config()))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", payer.__name__, str(file), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def after(double: Double) -> object:
    """What `last` says after a restart."""
    async with Terminal(double.config(), FastClock(20)) as terminal:
        last = await terminal.last()
        assert last is not None
        assert last.kind == "pay"
        assert last.request["biller_account"] == "13805790001"
        again = await terminal.last()
        assert again is not None
        assert type(again.fate) is type(last.fate)
        return last.fate


@pytest.mark.parametrize(("word", "kind", "booked"), [("taken-silent", api.Payment, 1), ("silent", Tombstone, 0)])
async def test_killed_while_the_gateway_holds_it(double: Double, word: str, kind: type, booked: int) -> None:
    double.plan = [word]
    async with paying(double) as process:
        await asyncio.wait_for(double.arrived.wait(), 30)
        process.kill()
        await process.wait()
    assert isinstance(await after(double), kind)
    assert len(double.payments) == booked
    assert double.sent("/v1/payment-inquiries")


@pytest.mark.parametrize("delay_ms", [0, 4, 12])
async def test_killed_at_any_moment(double: Double, delay_ms: int) -> None:
    async with paying(double) as process:
        await asyncio.sleep(delay_ms / 1000)
        process.kill()
        await process.wait()
    async with Terminal(double.config(), FastClock(20)) as terminal:
        last = await terminal.last()
    if last is None:
        assert not double.payments
    else:
        assert isinstance(last.fate, api.Payment if double.payments else Tombstone)
    assert len(double.payments) <= 1


async def test_two_processes_never_share_a_journal(double: Double) -> None:
    double.plan = ["silent"]
    async with paying(double):
        await asyncio.wait_for(double.arrived.wait(), 30)
        async with Terminal(double.config(), FastClock(20)) as terminal:
            with pytest.raises(JournalBusy):
                await terminal.pay("mobile.topup", "13805790002", Fen(10000))
            with pytest.raises(JournalBusy):
                await terminal.last()
            assert isinstance(await terminal.balance(), api.AccountBalance)
    assert len(double.sent()) == 1
    async with Terminal(double.config(), FastClock(20)) as terminal:
        assert await terminal.last() is not None
