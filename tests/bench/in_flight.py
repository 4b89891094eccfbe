"""in_flight_100ms: one worker and a slow biller; how many calls it keeps in flight, and what they cost in memory."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.bench import generator
from tests.bench.billers import PLAIN, service_of
from tests.bench.engines import Book, SqliteBook, postgres_book, postgres_server
from tests.bench.gateway import Gateway, serving
from tests.bench.generator import BadLoadError
from tests.bench.installation import Installation, installation
from tests.bench.load import Plan
from tests.bench.options import Options
from tests.bench.percentiles import percentile
from tests.bench.quiet import Window, mark
from tests.bench.requests import Order, make, save
from tests.bench.results import Reference, Result
from tests.bench.servers import PlainBiller, plain_biller
from tests.stand.postgres import PostgresServer

DELAY_MS = 100
SECONDS_OF_WORK = 6
EDGE_S = 1.0
LONG_MS = 10_000
PATIENCE_S = 60.0
_FINALS = "SELECT final_at FROM payments WHERE state = 'SUCCESS' ORDER BY final_at"
_LEFT = "SELECT count(*) FROM payments WHERE state <> 'SUCCESS'"


def slow_biller(options: Options) -> list[Result]:
    """100 and 150 in flight at 100 ms, then 2,000 at 10 s; on SQLite, then on PostgreSQL."""
    results = [run(name, None) for name, run in _RUNS]
    with postgres_server() as server:
        return results + [run(name, server) for name, run in _RUNS]


@contextmanager
def _book(house: Installation, server: PostgresServer | None, name: str) -> Iterator[Book]:
    if server is None:
        yield SqliteBook(house)
    else:
        with postgres_book(house, server, name) as book:
            yield book


def _accept(house: Installation, gateway: Gateway, name: str, count: int) -> None:
    """Fill the lane: every payment is accepted, none is waited for."""
    order = Order(service=service_of(name), first_account=10_000_000)
    plan = Plan(
        ports=[gateway.port],
        requests=str(save(house.folder / "slow.requests", make(house, order, count))),
        connections=64,
        warm_up_s=0,
        measure_s=0,
        out=str(house.folder / "slow.report"),
    )
    loaded = generator.check(generator.drive(plan), house, may_run_dry=True)
    if loaded.good != count:
        raise BadLoadError(f"{loaded.good} of {count} were accepted")


def _await_finals(book: Book) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while book.ask(_LEFT)[0][0]:
        if time.monotonic() > deadline:
            raise BadLoadError(f"not all became final within {PATIENCE_S:.0f} s")
        time.sleep(0.2)


def steady_rate(finals_ms: Sequence[int], edge_s: float = EDGE_S) -> float:
    """Outcomes per second, without so many seconds at either end. ValueError where nothing is left in between."""
    begin, end = finals_ms[0] + edge_s * 1000, finals_ms[-1] - edge_s * 1000
    if end <= begin:
        raise ValueError("all outcomes lie within the edges")
    return sum(begin <= at < end for at in finals_ms) / (end - begin) * 1000


def _steady(name: str, server: PostgresServer | None) -> Result:
    """The biller holds its answers until all payments are accepted; then the worker is alone with them."""
    at_once = PLAIN[name]
    target = at_once * 1000 / DELAY_MS
    with (
        installation([name]) as house,
        plain_biller(delay_ms=DELAY_MS, shut=True) as biller,
        _book(house, server, name) as book,
    ):
        with serving(house, book.store, {name: biller.toml}) as gateway:
            _accept(house, gateway, name, int(target * SECONDS_OF_WORK))
            with Window() as window:
                biller.release()
                _await_finals(book)
            stats = biller.stats()
        finals = [at for (at,) in book.ask(_FINALS)]
    result = Result(
        name="in_flight_100ms",
        settings={
            "engine": book.engine,
            "in_flight": at_once,
            "answer_ms": DELAY_MS,
            "most_at_biller": stats.most_at_once,
        },
        per_s=steady_rate(finals),
        cpu_s_per_1000=window.spent.ours_s / len(finals) * 1000,
    )
    return mark(result, window.spent).compared(Reference(name="concurrency_by_latency", per_s=target))


def _held(name: str, server: PostgresServer | None) -> Result:
    """Thousands of calls that take 10 s: all in flight at once, none lost, and little memory."""
    count = PLAIN[name]
    with (
        installation([name]) as house,
        plain_biller(delay_ms=LONG_MS) as biller,
        _book(house, server, name) as book,
    ):
        with serving(house, book.store, {name: biller.toml}) as gateway:
            _, before = gateway.memory_mib()
            with Window() as window:
                _accept(house, gateway, name, count)
                most = _peak(gateway, biller, count)
                _await_finals(book)
            stats = biller.stats()
        lasted = [end - begin for begin, end in book.ask(_LASTED)]
    result = Result(
        name="in_flight_100ms",
        settings={
            "engine": book.engine,
            "in_flight": count,
            "answer_ms": LONG_MS,
            "most_at_biller": stats.most_at_once,
            "lost": count - stats.answered,
            "idle_mib": round(before, 1),
            "more_mib": round(most - before, 1),
        },
        per_s=None,
        p50_ms=percentile(lasted, 50),
        p99_ms=percentile(lasted, 99),
        cpu_s_per_1000=window.spent.ours_s / count * 1000,
    )
    return mark(result, window.spent)


_RUNS = (("bench_100", _steady), ("bench_150", _steady), ("bench_2000", _held))
_LASTED = "SELECT accepted_at, final_at FROM payments WHERE state = 'SUCCESS'"


def _peak(gateway: Gateway, biller: PlainBiller, count: int) -> float:
    """The most proportional memory until all calls are answered, in MiB."""
    most, deadline = 0.0, time.monotonic() + PATIENCE_S
    while biller.stats().answered < count:
        if time.monotonic() > deadline:
            raise BadLoadError(f"{biller.stats()} of {count} calls")
        most = max(most, gateway.memory_mib()[1])
        time.sleep(0.5)
    return most
