"""What a unit of work may rely on, on both engines."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from gateway.core import rows
from gateway.core.rows import OutboxRow
from gateway.store.port import LostRace, Snapshot, Store, StoreBusy, StoreError, UnitFailed
from tests.conformance.store import toys
from tests.conformance.store.conftest import Book
from tests.conformance.store.toys import STATION, serial


def pay(number: int, **changes: Any) -> toys.Pay:
    """The n-th payment, each on an account of its own."""
    given = {"arrival_id": f"a{number}", "key": f"key-{number}", "serial": serial(number), "account": f"A{number}"}
    return toys.Pay(**{**given, **changes})


async def together(store: Store, *items: Any) -> list[Any]:
    """All items in one turn of the loop; a reply or the error per item."""
    return list(await asyncio.gather(*(store.run(item) for item in items), return_exceptions=True))


async def test_each_item_gets_its_own_reply(store: Store, book: Book) -> None:
    replies = await together(store, *(pay(number) for number in range(150)))
    assert [reply.text for reply in replies] == [serial(number) for number in range(150)]
    ((count,),) = await book.sql("SELECT count(*) FROM payments")
    ((available, reserved),) = await book.sql("SELECT available_fen, reserved_fen FROM station_balances")
    assert (count, available, reserved) == (150, 10**12 - 15_000, 15_000)


async def test_units_of_several_kinds_go_in_one_turn(store: Store) -> None:
    replies = await together(
        store, pay(1), toys.Grab(nonce="n", arrival_id="a"), pay(2), toys.Draw(biller="b", day="d")
    )
    assert [reply.text for reply in replies] == [serial(1), "a", serial(2), ""]
    assert replies[3].number == 1


@pytest.mark.parametrize("fault", ["raise", "late", "unique", "value"])
async def test_a_bad_item_has_no_neighbours(store: Store, book: Book, fault: str) -> None:
    await store.run(pay(0))
    bad = {
        "raise": pay(500, fault="raise"),
        "late": pay(500, fault="late"),
        # Same account and amount as an open payment (M7), behind the unit's back.
        "unique": pay(500, account="A0"),
        "value": pay(500, amount_fen=2**63),
    }[fault]
    replies = await together(store, *(pay(number) for number in range(1, 20)), bad, *(pay(n) for n in range(20, 40)))
    wrong = replies.pop(19)
    assert isinstance(wrong, LostRace if fault == "unique" else UnitFailed)
    assert [reply.text for reply in replies] == [serial(number) for number in range(1, 40)]
    ((count, fen),) = await book.sql("SELECT count(*), sum(amount_fen) FROM payments")
    ((reserved,),) = await book.sql("SELECT reserved_fen FROM station_balances")
    assert (count, fen, reserved) == (40, 4_000, 4_000)
    assert await book.sql("SELECT 1 FROM idempotency_keys WHERE key = 'key-500'") == []


async def test_the_same_item_again_changes_nothing(store: Store, book: Book) -> None:
    first, again = await together(store, pay(1), pay(1))
    assert first.text == again.text == serial(1)
    assert (await store.run(pay(1))).text == serial(1)
    assert await book.sql("SELECT reserved_fen FROM station_balances") == [(100,)]


async def test_a_guard_that_no_longer_holds_is_a_lost_race(store: Store, book: Book) -> None:
    await store.run(toys.Spend(version=0, fen=1))
    with pytest.raises(LostRace):
        await store.run(toys.Spend(version=0, fen=1))
    replies = await together(store, *(toys.Spend(version=1, fen=1) for _ in range(20)))
    assert Counter(type(reply) for reply in replies) == {toys.Done: 1, LostRace: 19}
    assert await book.sql("SELECT available_fen, version FROM station_balances") == [(10**12 - 2, 2)]


async def test_an_update_may_not_touch_what_is_fixed(store: Store) -> None:
    before = toys.payment(pay(1), toys.MS)
    await store.run(toys.insert(before))
    with pytest.raises(UnitFailed, match="MUTABLE"):
        await store.run(toys.change(before, msgspec.structs.replace(before, amount_fen=1, version=2)))


async def test_a_chain_of_updates_is_one(store: Store, book: Book) -> None:
    first = toys.payment(pay(1), toys.MS)
    await store.run(toys.insert(first))
    second = msgspec.structs.replace(first, state="SENT", version=2)
    third = msgspec.structs.replace(second, state="UNKNOWN", version=3, reason="lost")
    item = toys.Put(
        table="payments",
        befores=[toys.pack(first), toys.pack(second)],
        afters=[toys.pack(second), toys.pack(third)],
    )
    await store.run(item)
    assert await book.sql("SELECT state, version, reason FROM payments") == [("UNKNOWN", 3, "lost")]


async def test_a_row_may_enter_an_index_that_another_leaves(store: Store, book: Book) -> None:
    """One payment fails and another for the same bill is taken, in one Write."""
    old = toys.payment(pay(1), toys.MS)
    await store.run(toys.insert(old))
    failed = msgspec.structs.replace(old, state="FAILED", version=2)
    new = toys.payment(pay(2, account="A1"), toys.MS)
    item = toys.Put(table="payments", inserts=[toys.pack(new)], befores=[toys.pack(old)], afters=[toys.pack(failed)])
    await store.run(item)
    assert await book.sql("SELECT state FROM payments ORDER BY gateway_serial") == [("FAILED",), ("RESERVED",)]


async def test_numbers_are_given_once(book: Book) -> None:
    async with book.open() as one, book.open() as two:
        items = [toys.Draw(biller="power", day="2026-11-24", count=1 + at % 3) for at in range(300)]
        replies = await asyncio.gather(*((one, two)[at % 2].run(item) for at, item in enumerate(items)))
        taken = [
            n
            for item, reply in zip(items, replies, strict=True)
            for n in range(reply.number, reply.number + item.count)
        ]
        assert len(taken) == len(set(taken))
        assert min(taken) == 1
        assert (await one.run(toys.Draw(biller="power", day="2026-11-25"))).number == 1
        # More than any block.
        large = await one.run(toys.Draw(biller="power", day="2026-11-24", count=5_000))
        assert large.number > max(taken)


async def test_a_claim_is_won_once(book: Book) -> None:
    async with book.open() as one, book.open() as two:
        items = [toys.Grab(nonce=f"n{at // 2}", arrival_id=f"a{at}") for at in range(200)]
        replies = await asyncio.gather(*((one, two)[at % 2].run(item) for at, item in enumerate(items)))
    for left, right in zip(replies[::2], replies[1::2], strict=True):
        assert left.text == right.text
    assert len(await book.sql("SELECT 1 FROM nonces WHERE bucket = 1")) == 100


async def test_purge_takes_old_nonces_only(store: Store, book: Book) -> None:
    await store.run(toys.Grab(nonce="old", arrival_id="a"))
    await store.run(pay(1))
    await store.run(toys.Forget(bucket=2))
    assert await book.sql("SELECT arrival_id FROM nonces") == [("a1",)]


async def test_flags_and_bytes_come_back_as_they_went(store: Store) -> None:
    payment = toys.payment(pay(1, confirmed=True), toys.MS)
    record = rows.Record(
        record_id="r",
        kind="request",
        received_at=1,
        institution_code=None,
        gateway_serial=serial(1),
        keyid=None,
        base=b"\x00\xff",
        signature=b"",
        body=b"b",
        leaf=b"l",
    )
    await store.run(toys.insert(payment))
    await store.run(toys.insert(record))
    assert await store.run(toys.Fetch(query="payments", keys=[(serial(1),)])) == toys.Done(text=repr([payment]))
    assert await store.run(toys.Fetch(query="records_of", keys=[(serial(1),)])) == toys.Done(text=repr([record]))


async def test_many_keys_are_found_once_each(store: Store) -> None:
    await together(store, *(pay(number) for number in range(5)))
    wanted = [serial(number) for number in range(9_000)]
    found = await store.look(toys.Ask(serials=[*wanted, *wanted]))
    assert found.text.split(",") == [serial(number) for number in range(5)] * 2


async def test_a_look_sees_what_was_answered_and_writes_nothing(store: Store) -> None:
    await store.run(pay(1))
    found = await store.look(toys.Ask(serials=[serial(1), serial(2)]))
    assert found.text == serial(1)
    assert found.number > toys.MS
    many = await asyncio.gather(*(store.look(toys.Ask(serials=[serial(at)])) for at in range(100)))
    assert [reply.text for reply in many] == ["" if at != 1 else serial(1) for at in range(100)]
    with pytest.raises(UnitFailed, match="may not ask for Write"):
        await store.look(toys.Cheat())


async def test_outbox_rows_are_told_after_the_commit(store: Store) -> None:
    told: list[OutboxRow] = []

    def broken(_: Any) -> None:
        raise RuntimeError("a listener's own bug")

    store.listen(broken)
    store.listen(told.extend)
    replies = await together(store, pay(1), pay(2), pay(3, fault="raise"), pay(4, fault="late"))
    assert isinstance(replies[2], UnitFailed)
    assert isinstance(replies[3], UnitFailed)
    await asyncio.sleep(0)
    assert sorted(row.message_id for row in told) == [serial(1), serial(2)]
    assert told[0].payload == b"{}" * 100


async def test_a_full_queue_refuses_at_once(book: Book) -> None:
    async with book.open(queue_max=10) as store:
        replies = await together(store, *(pay(number) for number in range(25)))
        refused = [reply for reply in replies if isinstance(reply, StoreError)]
        assert len(refused) == 15
        assert all(isinstance(reply, StoreBusy) and not reply.in_doubt for reply in refused)
        assert store.depth() == 0
        assert (await store.run(pay(100))).text == serial(100)


async def test_close_finishes_what_was_given(book: Book) -> None:
    async with book.open() as store:
        waiting = [asyncio.ensure_future(store.run(pay(number))) for number in range(100)]
        await asyncio.sleep(0)
    assert [(await reply).text for reply in waiting] == [serial(number) for number in range(100)]
    with pytest.raises(StoreBusy):
        await store.run(pay(1_000))


async def test_a_caller_that_leaves_harms_nobody(store: Store) -> None:
    leaving = [asyncio.ensure_future(store.run(pay(number))) for number in range(20)]
    staying = [asyncio.ensure_future(store.run(pay(number))) for number in range(20, 40)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    assert [reply.text for reply in await asyncio.gather(*staying)] == [serial(number) for number in range(20, 40)]


async def test_a_snapshot_is_of_one_moment(store: Store) -> None:
    await together(store, *(pay(number) for number in range(25)))

    async def audit(snapshot: Snapshot) -> list[int]:
        sizes = []
        seen = snapshot.rows("SELECT gateway_serial FROM payments WHERE amount_fen >= :fen", {"fen": 1}, 10)
        async for part in seen:
            sizes.append(len(part))
            await store.run(pay(1_000 + len(sizes)))
        async for ((total,),) in snapshot.rows("SELECT count(*) FROM payments"):
            sizes.append(total)
        return sizes

    assert await store.snapshot(audit) == [10, 10, 5, 25]
    with pytest.raises(Exception, match="read"):
        await store.snapshot(_writes)


async def _writes(snapshot: Snapshot) -> None:
    async for _ in snapshot.rows("DELETE FROM payments RETURNING 1"):
        pass


async def test_the_station_is_found_by_its_certificate(store: Store) -> None:
    found = await store.run(toys.Fetch(query="callers", keys=[("k" * 64,), ("x" * 64,)]))
    assert f"institution_code='{STATION}'" in found.text
    assert found.text.count("Caller(") == 1
