"""Request messages become work, or a reason why not; what a lane has room for is told to the bus."""

import asyncio
import json
from typing import Any

from contracts.breaker import BreakerPolicy
from gateway.bus.port import FULL, TAKEN, Dead, Dropped
from gateway.core.items import Message
from gateway.flow.lane import PENDING_MAX, Lane
from gateway.flow.requests import BILLS_WAITING, KEPT, Requests
from gateway.flow.waiters import Waiters
from tests.stand.billers import ACME
from tests.unit.bus.test_versions import ORDER, QUERY
from tests.unit.flow.fakes import FakeBiller, FakeBook, make_parts, order_row


def make() -> tuple[Requests, Lane, Any]:
    parts, _ = make_parts(FakeBook())
    lane = Lane(FakeBiller(), ACME, parts, policy=BreakerPolicy())
    return Requests(FakeBiller(), lane, parts), lane, parts


def message(body: dict[str, str]) -> Message:
    return Message(message_id="m", topic="t", key="account", payload=json.dumps(body).encode())


def test_an_order_is_offered_once_however_often_it_comes() -> None:
    requests, lane, _ = make()
    assert [requests.on_request(message(ORDER)) for _ in range(3)] == [TAKEN] * 3
    assert lane.depth() == 1
    assert requests.room() == KEPT - 1


def test_a_lane_that_is_full_says_so() -> None:
    requests, lane, _ = make()
    for number in range(PENDING_MAX):
        lane.offer_order(order_row(number, str(number)))
    assert requests.on_request(message(ORDER)) is FULL
    assert requests.room() < 0
    assert lane.depth() == PENDING_MAX


def test_what_cannot_be_read_is_dead() -> None:
    requests, lane, _ = make()
    dead = requests.on_request(Message(message_id="m", topic="t", key="k", payload=b"{"))
    assert isinstance(dead, Dead)
    assert dead.reason == "malformed"
    assert requests.on_request(message(ORDER | {"schema": "bianmin.request.v9"})) == Dead(
        "unknown-version", "known are bianmin.request.v1, bianmin.bill-query.v1"
    )
    assert lane.depth() == 0


async def test_bill_queries_are_bounded_and_expire() -> None:
    requests, _, parts = make()
    old = message(QUERY | {"expires_at": "2020-01-01T00:00:00Z"})
    assert requests.on_request(old) == Dropped("bill-query-expired")
    fresh = message(QUERY | {"expires_at": "2099-01-01T00:00:00Z"})
    verdicts = [requests.on_request(fresh) for _ in range(BILLS_WAITING + 1)]
    assert verdicts == [TAKEN] * BILLS_WAITING + [Dropped("bill-query-overflow")]
    await parts.tasks.close()


async def test_where_results_may_be_missed_everybody_looks() -> None:
    waiters = Waiters("bm")
    calls = [asyncio.ensure_future(waiters.wait(serial, 5)) for serial in ("S1", "S2", "S1")]
    await asyncio.sleep(0)
    waiters.wake_all()
    await asyncio.wait_for(asyncio.gather(*calls), 1)
    assert waiters.on_result(Message(message_id="", topic="bm.result", key="S9", payload=b"?")) is TAKEN
