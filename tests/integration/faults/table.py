"""The table of faults. Whatever is added here is drawn from by every run, run by the soak, and ends alike."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.integration.faults import processes, servers, wires
from tests.integration.faults.cluster import Ground
from tests.integration.faults.grounds import plain, replicated
from tests.integration.faults.scene import Scene
from tests.stand.kafka import KafkaBroker


@dataclass(frozen=True, slots=True)
class Case:
    """apart: the ground of a cluster of its own; None: the case leaves the shared one as it was."""

    name: str
    run: Callable[[Scene], None]
    apart: Callable[[KafkaBroker], AbstractContextManager[Ground]] | None = None


_ROLES = ("api", "relay", "worker", "resolver", "sealer")
_CLOCKS = {"plus-ten-minutes": processes.CLOCK_OFF_S, "minus-ten-minutes": -processes.CLOCK_OFF_S}
_CASES = (
    *(Case(f"kill-{role}", processes.kill(role)) for role in _ROLES),
    Case("kill-at-random", processes.kill_at_random),
    Case("crash-points", processes.crash_points),
    Case("rolling-restart", processes.rolling_restart),
    Case("rebalance-storm", processes.storm),
    Case("still-before-claim", processes.still_before_claim),
    Case("still-before-first-byte", processes.still_before_first_byte),
    Case("still-before-reply", processes.still_before_reply),
    Case("still-resolver", processes.still_holder("resolver", "bianmin_questions_total")),
    Case("still-relay", processes.still_holder("relay", "bianmin_published_total")),
    Case("still-sealer", processes.still_holder("sealer", "bianmin_sealed_records_total")),
    *(
        Case(f"clock-of-{role}-{name}", processes.wrong_clock(role, off_s))
        for role in _ROLES
        for name, off_s in _CLOCKS.items()
    ),
    Case("broker-killed", servers.broker_killed),
    Case("broker-away", servers.broker_away),
    Case("broker-silent", servers.broker_silent),
    Case("postgres-restarts", servers.postgres_restarts),
    Case("offsets-wait-for-the-book", servers.offsets_wait_for_the_book),
    Case("delivered-again", servers.delivered_again),
    Case("fail-over", servers.fail_over, replicated),
    Case("older-backup", servers.older_backup, plain),
    *(
        Case(f"{kind}-between-{who}-and-{whom}", wires.disturbed(who, whom, kind))
        for who, whom in wires.WAYS
        for kind in wires.KINDS
    ),
)
CASES = {case.name: case for case in _CASES}
