"""A worker that is paused (SIGSTOP) around its call: a lease orders writes, it does not prove that nothing is sent
(design s3.5). Real process, relay, lane, wire and telecom simulator."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from adapters.kit.book import BookLine
from adapters.kit.control import Control
from adapters.kit.faults import Fault, Kind
from adapters.telecom import ADAPTER
from adapters.telecom.simulator import Options, start
from adapters.telecom.simulator.agents import AGENTS, FILE_AGENT
from gateway.core import items, rows, views
from gateway.core.env import Env
from tests.integration.interleavings.conftest import Gateways, opened
from tests.integration.interleavings.frames import Worker
from tests.integration.interleavings.remote import Processes, Remote
from tests.stand.proxy import FaultProxy
from tests.stand.stores import need

pytestmark = pytest.mark.postgres

CALL_DEADLINE_S = 3
SEND_WINDOW_MS = 800
ACCOUNT, AMOUNT_FEN, PARAMS = "13800000001", 3_651, '{"carrier":"cmcc"}'


def hasty() -> Env:
    """Telecom with short deadlines; everything else as shipped."""
    flow = replace(ADAPTER.manifest.flows["mobile.bill"], call_deadline_s=CALL_DEADLINE_S, query_min_interval_s=1)
    manifest = replace(ADAPTER.manifest, flows={"mobile.bill": flow})
    return Env(zone=ZoneInfo("Asia/Shanghai"), manifests={"telecom": manifest}, send_window_ms=SEND_WINDOW_MS)


@dataclass(slots=True)
class Street:
    """Gateway one recovers, gateway two is the worker; between worker and biller every byte is counted."""

    gateways: Gateways
    worker: Remote
    control: Control
    proxy: FaultProxy
    sent_before: int = 0

    async def bill(self) -> str:
        """A query token for the account's bill."""
        ask = items.AskBill(
            arrival=self.gateways.make.arrival(1), service="mobile.bill", biller_account=ACCOUNT, params=PARAMS
        )
        token = need(await self.worker.run(ask), items.Asked).query.query_token
        while need(await self.worker.look(views.PeekQuery(query_token=token)), items.Asked).query.state != "ANSWERED":
            await asyncio.sleep(0.01)
        return token

    async def accept(self) -> rows.Payment:
        """A payment that the worker takes and begins to call for."""
        item = self.gateways.make.accept(
            1,
            service="mobile.bill",
            biller_account=ACCOUNT,
            amount_fen=AMOUNT_FEN,
            params=PARAMS,
            query_token=await self.bill(),
        )
        self.sent_before = self.sent()
        return need(await self.worker.run(item), items.Taken).payment

    def sent(self) -> int:
        """Bytes that have left for the biller."""
        return sum(link.request_bytes for link in self.proxy.links)

    async def state(self, payment: rows.Payment) -> str:
        """The payment's state in the book."""
        ((state,),) = await self.gateways.sql(
            "SELECT state FROM payments WHERE gateway_serial = $1", payment.gateway_serial
        )
        return str(state)

    async def outcomes(self) -> list[tuple[str | None, str | None]]:
        """Outcome and cause of every attempt, as the book has them."""
        found = await self.gateways.sql("SELECT outcome, cause FROM attempts ORDER BY attempt_id")
        return [(row[0], row[1]) for row in found]

    async def recovered(self, payment: rows.Payment) -> None:
        """Gateway one finds the call overdue, and not before its deadline."""
        order = await self.gateways.order(payment)
        assert order.call_deadline is not None
        while True:
            swept = need(await self.gateways.one.run(items.Sweep(entropy=self.gateways.make.entropy())), items.Swept)
            now = (await self.gateways.sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"))[0][0]
            if swept.overdue:
                assert now > order.call_deadline
                break
            assert now < order.call_deadline + 2_000
            await asyncio.sleep(0.1)
        assert await self.state(payment) == "UNKNOWN"
        claim = self.gateways.make.claim(await self.gateways.order(payment))
        assert need(await self.gateways.one.run(claim), items.NotNow).gone, "what may have left is not sent again"

    async def until(self, told: Callable[[], Any]) -> None:
        """Wait for something the worker does."""
        async with asyncio.timeout(10):
            while not await told():
                await asyncio.sleep(0.02)

    async def charged(self) -> list[BookLine]:
        """Payments in the biller's book."""
        return [line for line in await self.control.book() if line.charged_fen]


@asynccontextmanager
async def street(database: str, processes: Processes, folder: Path, *, stop_after_claim: bool) -> AsyncIterator[Street]:
    """A biller, a gateway, and a worker: the other gateway."""
    key = folder / "telecom.key"
    key.write_text(AGENTS[FILE_AGENT].keys["01"])
    async with AsyncExitStack() as stack:
        simulator = await start(Options(book=folder / "simulator.db"))
        stack.push_async_callback(simulator.close)
        proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", simulator.port))
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        worker = Worker(
            base_url=f"http://127.0.0.1:{proxy.port}",
            key_file=str(key),
            agent_no=FILE_AGENT,
            stop_after_claim=stop_after_claim,
        )
        gateways = await stack.enter_async_context(opened(database, processes, hasty(), worker))
        yield Street(gateways, gateways.two, Control(simulator.url, session), proxy)


async def test_m4_stopped_before_the_first_byte_past_the_deadline(
    database: str, processes: Processes, tmp_path: Path
) -> None:
    """Recovery has called it unknown; continued, the worker sends nothing, and its NotSent undoes nothing."""
    async with street(database, processes, tmp_path, stop_after_claim=True) as at:
        payment = await at.accept()
        await at.worker.stopped()
        assert await at.state(payment) == "SENT"
        await at.recovered(payment)
        at.worker.go_on()
        await at.until(lambda: _ended(at))
        assert await at.outcomes() == [("NotSent", "send_deadline")]
        assert await at.state(payment) == "UNKNOWN"
        assert at.sent() == at.sent_before, "a byte reached the biller after send_by"
        assert await at.charged() == []


async def test_m4_stopped_before_the_first_byte_past_send_by(
    database: str, processes: Processes, tmp_path: Path
) -> None:
    """Continued before its deadline: the call that was withheld is proven unsent, so it is made anew, and paid once."""
    async with street(database, processes, tmp_path, stop_after_claim=True) as at:
        payment = await at.accept()
        await at.worker.stopped()
        await asyncio.sleep(SEND_WINDOW_MS / 1000 + 0.2)
        assert at.sent() == at.sent_before
        at.worker.go_on()
        await at.until(lambda: _is(at, payment, "SUCCESS"))
        assert [outcome for outcome, _ in await at.outcomes()] == ["NotSent", "Paid"]
        assert len(await at.charged()) == 1


async def test_m5_stopped_between_first_byte_and_reply(database: str, processes: Processes, tmp_path: Path) -> None:
    """The biller has booked it, its reply waits in the socket, recovery has called it unknown: the proof arrives, by
    that reply or by the next question, and nothing is sent twice."""
    async with street(database, processes, tmp_path, stop_after_claim=False) as at:
        await at.control.set_faults(Fault(on="bill/pay", kind=Kind.PAID_THEN_LATE, delay_s=0.5))
        payment = await at.accept()
        await at.until(at.charged)
        at.worker.stop()
        await at.worker.stopped()
        await at.recovered(payment)
        at.worker.go_on()
        await at.until(lambda: _ended(at))
        await at.gateways.sql("UPDATE orders SET ask_at = 1 WHERE ask_at IS NOT NULL")
        await at.worker.resolve()
        await at.until(lambda: _is(at, payment, "SUCCESS"))
        assert len(await at.charged()) == 1


async def _ended(at: Street) -> bool:
    """Whether the call's own end is written; before that, recovery's word stands there."""
    ((outcome, cause),) = await at.outcomes()
    return outcome is not None and cause != "no answer by its deadline"


async def _is(at: Street, payment: rows.Payment, state: str) -> bool:
    return await at.state(payment) == state
