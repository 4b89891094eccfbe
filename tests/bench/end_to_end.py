"""end_to_end_embedded: from the signed request to the final outcome, over the telecom simulator in its own process."""

from tests.bench import bills, generator
from tests.bench.books import ask_sqlite, fill_sqlite
from tests.bench.gateway import serving, sqlite_store
from tests.bench.generator import BadLoadError
from tests.bench.installation import installation
from tests.bench.load import Plan
from tests.bench.options import Options
from tests.bench.requests import make, save
from tests.bench.results import Reference, Result
from tests.bench.servers import inline, telecom_simulator

TARGET_PER_S = 1000
IN_FLIGHT = 64
WARM_UP_S = 2.0
MEASURE_S = 8.0
MOST_PER_S = 1_600
QUERY_LIMIT_S = 15.0


def embedded(options: Options) -> list[Result]:
    """Each call is held until its payment is final: 201 or it does not count."""
    seconds = options.measure_s if options.full else min(MEASURE_S, options.measure_s)
    most = int((WARM_UP_S + seconds) * MOST_PER_S)
    with installation(["bench_telecom"]) as house, telecom_simulator(house) as settings:
        fill_sqlite(house)
        found = bills.prepare(house, settings, most, QUERY_LIMIT_S)
        requests = save(house.folder / "pay.requests", make(house, bills.ORDER, len(found), bills=found))
        plan = Plan(
            ports=[],
            requests=str(requests),
            connections=IN_FLIGHT,
            warm_up_s=WARM_UP_S,
            measure_s=seconds,
            out=str(house.folder / "pay.report"),
        )
        with serving(house, sqlite_store(house), {"bench_telecom": inline(settings)}) as gateway:
            loaded = generator.check(generator.drive(plan.on(gateway.port)), house, may_run_dry=True)
        if set(loaded.report.statuses) != {201}:
            raise BadLoadError(f"not final: {loaded.report.statuses}")
        states = dict(ask_sqlite(house.database, "SELECT state, count(*) FROM payments GROUP BY state"))
    if states.get("SUCCESS", 0) < loaded.good or set(states) != {"SUCCESS"}:
        raise BadLoadError(f"the book says {states}, {loaded.good} were answered as final")
    result = loaded.result(
        "end_to_end_embedded", engine="sqlite", bus="embedded", service=bills.SERVICE, in_flight=IN_FLIGHT,
        http_processes=1, fsync="on",
    )  # fmt: skip
    return [result.compared(Reference(name="target", per_s=TARGET_PER_S))]
