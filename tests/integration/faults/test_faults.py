"""Every fault of the table against a whole cluster under load; audit and the biller's own book are the oracle.

A run draws a seeded tenth at a small size and prints which; `make soak` runs all cases at full size.
FAULT_SEED repeats a run, FAULT_CASES=name,name chooses by name.
"""

import os
import random
import secrets
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from gateway.demo.kafka_jars import NoKafka
from tests.integration.faults.cluster import Cluster, Ground, proxied_listener
from tests.integration.faults.grounds import plain
from tests.integration.faults.scene import FULL, SMALL, Scene, Size
from tests.integration.faults.table import CASES, Case
from tests.integration.faults.traffic import Load
from tests.stand.kafka import KafkaBroker
from tests.stand.rotation import ROTATED, Record

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]
SEED = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(2**32))
NAMES = [name for name in os.environ.get("FAULT_CASES", "").split(",") if name]
COUNT = len(NAMES) or len(CASES) // 10


def chosen() -> list[Case]:
    """The cases of this run: those named, else a tenth, with one at most that needs a cluster of its own."""
    if NAMES:
        return [CASES[name] for name in NAMES]
    names = random.Random(SEED).sample(sorted(CASES), len(CASES))
    apart = [name for name in names if CASES[name].apart]
    return [CASES[name] for name in names if name not in apart[1:]][:COUNT]


class House:
    """The broker of all cases, and the cluster that most of them share; built when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self._shared, self._whole = ExitStack(), ExitStack()
        self._cluster: Cluster | None = None
        self._broker: KafkaBroker | None = None
        self._ports = (0, 0)

    def cluster(self) -> Cluster:
        if self._cluster is None:
            self._cluster = self.build(self._shared, plain(self.broker()))
        return self._cluster

    def broker(self) -> KafkaBroker:
        if self._broker is None:
            try:
                broker = KafkaBroker()
            except NoKafka as why:
                pytest.skip(f"no Apache Kafka: {why}")
            self._ports = proxied_listener(broker)
            self._broker = self._whole.enter_context(broker)
        if not self._broker.alive():
            self._broker.start()
        return self._broker

    def build(self, stack: ExitStack, ground: AbstractContextManager[Ground]) -> Cluster:
        """A cluster, all of whose processes are ready."""
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        with ExitStack() as undo:
            found = undo.enter_context(ground)
            found.kafka_inner, found.kafka_outer = self._ports
            cluster = undo.enter_context(Cluster(folder, found))
            cluster.heal()
            stack.push(undo.pop_all())
        return cluster

    def discard(self) -> None:
        """After a case that failed: the next one begins with everything new."""
        self._cluster = None
        self._shared.close()

    def close(self) -> None:
        self.discard()
        self._whole.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    found = House(tmp_path_factory.mktemp("faults"))
    yield found
    found.close()


def run_case(house: House, case: Case, size: Size) -> None:
    """One fault under load; then the oracle; then everything is put back."""
    print(f"FAULT_SEED={SEED} {case.name}")
    with ExitStack() as stack:
        if case.apart is None:
            cluster = house.cluster()
            stack.push(lambda kind, *_: house.discard() if kind is not None else None)
        else:
            cluster = house.build(stack, case.apart(house.broker()))
        begun = time.monotonic()
        mark = f"{zlib.crc32(case.name.encode()):08x}-{secrets.token_hex(3)}"
        load = Load(cluster.traffic, cluster.shops(), mark)
        scene = Scene(cluster=cluster, load=load, chance=random.Random(f"{SEED}/{case.name}"), size=size)
        with scene.after:
            with load:
                load.grown(size.payments)
                case.run(scene)
                cluster.heal()
                scene.flows()
            scene.check(cluster, load)
        print(f"{case.name}: {len(load.told)} payments, {load.broken} tries broke, {time.monotonic() - begun:.1f} s")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(COUNT))
def test_a_seeded_tenth_of_the_faults(house: House, number: int, record_property: Record) -> None:
    case = chosen()[number]
    record_property(ROTATED, f"fault {case.name} (FAULT_SEED={SEED})")
    run_case(house, case, SMALL)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_fault(house: House, name: str) -> None:
    run_case(house, CASES[name], FULL)


def test_the_table_names_every_fault_once() -> None:
    assert len(CASES) == len({case.name for case in CASES.values()}) >= 50
    assert all(name == case.name for name, case in CASES.items())
