"""Faults on the way between two parts: delayed, cut, half-open, in trickles; and both sides find their way back."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.integration.faults.cluster import Cluster
from tests.integration.faults.scene import Scene
from tests.integration.faults.traffic import Wire
from tests.integration.faults.waiting import until_so
from tests.stand.proxy import Cut

WAYS = (
    ("terminal", "api"),
    ("api", "postgres"),
    ("worker", "postgres"),
    ("relay", "postgres"),
    ("resolver", "postgres"),
    ("sealer", "postgres"),
    ("api", "kafka"),
    ("worker", "kafka"),
    ("relay", "kafka"),
    ("worker", "biller"),
    ("resolver", "biller"),
    ("biller", "api"),
)
KINDS = ("delay", "cut", "half-open", "trickle")


def disturbed(who: str, whom: str, kind: str) -> Callable[[Scene], None]:
    """This fault on this way, for a while; afterwards payments flow over the same way, repaired."""

    def run(scene: Scene) -> None:
        wire = scene.after.enter_context(between(scene, who, whom))
        scene.load.grown(scene.size.payments)
        until_so(wire.bytes, "the way leads through the proxy")
        _disturb(scene, wire, kind)
        wire.clear()
        scene.flows(2 * scene.size.payments)

    return run


def _disturb(scene: Scene, wire: Wire, kind: str) -> None:
    until = time.monotonic() + scene.size.seconds
    if kind == "delay":
        wire.faults(delay_ms=20, jitter_ms=40, seed=scene.chance.randrange(2**32))
    elif kind == "trickle":
        wire.faults(trickle_bytes=256, trickle_gap_ms=2)
    while time.monotonic() < until:
        if kind == "cut":
            side = scene.chance.choice(["cut_request_after", "cut_reply_after"])
            how = scene.chance.choice([Cut.RESET, Cut.FIN])
            wire.faults(**{side: scene.chance.randrange(4_000)}, cut=how)
            scene.pause(1.0)
            wire.cut(how)
            wire.clear()
        elif kind == "half-open":
            wire.cut(Cut.SILENT)
        scene.pause(1.0)


@contextmanager
def between(scene: Scene, who: str, whom: str) -> Iterator[Wire]:
    """A proxy on this way, until the end of the context."""
    cluster = scene.cluster
    if who == "terminal":
        with cluster.traffic.proxy(cluster.public) as wire:
            scene.load.through(wire.port)
            yield wire
    elif who == "biller":
        with cluster.traffic.proxy(cluster.partner) as wire, _notices_to(cluster, wire.port):
            yield wire
    else:
        port = cluster.ground.kafka_outer if whom == "kafka" else 0
        with cluster.traffic.proxy(_upstream(cluster, whom), port) as wire:
            cluster.reroute(cluster.of(who), _changes(cluster, whom, wire.port))
            try:
                yield wire
            finally:
                cluster.kill_all(cluster.of(who))
                cluster.reroute(cluster.of(who), {})


def _upstream(cluster: Cluster, whom: str) -> int:
    return {"postgres": cluster.server.port, "kafka": cluster.ground.kafka_inner, "biller": cluster.platform}[whom]


def _changes(cluster: Cluster, whom: str, port: int) -> Mapping[str, str]:
    theirs = {
        "postgres": f'"127.0.0.1:{cluster.server.port}"',
        "kafka": f'"{cluster.ground.kafka.bootstrap}"',
        "biller": f'"http://127.0.0.1:{cluster.platform}"',
    }[whom]
    return {theirs: f'"{"http://" if whom == "biller" else ""}127.0.0.1:{port}"'}


@contextmanager
def _notices_to(cluster: Cluster, port: int) -> Iterator[None]:
    """The biller, restarted, tells its results there."""
    own = cluster.partner
    _restart_simulator(cluster, port)
    try:
        yield
    finally:
        _restart_simulator(cluster, own)


def _restart_simulator(cluster: Cluster, partner: int) -> None:
    cluster.stop_simulator()
    cluster.partner = partner
    cluster.start_simulator()
