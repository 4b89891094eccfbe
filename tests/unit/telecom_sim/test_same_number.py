"""Whatever is called in whatever order: no number is booked twice but by s7's new order after a failure."""

import asyncio
from collections.abc import Mapping
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from adapters.telecom.simulator.clock import stamp
from adapters.telecom.simulator.day_file import lines_of
from adapters.telecom.simulator.messages import fen
from adapters.telecom.simulator.premises import Options, Platform
from adapters.telecom.simulator.records import Record, RecordKind, State, line_of
from tests.unit.telecom_sim.agent import AT, PAY, TOP_UP, number

AGENT = "8801000123"
numbers = st.integers(1, 3)
# booked · 9002 then booked · 9002 then failed · refused with a record · not reversible
pays = st.tuples(
    st.just("pay"),
    numbers,
    st.sampled_from(["13800000001", "13800000009", "13800000010", "13800000012", "13800000011"]),
    st.sampled_from(["36.51", "40.00"]),
)
# later · at once · failed · partial · refused with a record
top_ups = st.tuples(
    st.just("top-up"),
    numbers,
    st.sampled_from(["13900000001", "13900000006", "13900000002", "13900000003", "13900000005"]),
    st.sampled_from(["50.00", "100.00"]),
)
reversals = st.tuples(st.just("reverse"), numbers, st.integers(1, 5), st.just(""))
waits = st.tuples(st.just("wait"), st.sampled_from([1, 21, 61, 50_000]), st.just(""), st.just(""))
Step = tuple[str, int, str | int, str]


def expected(newest: Record | None, kind: RecordKind, content: tuple[str, str, int], now_s: int) -> str | None:
    """The table of s7 as written there; None: a new order."""
    if newest is None:
        return None
    if newest.kind is not kind:
        return "2002"
    if newest.state is State.FAILED:
        return "2018" if kind is RecordKind.TOP_UP and now_s - newest.finished <= 60 else None
    if content != (newest.isp_code, newest.acc_no, newest.amount):
        return "2002"
    if kind is RecordKind.TOP_UP:
        return "2001"
    return {State.WITH_CARRIER: "2003", State.SUCCEEDED: "2001", State.REVERSED: "2004"}[newest.state]


def pay_or_top_up(platform: Platform, step: Step) -> None:
    what, last, acc_no, amount = step
    kind = RecordKind.PAYMENT if what == "pay" else RecordKind.TOP_UP
    newest = platform.book.newest(number(last))
    serials = 0 if newest is None else newest.order_seq
    rule = expected(newest, kind, ("1", str(acc_no), fen(amount)), platform.clock.now_s())
    members: Mapping[str, str] = {"orderNo": number(last), "accNo": str(acc_no)}
    if what == "pay":
        query = platform.bills.query({"ispCode": "1", "accType": "01", "accNo": str(acc_no)})
        said = platform.bills.pay({**PAY, **members, "amount": amount, "queryNo": query.fields["queryNo"]}, AGENT)
    else:
        said = platform.top_ups.order({**TOP_UP, **members, "faceValue": amount}, AGENT)
    after = platform.book.newest(number(last))
    assert after is not None
    if rule is None:
        assert after.order_seq == serials + 1
        assert said.code in ("0000", "9002", "2016", "2012")
    else:
        assert (said.code, after.order_seq) == (rule, serials)


def reverse(platform: Platform, last: int, rev: int) -> None:
    original = platform.book.newest(number(last))
    members = {
        "revNo": number(rev),
        "origOrderNo": number(last),
        "accNo": original.acc_no if original else "13800000001",
        "amount": "36.51" if original is None else line_amount(original),
        "shopNo": "JN1",
    }
    was = None if original is None else original.state
    said = platform.bills.reverse(members, AGENT)
    if said.code == "0000":
        assert original is not None
        assert original.kind is RecordKind.PAYMENT
        assert was in (State.SUCCEEDED, State.REVERSED)
        assert said.fields["revFlag"] == ("1" if was is State.SUCCEEDED else "2")
    else:
        assert original is None or original.state is was


def line_amount(record: Record) -> str:
    return f"{record.amount // 100}.{record.amount % 100:02d}"


def check_book(platform: Platform) -> None:
    """One live record a number, one reversal an original, and the files of all days add up to what is owed."""
    for _, records in groupby(platform.book, key=lambda record: record.order_no):
        *before, _newest = records
        assert all(record.state is State.FAILED for record in before), "a new order only after a failure"
    undone = [record.orig_order_no for record in platform.book if record.kind is RecordKind.REVERSAL]
    assert len(undone) == len(set(undone)), "an original is reversed once"
    days = {record.acct_date for record in platform.book if record.acct_date}
    lines = [line for day in days for line in lines_of(platform.book, AGENT, day)]
    net = sum(-line.charged if line.kind is RecordKind.REVERSAL else line.charged for line in lines)
    assert net == sum(line_of(record).charged_fen for record in platform.book)


@given(st.lists(st.one_of(pays, top_ups, reversals, waits), max_size=25))
def test_no_sequence_books_twice_under_one_number(steps: list[Step]) -> None:
    async def run() -> None:
        platform = Platform(Options(fixed_at=AT))
        platform.open()
        try:
            for step in steps:
                what, first, second, _ = step
                if what == "wait":
                    platform.clock.offset_s += first
                    platform.timers.run_due()
                elif what == "reverse":
                    reverse(platform, first, int(second))
                else:
                    pay_or_top_up(platform, step)
                check_book(platform)
        finally:
            await platform.close()

    asyncio.run(run())


def test_the_moment_is_that_of_the_vectors() -> None:
    assert stamp(AT or 0) == "20261124101500"
