"""dead_neighbour: two billers in one gateway; what the death of one does to the payments of the other."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext

from tests.bench import generator
from tests.bench.billers import service_of
from tests.bench.engines import Book, SqliteBook, postgres_book, postgres_server
from tests.bench.gateway import serving
from tests.bench.generator import BadLoadError, Loaded
from tests.bench.installation import Installation, installation
from tests.bench.load import Plan
from tests.bench.options import Options
from tests.bench.percentiles import percentile
from tests.bench.requests import Order, make, save
from tests.bench.results import Reference, Result, Setting
from tests.bench.servers import plain_biller

NEAR, FAR = "bench_near", "bench_far"
EACH_PER_S = 100
DELAY_MS = 20
WARM_UP_S = 2.0
MEASURE_S = 10.0
CONNECTIONS = 128
MakeBook = Callable[[Installation], AbstractContextManager[Book]]


def measure(options: Options) -> list[Result]:
    """The same load twice: with a healthy neighbour, then with one that takes calls and never answers. Both engines."""
    seconds = options.measure_s if options.full else min(MEASURE_S, options.measure_s)
    found = [_compared(seconds, "sqlite", lambda house: nullcontext(SqliteBook(house)))]
    with postgres_server() as server:
        numbers = itertools.count()
        found.append(
            _compared(seconds, "postgresql", lambda house: postgres_book(house, server, f"neighbour_{next(numbers)}"))
        )
    return found


def _compared(seconds: float, engine: str, make_book: MakeBook) -> Result:
    healthy, dead = (_with_neighbour(seconds, make_book, dead=dead) for dead in (False, True))
    settings: dict[str, Setting] = {"engine": engine, "biller_ms": DELAY_MS, "load_per_s": EACH_PER_S}
    base, result = (it.result("dead_neighbour", **settings) for it in (healthy, dead))
    ratio = percentile(dead.report.latencies_ms, 99) / percentile(healthy.report.latencies_ms, 99)
    louder = max(healthy.spent.foreign_cores, dead.spent.foreign_cores)
    stolen = max(healthy.spent.steal_cores, dead.spent.steal_cores)
    result = result.with_settings(
        neighbour="takes calls, never answers",
        p50_ms_healthy=base.p50_ms or 0.0,
        p99_ms_healthy=base.p99_ms or 0.0,
        quiet=healthy.spent.quiet and dead.spent.quiet,
        foreign_cores=round(louder, 3),
        steal_cores=round(stolen, 3),
    )
    return result.compared(Reference(name="load", per_s=EACH_PER_S)).with_ratio(ratio)


def _with_neighbour(seconds: float, make_book: MakeBook, *, dead: bool) -> Loaded:
    """Payments of the near biller, held until final, at a steady rate; as many to the far one, not waited for."""
    with ExitStack() as stack:
        house = stack.enter_context(installation([NEAR, FAR]))
        near = stack.enter_context(plain_biller(delay_ms=DELAY_MS))
        far = stack.enter_context(plain_biller(delay_ms=DELAY_MS, dead=dead))
        book = stack.enter_context(make_book(house))
        gateway = stack.enter_context(serving(house, book.store, {NEAR: near.toml, FAR: far.toml}))
        plans = [_plan(house, name, wait_s, seconds).on(gateway.port) for name, wait_s in ((NEAR, 30), (FAR, 0))]
        measured = stack.enter_context(generator.start(plans[0]))
        stack.enter_context(generator.start(plans[1]))
        loaded = generator.check(measured.wait(), house)
    if set(loaded.report.statuses) != {201}:
        raise BadLoadError(f"not final: {loaded.report.statuses}")
    return loaded


def _plan(house: Installation, name: str, wait_s: int, seconds: float) -> Plan:
    order = Order(service=service_of(name), first_account=10_000_000, wait_s=wait_s)
    count = int((WARM_UP_S + seconds + 4) * EACH_PER_S)
    return Plan(
        ports=[],
        requests=str(save(house.folder / f"{name}.requests", make(house, order, count))),
        connections=CONNECTIONS,
        warm_up_s=WARM_UP_S,
        measure_s=seconds,
        out=str(house.folder / f"{name}.report"),
        per_s=EACH_PER_S,
        sample_every=100,
    )
