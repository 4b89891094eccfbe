"""Faults of our own processes: killed, restarted, standing still, coming and going, with a wrong clock."""

import signal
import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from gateway.core.allowances import TURN_MS
from gateway.flow.crash_points import CrashPoint
from tests.integration.faults import oracle
from tests.integration.faults.cluster import Member
from tests.integration.faults.nursery import faketime
from tests.integration.faults.scene import Scene
from tests.integration.faults.waiting import until_so

CUT = {"on": "topup/order", "kind": "paid-then-cut", "times": 8}
LOST = {"on": "topup/order", "kind": "cut-before", "times": 4}
"""Nothing is done and nothing told: only questions end it."""
SLOW = {"on": "topup/order", "kind": "slow", "delay_s": 1.5, "times": None}
POINTS = {
    "accept": "api", "relay": "relay", "claim": "worker", "call": "worker", "outcome": "worker", "sweep": "worker",
    "question": "resolver", "notice": "api", "seal": "sealer",
}  # fmt: skip
IN_STEP_S = 3
CLOCK_OFF_S = 600


def kill(*roles: str) -> Callable[[Scene], None]:
    """kill -9 of every process of these roles, again and again."""

    def run(scene: Scene) -> None:
        for _ in range(scene.size.rounds):
            scene.load.grown(scene.size.payments)
            scene.pause()
            _kill(scene, scene.cluster.of(*roles))

    return run


def kill_at_random(scene: Scene) -> None:
    """kill -9 of a random combination, four times as often as elsewhere."""
    for _ in range(4 * scene.size.rounds):
        scene.load.grown(scene.size.payments // 2)
        scene.pause()
        count = scene.chance.randint(1, len(scene.cluster.members))
        _kill(scene, scene.chance.sample(scene.cluster.members, count))


def _kill(scene: Scene, members: Sequence[Member]) -> None:
    scene.cluster.kill_all(members)
    oracle.within_limits(scene.cluster)
    scene.cluster.heal()


def crash_points(scene: Scene) -> None:
    """Processes that die at named points between two durable facts."""
    points = list(CrashPoint)
    scene.chance.shuffle(points)
    for point in points[: scene.size.rounds]:
        if point.startswith("question"):
            scene.cluster.control("faults", {"faults": [CUT]})
        member = scene.cluster.of(POINTS[point.partition(".")[0]])[0]
        scene.restart(member, crash_at=point)
        until_so(partial(scene.cluster.all_ended, [member]), f"it dies at {point}")
        scene.cluster.control("faults", {"faults": []})
        scene.cluster.heal()


def rolling_restart(scene: Scene) -> None:
    """SIGTERM, one after the other: nothing is lost, refused, in doubt, or called twice."""
    cluster, switches = scene.cluster, 0
    before = cluster.gone.copy()
    for _ in range(max(1, scene.size.rounds // 5)):
        for member in cluster.members:
            cluster.stop_all([member])
            switches += member.role == "api"
            cluster.heal()
    ended = [text for text in cluster.gone[len(before) :] if not text.endswith(": 0")]
    assert not ended, f"SIGTERM ends with 0: {ended}"
    assert scene.load.broken <= 6 * switches, "a terminal is refused at the moment of the switch, if at all"
    sql = (
        "SELECT count(*) FROM attempts a JOIN orders o ON o.order_serial = a.order_serial JOIN payments p"
        " ON p.gateway_serial = o.gateway_serial WHERE p.idempotency_key LIKE $1 AND (a.outcome = 'Unknown'"
        " OR a.attempt > 1 OR a.ended_at IS NULL AND a.call_deadline < (extract(epoch FROM now()) * 1000)::bigint)"
    )
    assert cluster.one(sql, f"{scene.load.mark}-%") == 0, "a drain leaves no call in doubt"


def storm(scene: Scene) -> None:
    """Workers join and leave every second, in order or not."""
    cluster, until, number = scene.cluster, time.monotonic() + 3 * scene.size.seconds, 0
    while time.monotonic() < until:
        number += 1
        guest = cluster.add("worker", f"guest-{number}")
        cluster.launch(guest)
        time.sleep(1)
        oracle.within_limits(cluster)
        for other in [one for one in cluster.members if one.name.startswith("guest-")][:-1]:
            cluster.signal(other, scene.chance.choice([signal.SIGTERM, signal.SIGKILL]))
            cluster.members.remove(other)
    cluster.stop_all([one for one in cluster.members if one.name.startswith("guest-")])
    cluster.members[:] = [one for one in cluster.members if not one.name.startswith("guest-")]


def still_before_claim(scene: Scene) -> None:
    """A worker stands still right before its claim until its allowance is over: it claims under that name no more.

    Nobody else may take the order meanwhile, or there would be nothing left to claim.
    """
    cluster, (member, *others) = scene.cluster, scene.cluster.of("worker")
    _stand_still_at(scene, member, CrashPoint.CLAIM_BEFORE_COMMIT)
    for other in others:
        cluster.signal(other, signal.SIGSTOP)
    names = cluster.sql("SELECT DISTINCT worker FROM allowances WHERE worker LIKE $1", f"%-{member.pid}-%")
    assert names
    time.sleep(scene.size.still_s)
    woken = cluster.one(f"SELECT {oracle.NOW_MS}")
    cluster.signal(member, signal.SIGCONT)
    time.sleep(1)
    for other in others:
        cluster.signal(other, signal.SIGCONT)
    scene.flows(3 * scene.size.payments)
    late = "SELECT count(*) FROM attempts WHERE worker = ANY($1::text[]) AND claimed_at >= $2"
    assert cluster.one(late, [name for (name,) in names], woken) == 0, "a call under an allowance that was over"


def still_before_first_byte(scene: Scene) -> None:
    """A worker stands still between claim and first byte until others have ended its payment: it sends no more."""
    cluster, member = scene.cluster, scene.cluster.of("worker")[0]
    _stand_still_at(scene, member, CrashPoint.CLAIM_AFTER_COMMIT)
    _until_others_decide(scene, member)
    begun = "SELECT o.partner_serial FROM orders o JOIN attempts a USING (order_serial) WHERE a.worker LIKE $1"
    unsent = {serial for (serial,) in cluster.sql(begun, f"%-{member.pid}-%")} - cluster.their_book().keys()
    assert unsent
    _go_on(scene, member)
    # Later proof would mend the books, so that they agree tells nothing here.
    assert not unsent & cluster.their_book().keys(), "a byte left after send_by"


def still_before_reply(scene: Scene) -> None:
    """A worker stands still while the biller works for it; what it then reads comes after others have asked."""
    cluster, member = scene.cluster, scene.cluster.of("worker")[0]
    cluster.control("faults", {"faults": [SLOW]})
    until_so(lambda: _running(scene, member), "a call of this worker")
    cluster.signal(member, signal.SIGSTOP)
    cluster.control("faults", {"faults": []})
    _until_others_decide(scene, member)
    _go_on(scene, member)


def _stand_still_at(scene: Scene, member: Member, point: CrashPoint) -> None:
    scene.restart(member, crash_at=f"{point}:{scene.chance.randint(1, 3)}:stop")
    until_so(lambda: scene.cluster.stopped(member), f"it stands still at {point}")


def _running(scene: Scene, member: Member) -> int:
    sql = (
        "SELECT count(*) FROM orders o JOIN attempts a ON a.order_serial = o.order_serial AND a.attempt = o.attempts"
        " WHERE o.in_flight = 1 AND a.worker LIKE $1"
    )
    return int(scene.cluster.one(sql, f"%-{member.pid}-%"))


def _until_others_decide(scene: Scene, member: Member) -> None:
    until = time.monotonic() + scene.size.still_s
    sql = (
        "SELECT count(*) FROM payments p JOIN orders o ON o.gateway_serial = p.gateway_serial JOIN attempts a"
        " ON a.order_serial = o.order_serial WHERE p.final_at IS NULL AND a.worker LIKE $1"
    )
    until_so(lambda: scene.cluster.one(sql, f"%-{member.pid}-%") == 0, "others end what it had begun")
    time.sleep(max(0.0, until - time.monotonic()))


def _go_on(scene: Scene, member: Member) -> None:
    scene.cluster.signal(member, signal.SIGCONT)
    scene.load.grown(2 * scene.size.payments)


def still_holder(role: str, metric: str) -> Callable[[Scene], None]:
    """The holder of a lease stands still until another has it. Woken up, it does not act (see `metric`)."""

    def run(scene: Scene) -> None:
        cluster, first = scene.cluster, scene.cluster.of(role)[0]
        second = cluster.add(role, f"{role}-second")
        scene.after.callback(cluster.members.remove, second)
        scene.after.callback(cluster.stop_all, [second])
        cluster.heal()
        owner = "SELECT owner LIKE $2 FROM leases WHERE name = $1"
        until_so(lambda: cluster.one(owner, role, f"%-{first.pid}-%"), f"the first {role} has the lease")
        cluster.signal(first, signal.SIGSTOP)
        until_so(lambda: cluster.one(owner, role, f"%-{second.pid}-%"), f"the second {role} has the lease")
        scene.load.grown(scene.size.payments)
        cluster.signal(first, signal.SIGCONT)
        time.sleep(IN_STEP_S)
        begun, others = cluster.metric(first, metric), cluster.metric(second, metric)
        cluster.control("faults", {"faults": [LOST]})
        until_so(lambda: cluster.metric(second, metric) > others + 2, f"there is something to do for a {role}")
        # Two resolvers take turns where the biller leaves one place for questions: each must have had its turn.
        until = time.monotonic() + 1.4 * TURN_MS / 1000
        while time.monotonic() < until:
            cluster.control("faults", {"faults": [LOST]})
            scene.load.grown(scene.size.payments)
            time.sleep(IN_STEP_S)
        cluster.control("faults", {"faults": []})
        assert cluster.metric(first, metric) == begun, f"two act as {role}"
        assert cluster.one(owner, role, f"%-{second.pid}-%"), "the lease stays where it is"
        assert cluster.is_ready(first)

    return run


def wrong_clock(role: str, off_s: int) -> Callable[[Scene], None]:
    """One process believes that it is another time. Dates, windows and leases are the database's, so all goes on."""

    def run(scene: Scene) -> None:
        if faketime() is None:
            pytest.skip("no libfaketime on this machine: `apt-get install libfaketime`")
        member = scene.cluster.of(role)[0]
        scene.restart(member, clock_s=off_s)
        scene.after.callback(lambda: scene.restart(member))
        scene.cluster.heal()
        scene.flows(3 * scene.size.payments)
        refused = "SELECT count(*) FROM attempts WHERE worker LIKE $1 AND outcome = 'NotSent'"
        assert scene.cluster.one(refused, f"%-{member.pid}-%") == 0, "what it signs bears the book's time"
        moved = "SELECT count(*) FROM payments WHERE abs(accepted_at - final_at) > $1"
        assert scene.cluster.one(moved, CLOCK_OFF_S * 500) == 0, "no moment in the book is of its clock"

    return run
