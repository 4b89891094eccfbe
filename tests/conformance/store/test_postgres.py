"""What only a server can do to us: locks, dead connections, lost commits, restarts, settings that lose money."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.core.steps import Read
from gateway.store.driver import drive_async
from gateway.store.port import LostRace, Store, StoreBusy, StoreError, Units
from gateway.store.postgres import text
from gateway.store.postgres.store import PostgresStore
from gateway.store.postgres.worker import COMMIT
from tests.conformance.store import toys
from tests.conformance.store.conftest import PostgresBook, build
from tests.conformance.store.toys import STATION, serial
from tests.stand.postgres import PostgresServer
from tests.stand.proxy import Cut, FaultProxy, Faults

pytestmark = pytest.mark.postgres


def pay(number: int, **changes: Any) -> toys.Pay:
    given = {"arrival_id": f"a{number}", "key": f"key-{number}", "serial": serial(number), "account": f"A{number}"}
    return toys.Pay(**{**given, **changes})


async def together(store: Store, *items: Any) -> list[Any]:
    return list(await asyncio.gather(*(store.run(item) for item in items), return_exceptions=True))


async def whole(book: PostgresBook) -> int:
    """How many payments there are; each with all its rows, and the balance as if each was paid once."""
    ((count,),) = await book.sql("SELECT count(*) FROM payments")
    for table in ("orders", "transactions", "outbox", "idempotency_keys", "nonces", "records"):
        assert await book.sql(f"SELECT count(*) FROM {table}") == [(count,)]
    assert await book.sql("SELECT count(*) FROM postings") == [(2 * count,)]
    assert await book.sql("SELECT reserved_fen, version FROM station_balances") == [(100 * count, count)]
    return int(count)


async def test_a_read_joined_to_the_locking_statement_sees_the_past(postgres_book: PostgresBook) -> None:
    """Design s7: why a unit reads in later statements what it decides on. If this ever passes the other way, the
    order of steps is no longer needed; as long as it does not, it is."""
    locking = (
        "SELECT b.available_fen, (SELECT count(*) FROM payments p WHERE p.institution_code = b.institution_code)"
        " FROM station_balances b WHERE b.institution_code = $1 FOR UPDATE OF b"
    )
    one, two = [await asyncpg.connect(postgres_book.url) for _ in range(2)]
    try:
        await one.execute("BEGIN")
        await one.fetch(text.by_keys("balances_locked", True), [STATION])
        await two.execute("BEGIN")
        waiting = asyncio.ensure_future(two.fetchrow(locking, STATION))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        async with postgres_book.open() as store:
            # Another row of the same unit, committed while `two` waits.
            row = toys.payment(pay(1), toys.MS)
            await store.run(toys.insert(row))
        await one.execute("UPDATE station_balances SET available_fen = 7, version = version + 1")
        await one.execute("COMMIT")
        balance, joined = await waiting
        ((later,),) = await two.fetch("SELECT count(*) FROM payments")
        await two.execute("ROLLBACK")
    finally:
        await one.close()
        await two.close()
    assert balance == 7, "the locked row itself is read again after the wait"
    assert joined == 0, "what is joined to it is as it was before the wait"
    assert later == 1, "a later statement sees what was committed meanwhile"


async def test_keys_are_locked_in_order(postgres_book: PostgresBook) -> None:
    """Batches that lock the same rows, asked for in opposite orders, wait for each other and never deadlock."""
    for number in range(2, 12):
        await postgres_book.sql(f"INSERT INTO stations VALUES ('{number:08d}', 'n', 'ACTIVE', NULL, 0, 0, 1)")
        await postgres_book.sql(f"INSERT INTO station_balances VALUES ('{number:08d}', 0, 0, 0, 0)")
    keys = [(f"{number:08d}",) for number in range(2, 12)]
    before = await postgres_book.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")

    async def lock(order: Sequence[Any]) -> None:
        async with postgres_book.open(connections=1) as store:
            for _ in range(15):
                await store.run(toys.Fetch(query="balances_locked", keys=list(order)))

    await asyncio.gather(lock(keys), lock(keys[::-1]), lock(keys[5:] + keys[:5]))
    after = await postgres_book.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert after == before


async def test_a_lock_that_is_not_had_in_time_is_busy_for_its_items_alone(postgres_book: PostgresBook) -> None:
    first = toys.payment(pay(1), toys.MS)
    other = toys.payment(pay(2), toys.MS)
    holder = await asyncpg.connect(postgres_book.url)
    async with postgres_book.open(lock_ms=150, connections=1) as store:
        await store.run(toys.insert(first))
        await store.run(toys.insert(other))
        await holder.execute("BEGIN")
        await holder.execute(f"SELECT 1 FROM payments WHERE gateway_serial = '{serial(1)}' FOR UPDATE")
        held, free = await together(
            store,
            toys.change(first, msgspec.structs.replace(first, state="SENT", version=2)),
            toys.change(other, msgspec.structs.replace(other, state="SENT", version=2)),
        )
        assert isinstance(held, StoreBusy)
        assert not held.in_doubt
        assert isinstance(free, toys.Done)
        await holder.execute("ROLLBACK")
        await store.run(toys.change(first, msgspec.structs.replace(first, state="SENT", version=2)))
    await holder.close()


async def test_items_wait_no_longer_than_they_may(postgres_book: PostgresBook) -> None:
    holder = await asyncpg.connect(postgres_book.url)
    await holder.execute("BEGIN")
    await holder.execute("SELECT 1 FROM station_balances FOR UPDATE")
    async with postgres_book.open(connections=1, batch_max=1, lock_ms=2_000, wait_ms=200) as store:
        replies = await together(store, *(pay(number) for number in range(5)))
        assert all(isinstance(reply, StoreBusy) and not reply.in_doubt for reply in replies)
        assert sum("no connection was free" in str(reply) for reply in replies) == 4
    await holder.execute("ROLLBACK")
    await holder.close()


async def test_deadlocks_are_done_again(postgres_book: PostgresBook) -> None:
    """A person at a console locks in the other order than we do; the unit is the victim and passes at another try."""
    rows = [toys.payment(pay(number), toys.MS) for number in (1, 2)]
    holder = await asyncpg.connect(postgres_book.url)
    async with postgres_book.open(connections=1, lock_ms=5_000) as store:
        for row in rows:
            await store.run(toys.insert(row))
        await holder.execute("SET deadlock_timeout = '10s'")
        await holder.execute("BEGIN")
        await holder.execute(f"SELECT 1 FROM payments WHERE gateway_serial = '{serial(2)}' FOR UPDATE")
        work = asyncio.ensure_future(store.run(toys.Fetch(query="payments_locked", keys=[(serial(1),), (serial(2),)])))
        await asyncio.sleep(0.2)
        other = asyncio.ensure_future(
            holder.execute(f"SELECT 1 FROM payments WHERE gateway_serial = '{serial(1)}' FOR UPDATE")
        )
        await asyncio.sleep(1.3)
        await other
        await holder.execute("ROLLBACK")
        assert "Payment(" in (await work).text
    await holder.close()


async def test_numbers_need_no_second_connection_of_the_pool(postgres_book: PostgresBook) -> None:
    async with postgres_book.open(connections=1) as store:
        replies = await together(store, *(toys.Draw(biller="b", day="d") for _ in range(10)))
    assert [reply.number for reply in replies] == list(range(1, 11))


def _lose_the_answer(store: PostgresStore, times: int) -> list[str]:
    """The next COMMITs are done by the server, but their answers are lost."""
    lost: list[str] = []
    for worker in store._workers:
        inner = worker._commit

        async def commit(connection: Any, inner: Any = inner) -> None:
            if len(lost) >= times:
                await inner(connection)
                return
            await connection.execute(COMMIT)
            lost.append("lost")
            connection.terminate()
            await inner(connection)

        worker._commit = commit  # type: ignore[method-assign]
    return lost


async def test_a_commit_whose_answer_is_lost_is_found_again(postgres_book: PostgresBook) -> None:
    async with postgres_book.open() as store:
        lost = _lose_the_answer(store, 1)  # type: ignore[arg-type]
        replies = await together(store, *(pay(number) for number in range(30)))
    assert lost == ["lost"]
    assert [reply.text for reply in replies] == [serial(number) for number in range(30)]
    assert await whole(postgres_book) == 30


async def test_commits_that_stay_without_answer_are_in_doubt(postgres_book: PostgresBook) -> None:
    async with postgres_book.open() as store:
        _lose_the_answer(store, 100)  # type: ignore[arg-type]
        (reply,) = await together(store, pay(1))
    assert isinstance(reply, StoreBusy)
    assert reply.in_doubt
    assert await whole(postgres_book) == 1


async def test_cut_connections_pay_nothing_twice_and_lose_nothing(postgres_book: PostgresBook) -> None:
    """The wire is cut at random bytes, both ways, while payments run; then the book must be whole."""
    seed = 20261124
    chance = random.Random(seed)
    port = int(postgres_book.config.hosts[0].rpartition(":")[2])
    async with FaultProxy("127.0.0.1", port, Faults()) as proxy:
        hosts = (f"127.0.0.1:{proxy.port}",)
        async with postgres_book.open(hosts=hosts, connections=2, statement_ms=1_000, connect_ms=1_000) as store:
            replies: list[Any] = []
            for round_number in range(12):
                direction = chance.choice(["cut_request_after", "cut_reply_after"])
                await proxy.set_faults(
                    **{direction: chance.randint(300, 60_000)}, cut=chance.choice([Cut.FIN, Cut.RESET])
                )
                replies += await together(store, *(pay(round_number * 20 + at) for at in range(20)))
                if chance.random() < 0.5:
                    proxy.cut_all(Cut.RESET)
                await proxy.clear_faults()
    assert len(proxy.links) > 12, f"seed {seed}: the proxy cut nothing"
    stored = {row[0] for row in await postgres_book.sql("SELECT gateway_serial FROM payments")}
    for number, reply in enumerate(replies):
        if isinstance(reply, toys.Done):
            assert serial(number) in stored
        else:
            assert isinstance(reply, StoreBusy), reply
            assert reply.in_doubt or serial(number) not in stored
    assert await whole(postgres_book) == len(stored)


async def test_a_server_that_says_nothing_is_given_up(postgres_book: PostgresBook) -> None:
    port = int(postgres_book.config.hosts[0].rpartition(":")[2])
    async with FaultProxy("127.0.0.1", port) as proxy:
        hosts = (f"127.0.0.1:{proxy.port}",)
        async with postgres_book.open(hosts=hosts, connections=1, statement_ms=100, connect_ms=500) as store:
            proxy.cut_all(Cut.SILENT)
            (reply,) = await together(store, pay(1))
            assert isinstance(reply, toys.Done)
            await proxy.set_faults(refuse=True)
            proxy.cut_all(Cut.RESET)
            (reply,) = await together(store, pay(2))
            assert isinstance(reply, StoreBusy)
            assert not reply.in_doubt
            await proxy.clear_faults()
            assert (await store.run(pay(3))).text == serial(3)


async def test_the_store_lives_through_a_restart_of_the_server() -> None:
    with PostgresServer(durable=True) as server:
        await asyncio.to_thread(server.template, "book", build)
        book = PostgresBook(server.dsn("book"))
        async with book.open(wait_ms=2_000) as store:
            assert (await store.run(pay(0))).text == serial(0)
            await asyncio.to_thread(server.kill)
            down = await together(store, *(pay(number) for number in range(1, 10)))
            assert all(isinstance(reply, StoreBusy) for reply in down)
            await asyncio.to_thread(server.restart)
            up = await together(store, *(pay(number) for number in range(10)))
            assert [reply.text for reply in up] == [serial(number) for number in range(10)]
            assert (await store.look(toys.Ask(serials=[serial(0)]))).text == serial(0)
        assert await whole(book) == 10


async def test_a_commit_waits_for_the_disk_whatever_the_server_says(postgres_book: PostgresBook) -> None:
    """The test server's own default is `off`: an acknowledged commit could be gone after a crash."""
    assert await postgres_book.sql("SHOW synchronous_commit") == [("off",)]
    async with postgres_book.open() as store:
        for worker in store._workers:  # type: ignore[attr-defined]
            assert await (await worker.open()).fetchval("SHOW synchronous_commit") == "on"


async def test_a_read_unit_runs_in_a_transaction_that_cannot_write(postgres_book: PostgresBook) -> None:
    async with postgres_book.open() as store:
        found: list[str] = []

        def curious(items: Sequence[Any], _: Any) -> Any:
            yield Read("balances_locked", [(STATION,)])
            found.append("read")
            return [toys.Done()] * len(items)

        units = Units(units={}, read_units={toys.Ask: curious}, item_type=toys.Ask, reply_type=toys.Done)
        reader = PostgresStore(postgres_book.config, units, None)
        await reader.open()
        try:
            # The lock is left out: a locking read would be refused as a write.
            assert await reader.look(toys.Ask(serials=[])) == toys.Done()
        finally:
            await reader.close()
        assert found == ["read"]
        assert (await store.run(pay(1))).text == serial(1)


async def test_a_reply_for_no_item_is_our_bug(postgres_book: PostgresBook) -> None:
    def short(items: Sequence[Any], _: Any) -> Any:
        yield Read("settings", [("nonce_floor",)])
        return []

    units = Units(units={toys.Grab: short}, read_units={}, item_type=toys.Grab, reply_type=toys.Done)
    store = PostgresStore(postgres_book.config, units, None)
    await store.open()
    try:
        with pytest.raises(StoreError, match="0 replies for 1 items"):
            await store.run(toys.Grab(nonce="n", arrival_id="a"))
    finally:
        await store.close()


async def test_two_gateways_that_pay_the_same_bill(postgres_book: PostgresBook) -> None:
    """Different stations, one bill: whatever both read, the index lets one in (M7)."""
    async with postgres_book.open() as one, postgres_book.open() as two:
        replies = await asyncio.gather(
            *((one, two)[at % 2].run(pay(at, account=f"B{at // 2}")) for at in range(80)), return_exceptions=True
        )
    for left, right in zip(replies[::2], replies[1::2], strict=True):
        assert sorted([isinstance(left, toys.Done), isinstance(right, toys.Done)]) == [False, True]
        assert isinstance(left, LostRace) or isinstance(right, LostRace)
    assert await whole(postgres_book) == 40


def test_drive_closes_a_unit_that_is_left() -> None:
    closed: list[str] = []

    def unit() -> Any:
        try:
            yield Read("settings", [])
        finally:
            closed.append("closed")

    async def refuse(_: Any) -> Any:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(drive_async(unit(), refuse))
    assert closed == ["closed"]
