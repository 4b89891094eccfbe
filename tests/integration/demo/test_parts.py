"""The demo's own parts: it must see what is wrong, leave alone what is not its own, and end what it starts."""

import asyncio
import importlib.util
import sys
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.core import chores
from gateway.core.items import Seal
from gateway.core.steps import Now, Scan
from gateway.demo import closing, own_keys, proofs
from gateway.demo.biller import Line
from gateway.demo.book import Attempt, Sent, Trace, evidence_of, states_of
from gateway.demo.children import Child
from gateway.demo.day import Compared, Purse, Result, Told
from gateway.demo.expect import Expect, Money, differences, money_of
from gateway.demo.faults import DemoFault
from gateway.demo.folder import MARK, Folder
from gateway.demo.postgres import find_programs
from gateway.demo.proofs import Proof
from gateway.demo.scenarios import DAY
from gateway.demo.stage import Row, Title
from gateway.demo.summary import document
from gateway.demo.system import MAIN, Ground

SERIAL = "2026112406H0RS4YS24TV4PQ"
NUMBER = "20261124000000000001"
GOOD = Trace(
    gateway_serial=SERIAL,
    state="SUCCESS",
    states=("RESERVED", "SENT", "SUCCESS"),
    evidence="notice",
    amount_fen=10_000,
    fee_fen=100,
    paid_fen=10_000,
    reason=None,
    orders=[Sent("PAY", "DONE", NUMBER, 1, 0)],
    attempts=[Attempt("PAY", 2, "Accepted")],
    pieces=[("reply", "ACCEPTED", "SENT->SENT"), ("notice", "PAID", "SENT->SUCCESS")],
    moved={"2001": -10_100, "2002": 0, "2101": 10_000},
)
WANTED = Expect(
    states=("RESERVED", "SENT", "SUCCESS"), evidence="notice", paid_fen=10_000, tries=("Accepted",), charged_fen=10_000
)
LINE = Line(
    order_no=NUMBER, kind="T", account="13805790001", amount_fen=10_000, charged_fen=10_000, state="booked", received=1
)

GROUND = Ground("sqlite", "embedded")


def test_a_payment_as_it_must_be_has_no_difference() -> None:
    other = Line(order_no="9", kind="T", account="1", amount_fen=1, charged_fen=1, state="booked", received=1)
    assert list(differences(GOOD, WANTED, [other, LINE])) == []


@pytest.mark.parametrize(
    ("trace", "lines", "told"),
    [
        (replace(GOOD, states=("RESERVED", "SENT", "UNKNOWN", "SUCCESS")), [LINE], "states"),
        (replace(GOOD, evidence="query"), [LINE], "evidence"),
        (replace(GOOD, paid_fen=9_999), [LINE], "paid_fen"),
        (replace(GOOD, attempts=[*GOOD.attempts, *GOOD.attempts]), [LINE], "sendings"),
        (replace(GOOD, reason="given-up"), [LINE], "reason"),
        (replace(GOOD, moved={**GOOD.moved, "2001": -10_000}), [LINE], "account 2001"),
        (replace(GOOD, moved={**GOOD.moved, "2002": 10_100}), [LINE], "account 2002"),
        (replace(GOOD, moved={**GOOD.moved, "2101": 20_000}), [LINE], "account 2101"),
        (GOOD, [], "0 records"),
        (GOOD, [LINE, LINE], "2 records"),
    ],
)
def test_every_difference_is_named(trace: Trace, lines: Sequence[Line], told: str) -> None:
    assert any(told in text for text in differences(trace, WANTED, lines))


def test_what_was_never_sent_must_not_be_in_the_billers_book() -> None:
    unsent = replace(
        GOOD, state="FAILED", states=("RESERVED", "FAILED"), evidence="clock", paid_fen=None, attempts=[], moved={}
    )
    wanted = Expect(states=("RESERVED", "FAILED"), evidence="clock", paid_fen=None, tries=(), charged_fen=None)
    assert list(differences(unsent, wanted, [])) == []
    assert any("must be none" in text for text in differences(unsent, wanted, [LINE]))


@pytest.mark.parametrize(
    ("state", "paid_fen", "money"),
    [
        ("SUCCESS", 10_000, Money(10_100, 0)),
        ("SUCCESS", 5_000, Money(5_050, 0)),
        ("UNKNOWN", None, Money(0, 10_100)),
        ("FAILED", None, Money(0, 0)),
        ("CANCELLED", 10_000, Money(0, 0)),
    ],
)
def test_money_by_the_rules(state: str, paid_fen: int | None, money: Money) -> None:
    assert money_of(replace(GOOD, state=state, paid_fen=paid_fen)) == money


def test_states_come_in_the_order_of_their_commits() -> None:
    attempts = [Attempt("PAY", 20, "NotSent"), Attempt("PAY", 40, "Unknown"), Attempt("REVERSE", 60, "Undone")]
    told = [
        (30, b'{"state":"RESERVED"}'),
        (40, b'{"state":"UNKNOWN"}'),  # the same millisecond as its claim
        (50, b'{"state":"REVERSING"}'),
        (55, b'{"order_kind":"REVERSE"}'),
        (70, b'{"state":"REVERSED"}'),
    ]
    states = ("RESERVED", "SENT", "RESERVED", "SENT", "UNKNOWN", "REVERSING", "REVERSED")
    assert states_of(10, attempts, told) == states


def test_the_evidence_is_what_led_to_the_state() -> None:
    pieces = [("reply", "LOST", "SENT->UNKNOWN"), ("query", "PAID", "UNKNOWN->SUCCESS"), ("notice", "PAID", "keep")]
    assert evidence_of("SUCCESS", pieces, ["accept", "query"]) == "query"
    assert evidence_of("UNKNOWN", pieces[:1], ["accept"]) is None
    assert evidence_of("FAILED", [], ["accept", "clock"]) == "clock"


def test_the_folder_is_made_anew_and_a_stranger_is_left_alone(tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "letter").write_text("mine")
    with pytest.raises(DemoFault, match="left alone"), Folder(strange):
        pass
    assert (strange / "letter").read_text() == "mine"
    with Folder(tmp_path / "demo") as layout:
        layout.summary.write_text("old")
        with pytest.raises(DemoFault, match="another demo runs"), Folder(tmp_path / "demo"):
            pass
        assert layout.summary.exists()
    with Folder(tmp_path / "demo") as layout:
        assert sorted(entry.name for entry in layout.root.iterdir()) == [MARK, "evidence", "journals", "logs"]
    (tmp_path / "link").symlink_to(tmp_path / "demo")
    with pytest.raises(DemoFault, match="not a folder"), Folder(tmp_path / "link"):
        pass


async def test_a_child_that_fails_names_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    child = Child("thing", command, tmp_path / "thing.log", SystemClock())
    with pytest.raises(DemoFault, match=r"(?s)exit code 3.*the reason.*thing\.log"):
        await child.wait_for("ready", 20)
    child.stop()


async def test_a_child_that_is_not_ready_is_not_waited_for(tmp_path: Path) -> None:
    child = Child("thing", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "thing.log", SystemClock())
    try:
        with pytest.raises(DemoFault, match=r"not ready within 0.2 s"):
            await child.wait_for("ready", 0.2)
    finally:
        child.stop()


async def test_kill_reaches_what_the_child_has_forked(tmp_path: Path) -> None:
    code = "import os,time; pid=os.fork(); print(f'pid {os.getpid()}', flush=True); time.sleep(60)"
    child = Child("thing", [sys.executable, "-c", code], tmp_path / "thing.log", SystemClock())
    await child.wait_for(r"pid \d+\n(.|\n)*pid \d+", 20)
    pids = [int(word) for word in child.said().split() if word.isdigit()]
    child.kill()
    for _ in range(100):
        if not any(_alive(pid) for pid in pids):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"alive: {pids}")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_postgres_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with pytest.raises(DemoFault, match="make demo ENGINE=postgres"):
        find_programs()


def _proof(name: str, code: int | None = 0) -> Proof:
    return Proof(name=name, subject=SERIAL, folder=Path("/x") / name, records=3, code=code, word="OK")


def _result(**changes: Any) -> Result:
    title = Title("a-story", "一件事", "a story")
    row = Row(gateway_serial=SERIAL, states=GOOD.states, evidence="notice", spent_fen=10_100)
    values: dict[str, Any] = {
        "told": [Told(title=title, row=row, failure="", elapsed_s=1)],
        "books": {"telecom": Compared(10_000, 10_000, [])},
        "purses": [Purse(MAIN, 10_100, 0, MAIN.deposit.value - 10_100, 0)],
        "audit": {"ok": True, "checks": []},
        "proofs": [_proof("payment"), _proof("day")],
        "account_date": "2026-11-24",
    }
    return Result(**(values | changes))


def test_the_summary_has_the_form_that_scripts_read() -> None:
    found = document(_result(), GROUND)
    assert found["ok"] is True
    assert found["books"] == {"telecom": {"ours_fen": 10_000, "theirs_fen": 10_000, "equal": True}}
    assert found["scenarios"] == [
        {
            "name": "a-story",
            "gateway_serial": SERIAL,
            "states": ["RESERVED", "SENT", "SUCCESS"],
            "evidence": "notice",
            "ok": True,
        }
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"told": []},
        {"told": [Told(title=Title("x", "x", "x"), row=None, failure="no", elapsed_s=1)]},
        {"books": {}},
        {"books": {"telecom": Compared(10_000, 10_001, [])}},
        {"books": {"telecom": Compared(10_000, 10_000, ["one order differs"])}},
        {"purses": [Purse(MAIN, 10_100, 0, MAIN.deposit.value - 10_101, 0)]},
        {"purses": [Purse(MAIN, 10_100, 100, MAIN.deposit.value - 10_200, 0)]},
        {"purses": [Purse(MAIN, 10_100, 0, MAIN.deposit.value - 10_100, 0, judged=False)]},
        {"audit": {"ok": False, "checks": []}},
        {"proofs": []},
        {"proofs": [_proof("payment")]},
        {"proofs": [_proof("payment"), _proof("day", 1)]},
        {"proofs": [_proof("payment", 3), _proof("day")]},
        {"fault": "the gateway ended"},
    ],
)
def test_anything_wrong_makes_the_day_wrong(changes: dict[str, Any]) -> None:
    assert _result(**changes).ok is False
    assert document(_result(**changes), GROUND)["ok"] is False


def test_evidence_that_could_not_be_verified_here_is_told_and_not_judged() -> None:
    found = document(_result(proofs=[_proof("payment"), _proof("day", None)]), GROUND)
    assert found["ok"] is True
    assert found["keys"] == "pem"
    assert found["evidence"]["day"] == {
        "subject": SERIAL,
        "folder": "/x/day",
        "records": 3,
        "exit_code": None,
        "word": "OK",
        "ok": True,
    }


async def test_without_openssl_nothing_is_called_proven(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    system: Any = None
    code, word = await proofs._verify(system, "day", tmp_path)
    assert code is None
    assert "not verified: openssl sha256sum" in word
    assert own_keys.find_module() is None


def test_the_day_is_closed_by_the_sealers_unit_a_day_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the clock is another; the unit's other answers reach it as they are."""
    heard: list[Any] = []

    def unit(items: Sequence[Seal], env: Any) -> Generator[Any, Any, list[Any]]:
        heard.append((yield Now()))
        heard.append((yield Scan("seal_last")))
        return [*items]

    monkeypatch.setattr(chores, "seal", unit)
    env: Any = None
    work = closing.seal_tomorrow([], env)
    assert next(work) == Now()
    assert work.send(5) == Scan("seal_last")
    with pytest.raises(StopIteration) as done:
        work.send(7)
    assert heard == [5 + 86_400_000, 7]
    assert done.value.value == []


def test_every_row_has_a_name_of_its_own() -> None:
    titles = [title for scenario in DAY for title in scenario.rows]
    assert len({title.name for title in titles}) == len(titles)
    assert all(title.chinese and title.english for title in titles)


def test_a_story_arms_faults_for_accounts_of_its_own() -> None:
    """The simulator takes all faults at once: two stories about one account would take each other's."""
    owners: dict[str, str] = {}
    for scenario in DAY:
        for fault in scenario.faults:
            owner = owners.setdefault(str(fault["account"]), scenario.rows[0].name)
            assert owner == scenario.rows[0].name
