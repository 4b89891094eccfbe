"""The armed point ends or stops the process, at the passing that was asked for and at no other."""

import os
import signal

import pytest

from gateway.flow.crash_points import CrashPoint, CrashPoints


@pytest.mark.parametrize(
    ("armed", "passings", "sent"),
    [
        (None, 3, []),
        ("claim.after-commit", 1, [signal.SIGKILL]),
        ("claim.after-commit:2", 1, []),
        ("claim.after-commit:2", 3, [signal.SIGKILL]),
        ("claim.after-commit:2:stop", 2, [signal.SIGSTOP]),
        ("call.answered:1:stop", 3, []),
    ],
)
def test_an_armed_point(monkeypatch: pytest.MonkeyPatch, armed: str | None, passings: int, sent: list[int]) -> None:
    told: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: told.append(number))
    points = CrashPoints(armed)
    for _ in range(passings):
        points.reach(CrashPoint.CLAIM_AFTER_COMMIT)
    assert told == sent
