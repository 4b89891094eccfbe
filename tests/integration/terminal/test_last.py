"""The last transaction: what became of it, also after a restart."""

from pathlib import Path

import pytest

from contracts import api
from contracts.money import Fen
from gateway.terminal import Last, Refused, Terminal, Tombstone, Undecided
from tests.integration.terminal.clocks import FastClock
from tests.integration.terminal.double import SERIAL, Double

ACCOUNT = "13805790001"


async def lose(double: Double, word: str, account: str = ACCOUNT) -> str:
    """A payment whose answer is lost, in a terminal that is then switched off; its key."""
    double.plan = [word] * 99
    async with Terminal(double.config(pay_deadline_s=3), FastClock(50)) as terminal:
        answer = await terminal.pay("mobile.topup", account, Fen(10000))
    double.plan = []
    assert isinstance(answer, Undecided)
    assert answer.key is not None
    return answer.key


async def ask(double: Double) -> Last:
    """`last` of a terminal that was just switched on."""
    async with Terminal(double.config(), FastClock(20)) as terminal:
        last = await terminal.last()
    assert last is not None
    return last


async def test_nothing_yet(double: Double, terminal: Terminal) -> None:
    assert await terminal.last() is None
    assert not double.arrivals


async def test_found(double: Double) -> None:
    key = await lose(double, "taken-unsigned")
    last = await ask(double)
    assert isinstance(last.fate, api.Payment)
    assert (last.key, last.fate.idempotency_key, last.also_undecided) == (key, key, 0)


async def test_found_refused(double: Double) -> None:
    key = await lose(double, "cut")
    double.book[key] = (422, {**problem_of("insufficient-balance")})
    last = await ask(double)
    assert isinstance(last.fate, Refused)
    assert last.fate.slug == "insufficient-balance"


def problem_of(slug: str) -> dict[str, object]:
    from tests.integration.terminal.double import problem

    return problem(slug)


async def test_a_tombstone_ends_the_key_for_good(double: Double) -> None:
    key = await lose(double, "cut")
    assert (await ask(double)).fate == Tombstone(key)
    assert (await ask(double)).fate == Tombstone(key)
    assert len(double.sent("/v1/payment-inquiries")) == 1


async def test_the_newest_open_one_comes_first_and_the_others_follow(double: Double) -> None:
    oldest = await lose(double, "cut")
    older = await lose(double, "taken-cut", "13805790004")
    newer = await lose(double, "cut", "13805790002")
    async with Terminal(double.config(), FastClock(20)) as terminal:
        await terminal.pay("mobile.topup", "13805790003", Fen(10000))
    first, second = await ask(double), await ask(double)
    assert (first.fate, [one.key for one in first.also]) == (Tombstone(newer), [older, oldest])
    assert isinstance(first.also[0].fate, api.Payment)
    assert (first.also[1].fate, first.also_undecided) == (Tombstone(oldest), 0)
    assert (second.request["biller_account"], second.also) == ("13805790003", ())
    assert isinstance(second.fate, api.Payment)


async def test_a_payment_in_doubt_is_hidden_by_no_newer_one(double: Double) -> None:
    """Taken with 202 and still UNKNOWN: shown until it is final, also after restarts, then written down as final."""
    double.state = "UNKNOWN"
    async with Terminal(double.config(), FastClock(20)) as terminal:
        doubtful = await terminal.pay("mobile.topup", ACCOUNT, Fen(10000))
        double.plan = ["insufficient-balance"]
        await terminal.pay("mobile.topup", "13805790002", Fen(10000))
    first = await ask(double)
    assert isinstance(first.fate, Refused)
    assert [(one.fate, one.known) for one in first.also] == [(doubtful, doubtful)]
    double.state = "SUCCESS"
    second, third = await ask(double), await ask(double)
    assert [one.fate.state for one in second.also if isinstance(one.fate, api.Payment)] == ["SUCCESS"]
    assert third.also == ()


async def test_what_cannot_be_asked_in_time_is_still_shown(double: Double) -> None:
    double.state = "UNKNOWN"
    async with Terminal(double.config(), FastClock(20)) as terminal:
        for last_digit in range(3):
            await terminal.pay("mobile.topup", f"1380579000{last_digit}", Fen(10000))
    async with Terminal(double.config(url="http://127.0.0.1:9", read_deadline_s=2), FastClock(20)) as terminal:
        last = await terminal.last()
    assert last is not None
    assert (last.also_undecided, [one.known is not None for one in last.also]) == (2, [True, True])


async def test_a_full_journal_keeps_what_is_in_doubt(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    double.state = "UNKNOWN"
    async with Terminal(double.config(), FastClock(20)) as terminal:
        await terminal.pay("mobile.topup", ACCOUNT, Fen(10000))
        double.state = "SUCCESS"
        await terminal.pay("mobile.topup", "13805790002", Fen(10000))
        await terminal.pay("mobile.topup", "13805790003", Fen(10000))
    monkeypatch.setattr("gateway.terminal.journal.ROTATE_BYTES", 0)
    double.state = "UNKNOWN"
    last = await ask(double)
    assert (last.request["biller_account"], [one.request["biller_account"] for one in last.also]) == (
        "13805790003",
        [ACCOUNT],
    )


@pytest.mark.parametrize("word", ["unsigned", "by-station", "to-another", "altered", "cut", "certificate-revoked"])
async def test_an_inquiry_that_proves_nothing_leaves_it_open(double: Double, word: str) -> None:
    key = await lose(double, "taken-cut")
    double.plan = [word] * 99
    async with Terminal(double.config(read_deadline_s=3), FastClock(50)) as terminal:
        last = await terminal.last()
    assert last is not None
    assert isinstance(last.fate, Undecided)
    double.plan = []
    assert isinstance((await ask(double)).fate, api.Payment)
    assert (await ask(double)).key == key


async def test_an_inquiry_answered_with_another_payment_leaves_it_open(double: Double) -> None:
    key = await lose(double, "cut")
    other = "T1-20261124-other-key-0"
    await lose(double, "taken-cut", "13805790009")
    double.book[key] = next(held for held in double.book.values() if held is not None)
    async with Terminal(double.config(), FastClock(20)) as terminal:
        assert isinstance(await terminal.inquire(key), Undecided)
        assert await terminal.inquire(other) == Tombstone(other)


async def test_a_decided_payment_is_looked_at_again(double: Double, terminal: Terminal) -> None:
    double.state = "UNKNOWN"
    taken = await terminal.pay("mobile.topup", ACCOUNT, Fen(10000))
    assert isinstance(taken, api.Payment)
    double.state = "SUCCESS"
    last = await terminal.last()
    assert last is not None
    assert isinstance(last.fate, api.Payment)
    assert (last.fate.state, last.known) == ("SUCCESS", taken)
    assert not double.sent("/v1/payment-inquiries")


async def test_a_decided_payment_that_cannot_be_looked_at_keeps_what_was_proven(double: Double) -> None:
    async with Terminal(double.config(), FastClock(20)) as terminal:
        taken = await terminal.pay("mobile.topup", ACCOUNT, Fen(10000))
    async with Terminal(double.config(url="http://127.0.0.1:9", read_deadline_s=2), FastClock(20)) as terminal:
        last = await terminal.last()
    assert last is not None
    assert isinstance(last.fate, Undecided)
    assert last.known == taken


async def test_other_requests_are_inquired_about_too(double: Double) -> None:
    double.plan = ["taken-cut"] * 99
    async with Terminal(double.config(pay_deadline_s=3), FastClock(50)) as terminal:
        answer = await terminal.refund(SERIAL, Fen(500), "多收")
    assert isinstance(answer, Undecided)
    double.plan = []
    last = await ask(double)
    assert last.kind == "refund"
    assert isinstance(last.fate, api.Payment)


async def test_a_full_disk_hides_no_answer(double: Double, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is proven: it reaches the shop although it cannot be written down, and is asked for again later."""
    import os

    real = os.fsync
    calls: list[int] = []

    def failing(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 4:  # file and folder at opening, the request, and then the result
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    paid = await terminal.pay("mobile.topup", ACCOUNT, Fen(10000))
    assert isinstance(paid, api.Payment)
    assert any("未能记入" in notice for notice in terminal.notices)
    last = await terminal.last()
    assert last is not None
    assert isinstance(last.fate, api.Payment)
    assert len(double.sent("/v1/payment-inquiries")) == 1
    assert b"\n\n" not in Path(double.config().journal_file).read_bytes()
