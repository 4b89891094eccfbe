"""accept_sqlite, accept_postgres: signed payments accepted durably per second, beside their composed floor."""

import re
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

from gateway.store.postgres.config import PostgresConfig
from tests.bench import floor, generator
from tests.bench.billers import service_of
from tests.bench.books import fill_postgres, fill_sqlite
from tests.bench.gateway import serving, sqlite_store
from tests.bench.generator import Loaded
from tests.bench.installation import Installation, installation
from tests.bench.load import Plan
from tests.bench.options import Options
from tests.bench.requests import Order, make, save
from tests.bench.results import Reference, Result
from tests.stand.postgres import PostgresServer

HOLD = ("bench_hold",)
HOLD_TOML = {"bench_hold": ""}
ORDER = Order(service=service_of("bench_hold"), first_account=10_000_000)
WARM_UP_S = 3.0
MOST_PER_S = 2_500
"""Requests are signed for this rate; a faster gateway runs out of them, and is counted for less than measure_s."""
PGBENCH_CLIENTS = 8
PGBENCH_S = 8


def sqlite(options: Options) -> list[Result]:
    """One front, then two, on fresh books; the floor measured in between."""
    with installation(HOLD) as house:
        fill_sqlite(house)
        samples = floor.sample_requests(house, ORDER)
        stored = floor.sqlite_batches(house, floor.ItemSource(samples, ORDER, 50_000_000))
        stones = _stones(house, samples, stored)
    results = []
    for processes in (1, 2):
        with installation(HOLD) as house:
            fill_sqlite(house)
            with serving(house, sqlite_store(house, processes), HOLD_TOML) as gateway:
                loaded = _load(house, [gateway.port], options)
        results.append(_result("accept_sqlite", loaded, stones, engine="sqlite", http_processes=processes))
    return results


def postgres(options: Options) -> list[Result]:
    """One gateway process, then two, on one durable server; pgbench beside them."""
    with PostgresServer(durable=True, settings={"shared_buffers": "256MB", "max_wal_size": "4GB"}) as server:
        tpc_b = Reference(name="pgbench_tpc_b_8_clients", per_s=pgbench(server))
        stones: Sequence[Reference] = ()
        results: list[Result] = []
        for gateways in (1, 2):
            with installation(HOLD) as house, server.database(f"accept_{gateways}"):
                config = PostgresConfig(
                    hosts=(f"127.0.0.1:{server.port}",), database=f"accept_{gateways}", user="postgres", ssl=False
                )
                fill_postgres(house, config)
                if not stones:
                    samples = floor.sample_requests(house, ORDER)
                    stored = floor.postgres_batches(house, config, floor.ItemSource(samples, ORDER, 50_000_000))
                    stones = _stones(house, samples, stored)
                loaded = _on_postgres(house, config, gateways, options)
            result = _result("accept_postgres", loaded, [tpc_b, *stones], engine="postgresql", gateways=gateways)
            if results and results[0].per_s:
                result = result.with_settings(times_one_gateway=loaded.per_s / results[0].per_s)
            results.append(result)
        return results


def _on_postgres(house: Installation, config: PostgresConfig, gateways: int, options: Options) -> Loaded:
    store = (
        f'engine = "postgresql", hosts = ["{config.hosts[0]}"], database = "{config.database}", '
        f'user = "{config.user}", tls = "off"'
    )
    with ExitStack() as stack:
        running = [stack.enter_context(serving(house, store, HOLD_TOML, name=f"gw{n}")) for n in range(gateways)]
        return _load(house, [gateway.port for gateway in running], options)


def _stones(house: Installation, samples: Sequence[bytes], stored: float) -> list[Reference]:
    return floor.compose(
        floor.bare_post(house, samples), floor.verifying(house, samples), floor.signing(house, samples), stored
    )


def _load(house: Installation, ports: Sequence[int], options: Options) -> Loaded:
    count = int((WARM_UP_S + options.measure_s) * MOST_PER_S)
    plan = Plan(
        ports=ports,
        requests=str(save(house.folder / "accept.requests", make(house, ORDER, count))),
        connections=floor.IN_FLIGHT,
        warm_up_s=WARM_UP_S,
        measure_s=options.measure_s,
        out=str(house.folder / "accept.report"),
    )
    return generator.check(generator.drive(plan), house, may_run_dry=True)


def _result(name: str, loaded: Loaded, stones: Sequence[Reference], **settings: str | int) -> Result:
    result = loaded.result(name, **settings, in_flight=floor.IN_FLIGHT, fsync="on", replies="signed")
    return result.compared(*stones)


def pgbench(server: PostgresServer) -> float:
    """Transactions per second of TPC-B on a database of its own, with fsync."""
    with server.database("pgbench"):
        tool = [str(server.tool("pgbench")), "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        subprocess.run([*tool, "-i", "-q", "-s", "10", "pgbench"], check=True, capture_output=True)
        run = [*tool, "-c", str(PGBENCH_CLIENTS), "-j", "2", "-T", str(PGBENCH_S), "pgbench"]
        said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench said no rate:\n{said}")
    return float(found[1])
