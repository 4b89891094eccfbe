"""What an adapter declares is what it does: abilities, facts of the document, silence in logs, sockets closed."""

import asyncio
import gc
import logging
import os
import re
from collections.abc import Iterator
from datetime import time
from pathlib import Path

import pytest

from adapters.kit import matrix_notices, matrix_pay, matrix_undo
from adapters.kit.matrix import MATRIX, chosen, skipped
from adapters.kit.player import play
from adapters.kit.stage import Need
from contracts.biller import Biller, Cancels, FetchesRecon, QueriesBills, QueriesResults, Reverses, TakesNotices
from contracts.manifest import Can, FlowFacts
from contracts.money import Fen
from tests.conformance.adapters.grounds import registered
from tests.conformance.adapters.rig import folder_of_its_own, grounds, play_on, rig_for, stages
from tests.stand.flow_parts import HandClock

PROTOCOLS = {
    Can.QUERY_BILL: QueriesBills,
    Can.QUERY_RESULT: QueriesResults,
    Can.REVERSE: Reverses,
    Can.CANCEL: Cancels,
    Can.NOTICE: TakesNotices,
    Can.FETCH_RECON: FetchesRecon,
}
STAGES = sorted(stages())
NAMES = sorted(registered())
DESIGN_S5 = {
    # the failure-timing matrix as the design lists it: scenarios that stand for each word
    "paid": ("paid", "accepted-then-paid"),
    "declined": ("declined", "accepted-then-failed"),
    "refused connection": ("refused-connection",),
    "paid-then-cut": ("paid-then-cut",),
    "-reset": ("paid-then-reset",),
    "-silent": ("paid-then-silent",),
    "-late": ("paid-then-late",),
    "5xx": ("http-500-paid", "http-500-unpaid"),
    "garbage": ("garbage",),
    "unmapped code": ("unmapped-code",),
    "wrong amount": ("wrong-amount",),
    "wrong serial": ("wrong-serial",),
    "duplicate": ("notice-duplicate",),
    "out of order": ("notice-out-of-order",),
    "late success after reversal": ("success-after-reversal",),
    "reversal ack lost": ("reversal-paid-then-cut", "reversal-garbage"),
    "absent too early": ("absent-too-early",),
    "absent too late": ("absent-too-late",),
    "reversal not found before the original arrives": ("reversal-before-arrival",),
    "SUCCESS notice against each other answer": ("success-then-declined", "declined-then-success"),
}


@pytest.fixture(params=NAMES)
def biller(request: pytest.FixtureRequest) -> Iterator[Biller]:
    """Each registered adapter, built and not opened."""
    adapter, ground = grounds()[request.param]
    with folder_of_its_own() as folder:
        yield adapter.build(ground.config(Path(folder), "http://127.0.0.1:9", 1000), HandClock())


def test_the_matrix_holds_what_the_design_lists() -> None:
    assert {name for names in DESIGN_S5.values() for name in names} <= set(MATRIX)


def test_no_scenario_is_lost_under_a_name_used_twice() -> None:
    parts = (
        *(matrix_pay.PLAIN, matrix_pay.DOUBTED, matrix_pay.QUESTIONS, matrix_undo.REVERSALS, matrix_undo.CANCELS),
        *(matrix_notices.NOTICES, matrix_notices.BAD_NOTICES, matrix_notices.AGAINST),
    )
    assert sum(len(part) for part in parts) == len(MATRIX)


@pytest.mark.parametrize("name", NAMES)
def test_every_service_has_its_stage(name: str) -> None:
    adapter, ground = grounds()[name]
    assert {stage.service for stage in ground.stages} == set(adapter.manifest.flows)
    assert adapter.manifest.name == name


@pytest.mark.parametrize("service", STAGES)
def test_only_declared_facts_skip(service: str) -> None:
    stage = stages()[service]
    ran, left_out = {scenario.name for scenario in chosen(stage)}, skipped(stage)
    assert ran | set(left_out) == set(MATRIX)
    assert not ran & set(left_out)
    assert all(missing and not missing & stage.declared() for missing in left_out.values())


def test_every_need_is_declared_by_some_service() -> None:
    """Else its scenarios would never have been played at all."""
    played = {scenario.name for stage in stages().values() for scenario in chosen(stage)}
    assert played == set(MATRIX)
    assert {need for stage in stages().values() for need in stage.declared()} == set(Need)


def test_declared_iff_implemented(biller: Biller) -> None:
    for ability, protocol in PROTOCOLS.items():
        assert isinstance(biller, protocol) == (ability in biller.manifest.can), ability


def test_accounts_and_amounts_are_the_services_own() -> None:
    for stage in stages().values():
        facts = stage.facts
        assert all(re.fullmatch(facts.account_pattern, account) for account in stage.accounts.values())
        assert facts.amount_min <= stage.amount <= facts.amount_max
        assert not facts.amounts or stage.amount in facts.amounts


async def test_close_leaves_no_socket_and_may_be_repeated(biller: Biller) -> None:
    before = _sockets()
    await biller.open()
    await biller.close()
    await biller.close()
    await asyncio.sleep(0)
    assert _sockets() == before


@pytest.mark.parametrize("service", STAGES)
async def test_nothing_is_left_open_after_a_scenario(service: str) -> None:
    gc.collect()
    await asyncio.sleep(0)
    before = _sockets()
    assert (await play_on(stages()[service], "paid-then-cut")).passed
    await asyncio.sleep(0.05)
    gc.collect()
    assert _sockets() <= before
    assert len(asyncio.all_tasks()) == 1


def _sockets() -> set[str]:
    """Sockets of this process, by their inode."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.mark.parametrize("scenario", ["paid-then-cut", "garbage", "bad-signature", "wrong-serial", "declined"])
@pytest.mark.parametrize("service", STAGES)
async def test_logs_hold_no_secret_and_no_account(
    service: str, scenario: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stage = stages()[service]
    row = MATRIX[scenario]
    async with rig_for(stage, row.patience_ms) as rig:
        report = await play(row, stage, rig.flow, rig.control)
        said = "\n".join([caplog.text, *rig.flow.notes.events, *rig.flow.notes.troubles])
    assert report.passed
    assert rig.flow.notes.events
    _, ground = grounds()[stage.manifest.name]
    assert not [secret for secret in ground.secrets if secret in said]
    assert not [account for account in stage.accounts.values() if account[:-4] in said]


TELECOM = "telecom"
MINUTE, HOUR = 60, 3600


def test_telecom_facts_are_those_of_its_document() -> None:
    """Interface 3.4, section by section; what is chosen rather than read is in the adapter's notes."""
    manifest = registered()[TELECOM].manifest
    assert (manifest.concurrency, manifest.rate_per_s, manifest.serial_digits) == (50, 100, 20)  # s1, s4
    assert manifest.file_is_complete  # s11
    for service, facts in manifest.flows.items():
        assert facts.cut_off_local == time(23, 0)  # s4
        assert facts.query_min_interval_s == 2  # s1
        assert facts.closed_local == ((time(2, 0), time(2, 30)),)  # s1
        # s9: final from 600 s after the timestamp, void 72 h after it; ours count from send_by, a little later.
        assert 600 <= facts.absent_final_after_s <= 15 * MINUTE
        assert facts.absent_void_after_s is not None
        assert 71 * HOUR < facts.absent_void_after_s < 72 * HOUR
        assert not facts.repeat_safe, "s7: a failed number used again is a new order"
        _check_flow(service, facts)


def _check_flow(service: str, facts: FlowFacts) -> None:
    if service == "mobile.topup":
        yuan = (10, 20, 30, 50, 100, 200, 300, 500)
        assert facts.amounts == tuple(Fen(100 * each) for each in yuan)  # s5.4
        assert facts.partial  # s5.5
        assert facts.result_due_s == 24 * HOUR  # s5.4
        assert 0 < facts.ask_after_s <= 10 * MINUTE  # s6: polled from 10 minutes at the latest
        assert facts.settle_lag_days == 1  # s4
        assert (facts.can_reverse, facts.can_cancel) == (False, False)  # s5.4
        assert facts.call_deadline_s == 20  # s1
    else:
        assert facts.amount_max == Fen(5_000_000)  # s5.2
        assert (facts.can_reverse, facts.can_cancel) == (True, True)
        assert (facts.reverse_repeat_safe, facts.cancel_repeat_safe) == (True, True)  # s5.3
        assert not facts.partial
        assert facts.call_deadline_s == 60  # s1
        assert facts.query_valid_s <= 1800  # s4


def test_tv_facts_are_those_of_its_document() -> None:
    """Interface 1.2, section by section; what is chosen rather than read is in the adapter's notes."""
    manifest = registered()["tv"].manifest
    assert manifest.concurrency == 100  # s1
    assert manifest.file_is_complete  # s8
    assert manifest.can == {Can.QUERY_BILL, Can.QUERY_RESULT, Can.FETCH_RECON}, "s intro: no notice, no reversal"
    facts = manifest.flows["tv.bill"]
    assert (facts.amount_min, facts.amount_max) == (Fen(100), Fen(500_000))  # s3.2
    assert (facts.ask_after_s, facts.result_due_s) == (2, 2 * HOUR)  # s3.3
    assert facts.call_deadline_s > 15  # s1
    # s7: 10 s after not_after; and s3.2: 600 s for a clock that is behind ours and still takes our orders.
    assert 610 < facts.absent_final_after_s <= 15 * MINUTE
    assert facts.absent_void_after_s is None  # s7
    assert (facts.repeat_safe, facts.order_expires, facts.partial) == (True, True, False)  # s4, s3.2, s5
    assert (facts.can_reverse, facts.can_cancel) == (False, False)
    assert facts.cut_off_local == time(0, 0)  # s8
    assert facts.settle_lag_days == 1  # s8


def test_shop_texts_are_chinese() -> None:
    for stage in stages().values():
        adapter = registered()[stage.manifest.name]
        for code in stage.codes.values():
            text = adapter.shop_text(stage.service, code)
            assert text is None or re.search(r"[\u4e00-\u9fff]", text), (stage.service, code)
