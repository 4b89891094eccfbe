"""Every hole between two gateways that the house plan names (design s3, s4, s7), on PostgreSQL, in two processes.

M7 has a file of its own (test_repeats), so have lost commits and the paused worker.
"""

import asyncio
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from gateway.core import items
from gateway.store.port import StoreBusy
from tests.integration.interleavings.conftest import Gateways
from tests.stand.house import code
from tests.stand.stores import need

pytestmark = pytest.mark.postgres


async def test_m3_tombstone_and_original_race_on_one_row(gateways: Gateways) -> None:
    """Whoever inserts the key first wins, on every try; never both a payment and a tombstone."""
    make = gateways.make
    payments = 0
    for number in range(40):
        key = f"race-{number:016d}"
        accept = make.accept(1, key=key, biller_account=f"{20_000 + number}")
        inquire = items.Inquire(arrival=make.arrival(1), key=key)
        first, second = await asyncio.gather(gateways.one.run(accept), gateways.two.run(inquire))
        inquired = need(second, items.Inquired)
        if isinstance(first, items.Taken):
            payments += 1
            assert inquired.taken is not None
            assert inquired.taken.payment.gateway_serial == first.payment.gateway_serial
        else:
            assert need(first, items.Refusal).slug == "tombstoned"
            assert inquired.taken is None
    assert (await gateways.sql("SELECT count(*) FROM payments"))[0][0] == payments


async def test_m3_one_key_from_two_gateways_is_one_payment(gateways: Gateways) -> None:
    """The same request twice at once, with two nonces, through two gateways."""
    make = gateways.make
    for number in range(20):
        first = make.accept(1, key=f"twin-{number:016d}", biller_account=f"{30_000 + number}")
        second = replace(first, arrival=make.arrival(1))
        replies = await asyncio.gather(gateways.one.run(first), gateways.two.run(second))
        serials = {need(reply, items.Taken).payment.gateway_serial for reply in replies}
        assert len(serials) == 1
        assert sorted(reply.replayed for reply in replies) == [False, True]


async def test_m2_two_gateways_never_overspend_one_station(gateways: Gateways) -> None:
    """64 payments at once of a third of the balance: three are taken."""
    make = gateways.make
    asked = [make.accept(1, amount_fen=300_000, biller_account=f"{40_000 + n}") for n in range(64)]
    replies = await asyncio.gather(*(store.run(item) for store, item in zip(gateways.both * 32, asked, strict=True)))
    taken = [reply for reply in replies if isinstance(reply, items.Taken)]
    refused = {reply.slug for reply in replies if isinstance(reply, items.Refusal)}
    assert (len(taken), refused) == (3, {"insufficient-balance"})
    ((available, reserved),) = await gateways.sql(
        "SELECT available_fen, reserved_fen FROM station_balances WHERE institution_code = $1", code(1)
    )
    assert (available, reserved) == (1_000_000 - 3 * 300_100, 3 * 300_100)


async def test_m7_two_stations_with_one_account_take_one_payment(gateways: Gateways) -> None:
    """The unique index decides, not the look-up: two stations, one biller account and amount, two gateways."""
    make = gateways.make
    for number in range(20):
        account = f"{50_000 + number}"
        replies = await asyncio.gather(
            gateways.one.run(make.accept(1, biller_account=account)),
            gateways.two.run(make.accept(2, biller_account=account)),
        )
        slugs = sorted(reply.slug if isinstance(reply, items.Refusal) else "taken" for reply in replies)
        assert slugs == ["repeat-in-doubt", "taken"]


async def test_two_workers_claim_one_order_once(gateways: Gateways) -> None:
    """Guard on state and version: one claim is granted, and at most one call per account is in flight."""
    make = gateways.make
    for number in range(10):
        payment = need(await gateways.one.run(make.accept(1, biller_account=f"{60_000 + number}")), items.Taken).payment
        order = await gateways.order(payment)
        replies = await asyncio.gather(*(store.run(make.claim(order)) for store in gateways.both * 3))
        assert sum(isinstance(reply, items.Granted) for reply in replies) == 1


async def test_m4_late_answers_after_recovery_elsewhere(gateways: Gateways) -> None:
    """A late Paid is evidence from any attempt; a late NotSent may not undo what recovery decided."""
    make = gateways.make
    for kind, end in (("Paid", "SUCCESS"), ("NotSent", "UNKNOWN")):
        payment = need(await gateways.one.run(make.accept(1, biller_account=f"7{len(kind)}000")), items.Taken).payment
        granted = need(await gateways.one.run(make.claim(await gateways.order(payment))), items.Granted)
        await gateways.sql("UPDATE orders SET call_deadline = 1 WHERE order_serial = $1", payment.gateway_serial)
        swept = need(await gateways.two.run(items.Sweep(entropy=make.entropy())), items.Swept)
        assert swept.overdue == 1
        answer: dict[str, Any] = {"paid_fen": 10_000, "biller_serial": "B1"} if kind == "Paid" else {}
        late = need(await gateways.one.run(make.reply_of(granted, kind, **answer)), items.Judged)
        assert late.payment is not None
        assert late.payment.state == end
        again = need(await gateways.two.run(make.claim(await gateways.order(payment))), items.NotNow)
        assert again.gone, "what may have left is never sent again"


async def test_m10_a_day_closing_under_an_open_accept(gateways: Gateways) -> None:
    """Close takes the row of the day exclusively: acceptances wait for it and then take the next day."""
    make = gateways.make
    payment = need(await gateways.one.run(make.accept(1, biller_account="80000")), items.Taken).payment
    closer = await asyncpg.connect(gateways.dsn)
    try:
        transaction = closer.transaction()
        await transaction.start()
        await closer.execute("SELECT 1 FROM days WHERE account_date = $1 FOR UPDATE", payment.account_date)
        waiting = asyncio.ensure_future(gateways.two.run(make.accept(1, biller_account="80001")))
        await asyncio.sleep(0.3)
        assert not waiting.done(), "it holds the day's row shared until its commit, so it waits for the closing"
        await closer.execute(
            "UPDATE days SET state = 'CLOSED', closed_at = opened_at + 1 WHERE account_date = $1", payment.account_date
        )
        await transaction.commit()
        later = need(await waiting, items.Taken).payment
    finally:
        await closer.close()
    assert later.account_date > payment.account_date
    (posted,) = await gateways.sql(
        "SELECT posting_date FROM transactions WHERE gateway_serial = $1", later.gateway_serial
    )
    assert posted[0] == later.account_date


async def test_a_read_after_the_lock_sees_what_the_wait_was_for(gateways: Gateways) -> None:
    """Two gateways judge two pieces of evidence about one payment at once: one moves it, the other finds it moved."""
    make = gateways.make
    for number in range(10):
        payment = need(await gateways.one.run(make.accept(1, biller_account=f"{90_000 + number}")), items.Taken).payment
        order = await gateways.order(payment)
        granted = need(await gateways.one.run(make.claim(order)), items.Granted)
        proof = {"paid_fen": 10_000, "biller_serial": "B1"}
        replies = await asyncio.gather(
            gateways.one.run(make.reply_of(granted, "Paid", **proof)),
            gateways.two.run(make.evidence(order, "Paid", source="notice", **proof)),
        )
        assert sorted(need(reply, items.Judged).effect for reply in replies) == ["SENT->SUCCESS", "keep"]
        (count,) = await gateways.sql(
            "SELECT count(*) FROM transactions WHERE gateway_serial = $1 AND recipe = 'R05'", payment.gateway_serial
        )
        assert count[0] == 1


async def test_a_nonce_is_used_once_over_all_gateways(gateways: Gateways) -> None:
    """The same signed request through two gateways at once: one is decided, one is a replay, one payment."""
    make = gateways.make
    for number in range(10):
        item = make.accept(1, biller_account=f"{91_000 + number}")
        copy = replace(item, arrival=replace(item.arrival, arrival_id=f"copy-{number}"))
        replies = await asyncio.gather(gateways.one.run(item), gateways.two.run(copy))
        slugs = sorted(reply.slug if isinstance(reply, items.Refusal) else "taken" for reply in replies)
        assert slugs == ["nonce-replayed", "taken"]


async def test_a_locked_station_holds_up_nobody_else_for_long(gateways: Gateways) -> None:
    """Twenty payments of a station whose balance somebody holds, and five of another, in the same batches."""
    make = gateways.make
    holder = await asyncpg.connect(gateways.dsn)
    try:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT 1 FROM station_balances WHERE institution_code = $1 FOR UPDATE", code(1))
        held = [gateways.two.run(make.accept(1, biller_account=f"{93_000 + number}")) for number in range(20)]
        free = [gateways.two.run(make.accept(2, biller_account=f"{94_000 + number}")) for number in range(5)]
        # Each alone would wait for a second.
        async with asyncio.timeout(len(held) / 2):
            replies = await asyncio.gather(*held, *free, return_exceptions=True)
        await transaction.rollback()
    finally:
        await holder.close()
    assert all(isinstance(reply, StoreBusy) and not reply.in_doubt for reply in replies[:20])
    assert all(isinstance(reply, items.Taken) for reply in replies[20:])
    assert (await gateways.sql("SELECT count(*) FROM idempotency_keys"))[0][0] == 5
    need(await gateways.two.run(make.accept(1, biller_account="93000")), items.Taken)


async def test_m3_a_known_key_is_answered_by_another_gateway_whose_biller_is_closed(gateways: Gateways) -> None:
    """One breaker is open, the other is not: a repeat gets the payment, a new key stays free, a tombstone holds."""
    make = gateways.make
    first, buried = make.accept(1, key="known-key-000000000001"), "buried-key-00000000001"
    payment = need(await gateways.one.run(first), items.Taken).payment
    need(await gateways.one.run(items.Inquire(arrival=make.arrival(1), key=buried)), items.Inquired)
    again = replace(first, arrival=make.arrival(1), closed_for_s=30)
    late = make.accept(1, key=buried, closed_for_s=30)
    fresh = make.accept(1, key="fresh-key-000000000001", biller_account="10002")
    told, dead, shut = await asyncio.gather(
        *(gateways.two.run(item) for item in (again, late, replace(fresh, closed_for_s=30)))
    )
    assert (need(told, items.Taken).replayed, told.payment) == (True, payment)
    assert need(dead, items.Refusal).slug == "tombstoned"
    assert need(shut, items.Refusal).slug == "biller-closed"
    assert not need(await gateways.one.run(replace(fresh, arrival=make.arrival(1))), items.Taken).replayed


async def test_m3_a_key_that_is_being_taken_elsewhere_is_not_decided_by_a_closed_biller(gateways: Gateways) -> None:
    """The other gateway has not committed: "closed, try again" leaves the key free, the next try finds the payment."""
    make = gateways.make
    first = make.accept(1, key="known-key-000000000002")
    holder = await asyncpg.connect(gateways.dsn)
    try:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT 1 FROM station_balances FOR UPDATE")
        taking = asyncio.ensure_future(gateways.one.run(first))
        await asyncio.sleep(0.2)
        again = replace(first, arrival=make.arrival(1), closed_for_s=30)
        assert need(await gateways.two.run(again), items.Refusal).slug == "biller-closed"
        assert not taking.done()
        await transaction.rollback()
    finally:
        await holder.close()
    payment = need(await taking, items.Taken).payment
    again = replace(again, arrival=make.arrival(1))
    assert need(await gateways.two.run(again), items.Taken).payment == payment
