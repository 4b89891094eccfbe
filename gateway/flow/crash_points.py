"""Every moment between two durable facts has a name, so that a test can stop the process there (design s3.5)."""

import os
import re
import signal
from collections import Counter
from enum import StrEnum
from pathlib import Path

from gateway.config import ConfigError

VARIABLE = "BIANMIN_CRASH_AT"
"""Environment variable of tests: `<point>` or `<point>:<n>`; the process kills itself at the n-th passing.
`<point>:<n>:stop`: it stands still there (SIGSTOP) until somebody lets it go on."""


class CrashPoint(StrEnum):
    """Named by what has just happened or is about to."""

    ACCEPT_BEFORE_COMMIT = "accept.before-commit"
    ACCEPT_AFTER_COMMIT = "accept.after-commit"
    RELAY_BEFORE_PUBLISH = "relay.before-publish"
    RELAY_BEFORE_MARK = "relay.before-mark"
    CLAIM_BEFORE_COMMIT = "claim.before-commit"
    CLAIM_AFTER_COMMIT = "claim.after-commit"
    CALL_ANSWERED = "call.answered"
    OUTCOME_AFTER_COMMIT = "outcome.after-commit"
    QUESTION_TAKEN = "question.taken"
    QUESTION_ANSWERED = "question.answered"
    NOTICE_BEFORE_COMMIT = "notice.before-commit"
    NOTICE_AFTER_COMMIT = "notice.after-commit"
    SWEEP_AFTER_COMMIT = "sweep.after-commit"
    SEAL_AFTER_COMMIT = "seal.after-commit"


_FORM = re.compile(rf"({'|'.join(map(re.escape, CrashPoint))})(?::([1-9][0-9]{{0,5}})(:stop)?)?")
_EXPECTED = f"POINT or POINT:N (its N-th passing) or POINT:N:stop, POINT one of {', '.join(CrashPoint)}"


class CrashPoints:
    """Kills or stops this process at the armed point; without one it does nothing.

    armed: what VARIABLE holds. Raises ConfigError for what has not its form.
    """

    def __init__(self, armed: str | None) -> None:
        found = _FORM.fullmatch(armed) if armed else None
        if armed and found is None:
            raise ConfigError(Path("environment"), VARIABLE, _EXPECTED)
        self._point = CrashPoint(found[1]) if found else None
        self._nth = int(found[2] or 1) if found else 1
        self._signal = signal.SIGSTOP if found and found[3] else signal.SIGKILL
        self._passed: Counter[CrashPoint] = Counter()

    def reach(self, point: CrashPoint) -> None:
        """Pass a point."""
        if self._point is not point:
            return
        self._passed[point] += 1
        if self._passed[point] == self._nth:
            os.kill(os.getpid(), self._signal)
