"""Shares of a biller in one process, and how it keeps them and its leases in the book."""

import asyncio
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.core import items, leases
from gateway.core.allowances import CALLS, QUESTIONS, Dealt, Grant, Holding, Renew, Size
from gateway.core.held import RELAY, SEALER, Held
from gateway.flow.allowances import RENEW_S, Allowances
from gateway.flow.leases import ACT_S, Leases
from gateway.flow.shares import START_S, Share, make_shares
from gateway.store.port import StoreBusy
from tests.stand.billers import ACME
from tests.unit.flow.fakes import FakeBook, Silent, make_parts


class HandClock:
    """Moves when told; a sleep lasts until then."""

    def __init__(self) -> None:
        self.at = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    def boottime(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.at + seconds, future))
        await future

    async def move(self, seconds: float) -> None:
        self.at += seconds
        for until, future in self._sleepers:
            if until <= self.at and not future.done():
                future.set_result(None)
        for _ in range(8):
            await asyncio.sleep(0)


class Said(FakeBook):
    """A book that answers as it is told, in turn; the last answer stays."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = deque(answers)
        self.asked: list[Any] = []

    async def run(self, item: Any) -> Any:
        self.asked.append(item)
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def grant(concurrency: int, rate_per_s: int, share: str = CALLS, *, place: int = 0, among: int = 1) -> Grant:
    return Grant(biller="acme", share=share, concurrency=concurrency, rate_per_s=rate_per_s, place=place, among=among)


def dealt(*grants: Grant) -> Dealt:
    return Dealt(grants=list(grants))


def keeper_of(book: Said, clock: HandClock, *, questions: bool = False) -> tuple[Allowances, dict[str, Share], Silent]:
    parts, notes = make_parts(book)
    parts = replace(parts, clock=clock)
    shares = make_shares(ACME, clock, questions=questions, alone=False)
    return Allowances(parts, list(shares.values()), lambda biller: 700), shares, notes


def test_who_is_alone_has_everything_for_ever() -> None:
    clock = HandClock()
    shares = make_shares(ACME, clock)
    assert {name: share.free(clock.at) for name, share in shares.items()} == {CALLS: 49, QUESTIONS: 1}
    clock.at += 1e9
    assert shares[CALLS].try_take(clock.at)
    assert shares[CALLS].holder is None


@pytest.mark.parametrize(
    ("calls", "questions", "manifest", "names"),
    [
        (True, True, ACME, [CALLS, QUESTIONS]),
        (True, False, ACME, [CALLS]),
        (False, True, ACME, [QUESTIONS]),
        (False, True, replace(ACME, concurrency=1), [CALLS]),
        (True, True, replace(ACME, rate_per_s=5), [CALLS]),
    ],
)
def test_which_shares_a_role_uses(*, calls: bool, questions: bool, manifest: Any, names: list[str]) -> None:
    assert list(make_shares(manifest, HandClock(), calls=calls, questions=questions)) == names


def test_nothing_before_the_first_grant_and_nothing_after_its_time() -> None:
    clock = HandClock()
    share = make_shares(ACME, clock, alone=False)[CALLS]
    assert (share.try_take(clock.at), share.free(clock.at), share.next_at(clock.at)) == (False, 0, None)
    share.granted(grant(5, 10), "w.1", clock.at + START_S)
    assert (share.free(clock.at), share.holder) == (5, "w.1")
    clock.at += START_S - 0.001
    assert share.try_take(clock.at)
    clock.at += 0.001
    assert (share.try_take(clock.at), share.free(clock.at), share.next_at(clock.at)) == (False, 0, None)


def test_it_holds_what_is_in_use_though_it_may_use_less() -> None:
    clock = HandClock()
    share = make_shares(ACME, clock, alone=False)[CALLS]
    share.granted(grant(5, 10), "w.1", clock.at + START_S)
    for _ in range(4):
        assert share.try_take(clock.at)
    share.release()
    assert share.granted(grant(2, 3), "w.1", clock.at + START_S)
    assert share.holding() == Holding(biller="acme", share=CALLS, concurrency=3, rate_per_s=4)
    clock.at += 1
    share.release()
    assert share.holding(closed_ms=9) == Holding(biller="acme", share=CALLS, concurrency=2, rate_per_s=3, closed_ms=9)
    assert not share.granted(grant(2, 4), "w.1", clock.at + START_S)


def test_calls_of_a_name_that_is_over_end_before_those_of_the_next() -> None:
    clock = HandClock()
    share = make_shares(ACME, clock, alone=False)[CALLS]
    share.granted(grant(5, 10), "w.1", clock.at + START_S)
    assert all(share.try_take(clock.at) for _ in range(2))
    share.lapsed()
    assert (share.in_use(), share.limits(), share.holding().concurrency) == (2, Size(0, 0), 0)
    share.granted(grant(1, 10), "w.2", clock.at + START_S)
    assert share.try_take(clock.at)
    share.release()
    assert (share.in_use(), share.free(clock.at)) == (2, 0), "not yet: it may have been an old one"
    share.release()
    share.release()
    assert (share.in_use(), share.free(clock.at)) == (0, 1)


async def test_it_is_renewed_every_second_and_says_at_once_what_it_gives_back() -> None:
    clock, book = HandClock(), Said(dealt(grant(49, 900)), dealt(grant(20, 400)), dealt(grant(24, 450)))
    keeper, shares, _ = keeper_of(book, clock)
    await keeper.open()
    await clock.move(0)
    share = shares[CALLS]
    assert (share.limits(), share.holder) == (Size(49, 900), "w.1")
    await clock.move(RENEW_S)
    assert [item.holdings[0].concurrency for item in book.asked] == [0, 49, 20], "twice: less, and then more"
    assert share.limits() == Size(24, 450)
    assert all(item.holdings[0].closed_ms == 700 for item in book.asked)
    await keeper.close()
    assert book.asked[-1].leaving
    await clock.move(10 * RENEW_S)
    assert book.asked[-1].leaving, "it does not come back"


async def test_without_an_answer_nothing_grows_and_a_gap_ends_the_name() -> None:
    clock, book = HandClock(), Said(dealt(grant(5, 10)), StoreBusy("lost", in_doubt=True))
    keeper, shares, notes = keeper_of(book, clock)
    await keeper.open()
    await clock.move(0)
    share = shares[CALLS]
    assert share.try_take(clock.at)
    for _ in range(3):
        await clock.move(1)
    assert (share.limits(), share.good(), keeper.name) == (Size(5, 10), True, "w.1")
    await clock.move(1)
    assert (share.good(), keeper.name, share.in_use()) == (False, "w.2", 1)
    last: Renew = book.asked[-1]
    assert (last.worker, last.holdings[0].concurrency) == ("w.2", 0)
    assert notes.heard.count("chore_failed") == 4
    book.answers.append(dealt(grant(4, 10)))
    book.answers.popleft()
    await clock.move(1)
    assert (share.free(clock.at), share.holder) == (4, "w.2")
    share.release()
    await keeper.close()


async def test_a_name_that_the_book_has_ended_is_given_up_at_once() -> None:
    clock, book = HandClock(), Said(dealt(grant(5, 10)), Dealt(grants=[], lapsed=True), dealt(grant(3, 3)))
    keeper, shares, _ = keeper_of(book, clock)
    await keeper.open()
    await clock.move(0)
    assert shares[CALLS].try_take(clock.at)
    await clock.move(RENEW_S)
    assert [item.worker for item in book.asked] == ["w.1", "w.1", "w.2"]
    assert [item.holdings[0].concurrency for item in book.asked] == [0, 5, 0]
    assert (shares[CALLS].holder, shares[CALLS].limits()) == ("w.2", Size(3, 3))
    shares[CALLS].release()
    await keeper.close()


async def test_it_leaves_when_the_last_token_is_back() -> None:
    clock, book = HandClock(), Said(dealt(grant(5, 10)))
    keeper, shares, _ = keeper_of(book, clock)
    await keeper.open()
    await clock.move(0)
    assert shares[CALLS].try_take(clock.at)
    shares[CALLS].release()
    closing = asyncio.ensure_future(keeper.close())
    for _ in range(19):
        await clock.move(0.05)
    assert not book.asked[-1].leaving
    await clock.move(0.05)
    await clock.move(0.05)
    await closing
    assert book.asked[-1].leaving


async def test_leases_are_ours_for_so_long_and_no_longer() -> None:
    held = [Held(name=RELAY, owner="w", epoch=3)]
    clock, book = HandClock(), Said(leases.LeasesHeld(held=held), StoreBusy("lost"))
    parts, notes = make_parts(book)
    kept = Leases(replace(parts, clock=clock), [SEALER, RELAY], sole=False)
    assert kept.held(RELAY) is None
    await kept.open()
    await clock.move(0)
    assert (kept.held(RELAY), kept.held(SEALER)) == (held[0], None)
    await clock.move(ACT_S - 0.001)
    assert kept.held(RELAY) == held[0]
    await clock.move(0.001)
    assert kept.held(RELAY) is None
    assert "chore_failed" in notes.heard
    book.answers.append(items.Kept())
    await kept.close()
    assert book.asked[-1] == leases.DropLeases(held=held)


async def test_a_lease_that_was_refused_is_not_ours() -> None:
    held = Held(name=RELAY, owner="w", epoch=3)
    book = Said(leases.LeasesHeld(held=[held]))
    parts, _ = make_parts(book)
    kept = Leases(replace(parts, clock=HandClock()), [RELAY], sole=False)
    await kept.open()
    kept.moved(Held(name=RELAY, owner="w", epoch=2))
    assert kept.held(RELAY) == held
    kept.moved(held)
    assert kept.held(RELAY) is None
    await kept.close()
    assert not isinstance(book.asked[-1], leases.DropLeases)
