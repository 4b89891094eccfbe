"""Ten thousand dead letters: planned within seconds, run at the biller's rate, with flat memory: measured, printed."""

import asyncio
import hashlib
import resource
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.strict_json import canonical
from gateway.core import items, rows
from gateway.core.letters import KeepLetters
from gateway.core.replays import KeepPlan, PlanFile, SpreadPlan, read_plan
from gateway.ops.letters.choosing import Chosen
from gateway.ops.letters.plan import PlanWriter
from gateway.ops.letters.run import Runner
from tests.stand.office import Office
from tests.unit.core.test_letters import body_of, found

LETTERS = 10_000
NOTHING = dict.fromkeys(("biller", "letter_reason", "station", "account", "since", "until", "verdict")) | {
    "letters": ()
}


class Desk:
    """gateway.ops.desk.Desk over the house of an office. asked: items that wrote."""

    def __init__(self, office: Office) -> None:
        self.office, self.asked = office, 0

    async def run(self, item: Any) -> Any:
        self.asked += 1
        (reply,) = self.office.house.batch([item])
        return reply

    async def look(self, item: Any) -> Any:
        return self.office.house.look(item, items.Reply)

    async def snapshot(self, use: Any) -> Any:
        raise NotImplementedError


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> datetime:
        raise NotImplementedError

    def monotonic(self) -> float:
        return self.at

    def boottime(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fill(office: Office, count: int) -> None:
    """Payments that wait, and a letter about each."""
    house = office.house
    house.deposit(1, count * 2_000)
    for at in range(0, count, 500):
        replies = house.batch([house.accept(biller_account=f"1{n:05d}", amount_fen=1_000) for n in range(at, at + 500)])
        assert all(isinstance(reply, items.Taken) for reply in replies), replies
    first = house.rows_of(rows.Order, "order_serial = (SELECT min(order_serial) FROM orders)")
    pattern = body_of(house, first[0])
    serials = [serial for (serial,) in house.sql("SELECT order_serial FROM orders ORDER BY 1")]
    for at in range(0, count, 100):
        letters = [
            found(pattern.replace(first[0].order_serial.encode(), serial.encode()), f"kafka:t/0/{serial}@1")
            for serial in serials[at : at + 100]
        ]
        house.ask(KeepLetters(letters=letters, entropy=house.entropy()), items.Kept)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_thousand_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    office = Office(tmp_path)
    house, desk, clock = office.house, Desk(office), Clock()
    fill(office, LETTERS)
    before, begun = peak_mib(), time.perf_counter()
    file = tmp_path / "plan"
    with file.open("xb") as out:
        chosen = Chosen(desk, NOTHING, house.env.zone, "OPEN+QUARANTINED")
        writer = PlanWriter(out, chosen.filter)
        asyncio.run(writer.write(chosen.each(), lambda: chosen.book_at))
    planned_s, planned_mib = time.perf_counter() - begun, peak_mib()
    body = file.read_bytes()
    plan = read_plan(body)
    assert writer.sha256 == hashlib.sha256(body).hexdigest()
    assert isinstance(plan, PlanFile)
    assert canonical(plan) == body
    assert Counter(one.verdict for one in plan.letters) == {"SEND_AGAIN": LETTERS}
    assert (writer.letters, writer.amount_fen) == (LETTERS, LETTERS * 1_000)

    house.ask(KeepPlan(body=body), items.Kept)
    while house.ask(SpreadPlan(plan_sha256=writer.sha256), items.Kept).count:
        pass
    terms = {"items": str(LETTERS), "amount_fen": str(LETTERS * 1_000)}
    office.both("replay.run", writer.sha256, **terms)
    record = office.do(office.clerk, "replay.start", writer.sha256).state
    kept_mib, begun = peak_mib(), time.perf_counter()
    rate = house.env.manifests["acme"].rate_per_s
    runner = Runner(desk, clock, {"acme": rate}, plan_sha256=writer.sha256, run_record=record)
    done: list[int] = []
    asyncio.run(runner.run(done.append))
    ran_s, ran_mib = time.perf_counter() - begun, peak_mib()
    assert runner.outcomes == {"sent-again": LETTERS}
    assert sum(done) == LETTERS
    # At the biller's rate, by the runner's own clock: no faster, and not much slower.
    assert LETTERS / rate - 1 <= clock.at <= 1.2 * LETTERS / rate + 2
    with capsys.disabled():
        print(
            f"\n{LETTERS:,} letters: planned in {planned_s:.2f} s"
            f" ({len(body):,} bytes, +{planned_mib - before:.0f} MiB);"
            f" run in {ran_s:.1f} s of work at {rate}/s ({clock.at:.0f} s by the clock, +{ran_mib - kept_mib:.0f} MiB)"
        )
    house.close()
