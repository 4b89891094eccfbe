"""Paying: whatever the network or the gateway does, one payment, and never a word that is not proven."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from contracts import api
from contracts.money import Fen
from gateway.terminal import KeyedAnswer, Refused, Terminal, Undecided
from tests.integration.terminal.clocks import FastClock
from tests.integration.terminal.double import SERIAL, Double

ACCOUNT = "13805790001"


async def topup(terminal: Terminal, **more: str) -> KeyedAnswer:
    """Pay 100.00 for a phone."""
    return await terminal.pay("mobile.topup", ACCOUNT, Fen(10000), params={"carrier": "cmcc"}, **more)  # type: ignore[arg-type]


def events(double: Double) -> list[dict[str, object]]:
    """The journal's lines."""
    return [json.loads(line) for line in Path(double.config().journal_file).read_text().splitlines()]


async def test_a_payment_is_made_once_and_journaled(double: Double, terminal: Terminal) -> None:
    paid = await topup(terminal)
    assert isinstance(paid, api.Payment)
    assert (paid.state, paid.gateway_serial, paid.terminal_trace) == ("SUCCESS", SERIAL, "000001")
    begun, ended = events(double)
    assert json.loads(str(begun["body"])) == {
        "service": "mobile.topup",
        "biller_account": ACCOUNT,
        "amount_fen": 10000,
        "terminal_trace": "000001",
        "params": {"carrier": "cmcc"},
    }
    assert (begun["event"], begun["key"], ended["outcome"], ended["status"]) == (
        "begin",
        paid.idempotency_key,
        "payment",
        201,
    )
    assert ended["keyid"] == double.keys.reply.keyid


async def test_the_request_is_on_disk_before_it_arrives(double: Double, terminal: Terminal) -> None:
    double.plan = ["silent"]
    paying = asyncio.ensure_future(topup(terminal))
    await asyncio.wait_for(double.arrived.wait(), 5)
    assert [event["event"] for event in events(double)] == ["begin"]
    paying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await paying


TROUBLE = (
    "unsigned by-station by-foreign by-archive to-another altered status long half cut reset "
    "overloaded internal too-many-requests request-running nonce-replayed"
).split()


@pytest.mark.parametrize("word", TROUBLE)
@pytest.mark.parametrize("taken", ["", "taken-"])
async def test_trouble_is_ridden_out_under_one_key(double: Double, terminal: Terminal, word: str, taken: str) -> None:
    double.plan = [taken + word]
    paid = await topup(terminal)
    assert isinstance(paid, api.Payment), paid
    assert len(double.payments) == 1
    assert paid.state == "SUCCESS"
    first, *_, last = tries = double.sent()
    assert len(tries) == 2
    assert (first.key, first.body) == (last.key, last.body)
    assert first.nonce != last.nonce


async def test_a_closed_biller_is_told_at_once_and_the_key_is_settled(double: Double, terminal: Terminal) -> None:
    """No waiting, no doubt: the tombstone proves that nothing was taken, and `last` says the same."""
    double.plan = ["biller-closed"]
    answer = await topup(terminal)
    assert isinstance(answer, Refused)
    assert answer.slug == "biller-closed"
    assert (double.payments, len(double.sent())) == ([], 1)
    assert [event["event"] for event in events(double)] == ["begin", "end"]


async def test_a_closed_biller_hides_no_payment_that_was_taken_before(double: Double, terminal: Terminal) -> None:
    """A copy was taken (a proxy repeated it): the inquiry finds the payment."""
    double.plan = ["taken-biller-closed"]
    paid = await topup(terminal)
    assert isinstance(paid, api.Payment)
    assert len(double.payments) == 1


@pytest.mark.parametrize("word", ["unsigned", "cut", "reset", "by-station", "overloaded", "nonce-replayed"])
async def test_after_the_deadline_it_is_undecided_never_failed(double: Double, word: str) -> None:
    double.plan = [word] * 1000
    async with Terminal(double.config(pay_deadline_s=8), FastClock(20)) as terminal:
        answer = await topup(terminal)
    assert isinstance(answer, Undecided)
    assert answer.sent
    assert answer.key == double.sent()[0].key
    assert len(double.sent()) > 2
    assert len({one.nonce for one in double.sent()}) == len(double.sent())
    assert [event["event"] for event in events(double)] == ["begin"]


async def test_the_deadline_bounds_a_silent_gateway(double: Double) -> None:
    double.plan = ["silent"] * 9
    async with Terminal(double.config(pay_deadline_s=1), FastClock()) as terminal:
        answer = await topup(terminal)
    assert isinstance(answer, Undecided)
    assert len(double.plan) == 8, "it has waited for one answer, and for no other"


DECIDED = (
    "station-suspended operator-not-trained service-not-open authorization-required tombstoned repeat-in-doubt "
    "state-conflict key-reused insufficient-balance amount-out-of-range query-token-stale account-not-found "
    "malformed not-found too-large unsupported-media-type"
).split()


@pytest.mark.parametrize("slug", DECIDED)
async def test_a_proven_refusal_ends_it(double: Double, terminal: Terminal, slug: str) -> None:
    double.plan = [slug]
    refused = await topup(terminal)
    assert isinstance(refused, Refused)
    assert refused.slug == slug
    assert len(double.sent()) == 1
    assert events(double)[-1]["outcome"] == "refused"


@pytest.mark.parametrize("slug", ["malformed", "too-large", "not-found"])
async def test_a_refusal_of_one_message_says_nothing_about_an_earlier_one(
    double: Double, terminal: Terminal, slug: str
) -> None:
    double.plan = ["taken-cut", "taken-" + slug]
    answer = await topup(terminal)
    assert isinstance(answer, Undecided)
    assert answer.problem is not None
    assert isinstance(await terminal.inquire(answer.key or ""), api.Payment)


@pytest.mark.parametrize(
    "slug", ["certificate-revoked", "certificate-expired", "certificate-not-bound", "signature-invalid"]
)
async def test_another_401_decides_nothing_and_is_not_repeated(double: Double, terminal: Terminal, slug: str) -> None:
    double.plan = ["taken-" + slug]
    answer = await topup(terminal)
    assert isinstance(answer, Undecided)
    assert answer.problem is not None
    assert answer.problem.type.endswith(slug)
    assert len(double.sent()) == 1


async def test_retry_after_is_waited_for_and_bounded(double: Double) -> None:
    clock = FastClock(50)
    double.plan, double.retry_after = ["request-running", "overloaded"], "7"
    async with Terminal(double.config(), clock) as terminal:
        assert isinstance(await topup(terminal), api.Payment)
    assert [7 <= one <= 7 * 1.2 for one in clock.slept] == [True, True]
    double.plan, double.retry_after = ["overloaded"], "99999"
    async with Terminal(double.config(pay_deadline_s=20), clock) as terminal:
        answer = await topup(terminal)
    assert isinstance(answer, Undecided)
    assert answer.problem is not None
    assert answer.problem.type.endswith("overloaded")


@pytest.mark.parametrize("word", ["other-payment", "garbage"])
async def test_a_proven_answer_that_cannot_be_ours_decides_nothing(
    double: Double, terminal: Terminal, word: str
) -> None:
    double.plan = [word]
    answer = await topup(terminal)
    assert isinstance(answer, Undecided)
    assert events(double)[-1]["event"] == "begin"


async def test_nothing_left_where_nobody_listens(double: Double) -> None:
    async with Terminal(double.config(url="http://127.0.0.1:9", pay_deadline_s=3), FastClock(20)) as terminal:
        answer = await topup(terminal)
        assert isinstance(answer, Undecided)
        assert not answer.sent
        last = await terminal.last()
    assert last is not None
    assert isinstance(last.fate, Undecided)
    assert not last.fate.sent
    assert events(double)[-1]["outcome"] == "unsent"


async def test_one_lost_try_makes_it_sent_for_good(double: Double) -> None:
    double.plan = ["cut"]
    double.retry_after = None
    async with Terminal(double.config(pay_deadline_s=4, url=double.url), FastClock(4)) as terminal:
        paying = asyncio.ensure_future(topup(terminal))
        await asyncio.wait_for(double.arrived.wait(), 5)
        wire = terminal._parts.wire
        wire._config = double.config(url="http://127.0.0.1:9")
        answer = await paying
    assert isinstance(answer, Undecided)
    assert answer.sent


@pytest.mark.parametrize(("gateway_ahead_h", "terminal_ahead_h"), [(30, 0), (0, 26)])
async def test_a_wrong_clock_is_set_once_and_said(double: Double, gateway_ahead_h: int, terminal_ahead_h: int) -> None:
    double.skew, double.window_checked = timedelta(hours=gateway_ahead_h), True
    async with Terminal(double.config(), FastClock(20, skew=timedelta(hours=terminal_ahead_h))) as terminal:
        paid = await topup(terminal)
        assert isinstance(paid, api.Payment)
        assert len(terminal.notices) == 1
        assert "校准" in terminal.notices[0]
        assert isinstance(await topup(terminal), api.Payment)
    assert len(double.sent()) == 3


async def test_the_unsigned_time_alone_sets_no_clock(double: Double) -> None:
    double.skew, double.window_checked, double.time_skew = timedelta(hours=2), True, timedelta(days=300)
    async with Terminal(double.config(), FastClock(20)) as terminal:
        assert isinstance(await topup(terminal), api.Payment)
        assert "+7200秒" in terminal.notices[0] or "+7199秒" in terminal.notices[0]


async def test_a_clock_that_stays_wrong_ends_undecided(double: Double, terminal: Terminal) -> None:
    double.plan = ["signature-expired"] * 9
    answer = await topup(terminal)
    assert isinstance(answer, Undecided)
    assert len(double.sent()) == 2


async def test_the_reply_certificate_is_fetched_once(double: Double, terminal: Terminal) -> None:
    for _ in range(3):
        assert isinstance(await topup(terminal), api.Payment)
    assert double.fetched == [f"/v1/certificates/{double.keys.reply.keyid}"]


async def test_payments_side_by_side_keep_their_keys(double: Double, terminal: Terminal) -> None:
    double.plan = ["cut", "unsigned", "overloaded"]
    paid = await asyncio.gather(*(topup(terminal) for _ in range(8)))
    keys = {one.idempotency_key for one in paid if isinstance(one, api.Payment)}
    assert len(keys) == len(double.payments) == 8
    assert len({one.terminal_trace for one in paid if isinstance(one, api.Payment)}) == 8


async def test_a_key_goes_on_with_its_own_request_only(double: Double, terminal: Terminal) -> None:
    key = "T1-20261124-given-key"
    first = await topup(terminal, idempotency_key=key)
    assert await topup(terminal, idempotency_key=key) == first
    with pytest.raises(ValueError, match="another request"):
        await terminal.pay("mobile.topup", ACCOUNT, Fen(20000), idempotency_key=key)
    assert len(double.payments) == 1


async def test_an_ended_key_is_not_sent_again(double: Double, terminal: Terminal) -> None:
    double.plan = ["insufficient-balance"]
    refused = await topup(terminal, idempotency_key="T1-20261124-given-key")
    assert isinstance(refused, Refused)
    with pytest.raises(ValueError, match="has ended"):
        await topup(terminal, idempotency_key="T1-20261124-given-key")
    assert len(double.sent()) == 1


@pytest.mark.parametrize(
    ("service", "account", "amount"),
    [("mobile.topup", "1380579\n", 100), ("mobile.topup", "１３８", 100), ("Mobile", "138", 100), ("a.b", "1", 0)],
)
async def test_what_the_api_cannot_take_never_leaves(
    double: Double, terminal: Terminal, service: str, account: str, amount: int
) -> None:
    with pytest.raises(ValueError, match="\\$"):
        await terminal.pay(service, account, Fen(amount))
    assert not double.arrivals
