"""A manifest that could strand a payment is refused at import."""

from typing import Any

import pytest

from contracts.manifest import BillModel, Can, FlowFacts, Manifest
from contracts.money import Fen

FACTS: dict[str, Any] = {
    "title": "话费充值",
    "bill_model": BillModel.DIRECT,
    "account_pattern": r"1[0-9]{10}",
    "amount_min": Fen(1000),
    "amount_max": Fen(50000),
    "call_deadline_s": 20,
    "absent_final_after_s": 600,
    "absent_void_after_s": 86400,
    "source": "TelecomCo v3.4 s5",
}


def facts(**change: Any) -> FlowFacts:
    """Sound facts with one change."""
    return FlowFacts(**FACTS | change)


def manifest(**change: Any) -> Manifest:
    """A sound manifest with one change."""
    sound: dict[str, Any] = {
        "name": "telecom",
        "title": "电信",
        "can": frozenset({Can.QUERY_RESULT}),
        "flows": {"mobile.topup": facts()},
        "concurrency": 1,
        "rate_per_s": 1,
        "source": "TelecomCo v3.4",
    }
    return Manifest(**sound | change)


def test_sound_ones_pass() -> None:
    manifest()
    manifest(can=frozenset({Can.FETCH_RECON}))
    facts(absent_final_after_s=20, absent_void_after_s=None)
    facts(ask_after_s=60, result_due_s=86400)
    facts(amount_min=Fen(50000))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"absent_final_after_s": 19}, "below call_deadline_s"),
        ({"absent_void_after_s": 600}, "after absent_final_after_s"),
        ({"absent_void_after_s": 0}, "after absent_final_after_s"),
        ({"ask_after_s": 60}, "go together"),
        ({"result_due_s": 60}, "go together"),
        ({"amount_min": Fen(0)}, "above 0"),
        ({"amount_min": Fen(-1)}, "above 0"),
        ({"amount_min": Fen(50001)}, "at most amount_max"),
    ],
)
def test_facts_that_contradict_themselves(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        facts(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"can": frozenset()}, "no way to resolve an unknown"),
        ({"can": frozenset({Can.QUERY_BILL, Can.REVERSE, Can.NOTICE})}, "no way to resolve an unknown"),
        ({"flows": {}}, "no service"),
        ({"concurrency": 0}, "at least 1"),
        ({"rate_per_s": 0}, "at least 1"),
        ({"flows": {"mobile.topup": facts(can_reverse=True)}}, "undoes what the manifest cannot"),
        ({"flows": {"mobile.topup": facts(can_cancel=True)}}, "undoes what the manifest cannot"),
    ],
)
def test_manifests_that_could_strand_a_payment(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        manifest(**change)


def test_an_undo_that_is_declared_is_allowed() -> None:
    can = frozenset({Can.QUERY_RESULT, Can.REVERSE, Can.CANCEL})
    manifest(can=can, flows={"mobile.topup": facts(can_reverse=True, can_cancel=True)})
