"""With stand-bys, a commit counts only when one of them has it (M4); here the stand-by is one that is not there."""

import asyncio

import pytest

from gateway.store.port import StoreBusy, StoreRefused
from gateway.store.postgres.connection import all_confirm
from tests.conformance.store import toys
from tests.conformance.store.conftest import PostgresBook, build
from tests.conformance.store.test_postgres import pay
from tests.stand.postgres import PostgresServer

pytestmark = pytest.mark.postgres


async def test_standbys_forbid_commits_that_do_not_wait(postgres_book: PostgresBook) -> None:
    """M4: the test server itself runs with synchronous_commit off and no stand-by."""
    standby = ("127.0.0.1:1",)
    name = postgres_book.config.database
    with pytest.raises(StoreRefused, match="synchronous_commit is off"):
        async with postgres_book.open(standby_hosts=standby):
            pass
    for value in ("local", "remote_write"):
        await postgres_book.sql(f"ALTER DATABASE {name} SET synchronous_commit = {value}")
        with pytest.raises(StoreRefused, match=f"synchronous_commit is {value}"):
            async with postgres_book.open(standby_hosts=standby):
                pass
    await postgres_book.sql(f"ALTER DATABASE {name} SET synchronous_commit = on")
    with pytest.raises(StoreRefused, match="every stand-by that it names"):
        async with postgres_book.open(standby_hosts=standby):
            pass
    await postgres_book.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await postgres_book.sql("SELECT pg_reload_conf()")
    try:
        with pytest.raises(StoreRefused, match="fsync is off"):
            async with postgres_book.open(standby_hosts=standby):
                pass
    finally:
        await postgres_book.sql("ALTER SYSTEM RESET synchronous_standby_names")
        await postgres_book.sql("SELECT pg_reload_conf()")


async def test_a_commit_that_no_standby_confirmed_is_in_doubt() -> None:
    """The wait for a stand-by that is not there is cancelled by hand: PostgreSQL then calls the commit a success."""
    with PostgresServer(durable=True, settings={"synchronous_commit": "off"}) as server:
        await asyncio.to_thread(server.template, "book", build)
        book = PostgresBook(server.dsn("book"))
        await asyncio.to_thread(server.run_sql, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await asyncio.to_thread(server.run_sql, "SELECT pg_reload_conf()")
        await asyncio.to_thread(server.run_sql, "ALTER DATABASE book SET synchronous_commit = on")
        async with book.open(connections=1, statement_ms=500, standby_hosts=("127.0.0.1:1",)) as store:
            work = asyncio.ensure_future(store.run(pay(1)))
            # Longer than statement_timeout, which must not end the wait.
            await asyncio.sleep(1.2)
            assert not work.done()
            cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            assert (await asyncio.to_thread(server.run_sql, cancel)) == "t"
            with pytest.raises(StoreBusy) as caught:
                await work
        assert caught.value.in_doubt


async def test_what_was_found_again_waits_for_the_standby_too() -> None:
    """The connection dies while its commit waits for a stand-by. Done again, the items find their own rows; those
    are on this server alone, and a commit that writes nothing would not wait for any other."""
    with PostgresServer(durable=True, settings={"synchronous_commit": "off"}) as server:
        await asyncio.to_thread(server.template, "book", build)
        book = PostgresBook(server.dsn("book"))
        await asyncio.to_thread(server.run_sql, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await asyncio.to_thread(server.run_sql, "ALTER DATABASE book SET synchronous_commit = on")
        await asyncio.to_thread(server.run_sql, "SELECT pg_reload_conf()")
        waits = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        async with book.open(connections=1, standby_hosts=("127.0.0.1:1",)) as store:
            work = asyncio.ensure_future(store.run(toys.Grab(nonce="n", arrival_id="a")))
            assert await _shows(server, f"SELECT count(*) {waits}", "1")
            await asyncio.to_thread(server.run_sql, f"SELECT pg_terminate_backend(pid) {waits}")
            await asyncio.sleep(0.5)
            assert await _shows(server, f"SELECT count(*) {waits}", "1")
            assert not work.done()
            await asyncio.to_thread(server.run_sql, "ALTER SYSTEM SET synchronous_standby_names = ''")
            await asyncio.to_thread(server.run_sql, "SELECT pg_reload_conf()")
            assert (await work).text == "a"


async def _shows(server: PostgresServer, sql: str, expected: str) -> bool:
    """Whether a query gives this within some seconds."""
    for _ in range(100):
        if await asyncio.to_thread(server.run_sql, sql) == expected:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_numbers_that_no_standby_confirmed_are_not_given_out() -> None:
    """After a fail-over they would be given out again, for another payment."""
    with PostgresServer(durable=True, settings={"synchronous_commit": "off"}) as server:
        await asyncio.to_thread(server.template, "book", build)
        book = PostgresBook(server.dsn("book"))
        await asyncio.to_thread(server.run_sql, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await asyncio.to_thread(server.run_sql, "ALTER DATABASE book SET synchronous_commit = on")
        await asyncio.to_thread(server.run_sql, "SELECT pg_reload_conf()")
        async with book.open(connections=1, standby_hosts=("127.0.0.1:1",)) as store:
            work = asyncio.ensure_future(store.run(toys.Draw(biller="b", day="d")))
            waits = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            assert await _shows(server, f"SELECT count(*) {waits}", "1")
            await asyncio.to_thread(server.run_sql, f"SELECT pg_cancel_backend(pid) {waits}")
            # Another try asks for other numbers, and waits as the first did.
            assert await _shows(server, f"SELECT count(*) {waits}", "1")
            assert not work.done()
            await asyncio.to_thread(server.run_sql, "ALTER SYSTEM SET synchronous_standby_names = ''")
            await asyncio.to_thread(server.run_sql, "SELECT pg_reload_conf()")
            assert (await work).number > 1


@pytest.mark.parametrize(
    ("names", "all_of_them"),
    [
        ("second", True), ("FIRST 1 (second)", True), ("ANY 2 (a, b)", True), ("2 (a, b)", True),
        (" any 1 ( a ) ", True), ("", False), ("*", False), ("ANY 1 (a, b)", False), ("FIRST 1 (a, b)", False),
        ("1 (a, b)", False), ("a, b", False), ("FIRST 2 (*)", False), ("ANY 2 (a, )", False), ("FIRST (a)", False),
    ],
)  # fmt: skip
def test_whichever_stand_by_is_promoted_must_have_confirmed(names: str, all_of_them: bool) -> None:
    """M4: of two of which one confirms, the other may lack an acknowledged payment."""
    assert all_confirm(names) is all_of_them
