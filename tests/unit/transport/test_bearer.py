"""A token is fetched by one and used by all, renewed in time, and a refused one costs nothing (RFC 6749, RFC 6750)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from adapters.transport.bearer import STOP_S, BearerCaller, basic, retry_after_s
from adapters.transport.http import HttpCall, HttpCaller, MayHaveLeft, NeverLeft, Reply, Result, TimeOuts
from tests.stand.flow_parts import HandClock

PATIENCE = TimeOuts(connect_ms=100, total_ms=1_000)
CALL = HttpCall(method="POST", target="/pay", body=b"{}", time_outs=PATIENCE, reply_limit=1_000, send_deadline=99.0)
GIVEN = {"token_type": "Bearer", "expires_in": 1_800}


class Partner(HttpCaller):
    """Answers without a network. given: what a token request is answered with;"""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock=clock, base_url="http://127.0.0.1:9", connections=1)
        self.clock = clock
        self.tokens, self.calls = 0, list[HttpCall]()
        self.revoked: Callable[[str], bool] = lambda token: False
        self.given: Callable[[int], Result] = lambda n: token({"access_token": f"t{n}", **GIVEN})
        self.wait = asyncio.Event()
        self.wait.set()

    async def call(self, call: HttpCall) -> Result:
        if call.target == "/token":
            self.tokens += 1
            number = self.tokens
            await self.wait.wait()
            return self.given(number)
        self.calls.append(call)
        refused = self.revoked(call.headers["Authorization"].removeprefix("Bearer "))
        return Reply(401 if refused else 200, {}, b"")


def token(members: dict[str, Any], status: int = 200, **headers: str) -> Reply:
    return Reply(status, headers, json.dumps(members).encode())


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def partner(clock: HandClock) -> Partner:
    return Partner(clock)


@pytest.fixture
def caller(clock: HandClock, partner: Partner) -> BearerCaller:
    return BearerCaller(
        partner,
        clock,
        credentials=basic("id", "secret"),
        target="/token",
        time_outs=PATIENCE,
        refused=lambda reply: reply.status == 401,
        most_per_minute=5,
    )


def used(partner: Partner) -> list[str]:
    return [call.headers["Authorization"] for call in partner.calls]


async def test_many_calls_fetch_one_token(caller: BearerCaller, partner: Partner) -> None:
    assert {type(one) for one in await asyncio.gather(*(caller.call(CALL) for _ in range(20)))} == {Reply}
    assert partner.tokens == 1
    assert used(partner) == ["Bearer t1"] * 20
    assert {call.send_deadline for call in partner.calls} == {99.0}


async def test_a_token_is_renewed_before_it_ends(caller: BearerCaller, partner: Partner, clock: HandClock) -> None:
    await caller.call(CALL)
    clock.move(1_739)
    await caller.call(CALL)
    assert partner.tokens == 1
    clock.move(2)
    await caller.call(CALL)
    assert used(partner)[-1] == "Bearer t2"


async def test_a_revoked_token_is_renewed_and_the_call_goes_again(caller: BearerCaller, partner: Partner) -> None:
    await caller.call(CALL)
    partner.revoked = lambda token: token == "t1"
    replies = await asyncio.gather(*(caller.call(CALL) for _ in range(9)))
    assert {reply.status for reply in replies if isinstance(reply, Reply)} == {200}
    assert partner.tokens == 2, "nine calls that were refused fetch one token"


async def test_a_fresh_token_refused_stops_everything(caller: BearerCaller, partner: Partner, clock: HandClock) -> None:
    """s2 of the TV interface: "A second 401 in a row with a fresh token: stop and alarm"."""
    partner.revoked = lambda token: True
    reply = await caller.call(CALL)
    assert isinstance(reply, Reply)
    assert reply.status == 401
    assert len(partner.calls) == 2
    assert await caller.call(CALL) == NeverLeft("token.refused_fresh")
    assert len(partner.calls) == 2
    clock.move(STOP_S + 1)
    partner.revoked = lambda token: False
    assert isinstance(await caller.call(CALL), Reply)


async def test_a_slow_token_holds_nobody_and_is_kept(
    caller: BearerCaller, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.transport.bearer.WAIT_S", 0.05)
    partner.wait.clear()
    assert await caller.call(CALL) == NeverLeft("token.slow")
    partner.wait.set()
    assert isinstance(await caller.call(CALL), Reply)
    assert partner.tokens == 1
    await caller.close()


@pytest.mark.parametrize(
    ("given", "cause", "gap_s"),
    [
        (token({"error": "invalid_client"}, 401), "token.http.401", STOP_S),
        (token({"error": "slow_down"}, 429, **{"retry-after": "40"}), "token.http.429", 40),
        (token({}, 503), "token.http.503", 6),
        (MayHaveLeft("ServerDisconnectedError"), "token.ServerDisconnectedError", 6),
        (token({"access_token": "a b", **GIVEN}), "token.reply.malformed.access_token", 6),
        (token({"access_token": "a\r\nX: y", **GIVEN}), "token.reply.malformed.access_token", 6),
        (token({"access_token": "a", "token_type": "mac", "expires_in": 9}), "token.reply.malformed.token_type", 6),
        (token({"access_token": "a", "token_type": "bearer"}), "token.reply.malformed", 6),
        (Reply(200, {}, b"\xff"), "token.reply.unreadable", 6),
    ],
    ids=range(9),
)
async def test_without_a_token_nothing_leaves(
    caller: BearerCaller, partner: Partner, given: Result, cause: str, gap_s: int
) -> None:
    clock = partner.clock
    good, partner.given = partner.given, lambda _: given
    assert await caller.call(CALL) == NeverLeft(cause)
    clock.move(gap_s - 1)
    assert await caller.call(CALL) == NeverLeft(cause)
    assert (partner.tokens, partner.calls) == (1, [])
    clock.move(2)
    partner.given = good
    assert isinstance(await caller.call(CALL), Reply)


async def test_tokens_are_never_asked_for_too_often(caller: BearerCaller, partner: Partner, clock: HandClock) -> None:
    for number in range(1, 6):
        assert isinstance(await caller.call(CALL), Reply)
        partner.revoked = lambda token, number=number: token == f"t{number}"  # type: ignore[misc]
    assert await caller.call(CALL) == NeverLeft("token.too_often")
    assert partner.tokens == 5
    clock.move(61)
    assert isinstance(await caller.call(CALL), Reply)


async def test_close_breaks_off_a_fetch(caller: BearerCaller, partner: Partner) -> None:
    partner.wait.clear()
    waiting = asyncio.create_task(caller.call(CALL))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await caller.close()
    assert isinstance(await waiting, NeverLeft)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    ("header", "seconds"), [("30", 30), ("", 5), ("-1", 5), ("1", 5), ("99999", 600), ("9" * 50, 5), ("３", 5)]
)
def test_retry_after(header: str, seconds: int) -> None:
    assert retry_after_s(Reply(503, {"retry-after": header}, b""), 5) == seconds
