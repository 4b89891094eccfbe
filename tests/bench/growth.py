"""growth_10m: acceptance and commit times of the engine with many payments stored against few, and the log's size."""

import time
from pathlib import Path
from typing import Any

from gateway.core.env import Env
from gateway.store.sqlite.checkpoint import Checkpointer
from gateway.store.sqlite.engine import SqliteEngine
from tests.bench import floor, growth_postgres
from tests.bench.billers import service_of
from tests.bench.books import fill_sqlite, must, open_engine
from tests.bench.growth_times import BATCHES, FEW, FILL_LIMIT_S, MANY, MANY_FULL, MEASURE_LIMIT_S, Times, growth_result
from tests.bench.installation import installation
from tests.bench.options import Options
from tests.bench.quiet import Window
from tests.bench.requests import Order
from tests.bench.results import Result, Setting

ORDER = Order(service=service_of("bench_hold"), first_account=100_000_000)


class TimedEngine(SqliteEngine):
    """Notes how long its commits take, in seconds."""

    def __init__(self, path: Path, units: Any, env: Env) -> None:
        super().__init__(path, units, env)
        self.commits: list[float] = []

    def _commit(self) -> None:
        begun = time.perf_counter()
        super()._commit()
        self.commits.append(time.perf_counter() - begun)


class Book:
    """One book that grows. Checkpoints run beside it, as the writer process has them run."""

    def __init__(self, engine: TimedEngine, source: floor.ItemSource) -> None:
        self._engine, self._source = engine, source
        self._checkpointer = Checkpointer(engine.path)
        self._checkpointer.start()
        self.stored = 0

    def close(self) -> None:
        """End the checkpoints."""
        self._checkpointer.stop()

    def accept(self) -> float:
        """One batch; how long it took, in seconds."""
        batch = self._source.batch()
        begun = time.perf_counter()
        replies = self._engine.execute(batch).replies
        spent = time.perf_counter() - begun
        self._checkpointer.committed()
        self.stored += len(must(replies, "Taken"))
        return spent

    def fill(self, count: int, limit_s: float | None) -> None:
        """Until so many payments are stored, or the time is over."""
        begun = time.perf_counter()
        while self.stored < count and (limit_s is None or time.perf_counter() - begun < limit_s):
            self.accept()

    def measure(self) -> Times:
        """Some batches."""
        times = Times()
        self._engine.commits.clear()
        until = time.perf_counter() + MEASURE_LIMIT_S
        while len(times.batches) < BATCHES and time.perf_counter() < until:
            times.batches.append(self.accept() * 1000)
            times.wal_mib = max(times.wal_mib, self._checkpointer.log_bytes() / 2**20)
        times.commits = [seconds * 1000 for seconds in self._engine.commits]
        return times


def measure(options: Options) -> list[Result]:
    """Both engines."""
    return [*sqlite(options), *growth_postgres.measure(options)]


def sqlite(options: Options) -> list[Result]:
    """Accept batches at few, then at many payments stored."""
    with installation(["bench_hold"]) as house:
        fill_sqlite(house)
        samples = floor.sample_requests(house, ORDER, 500)
        engine = open_engine(house.database, house.env, TimedEngine)
        assert isinstance(engine, TimedEngine)
        book = Book(engine, floor.ItemSource(samples, ORDER))
        try:
            book.fill(FEW, None)
            with Window() as at_few:
                few = book.measure()
            book.fill(MANY_FULL if options.full else MANY, None if options.full else FILL_LIMIT_S)
            with Window() as at_many:
                many = book.measure()
        finally:
            book.close()
            engine.close()
        size_mib = house.database.stat().st_size / 2**20
    settings: dict[str, Setting] = {
        "engine": "sqlite",
        "wal_max_mib": round(max(few.wal_mib, many.wal_mib), 1),
        "database_mib": round(size_mib, 1),
    }
    return [growth_result((few, at_few), (many, at_many), book.stored, settings)]
