"""The gateway dies at every named point; the next one finds its way by evidence (design s3.5, M4, M5)."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from gateway.flow.crash_points import CrashPoint
from tests.stand.gateway import Stand, burst

SLOW_MS = 0.4


@pytest.mark.timeout(400)
@pytest.mark.parametrize("point", list(CrashPoint))
def test_dies_at_every_named_point_and_both_books_agree(point: CrashPoint, tmp_path: Path) -> None:
    with Stand(tmp_path) as stand:
        stand.deposit("5000", "V1")
        if point in (CrashPoint.QUESTION_TAKEN, CrashPoint.QUESTION_ANSWERED):
            stand.control("faults", {"faults": [{"on": "topup/order", "kind": "paid-then-cut", "times": 20}]})
        stand.start(crash_at=point)
        told: dict[str, str] = {}
        with contextlib.suppress(TimeoutError):
            told = asyncio.run(burst(stand.shop(), 12)) if stand.pid else {}
        assert not stand.pid or stand.died(12), f"nothing passed {point}"
        before = stand.undecided()
        stand.start()
        in_doubt = stand.sql("SELECT count(*) FROM payments WHERE state = 'UNKNOWN'")[0][0]
        assert in_doubt <= before
        stand.settle()
        assert all(state for state in told.values() if state) or not told
        stand.stop()
        stand.check()
