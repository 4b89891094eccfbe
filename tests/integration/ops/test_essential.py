"""A process whose work without end has ended ends itself, so that a supervisor starts another."""

import json
import os
import time
from pathlib import Path

import pytest

from gateway import watch
from gateway.watch import Watch
from tests.stand.gateway import Stand

pytestmark = pytest.mark.slow


class Beyond(BaseException):
    """Passes every boundary."""


def test_it_ends_with_1_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    async def turn(_self: Watch) -> float:
        looks.append(1)
        if len(looks) == 2:
            raise IndexError("an error that nobody thought of")
        if len(looks) == 3:
            raise Beyond
        return 1.0

    monkeypatch.setattr(watch.Watch, "turn", turn)
    with Stand(tmp_path) as stand:
        stand.start()
        until, status = time.monotonic() + 20, 0
        done = 0
        while not done:
            assert time.monotonic() < until, "it runs on"
            done, status = os.waitpid(stand.pid, os.WNOHANG)
            time.sleep(0.02)
        stand.pid = 0
        stand._await_writer()
        assert os.waitstatus_to_exitcode(status) == 1
        lines = [json.loads(line) for line in stand.log().splitlines() if line.startswith("{")]
    failed = [line["cause"].split(" at ")[0] for line in lines if line["event"] == "chore.failed"]
    assert [cause.split(":")[0] for cause in failed] == ["watch IndexError", "watch Beyond"]
    (lost,) = [line for line in lines if "task" in line]
    assert (lost["event"], lost["task"], lost["cause"]) == ("process.failed", "watch", "it has ended and must not")
