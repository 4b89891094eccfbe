"""From the signed request to the final outcome, over the telecom simulator in its own process.

end_to_end_embedded: one process on SQLite. end_to_end_kafka_postgres: one process for requests, one for relay, resolver
and sealer, one, two or four workers; broker, database, simulator and load on the same cores.
"""

import asyncio
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from tests.bench import bare_kafka, bills, generator
from tests.bench.accept import pgbench
from tests.bench.engines import Book, SqliteBook, postgres_book, postgres_server
from tests.bench.gateway import serving
from tests.bench.generator import BadLoadError, Loaded
from tests.bench.growth_postgres import wal_bytes
from tests.bench.installation import Installation, command, installation, write_config
from tests.bench.load import Plan
from tests.bench.options import Options
from tests.bench.requests import make, save
from tests.bench.results import Reference, Result, Setting
from tests.bench.servers import inline, telecom_simulator
from tests.stand.kafka import KafkaBroker
from tests.stand.ports import free_port
from tests.stand.windows import never_closed

TARGET_PER_S = 1000
KAFKA_TARGET_PER_S = 600
IN_FLIGHT = 64
KAFKA_IN_FLIGHT = 128
WORKERS = (1, 2, 4)
PARTITIONS = 12
WARM_UP_S = 2.0
KAFKA_WARM_UP_S = 4.0
"""The workers' group meets, and the allowances are divided, within it."""
MEASURE_S = 8.0
MOST_PER_S = 1_600
QUERY_LIMIT_S = 15.0
BILLER = "bench_telecom"


def embedded(options: Options) -> list[Result]:
    """Each call is held until its payment is final: 201 or it does not count."""
    with installation([BILLER]) as house, telecom_simulator(house) as settings:
        book = SqliteBook(house)
        plan = _plan(house, book, settings, options, in_flight=IN_FLIGHT, warm_up_s=WARM_UP_S)
        with serving(house, book.store, {BILLER: inline(settings)}) as gateway:
            loaded = _drive(house, book, plan.on(gateway.port))
    result = _result("end_to_end_embedded", loaded, bus="embedded", engine="sqlite", in_flight=IN_FLIGHT)
    return [result.compared(Reference(name="target", per_s=TARGET_PER_S))]


def kafka_postgres(options: Options) -> list[Result]:
    """The same through a broker that writes each batch to the disk; the floors of both servers in the same run."""
    with postgres_server() as server, KafkaBroker(settings=bare_kafka.DURABLE) as kafka:
        tpc_b = Reference(name="pgbench_tpc_b_8_clients", per_s=pgbench(server))
        bare = asdict(asyncio.run(bare_kafka.measure(kafka.bootstrap)))
        floors = [tpc_b, *(Reference(name=f"kafka_{name}", per_s=rate) for name, rate in bare.items())]
        results = []
        for workers in WORKERS:
            with ExitStack() as stack:
                house = stack.enter_context(installation([BILLER]))
                settings = stack.enter_context(telecom_simulator(house))
                book = stack.enter_context(postgres_book(house, server, f"end_to_end_{workers}"))
                plan = _plan(house, book, settings, options, in_flight=KAFKA_IN_FLIGHT, warm_up_s=KAFKA_WARM_UP_S)
                port = stack.enter_context(_cluster(house, book.store, settings, kafka, workers))
                before = wal_bytes(server)
                loaded = _drive(house, book, plan.on(port))
                ((stored,),) = book.ask("SELECT count(*) FROM payments")
                logged = (wal_bytes(server) - before) // int(stored)
            result = _result(
                "end_to_end_kafka_postgres", loaded, bus="kafka", engine="postgresql", in_flight=KAFKA_IN_FLIGHT,
                workers=workers, processes=2 + workers, partitions=PARTITIONS, wal_bytes_per_payment=logged,
            )  # fmt: skip
            results.append(result.compared(*floors, Reference(name="target", per_s=KAFKA_TARGET_PER_S)))
    return results


@contextmanager
def _cluster(
    house: Installation, store: str, settings: Mapping[str, str], kafka: KafkaBroker, workers: int
) -> Iterator[int]:
    """The processes of one gateway; the port of its public API."""
    bus = (
        f'driver = "kafka", bootstrap = ["{kafka.bootstrap}"], topic_prefix = "w{workers}", partitions = {PARTITIONS}, '
        "replication = 1, min_insync_replicas = 1"
    )
    billers = {BILLER: inline(settings)}
    ports = [free_port() for _ in range(3)]
    config = write_config(house, "bus.toml", ports=ports, store=store, billers_toml=billers, bus=bus)
    never_closed(config, BILLER)
    _bianmin(house, "bus", "init", "--config", str(config))
    behind = [("duties", "relay,resolver,sealer"), *((f"worker-{n}", "worker") for n in range(workers))]
    with ExitStack() as stack:
        for name, roles in behind:
            stack.enter_context(serving(house, store, billers, name=name, bus=bus, roles=roles))
        yield stack.enter_context(serving(house, store, billers, name="api", bus=bus, roles="api")).port


def _bianmin(house: Installation, *words: str) -> None:
    subprocess.run(command(*words), env=house.environment(), cwd=house.folder, stdout=subprocess.DEVNULL, check=True)


def _plan(
    house: Installation, book: Book, settings: Mapping[str, str], options: Options, *, in_flight: int, warm_up_s: float
) -> Plan:
    """Bills that simulator and book know, and their payments, signed."""
    seconds = options.measure_s if options.full else min(MEASURE_S, options.measure_s)
    found = bills.prepare(house, book, settings, int((warm_up_s + seconds) * MOST_PER_S), QUERY_LIMIT_S)
    requests: Sequence[bytes] = make(house, bills.ORDER, len(found), bills=found)
    return Plan(
        ports=[],
        requests=str(save(house.folder / "pay.requests", requests)),
        connections=in_flight,
        warm_up_s=warm_up_s,
        measure_s=seconds,
        out=str(house.folder / "pay.report"),
    )


def _drive(house: Installation, book: Book, plan: Plan) -> Loaded:
    """Pay; every answer and every payment in the book must be final."""
    loaded = generator.check(generator.drive(plan), house, may_run_dry=True)
    if set(loaded.report.statuses) != {201}:
        raise BadLoadError(f"not final: {loaded.report.statuses}")
    states = dict(book.ask("SELECT state, count(*) FROM payments GROUP BY state"))
    if states.get("SUCCESS", 0) < loaded.good or set(states) != {"SUCCESS"}:
        raise BadLoadError(f"the book says {states}, {loaded.good} were answered as final")
    return loaded


def _result(name: str, loaded: Loaded, **settings: Setting) -> Result:
    return loaded.result(name, **settings, service=bills.SERVICE, fsync="on")
