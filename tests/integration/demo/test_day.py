"""The whole day, on both engines, as a user runs it; and its end, however it comes."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.kafka_jars import NoKafka, find_jars
from gateway.demo.own_keys import find_module
from tests.integration.demo.running import BIANMIN, Demo, demo
from tests.stand.rotation import ROTATED, Record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
DAY_S, READY_S, GONE_S = 350.0, 120.0, 40.0
SHOP = "33078200033"
PAID = ["RESERVED", "SENT", "SUCCESS"]
DOUBT = ["RESERVED", "SENT", "UNKNOWN"]
STORIES: dict[str, tuple[list[str], str | None]] = {
    "bill-query-and-pay": (PAID, "reply"),
    "topup-phone-accepted-then-notice": (PAID, "notice"),
    "declined": (["RESERVED", "SENT", "FAILED"], "reply"),
    "lost-answer-resolved": ([*DOUBT, "SUCCESS"], "query"),
    "lost-answer-never-known": (DOUBT, None),
    "repeat-in-doubt-confirmed": (PAID, "notice"),
    "partial-success": (PAID, "notice"),
    "duplicate-request": (PAID, "notice"),
    "tombstoned-late-request": ([], None),
    "replayed-nonce": (PAID, "notice"),
    "forged-signature": ([], None),
    "overspend-refused": (PAID, "notice"),
    "expired-unsent": (["RESERVED", "FAILED"], "clock"),
    "reversal-ack-lost": ([*DOUBT, "REVERSING", "REVERSED"], "reply"),
    "cancel": ([*PAID, "CANCELLING", "CANCELLED"], "reply"),
    "killed-in-flight": ([*DOUBT, "SUCCESS"], "query"),
    "killed-before-sending": (PAID, "notice"),
    "dead-letters-replayed": (PAID, "notice"),
    "long-doubt-ruled": (["RESERVED", "SENT", "UNKNOWN", "FAILED"], "ruling"),
    "lost-key-refused": (PAID, "notice"),
    "usb-key-enrolled": (PAID, "notice"),
    "key-renewed": (PAID, "notice"),
    "tv-bill-query-and-pay": (PAID, "query"),
    "tv-accepted-then-failed": (["RESERVED", "SENT", "FAILED"], "query"),
    "tv-lost-answer-resolved": ([*DOUBT, "SUCCESS"], "query"),
    "tv-token-revoked": (PAID, "query"),
}
"""Every story the demo must tell, and how it goes; `biller-down-sent-again` is judged apart: how often it is refused
depends on the machine."""


def check_summary(run: Demo, engine: str, bus: str = "embedded", keys: str = "") -> None:
    summary: dict[str, Any] = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    members = {"ok", "version", "elapsed_s", "engine", "bus", "scenarios", "books", "settlement", "audit"}
    assert set(summary) == members | {"keys", "evidence"}
    assert summary["ok"] is True, run.text()
    here = "softhsm" if find_module() is not None else "pem"
    assert (summary["engine"], summary["bus"], summary["keys"]) == (engine, bus, keys or here)
    rows = {row["name"]: row for row in summary["scenarios"]}
    assert len(rows) == len(summary["scenarios"])
    down = rows.pop("biller-down-sent-again")
    assert down["ok"]
    assert down["states"][:4] == ["RESERVED", "SENT"] * 2
    assert down["states"][-2:] == ["SENT", "SUCCESS"]
    assert {name: (row["states"], row["evidence"]) for name, row in rows.items()} == STORIES
    for row in rows.values():
        assert set(row) == {"name", "gateway_serial", "states", "evidence", "ok"}
        assert row["ok"] is True
        assert (row["gateway_serial"] is None) == (not row["states"])
    whole = {"telecom": 88_972, "tv": 2_001 + 2_101 + 2_010}
    assert summary["books"] == {
        name: {"ours_fen": fen, "theirs_fen": fen, "equal": True} for name, fen in whole.items()
    }
    assert summary["audit"]["ok"] is True
    assert len(summary["audit"]["checks"]) >= 19
    assert set(summary["settlement"]) == {"account_date"}
    check_evidence(run, summary["evidence"], rows["usb-key-enrolled"]["gateway_serial"])
    check_certificates(run)


def check_evidence(run: Demo, told: dict[str, Any], serial: str) -> None:
    """What it says was proven is; a byte that is not as it was is found."""
    assert {(name, proof["exit_code"], proof["ok"]) for name, proof in told.items()} == {
        ("payment", 0, True),
        ("day", 0, True),
    }
    assert told["payment"]["subject"] == serial
    assert told["day"]["records"] > told["payment"]["records"] >= 2
    assert all(proof["word"].startswith("OK ") for proof in told.values())
    folder = Path(told["payment"]["folder"])
    assert folder == run.folder / "evidence" / "payment"
    bent = run.folder / "bent"
    shutil.copytree(folder, bent)
    assert verify(bent) == 0
    body = next(file for file in sorted(bent.rglob("*")) if file.is_file() and b"13805790121" in file.read_bytes())
    body.write_bytes(body.read_bytes().replace(b"13805790121", b"13805790122"))
    assert verify(bent) == 1


def verify(folder: Path) -> int:
    """The exit code of the folder's own script."""
    return subprocess.run(["sh", str(folder / "verify.sh")], capture_output=True, timeout=60, check=False).returncode


def check_certificates(run: Demo) -> None:
    """The keys of the shop that lost one, as the book has them: frozen, active; the replaced one is bound no more."""
    config = ["--config", str(run.folder / "gateway" / "bianmin.toml")]
    found = json.loads(say("certs", "list", "--json", *config))
    assert sorted(one["state"] for one in found if one["institution_code"] == SHOP) == ["ACTIVE", "FROZEN"]
    assert [one["role"] for one in found if one["state"] == "REPLACED"] == ["station"]
    plans = json.loads(say("ops", "list", "--all", "--json", *config))
    assert plans
    assert all(one["state"] == "DONE" and one["prepared_by"] != one["decided_by"] for one in plans)


def test_the_day_on_sqlite(tmp_path: Path) -> None:
    """It ends by itself, leaves nothing running, and writes nowhere but in its folder."""
    elsewhere = tmp_path / "elsewhere"
    with demo(tmp_path / "demo", elsewhere, "--exit") as run:
        assert run.process.wait(DAY_S) == 0, run.text()
        assert run.family() == {}
        check_summary(run, "sqlite")
        text = run.text()
    assert list(elsewhere.iterdir()) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["demo", "elsewhere", "elsewhere.out"]
    assert "✗" not in text
    assert text.count("✓") >= len(STORIES) * 2


def the_day_on_postgres(tmp_path: Path) -> None:
    """It goes on until Ctrl-C, and the shop's command works on the running system. There is no SoftHSM."""
    path = without_softhsm(tmp_path / "bin")
    with demo(tmp_path / "demo", tmp_path / "elsewhere", env={"ENGINE": "postgres", "PATH": path}) as run:
        run.wait_for("until Ctrl-C", DAY_S)
        assert "no SoftHSM" in run.text()
        check_summary(run, "postgres", keys="pem")
        borrowed = {
            folder for folder in Path(tempfile.gettempdir()).glob("bianmin-demo-*")
            if any(str(folder) in command for command in run.family().values())
        }  # fmt: skip
        assert borrowed, "where its database lies"
        terminal = ["terminal", "balance", "--json", "--config", str(run.folder / "gateway" / "terminal.toml")]
        said = subprocess.run([*BIANMIN, *terminal], capture_output=True, timeout=60, check=True)
        assert json.loads(said.stdout)["reserved_fen"] == 3_100
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(GONE_S) == 0, run.text()
        assert run.family() == {}
    assert not any(folder.exists() for folder in borrowed)


def without_softhsm(folder: Path) -> str:
    """A PATH of everything that is installed here but SoftHSM's tool."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            link = folder / program.name
            if program.name != "softhsm2-util" and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def the_day_on_seven_processes(tmp_path: Path) -> None:
    """ENGINE=postgres BUS=kafka; then the operator's commands on the running cluster, and an orderly end."""
    try:
        find_jars()
    except NoKafka as why:
        pytest.skip(f"no Apache Kafka for the demo: {why}")
    with demo(tmp_path / "demo", tmp_path / "elsewhere", env={"ENGINE": "postgres", "BUS": "kafka"}) as run:
        run.wait_for("until Ctrl-C", DAY_S)
        check_summary(run, "postgres", "kafka")
        config = ["--config", str(run.folder / "gateway" / "bianmin.toml")]
        rows = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))["scenarios"]
        (serial,) = [row["gateway_serial"] for row in rows if row["name"] == "lost-answer-resolved"]
        check_trace(say("ops", "trace", serial, "--json", *config), say("ops", "trace", serial, *config))
        assert json.loads(say("bus", "check", "--json", *config))["ok"] is True
        kill_as_told(run)
        assert json.loads(say("audit", "--json", *config))["ok"] is True
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(GONE_S) == 0, run.text()
        assert run.family() == {}


def kill_as_told(run: Demo) -> None:
    """The table of the processes, and its advice followed: a worker dies and is there again."""
    run.wait_for("let it die", DAY_S)
    rows = re.findall(r"│ (\S+) +│ (api|worker|relay|resolver|sealer) +│ (\d+) +│ (\d+) +│ (\S+)", run.text())
    assert Counter(role for _, role, *_ in rows) == {"api": 2, "worker": 2, "relay": 1, "resolver": 1, "sealer": 1}
    for _, role, pid, admin, _ in rows:
        assert f"--role {role}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/healthz", timeout=5) as reply:
            assert reply.status == 200
    assert re.search(r"Kafka +127\.0\.0\.1:\d+", run.text())
    worker = re.findall(r"kill -9 (\d+)", run.text())[-1]
    assert worker in {pid for _, role, pid, *_ in rows if role == "worker"}
    os.kill(int(worker), signal.SIGKILL)
    run.wait_for("started again", READY_S)
    assert run.process.poll() is None


LARGER = {"postgres": the_day_on_postgres, "postgres and kafka": the_day_on_seven_processes}


@pytest.mark.postgres
@pytest.mark.kafka
def test_the_day_on_a_larger_ground(tmp_path: Path, record_property: Record) -> None:
    """One of them; DEMO_GROUND names it."""
    ground = os.environ.get("DEMO_GROUND") or random.SystemRandom().choice(sorted(LARGER))
    record_property(ROTATED, f"demo on {ground} (DEMO_GROUND)")
    LARGER[ground](tmp_path)


@pytest.mark.postgres
@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.parametrize("ground", sorted(LARGER))
def test_the_day_on_every_larger_ground(tmp_path: Path, ground: str) -> None:
    LARGER[ground](tmp_path)


def say(*words: str) -> str:
    """What a command says."""
    return subprocess.run([*BIANMIN, *words], capture_output=True, timeout=60, check=True, text=True).stdout


def check_trace(document: str, text: str) -> None:
    """An answer that was lost: accepted, published, claimed, unanswered, asked about, proven, told."""
    life = json.loads(document)
    assert life["state"] == "SUCCESS"
    told = [(moment["what"], moment.get("outcome") or moment.get("event") or "") for moment in life["moments"]]
    firsts = [what for what, _ in told].index
    for wanted in (["accepted", "claimed", "answered", "evidence", "final"], ["accepted", "published"]):
        # A worker may have claimed before the relay has noted that the broker took the message.
        places = [firsts(what) for what in wanted]
        assert places == sorted(places), told
    assert ("answered", "Unknown") in told or ("answered", "Lost") in told, told
    workers = {moment["worker"] for moment in life["moments"] if moment["what"] == "claimed"}
    assert len(workers) == 1
    assert [moment["after_ms"] for moment in life["moments"]] == sorted(m["after_ms"] for m in life["moments"])
    assert life["trace_id"] in text
    assert len(text.splitlines()) == 1 + len(life["moments"])


def test_kill_9_of_the_demo_ends_its_children(tmp_path: Path) -> None:
    """Nobody is left to clean up: the kernel tells the children."""
    with demo(tmp_path / "demo", tmp_path / "elsewhere", "--exit") as run:
        run.wait_for("营业 The day", READY_S)
        assert len(run.family()) >= 3
        run.process.kill()
        run.process.wait(GONE_S)
        run.wait_gone(GONE_S)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_it_sets_up(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with demo(tmp_path / "demo", tmp_path / "elsewhere", "--exit") as run:
        run.wait_for("✓ 启动收费单位模拟器", READY_S)
        run.process.send_signal(number)
        assert run.process.wait(GONE_S) == code, run.text()
        assert run.family() == {}
        assert not (run.folder / "summary.json").exists()
