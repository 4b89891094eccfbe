"""Allowances: equal parts that never add up to more than the biller takes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.manifest import Manifest
from gateway.core import chores, items, rows
from gateway.core.allowances import (
    CALLS,
    HOLD_MS,
    QUESTIONS,
    TURN_MS,
    ClosedView,
    Dealt,
    Grant,
    Holding,
    PeekClosed,
    Renew,
    Size,
    shares_of,
)
from tests.stand.billers import ACME
from tests.stand.house import House

SMALL = replace(ACME, concurrency=11, rate_per_s=20)  # calls: 10 at once, 18 a second; questions: 1 and 2


NOTHING = Size(0, 0)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, manifests=[SMALL], durable=False)


def renew(house: House, worker: str, holds: Size = NOTHING, *, share: str = CALLS, **changes: object) -> Dealt:
    holding = Holding(
        biller="acme", share=share, concurrency=holds.concurrency, rate_per_s=holds.rate_per_s,
        closed_ms=int(str(changes.pop("closed_ms", 0))),
    )  # fmt: skip
    return house.ask(Renew(worker=worker, holdings=[holding], **changes), Dealt)  # type: ignore[arg-type]


def given(house: House, worker: str, holds: Size = NOTHING, *, share: str = CALLS) -> Size:
    (grant,) = renew(house, worker, holds, share=share).grants
    return Size(grant.concurrency, grant.rate_per_s)


@pytest.mark.parametrize(
    ("concurrency", "rate_per_s", "shares"),
    [
        (50, 1000, {CALLS: Size(49, 900), QUESTIONS: Size(1, 100)}),
        (2000, 5000, {CALLS: Size(1960, 4500), QUESTIONS: Size(40, 500)}),
        (2, 10, {CALLS: Size(1, 9), QUESTIONS: Size(1, 1)}),
        (1, 1000, {CALLS: Size(1, 1000)}),
        (50, 9, {CALLS: Size(50, 9)}),
    ],
)
def test_shares_add_up_to_the_manifest(concurrency: int, rate_per_s: int, shares: dict[str, Size]) -> None:
    assert shares_of(replace(ACME, concurrency=concurrency, rate_per_s=rate_per_s)) == shares


def test_one_process_gets_everything_at_once(house: House) -> None:
    assert given(house, "a") == Size(10, 18)
    assert given(house, "a", share=QUESTIONS) == Size(1, 2)


def test_who_comes_later_gets_what_the_others_have_given_back(house: House) -> None:
    everything = given(house, "a")
    assert given(house, "b") == Size(0, 0), "nothing is free yet"
    assert given(house, "a", everything) == Size(5, 9), "its aim, at once"
    assert given(house, "b") == Size(0, 0), "the book has not heard that it was obeyed"
    assert given(house, "a", Size(7, 9)) == Size(5, 9), "two calls still run above the aim"
    assert given(house, "b") == Size(3, 9)
    assert given(house, "a", Size(5, 9)) == Size(5, 9)
    assert given(house, "b", Size(3, 9)) == Size(5, 9)
    assert [(row.worker, row.concurrency, row.rate_per_s) for row in held(house)] == [("a", 5, 9), ("b", 5, 9)]


def test_an_odd_one_goes_to_one_of_them(house: House) -> None:
    for _ in range(4):
        for worker in ("a", "b", "c"):
            holds = next((Size(row.concurrency, row.rate_per_s) for row in held(house) if row.worker == worker), None)
            aim = given(house, worker, holds or Size(0, 0))
            given(house, worker, aim)
    assert [row.concurrency for row in held(house)] == [4, 3, 3]


def test_who_leaves_gives_everything_back(house: House) -> None:
    everything = given(house, "a")
    renew(house, "a", leaving=True)
    assert given(house, "b") == everything


def test_what_a_dead_process_held_is_free_after_a_while(house: House) -> None:
    everything = given(house, "a")
    house.advance(HOLD_MS / 1000 - 0.001)
    assert given(house, "b") == Size(0, 0)
    house.advance(0.001)
    assert given(house, "b") == everything


def claim(house: House, payment: rows.Payment, worker: str) -> items.Granted | items.NotNow:
    order = house.order_of(payment)
    (reply,) = house.batch(
        [
            items.Claim(
                gateway_serial=order.gateway_serial, order_serial=order.order_serial, worker=worker,
                entropy=house.entropy(), share=CALLS,
            )
        ]
    )  # fmt: skip
    assert isinstance(reply, items.Granted | items.NotNow)
    return reply


def pay(house: House, count: int) -> list[rows.Payment]:
    return [house.pay(biller_account=f"40{number:04d}") for number in range(count)]


def test_of_a_dead_process_the_orders_in_flight_count_until_they_are_over(house: House) -> None:
    given(house, "a")
    calls = [claim(house, payment, "a") for payment in pay(house, 4)]
    house.advance(HOLD_MS / 1000)
    assert given(house, "b") == Size(6, 18)
    for over, call in enumerate(calls):
        assert isinstance(call, items.Granted)
        house.ask(house.reply_of(call, "Unknown"), items.Judged)
        assert given(house, "b", Size(6 + over, 18)) == Size(7 + over, 18)


def test_nobody_claims_with_what_others_may_have_by_now(house: House) -> None:
    """Who stood still for longer than its allowance is refused by the claim itself, whatever it believes."""
    first, second, third = pay(house, 3)
    assert claim(house, first, "a") == items.NotNow(gone=False, cause="allowance", retry_at=house.now + 500)
    everything = given(house, "a")
    assert isinstance(claim(house, first, "a"), items.Granted)
    house.advance(HOLD_MS / 1000)
    assert isinstance(claim(house, second, "a"), items.NotNow), "its time is over, though nobody came"
    assert renew(house, "a", everything).lapsed
    assert isinstance(claim(house, second, "a"), items.NotNow)
    assert renew(house, "a", everything).lapsed, "this name is never good again"
    given(house, "a.2")
    assert isinstance(claim(house, third, "a.2"), items.Granted)
    renew(house, "a.2", leaving=True)
    assert isinstance(claim(house, second, "a.2"), items.NotNow)


def test_an_end_that_a_clock_ahead_wrote_is_drawn_near(house: House) -> None:
    """After a fail-over the database's clock may be another's, ten minutes behind."""
    everything = given(house, "dead")
    house.advance(-600)
    for _ in range(HOLD_MS // 1000):
        assert given(house, "a") == Size(0, 0)
        house.advance(1)
    assert given(house, "a") == everything


def turns(house: House, workers: Sequence[str]) -> list[str]:
    """Who has the only slot, one turn after the other."""
    seen, holds = [], dict.fromkeys(workers, Size(0, 0))
    for _ in range(len(workers)):
        for _ in range(6):
            for worker in workers:
                holds[worker] = given(house, worker, holds[worker])
            house.advance(0.2)
        seen += [worker for worker in workers if holds[worker].concurrency]
        for _ in range((TURN_MS - 1200) // 1000):
            house.advance(1)
            holds = {worker: given(house, worker, holds[worker]) for worker in workers}
        house.advance(0.8)
    return seen


def test_where_there_are_too_few_everybody_has_a_turn(tmp_path: Path) -> None:
    one: Manifest = replace(ACME, concurrency=1)
    house = House(tmp_path, manifests=[one], durable=False)
    house.now -= house.now % TURN_MS
    assert sorted(turns(house, ["a", "b", "c"])) == ["a", "b", "c"]


def test_a_biller_is_closed_where_nobody_lets_a_call_through(house: House) -> None:
    def closed() -> dict[str, int]:
        return house.look(PeekClosed(), ClosedView).closed_ms

    assert closed() == {}
    everything = given(house, "a")
    renew(house, "a", everything, closed_ms=3_000)
    assert closed() == {"acme": 3_000}
    renew(house, "b")
    assert closed() == {"acme": 3_000}, "b has nothing to call with"
    renew(house, "a", Size(5, 9), closed_ms=3_000)
    renew(house, "b", closed_ms=9_000)
    assert closed() == {"acme": 3_000}
    renew(house, "b", Size(5, 9))
    assert closed() == {}, "one of them calls"
    renew(house, "b", Size(5, 9), closed_ms=9_000)
    assert closed() == {"acme": 3_000}
    renew(house, "a", Size(5, 9), leaving=True)
    assert closed() == {"acme": 9_000}
    house.advance(HOLD_MS / 1000)
    assert closed() == {}, "what a dead process said last closes nothing"


def test_what_ended_long_ago_is_forgotten(house: House) -> None:
    given(house, "a")
    house.advance(1800)
    given(house, "b")
    house.advance(1810)
    house.ask(chores.ForgetOld(), items.Kept)
    assert [row.worker for row in held(house)] == ["b"]
    assert len(house.rows_of(rows.Allowance)) == 2, "the pool's own row stays"


def test_places_tell_the_living_apart(house: House) -> None:
    given(house, "b")
    given(house, "a")
    found: list[Grant] = [grant for worker in ("a", "b") for grant in renew(house, worker).grants]
    assert [(grant.place, grant.among) for grant in found] == [(0, 2), (1, 2)]


def held(house: House) -> list[rows.Allowance]:
    return house.rows_of(rows.Allowance, "worker <> ''")
