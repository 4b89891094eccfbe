"""idle_memory: what a gateway that has nothing to do holds in memory, all its processes together."""

import time

from tests.bench.books import fill_sqlite
from tests.bench.gateway import serving, sqlite_store
from tests.bench.installation import installation
from tests.bench.options import Options
from tests.bench.results import Result
from tests.bench.servers import inline, telecom_simulator

SETTLE_S = 4.0


def measure(options: Options) -> list[Result]:
    """With the telecom adapter, a few seconds after it is ready."""
    with installation(["bench_telecom"]) as house, telecom_simulator(house) as settings:
        fill_sqlite(house)
        with serving(house, sqlite_store(house), {"bench_telecom": inline(settings)}) as gateway:
            time.sleep(SETTLE_S)
            resident, proportional = gateway.memory_mib()
            count = gateway.process_count()
    settings_of = {"rss_mib": round(resident, 1), "pss_mib": round(proportional, 1), "processes": count}
    return [Result(name="idle_memory", settings={"engine": "sqlite", **settings_of})]
