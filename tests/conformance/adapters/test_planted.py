"""A scenario counts only if a planted bug fails it: each one has its bug here, and each bug its sentence."""

import re
from collections.abc import Mapping

import pytest

from adapters.kit.matrix import MATRIX, chosen
from tests.conformance.adapters.plants import PLANTS
from tests.conformance.adapters.rig import play_on, stages

CAUGHT: Mapping[str, tuple[str, ...]] = {
    # planted bug: the scenarios that must fail with it
    "paid is in doubt": ("paid",),
    "accepted is paid": ("accepted-then-failed",),
    "accepted is in doubt": ("accepted-then-paid",),
    "undecided is failed": ("accepted-then-overdue",),
    "declined is in doubt": ("declined",),
    "not sent is declined": ("refused-connection", "maintenance-twice"),
    "not sent is in doubt": ("maintenance",),
    "hasty": ("slow", "reversal-slow"),
    "new members are not signed": ("new-member",),
    "a part is the whole": ("partial",),
    "no answer is declined": ("cut-unpaid", "silent-unpaid", "http-500-unpaid", "slow-beyond"),
    "busy is declined": ("busy-unpaid",),
    "cut is not sent": ("paid-then-cut", "paid-then-reset"),
    "time-out is declined": ("paid-then-silent", "paid-then-late"),
    "5xx is not sent": ("http-500-paid",),
    "busy is not sent": ("busy-paid",),
    "unreadable is declined": ("garbage",),
    "signature is not checked": ("bad-signature", "question-bad-signature", "notice-bad-signature"),
    "unmapped is declined": ("unmapped-code",),
    "amount is not compared": ("wrong-amount", "reversal-wrong-amount", "cancel-wrong-amount"),
    "serial is not compared": (
        "wrong-serial",
        "question-wrong-serial",
        "reversal-wrong-serial",
        "cancel-wrong-serial",
    ),
    "no answer to a question is a failure": (
        "question-cut-before",
        "question-paid-then-reset",
        "question-http-500-unpaid",
        "question-garbage",
        "question-unmapped-code",
        "question-busy-unpaid",
        "question-maintenance",
        "question-wrong-amount",
        "question-silent",
        "question-http-500-then-success",
        "question-wrong-amount-then-success",
        "question-unmapped-code-then-success",
    ),
    "not found is believed at once": (
        "absent-too-early",
        "late-arrival",
        "reversal-absent-too-early",
        "reversal-of-nothing",
        "cancel-absent-too-early",
        "question-absent-then-success",
    ),
    "not found is believed for ever": ("absent-too-late",),
    "not found is nothing": ("absent-in-time",),
    "the biller takes what is too old": ("arrival-past-its-time",),
    "undone is in doubt": ("reversal", "cancel"),
    "no answer to a reversal is done": (
        "reversal-paid-then-cut",
        "reversal-paid-then-reset",
        "reversal-paid-then-silent",
        "reversal-http-500-paid",
        "reversal-garbage",
        "reversal-bad-signature",
        "reversal-unmapped-code",
        "reversal-busy-paid",
        "reversal-cut-before",
        "reversal-http-500-unpaid",
        "reversal-busy-unpaid",
        "reversal-overtaken",
    ),
    "no answer to a cancel is done": ("cancel-cut-before", "cancel-http-500-unpaid", "cancel-busy-unpaid"),
    "no answer to a cancel is a refusal": (
        "cancel-paid-then-cut",
        "cancel-paid-then-reset",
        "cancel-paid-then-silent",
        "cancel-http-500-paid",
        "cancel-garbage",
        "cancel-bad-signature",
        "cancel-unmapped-code",
        "cancel-busy-paid",
    ),
    "not sent is undone": ("reversal-maintenance", "cancel-maintenance"),
    "not found is undone": ("reversal-before-arrival",),
    "still paid is undone": ("reversal-refused", "cancel-refused"),
    "paid against reversed is dropped": ("success-after-reversal",),
    "a late answer is dropped": ("success-while-overdue",),
    "every cancel is granted": ("cancel-in-doubt", "cancel-twice", "cancel-not-offered"),
    "the window never ends": ("cancel-too-late",),
    "giving up does nothing": ("cancel-unsent", "cancel-between-tries"),
    "notices are not read": ("notice", "notice-of-failure"),
    "notices go by turns": ("notice-out-of-order",),
    "all notices count": ("notice-garbage", "notice-wrong-serial", "notice-failure-bad-signature"),
    "a contradiction is paid": ("notice-wrong-amount",),
    "a repeat counts again": ("notice-duplicate", "notice-slow"),
    "questions tell nothing": ("notice-lost",),
    "accepted undoes paid": ("notice-before-reply",),
    "lost undoes paid": (
        "success-then-cut",
        "success-then-reset",
        "success-then-silent",
        "success-then-late",
        "success-then-http-500",
        "success-then-garbage",
        "success-then-bad-signature",
        "success-then-unmapped-code",
        "success-then-wrong-amount",
        "success-then-wrong-serial",
        "success-then-busy",
    ),
    "declined undoes paid": ("success-then-declined",),
    "not sent undoes paid": ("success-then-not-sent",),
    "paid on refused is kept": ("declined-then-success",),
    "paid on void is kept": ("absent-final-then-success",),
    "paid on ready is kept": ("not-sent-then-success",),
    "paid on unknown is kept": (
        "cut-then-success",
        "reset-then-success",
        "silent-then-success",
        "late-then-success",
        "http-500-then-success",
        "garbage-then-success",
        "bad-signature-then-success",
        "unmapped-code-then-success",
        "wrong-amount-then-success",
        "wrong-serial-then-success",
        "busy-then-success",
    ),
}
SENTENCES: Mapping[str, str] = {
    "cut is not sent": r"RESERVED, allowed is",
    "5xx is not sent": r"RESERVED, allowed is",
    "busy is not sent": r"RESERVED, allowed is",
    "not found is believed for ever": r"FAILED, allowed is UNKNOWN",
    "not found is undone": r"REVERSED, allowed is REVERSING|their book charges",
    "paid against reversed is dropped": r"breaks \[\], required are \['STATUS_DIFF_SHORT'\]",
    "the biller takes what is too old": r"FAILED, yet their book charges",
    "a part is the whole": r"SUCCESS with 5000 fen, their book charges 2000",
}
"""What must be said, where the mere failure would not show that the right thing was noticed."""
CASES = [(bug, scenario) for bug, scenarios in CAUGHT.items() for scenario in scenarios]


def _service_of(scenario: str) -> str:
    """The first service that plays it."""
    return next(name for name, stage in stages().items() if MATRIX[scenario] in chosen(stage))


@pytest.mark.parametrize(("bug", "scenario"), CASES, ids=[f"{scenario}: {bug}" for bug, scenario in CASES])
async def test_planted_bug_is_caught(bug: str, scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrap = PLANTS[bug](monkeypatch)
    report = await play_on(stages()[_service_of(scenario)], scenario, wrap=wrap)
    assert not report.passed, f"{scenario} does not notice that {bug}"
    said = "; ".join(report.failures)
    assert re.search(SENTENCES.get(bug, ""), said), said


def test_every_scenario_has_its_bug() -> None:
    caught = [scenario for _, scenario in CASES]
    assert set(caught) == set(MATRIX)
    assert len(caught) == len(set(caught))


def test_every_bug_is_used() -> None:
    assert set(CAUGHT) == set(PLANTS)
    assert set(SENTENCES) <= set(CAUGHT)
