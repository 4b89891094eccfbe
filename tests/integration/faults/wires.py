"""Faults on the way between two parts: delayed, cut, half-open, in trickles; and both sides find their way back."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.integration.faults import oracle
from tests.integration.faults.cluster import Cluster, Member
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
TRICKLE_BYTES, TRICKLE_GAP_MS = 8, 100
"""Eighty bytes a second: the shortest reply takes longer than a call may."""
MET_S = 60.0
QUESTIONS = 'bianmin_questions_total{biller="telecom",kind="Unknown"}'
Met = Callable[[], bool]


def disturbed(who: str, whom: str, kind: str) -> Callable[[Scene], None]:
    """This fault on this way, for a while; afterwards payments flow over the same way, repaired."""

    def run(scene: Scene) -> None:
        wire = scene.after.enter_context(between(scene, who, whom))
        scene.load.grown(scene.size.payments)
        until_so(wire.bytes, "the way leads through the proxy")
        met = time_out(scene, who, whom) if kind in ("delay", "trickle") else None
        _disturb(scene, wire, kind, met)
        wire.clear()
        scene.cluster.control("faults", {"faults": []})
        scene.flows(2 * scene.size.payments)

    return run


def time_out(scene: Scene, who: str, whom: str) -> Met | None:
    """Whether a time-out of ours was met since now, on a way where a slow wire must lead to one."""
    cluster = scene.cluster
    members = cluster.of(who)
    if (who, whom) == ("worker", "biller"):
        return _attempts(scene, "Unknown")  # the call's deadline
    if (who, whom) == ("worker", "postgres"):
        unsent = _attempts(scene, "NotSent")  # the send window
        failed = _grown(scene, members, "bianmin_failures_total")  # the claim was not answered at all
        return lambda: unsent() or failed()
    if (who, whom) == ("resolver", "biller"):
        cluster.control("faults", {"faults": [{"on": "topup/order", "kind": "cut-before", "times": None}]})
        return _grown(scene, members, QUESTIONS)
    if whom == "postgres" and who in ("relay", "resolver", "sealer"):
        return lambda: any(not cluster.metric(member, "bianmin_leases_held") for member in members)
    if whom == "kafka":
        failed = _grown(scene, members, "bianmin_bus_failures_total")
        return lambda: failed() or any(not cluster.metric(member, "bianmin_bus_up") for member in members)
    return None


def _attempts(scene: Scene, outcome: str) -> Met:
    """Calls that have begun since now and ended like this."""
    since = scene.cluster.one(f"SELECT {oracle.NOW_MS}")
    sql = "SELECT count(*) FROM attempts WHERE outcome = $1 AND claimed_at >= $2"
    return lambda: bool(scene.cluster.one(sql, outcome, since))


def _grown(scene: Scene, members: Sequence[Member], metric: str) -> Met:
    """Whether a counter of these processes has grown since now."""
    before = sum(scene.cluster.metric(member, metric) for member in members)
    return lambda: sum(scene.cluster.metric(member, metric) for member in members) > before


def _disturb(scene: Scene, wire: Wire, kind: str, met: Met | None) -> None:
    until = time.monotonic() + scene.size.seconds
    if kind == "delay":
        wire.faults(delay_ms=scene.size.delay_ms, jitter_ms=100, seed=scene.chance.randrange(2**32))
    elif kind == "trickle":
        wire.faults(trickle_bytes=TRICKLE_BYTES, trickle_gap_ms=TRICKLE_GAP_MS)
    if met is not None:
        until_so(met, f"a time-out is met ({kind})", MET_S)
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
