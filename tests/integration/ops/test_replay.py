"""Messages that failed, planned, approved by two people, replayed: the partner's book proves that none paid twice.

On SQLite with the embedded bus, and on PostgreSQL with a real Kafka, whose own dead-letter topic they come from.
"""

import asyncio
import json
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.bus.kafka.config import KafkaConfig
from tests.integration.bus.parts import raw_producer
from tests.integration.bus.test_flow import over_kafka
from tests.integration.certs.desk import say
from tests.integration.ops.replaying import (
    ACCOUNTS,
    AMOUNT,
    Staff,
    fail_in_every_way,
    faults,
    keep,
    letter,
    messages,
    pay,
    state_of,
    until,
)
from tests.integration.postgres.stand import PostgresStand
from tests.stand.gateway import Stand
from tests.stand.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ENGINES = ["sqlite", pytest.param("postgres-kafka", marks=[pytest.mark.postgres, pytest.mark.kafka])]


class Ground:
    """A gateway, its staff, and a way to have messages found dead by the bus itself."""

    def __init__(self, stand: Stand, kafka: KafkaConfig | None) -> None:
        self.stand, self.kafka, self.staff = stand, kafka, Staff(stand)

    def bury(self, *bodies: bytes, headers: int = 0) -> None:
        """Into the request topic: as records, or as rows of the outbox. They are dead, and become letters."""
        before = self.count()
        if self.kafka is not None:
            asyncio.run(self._put(bodies, headers))
        else:
            self._insert(bodies)
        until(lambda: self.count() == before + len(bodies), "all became letters")

    def count(self) -> int:
        ((count,),) = self.stand.sql("SELECT count(*) FROM dead_letters")
        return int(count)

    async def _put(self, bodies: tuple[bytes, ...], headers: int) -> None:
        assert self.kafka is not None
        async with raw_producer(self.kafka) as put:
            for body in bodies:
                long = [("x", b"h" * headers)] if headers else []
                await put(self.kafka.request_topic("telecom"), body, key=b"k", headers=long)

    def _insert(self, bodies: tuple[bytes, ...]) -> None:
        path = self.stand.folder / "pilot" / "var" / "bianmin.db"
        with sqlite3.connect(path, timeout=10) as connection:
            for number, body in enumerate(bodies):
                row = (f"zz-{time.monotonic_ns()}-{number}", "bianmin.request.telecom", "k", body, 1)
                connection.execute(
                    "INSERT INTO outbox (message_id, topic, key, payload, created_at) VALUES (?, ?, ?, ?, ?)", row
                )


@pytest.fixture(params=ENGINES)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    if request.param == "sqlite":
        with Stand(tmp_path) as stand:
            stand.deposit("9000", "V1")
            yield Ground(stand, None)
        return
    with PostgresServer() as server, PostgresStand(tmp_path, server) as stand:
        kafka = over_kafka(stand, request.getfixturevalue("kafka"))
        stand.deposit("9000", "V1")
        yield Ground(stand, kafka)


def by_payment(found: list[dict[str, Any]], serials: dict[str, str]) -> dict[str, set[str]]:
    names = {serial: name for name, serial in serials.items()}
    told: dict[str, set[str]] = {}
    for one in found:
        told.setdefault(names.get(one["gateway_serial"], "?"), set()).add(one["verdict"])
    return told


def what_the_approver_sees(stand: Stand, deed: str, plan: dict[str, Any]) -> None:
    """What each verdict comes to, and nothing but that."""
    config = ("--config", str(stand.config_file))
    code, shown, err = say(["ops", "show", deed, *config])
    assert (code, err) == (0, "")
    assert all(one["verdict"] in shown for one in plan["totals"])
    refused = say(["ops", "show", deed, "--attachments", str(stand.folder / "none"), *config])
    assert refused == (1, "", "Error: only a ruling has attachments\n")


def test_every_verdict_and_no_payment_twice(ground: Ground) -> None:
    stand, staff = ground.stand, ground.staff
    stand.start()
    serials = fail_in_every_way(stand)
    sent = messages(stand)
    # What the bus itself finds dead: a message of each payment with a slip in it, and what nobody can make out.
    stranger = sent[serials["paid"]].replace(b'"order_serial":"2', b'"order_serial":"1')
    slips = [sent[serial].replace(b'"kind":"order"', b'"kind":"ordre"') for serial in serials.values()]
    ground.bury(*slips, b"\xff\x00 garbage", b'{"schema":"x.v9"}', sent[serials["paid"]][:-1])
    waiting = staff.read("ops", "dead-letters", "list")
    assert {one["verdict"] for one in waiting} == {"MALFORMED"}
    assert {one["state"] for one in waiting} == {"QUARANTINED"}
    for one in waiting:
        if one["gateway_serial"] is not None:
            file = stand.folder / f"{one['letter_id']}.json"
            file.write_bytes(sent[one["gateway_serial"]])
            assert "corrected copy" in staff.done(1, "ops", "dead-letters", "correct", one["letter_id"], str(file))
    keep(stand, [letter(stranger, "elsewhere/1", "unknown-order")])
    spare = pay_nothing(stand, serials)
    expected = {
        "?": {"MALFORMED"},
        "paid": {"ALREADY_FINAL", "NOT_OURS"},
        "paid-unheard": {"ASK_ONLY"},
        "unpaid-unheard": {"ASK_ONLY"},
        "waiting": {"SEND_AGAIN"},
        "tombstone": {"TOMBSTONED"},
        "repeat": {"WOULD_REPEAT"},
    }
    found = by_payment(staff.read("ops", "dead-letters", "list"), serials)
    assert found == expected
    look_at_it(staff, serials)

    file, plan = staff.plan("first")
    assert plan["letters"] == len(staff.read("ops", "dead-letters", "list"))
    deed = staff.done(1, "ops", "replay", "request", str(file)).split()[-1]
    what_the_approver_sees(stand, deed, plan)
    code, _, err = staff.do(1, "ops", "approve", deed)
    assert (code, "authorization-required" in err) == (1, True)
    assert staff.do(1, "ops", "replay", "run", str(file))[0] == 1
    staff.done(2, "ops", "approve", deed)
    other = stand.folder / "other.plan"
    other.write_bytes(file.read_bytes().replace(b"ASK_ONLY", b"ASK_ONLY ", 1))
    code, _, err = staff.do(2, "ops", "replay", "run", str(other))
    assert (code, "differs by one byte" in err) == (1, True)
    calls = stand.sql("SELECT count(*) FROM attempts")
    told = json.loads(staff.done(2, "ops", "replay", "run", str(file), "--json"))
    assert told["outcomes"]["asked"] == 2
    assert told["outcomes"]["sent-again"] == 1
    assert sum(told["outcomes"].values()) == plan["letters"]
    assert calls[0][0] <= stand.sql("SELECT count(*) FROM attempts")[0][0]
    code, _, err = staff.do(2, "ops", "replay", "run", str(file))
    assert (code, "done already" in err) == (1, True)
    shown = staff.read("ops", "replay", "show", plan["plan_sha256"])
    for name in (plan["plan_sha256"], deed):
        assert [one["id"] for one in staff.read("ops", "search", name)] == [name]
    assert (shown["state"], shown["prepared_by"] != shown["approved_by"]) == ("DONE", True)

    restore(stand, spare)
    stand.start_simulator()
    settle(stand)
    evidence(staff, serials["waiting"])
    stand.stop()
    stand.check()
    counts = Counter(stand.their_book().values())
    assert counts == {AMOUNT: sum(state_of(stand, serial) == "SUCCESS" for serial in serials.values())}
    assert state_of(stand, serials["paid-unheard"]) == "SUCCESS"
    assert state_of(stand, serials["unpaid-unheard"]) == "FAILED"


def pay_nothing(stand: Stand, serials: dict[str, str]) -> str:
    """A terminal is told that it never paid the one that waits as `tombstone`."""
    rewrite(stand, f"UPDATE idempotency_keys SET kind = 'TOMBSTONE' WHERE gateway_serial = '{serials['tombstone']}'")
    return serials["tombstone"]


def restore(stand: Stand, serial: str) -> None:
    """The book as it was: this is no way a key comes to be."""
    rewrite(stand, f"UPDATE idempotency_keys SET kind = 'PAYMENT' WHERE gateway_serial = '{serial}'")


def rewrite(stand: Stand, sql: str) -> None:
    if isinstance(stand, PostgresStand):
        stand.sql(sql)
        return
    with sqlite3.connect(stand.folder / "pilot" / "var" / "bianmin.db", timeout=10) as connection:
        connection.execute(sql)


def look_at_it(staff: Staff, serials: dict[str, str]) -> None:
    """What people see: masked, with what happens by itself and who may do what."""
    table = staff.told("ops", "dead-letters", "list")
    assert max(map(len, table.splitlines())) <= 100
    assert ACCOUNTS["waiting"] not in table
    assert "*******0004" in table
    (waiting,) = [
        one
        for one in staff.read("ops", "dead-letters", "list", "--verdict", "SEND_AGAIN")
        if one["gateway_serial"] == serials["waiting"]
    ]
    assert (waiting["next_step"], waiting["order_state"]) == ("sent by itself, until", "READY")
    assert waiting["actions"]["replay.run"]["may"]
    whole = staff.read("ops", "dead-letters", "show", waiting["letter_id"])
    assert whole["corrects"] is not None
    assert serials["waiting"] not in whole["body"]
    assert ACCOUNTS["waiting"] not in staff.told("ops", "dead-letters", "show", waiting["letter_id"])
    out = staff.stand.folder / "whole.json"
    staff.told("ops", "dead-letters", "show", waiting["letter_id"], "--out", str(out))
    assert serials["waiting"] in out.read_text()
    assert out.stat().st_mode & 0o077 == 0
    assert json.loads(out.with_name("whole.json.headers.json").read_text())["key"] == ACCOUNTS["waiting"]
    few = ["ops", "dead-letters", "list", "--limit", "1", "--json", "--config", str(staff.stand.config_file)]
    code, told, err = say(few)
    assert (code, len(json.loads(told)), "there are more" in err) == (0, 1, True)
    file, plan = staff.plan("of-one", "--account", ACCOUNTS["waiting"])
    assert plan["filter"] == {"account": "*******0004"}
    assert ACCOUNTS["waiting"] not in file.read_text()
    found = staff.read("ops", "search", waiting["letter_id"])
    assert [(one["what"], one["id"]) for one in found] == [("dead-letter", waiting["letter_id"])]
    held = staff.read("ops", "quarantine", "list")
    assert {one["verdict"] for one in held} == {"MALFORMED"}


def evidence(staff: Staff, serial: str) -> None:
    folder = staff.stand.folder / "evidence"
    staff.told("evidence", serial, "--out", str(folder))
    about = json.loads((folder / "payment.json").read_text())["replays"]
    assert [step["outcome"] for step in about["steps"]] == ["sent-again"]
    assert [one["state"] for one in about["plans"]] == ["DONE"]
    assert [one["kind"] for one in about["approvals"]] == ["replay.run"]


def test_a_release_a_loop_and_a_bill_query(ground: Ground) -> None:
    """The loop guard stops the fourth replay of a message in doubt; two people let it go on."""
    stand, staff = ground.stand, ground.staff
    stand.start()
    faults(
        stand,
        {"on": "topup/order", "kind": "cut-before"},
        {"on": "order/query", "kind": "cut-before", "times": None},
    )
    serial = pay(stand, "unpaid-unheard")["unpaid-unheard"]
    until(lambda: state_of(stand, serial) == "UNKNOWN", "in doubt")
    body = messages(stand)[serial]
    query = json.dumps(
        {
            "schema": "bianmin.bill-query.v1", "kind": "bill-query", "message_id": "m", "query_token": "t",
            "biller": "telecom", "expires_at": "2026-01-01T00:00:00Z", "traceparent": json.loads(body)["traceparent"],
        }
    ).encode()  # fmt: skip
    keep(stand, [letter(body, "a/1", "oversized"), letter(query, "a/2", "replayed")])
    (held,) = staff.read("ops", "quarantine", "list")
    assert "is OPEN" in staff.done(1, "ops", "quarantine", "release", held["letter_id"])
    assert {one["verdict"] for one in staff.read("ops", "dead-letters", "list")} == {"ASK_ONLY", "STALE"}
    for number in range(3):
        file, _ = staff.plan(f"round-{number}", "--letter", held["letter_id"])
        staff.approved(file)
        assert "1 asked" in staff.done(2, "ops", "replay", "run", str(file))
        time.sleep(0.2)
    (looped,) = staff.read("ops", "quarantine", "list")
    assert (looped["verdict"], looped["runs"]) == ("LOOPED", 3)
    file, plan = staff.plan("looped", "--letter", held["letter_id"])
    assert [total["verdict"] for total in plan["totals"]] == ["LOOPED"]
    deed = staff.done(1, "ops", "quarantine", "release", held["letter_id"]).split()[-1]
    assert staff.do(1, "ops", "approve", deed)[0] == 1
    staff.done(2, "ops", "approve", deed)
    assert staff.read("ops", "quarantine", "list") == []
    staff.done(1, "ops", "dead-letters", "close", held["letter_id"])
    settle(stand)
    stand.stop()
    stand.check()
    assert stand.their_book() == {}


def test_a_run_that_is_killed_goes_on_and_a_second_operator_takes_over(ground: Ground) -> None:
    """With the resolver at work, a late notice, kill -9 in the middle, and two people who run the same plan."""
    stand, staff = ground.stand, ground.staff
    stand.start()
    silent = {"on": "order/query", "kind": "cut-before", "times": None}
    faults(stand, {"on": "topup/order", "kind": "cut-before"}, silent)
    serials = pay(stand, "unpaid-unheard")
    until(lambda: state_of(stand, serials["unpaid-unheard"]) == "UNKNOWN", "in doubt")
    faults(stand, {"on": "topup/order", "kind": "paid-then-cut"}, silent)
    serials |= pay(stand, "paid-unheard")
    until(lambda: state_of(stand, serials["paid-unheard"]) != "SENT", "in doubt, or told by its notice")
    sent, parts = messages(stand), {"unpaid-unheard": 280, "paid-unheard": 20}
    keep(stand, [letter(sent[serials[name]], f"{name}/{n}") for name, count in parts.items() for n in range(count)])
    file, plan = staff.plan("many")
    assert plan["letters"] == 300
    staff.approved(file)
    first = staff.started(2, str(file))
    until(lambda: done(stand) >= 20, "it runs")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    killed_at = done(stand)
    assert 20 <= killed_at < 300
    first, second = staff.started(1, str(file)), staff.started(2, plan["plan_sha256"])
    told = [process.communicate(timeout=60) for process in (first, second)]
    assert sorted([first.returncode, second.returncode]) == [0, 1], told
    assert "another person runs it" in "".join(err for _, err in told)
    assert done(stand) == 300
    outcomes = dict(stand.sql("SELECT outcome, count(*) FROM replay_steps GROUP BY outcome"))
    assert set(outcomes) <= {"asked", "call-running", "skipped", "nothing"}
    assert outcomes["asked"] >= 280
    ((most,),) = stand.sql("SELECT max(runs) FROM dead_letters")
    assert most == 1
    ((twice,),) = stand.sql(
        "SELECT count(*) FROM (SELECT letter_id FROM replay_steps GROUP BY 1 HAVING count(*) > 1) t"
    )
    assert twice == 0
    settle(stand)
    stand.stop()
    stand.check()
    assert list(stand.their_book().values()) == [AMOUNT]


def settle(stand: Stand) -> None:
    """The partner answers again; whoever was asked about often would wait for long."""
    faults(stand)
    ends = time.monotonic() + 60
    while stand.undecided():
        assert time.monotonic() < ends
        rewrite(stand, "UPDATE orders SET ask_at = 1 WHERE state = 'UNKNOWN' AND in_flight = 0")
        time.sleep(2)


def done(stand: Stand) -> int:
    ((count,),) = stand.sql("SELECT count(*) FROM replay_steps WHERE outcome IS NOT NULL")
    return int(count)


def test_staff_whose_certificate_is_frozen_stop_a_plan(ground: Ground) -> None:
    stand, staff = ground.stand, ground.staff
    stand.start()
    faults(
        stand, {"on": "order/query", "kind": "cut-before", "times": None}, {"on": "topup/order", "kind": "cut-before"}
    )
    serial = pay(stand, "unpaid-unheard")["unpaid-unheard"]
    until(lambda: state_of(stand, serial) == "UNKNOWN", "in doubt")
    keep(stand, [letter(messages(stand)[serial], "a/1")])
    file, _ = staff.plan("frozen")
    staff.approved(file)
    keyids = {one["staff_id"]: one["keyid"] for one in staff.read("certs", "list") if one.get("staff_id")}
    ((approver,),) = stand.sql("SELECT decided_by FROM approvals WHERE kind = 'replay.run'")
    rewrite(stand, f"UPDATE certificates SET state = 'FROZEN' WHERE keyid = '{keyids[approver]}'")
    code, _, err = staff.do(1, "ops", "replay", "run", str(file))
    assert (code, "frozen, revoked or expired" in err) == (1, True), err
    assert done(stand) == 0
