"""tv_adapter: what one message of the TV adapter costs, and calls a second through its real simulator."""

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from adapters.transport.http import Reply
from adapters.tv import build, load_table, replies, wire
from adapters.tv.config import Config
from adapters.tv.simulator import Limits, Options, start
from adapters.tv.simulator.tokens import CLIENT_ID, SECRET
from contracts.biller import PayOrder, ResultQuery
from contracts.money import Fen
from contracts.outcomes import Accepted, Pending
from contracts.states import OrderKind
from gateway.clock import SystemClock
from tests.bench.options import Options as Asked
from tests.bench.percentiles import percentile
from tests.bench.quiet import Window, mark
from tests.bench.results import BenchError, Result

SECONDS, AT_ONCE, MESSAGES = 5.0, 50, 20_000
ACCOUNT = "00000008"


def _order(number: int, clock: SystemClock) -> PayOrder:
    return PayOrder(
        service="tv.bill",
        gateway_serial="",
        partner_serial=f"B{number:012d}",
        institution_code="33078200017",
        biller_account=ACCOUNT,
        amount=Fen(2_008),
        created_at=datetime.now(UTC),
        send_by=datetime.now(UTC) + timedelta(seconds=60),
        send_deadline=clock.boottime() + 60,
    )


def _cost_us(work: Callable[[], Any]) -> float:
    gc.collect()
    begun = time.process_time()
    for _ in range(MESSAGES):
        work()
    return round((time.process_time() - begun) / MESSAGES * 1e6, 1)


async def _calls(folder: Path) -> tuple[list[float], float]:
    clock, took = SystemClock(), list[float]()
    (folder / "tv.key").write_text(SECRET)
    running = await start(Options(book=folder / "book.db", limits=Limits(0, 0)))
    biller = build(Config(base_url=running.url, client_id=CLIENT_ID, client_secret_file=str(folder / "tv.key")), clock)
    await biller.open()
    ends = clock.monotonic() + SECONDS

    async def one(lane: int) -> None:
        number = lane * 10**9
        while (begun := clock.monotonic()) < ends:
            number += 1
            outcome = await biller.pay(_order(number, clock))
            if not isinstance(outcome, Accepted):
                raise BenchError(f"an order came to {outcome}")
            took.append((clock.monotonic() - begun) * 1000)

    try:
        async with asyncio.TaskGroup() as group:
            for lane in range(AT_ONCE):
                group.create_task(one(lane))
    finally:
        await biller.close()
        await running.close()
    return took, clock.monotonic() - ends + SECONDS


def measure(options: Asked) -> list[Result]:
    """Encode, decode, judge; then orders, AT_ONCE in flight, adapter and durable simulator in this one process."""
    order, codes = _order(1, SystemClock()), load_table()
    shown = {
        "client_order_id": order.partner_serial, "order_no": "CT202611240000000001", "product": "tv",
        "account_no": ACCOUNT, "amount_fen": 2_008, "state": "PROCESSING", "created_at": "2026-11-24T10:15:00+08:00",
        "final_at": None, "account_date": None, "failure_code": None,
    }  # fmt: skip
    reply = Reply(200, {"content-type": "application/json"}, msgspec.json.encode(shown))
    query = ResultQuery(
        kind=OrderKind.PAY, service="tv.bill", partner_serial=order.partner_serial, original_partner_serial=None,
        biller_account=ACCOUNT, biller_serial=None, amount=order.amount, created_at=order.created_at,
    )  # fmt: skip
    if not isinstance(replies.result_evidence(reply, query, codes), Pending):
        raise BenchError("the reply that is measured is not read")
    with Window() as window:
        costs = {
            "encode_us": _cost_us(lambda: wire.write_order(order)),
            "decode_us": _cost_us(lambda: wire.read(reply, wire.ORDER, 200)),
            "judge_us": _cost_us(lambda: replies.result_evidence(reply, query, codes)),
        }
        cpu = time.process_time()
        with tempfile.TemporaryDirectory(prefix="bmb-") as folder:
            took, spent = asyncio.run(_calls(Path(folder)))
        cpu = time.process_time() - cpu
    result = Result(
        name="tv_adapter",
        settings={**costs, "in_flight": AT_ONCE, "orders": len(took)},
        per_s=len(took) / spent,
        p50_ms=percentile(took, 50),
        p99_ms=percentile(took, 99),
        cpu_s_per_1000=cpu / len(took) * 1000,
    )
    return [mark(result, window.spent)]
