"""growth_10m on PostgreSQL: acceptance and commit times of one connection with many payments stored against few."""

import asyncio
import time
from typing import Any

from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from tests.bench import floor
from tests.bench.billers import service_of
from tests.bench.books import HOUSE_UNITS, fill_postgres, must
from tests.bench.growth_times import BATCHES, FEW, FILL_LIMIT_S, MANY, MANY_FULL, MEASURE_LIMIT_S, Times, growth_result
from tests.bench.installation import Installation, installation
from tests.bench.options import Options
from tests.bench.quiet import Window
from tests.bench.requests import Order
from tests.bench.results import Result, Setting
from tests.stand.postgres import PostgresServer

ORDER = Order(service=service_of("bench_hold"), first_account=100_000_000)
DATABASE = "growth"
FILLERS = 256
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB"}


class Book:
    """One book that grows: several connections fill it, one is measured."""

    def __init__(self, house: Installation, config: PostgresConfig, source: floor.ItemSource) -> None:
        self._house, self._config, self._source = house, config, source
        self.stored = 0

    def _store(self, connections: int) -> PostgresStore:
        values = {name: getattr(self._config, name) for name in PostgresConfig.__struct_fields__}
        return PostgresStore(PostgresConfig(**(values | {"connections": connections})), HOUSE_UNITS, self._house.env)

    async def fill(self, count: int, limit_s: float | None) -> None:
        """Until so many payments are stored, or the time is over."""
        store = self._store(4)
        await store.open()
        begun = time.perf_counter()

        async def keep_asking() -> None:
            while self.stored < count and (limit_s is None or time.perf_counter() - begun < limit_s):
                must([await store.run(self._source.next())], "Taken")
                self.stored += 1

        try:
            await asyncio.gather(*(keep_asking() for _ in range(FILLERS)))
        finally:
            await store.close()

    async def measure(self) -> Times:
        """Some batches, one after the other."""
        store, times = self._store(1), Times()
        await store.open()
        _time_commits(store, times)
        until = time.perf_counter() + MEASURE_LIMIT_S
        try:
            while len(times.batches) < BATCHES and time.perf_counter() < until:
                batch = self._source.batch()
                begun = time.perf_counter()
                must(await asyncio.gather(*(store.run(item) for item in batch)), "Taken")
                times.batches.append((time.perf_counter() - begun) * 1000)
                self.stored += len(batch)
        finally:
            await store.close()
        return times


def _time_commits(store: PostgresStore, times: Times) -> None:
    for worker in store._workers:
        commit = worker._commit

        async def timed(connection: Any, commit: Any = commit, writes: bool = worker._mint is not None) -> None:
            begun = time.perf_counter()
            await commit(connection)
            if writes:
                times.commits.append((time.perf_counter() - begun) * 1000)

        worker._commit = timed  # type: ignore[method-assign]  # the bench's own clock around it


def measure(options: Options) -> list[Result]:
    """Accept batches at few, then at many payments stored."""
    with PostgresServer(durable=True, settings=SETTINGS) as server, installation(["bench_hold"]) as house:
        server.create_database(DATABASE)
        config = PostgresConfig(hosts=(f"127.0.0.1:{server.port}",), database=DATABASE, user="postgres", ssl=False)
        fill_postgres(house, config)
        samples = floor.sample_requests(house, ORDER, 500)
        book = Book(house, config, floor.ItemSource(samples, ORDER))
        asyncio.run(book.fill(FEW, None))
        settle(server)
        with Window() as at_few:
            few = asyncio.run(book.measure())
        before = wal_bytes(server)
        grown = book.stored
        asyncio.run(book.fill(MANY_FULL if options.full else MANY, None if options.full else FILL_LIMIT_S))
        per_payment = (wal_bytes(server) - before) // max(1, book.stored - grown)
        settle(server)
        with Window() as at_many:
            many = asyncio.run(book.measure())
        size_mib = int(server.run_sql("SELECT pg_database_size(current_database())", DATABASE)) / 2**20
    settings: dict[str, Setting] = {
        "engine": "postgresql",
        "wal_bytes_per_payment": per_payment,
        "database_mib": round(size_mib, 1),
    }
    return [growth_result((few, at_few), (many, at_many), book.stored, settings)]


def settle(server: PostgresServer) -> None:
    """Both measurements begin with what filling left behind written and swept, and with pages that are logged whole."""
    server.run_sql("VACUUM (ANALYZE)", DATABASE)
    server.run_sql("CHECKPOINT")


def wal_bytes(server: PostgresServer) -> int:
    """How much the server has written to its log so far."""
    return int(server.run_sql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))
