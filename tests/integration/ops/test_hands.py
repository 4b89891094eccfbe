"""What operations staff look at and do, by their commands, on both engines (M5, M12, ROLE-05, ROLE-06, PAY-03)."""

import asyncio
import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from gateway.core import items, rows
from gateway.core.attachments import KeepAttachment
from gateway.core.env import rfc3339
from gateway.ops.audit.deeds import Done
from gateway.ops.audit.handed import judge_limits, judge_state
from gateway.ops.looking import fields, read
from gateway.store.port import Snapshot
from gateway.store.sqlite.readers import take_snapshot
from tests.integration.certs.desk import say
from tests.integration.ops.hands import ACCOUNT, CODE, Site
from tests.stand.house import House
from tests.stand.signed_house import SignedHouse, verify
from tests.unit.core.test_archive import house as archivable
from tests.unit.core.test_archive import run as run_archive

__all__ = ["archivable"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    dsn = request.getfixturevalue("postgres_dsn") if request.param == "postgresql" else None
    return Site(tmp_path / "site", dsn)


def text(site: Site, *words: str) -> str:
    code, out, err = say([*words, "--config", site.config])
    assert code == 0, (words, err)
    assert max((_width(line) for line in out.splitlines()), default=0) <= 100, out
    return out


def _width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def look_at_what_is_approved(site: Site, folder: Path, serial: str, digest: str, *attach: str) -> None:
    """The second person sees the payment and has the very files, before he signs."""
    code, out, err = site.do(1, "ops", "rule", serial, "--not-paid", *attach)
    assert code == 0, err
    plan = out.split()[-1]
    files = folder / "files"
    code, out, _ = say(["ops", "show", plan, "--attachments", str(files), "--config", site.config])
    assert code == 0
    assert serial in out
    assert "30h" in out.replace("1d 6h", "30h"), "how long it has been in doubt"
    assert f"file: letter.pdf, 20 bytes, SHA-256 {digest}" in out
    assert ACCOUNT not in out
    assert [one.read_bytes() for one in files.iterdir()] == [b"%PDF from the biller"]
    assert site.do(2, "ops", "reject", plan)[0] == 0


def test_a_doubt_is_looked_at_ruled_by_two_contradicted_and_ruled_again(site: Site, tmp_path: Path) -> None:
    young, old = site.in_doubt(biller_account="13805790001"), site.in_doubt(hours=30)
    serial = old.gateway_serial
    doubts = msgspec.convert(site.read("ops", "in-doubt", "list"), list[fields.Doubt])
    assert "two people may rule" in text(site, "ops", "in-doubt", "list")
    assert [one.gateway_serial for one in doubts] == [serial, young.gateway_serial], "the oldest first"
    assert (doubts[0].may_rule_now, doubts[1].may_rule_now) == (True, False)
    assert (doubts[0].biller_account, doubts[0].next_step.what) == ("*******1357", "ask")
    assert "电子商务中心" in doubts[0].rulers.may
    assert "计财部" in doubts[0].rulers.approve
    listed = text(site, "ops", "in-doubt", "list")
    assert "RULE" in listed
    assert ACCOUNT not in listed
    assert "two people may rule now" in text(site, "ops", "in-doubt", "show", serial)

    letter = tmp_path / "letter.pdf"
    letter.write_bytes(b"%PDF from the biller")
    attach = ("--attach", str(letter))
    assert site.do(1, "ops", "rule", serial, "--paid")[0] == 2, "a ruling leans on something"
    code, _, err = site.do(1, "ops", "rule", young.gateway_serial, "--paid", *attach)
    assert (code, "in doubt for" in err.lower()) == (1, True), err
    assert site.do(1, "ops", "rule", serial, *attach)[0] == 2, "paid or not?"
    assert site.do(1, "ops", "rule", serial, "--not-paid", "--paid-fen", "1", *attach)[0] == 2
    digest = hashlib.sha256(letter.read_bytes()).hexdigest()
    look_at_what_is_approved(site, tmp_path, serial, digest, *attach)
    site.both("ops", "rule", serial, "--not-paid", *attach)
    assert site.payment(old).state == "FAILED"
    assert site.sql("SELECT sha256, name FROM attachments") == [(digest, "letter.pdf")]
    assert text(site, "ops", "breaks", "list") == "no break is open\n"

    order = site.order(old)
    site.run(site.make.evidence(order, "Paid", source="file", paid_fen=10_000, biller_serial="B-77"))
    assert site.payment(old).state == "FAILED", "nothing overwrites a ruling"
    (broken,) = msgspec.convert(site.read("ops", "breaks", "list"), list[fields.Broken])
    assert (broken.code, broken.gateway_serial, broken.by_ruling) == ("RULING_CONTRADICTED", serial, True)
    assert f"bianmin ops rule {serial}" in text(site, "ops", "breaks", "show", broken.break_id)
    (alarm,) = [
        one
        for one in msgspec.convert(site.read("ops", "alarms", "list"), list[fields.Raised])
        if one.kind == "ruling.contradicted"
    ]
    assert "ruling.contradicted" in text(site, "ops", "alarms", "list")
    site.done(1, "ops", "alarms", "seen", alarm.alarm_id)
    assert site.do(1, "ops", "alarms", "seen", alarm.alarm_id)[0] == 1
    site.both("ops", "rule", serial, "--paid", "--biller-serial", "B-77", *attach)
    assert site.done(2, "ops", "alarms", "seen", "failed.was.paid") == "alarm failed.was.paid: 1 SEEN\n"
    assert site.do(2, "ops", "alarms", "seen", "failed.was.paid")[0] == 1
    assert text(site, "ops", "alarms", "list") == "no alarm is unseen\n"
    assert site.payment(old).state == "SUCCESS"
    (closed,) = msgspec.convert(site.read("ops", "breaks", "list", "--all"), list[fields.Broken])
    assert closed.state == "CLOSED"
    report = site.read("audit")
    assert report["ok"], [one for one in report["checks"] if not one["ok"]]

    folder = tmp_path / "evidence"
    assert say(["evidence", serial, "--out", str(folder), "--config", site.config])[0] == 0
    assert (folder / "attachments" / digest).read_bytes() == letter.read_bytes()
    about = json.loads((folder / "payment.json").read_text())
    assert [(one["state"], one["fields"]["verdict"]) for one in about["rulings"]] == [
        ("REJECTED", "not-paid"), ("DONE", "not-paid"), ("DONE", "paid"),
    ]  # fmt: skip
    kinds = [file.read_text() for file in folder.glob("records/*/kind")]
    assert kinds.count("deed") == 6, "both people's signatures, on what was rejected too"


def test_the_evidence_of_a_ruling_proves_both_people_to_a_stranger(tmp_path: Path) -> None:
    signed = SignedHouse(tmp_path)
    house, bureau = signed.house, signed.bureau
    payment = signed.pay(10001)
    house.advance(1)
    house.ask(house.evidence(house.order_of(payment), "Undone", source="file"), items.Judged)
    body = b"a letter"
    house.ask(KeepAttachment(name="letter", body=body), items.Kept)
    digest = hashlib.sha256(body).hexdigest()
    fields = {"verdict": "not-paid", "state": "SUCCESS", "attachments": f"{digest}:{len(body)}"}
    plan = signed.do(bureau.clerk, "payment.rule", payment.gateway_serial, **fields)
    signed.do(bureau.chief, "ops.approve", str(plan.waits))
    signed.close_day()
    signed.write(payment, tmp_path / "evidence")
    code, said = verify(tmp_path / "evidence")
    assert code == 0, said
    (tmp_path / "evidence" / "attachments" / digest).write_bytes(b"another letter")
    assert verify(tmp_path / "evidence")[0] == 1
    house.close()


def test_a_ruling_that_was_tampered_with_fails_the_audit(site: Site) -> None:
    old = site.in_doubt(hours=30)
    site.both("ops", "rule", old.gateway_serial, "--paid", "--attach", __file__)
    site.sql(
        "UPDATE approvals SET decided_by = prepared_by, state = 'REJECTED' WHERE kind = 'payment.rule' RETURNING 1"
    )
    found = {one["name"]: one["violations"] for one in site.read("audit")["checks"]}
    assert any("no approved plan says so" in one["detail"] for one in found["rulings"])


def test_search_finds_by_whatever_is_in_somebodys_hands(site: Site) -> None:
    one = site.pay(terminal_trace="000777")
    paid = site.answer(one, "Paid", paid_fen=10_000, biller_serial="BILLER-9")
    site.pay(biller_account="13805790002")
    order = site.order(one)
    for wanted, matched in (
        (one.gateway_serial, "gateway_serial"),
        (order.partner_serial, "order"),
        ("BILLER-9", "biller_serial"),
        (ACCOUNT, "biller_account"),
        ("000777", "terminal_trace"),
        (one.trace_id, "trace_id"),
        (one.idempotency_key, "idempotency_key"),
    ):
        found = msgspec.convert(site.read("ops", "search", wanted), list[fields.Found])
        assert [each.gateway_serial for each in found] == [one.gateway_serial], wanted
        assert matched in found[0].matched
        assert (found[0].archived, found[0].state) == (False, paid.state)
    assert len(site.read("ops", "search", CODE)) == 2
    assert ACCOUNT not in text(site, "ops", "search", one.gateway_serial)
    assert text(site, "ops", "search", "nobody") == "nothing was found within 92 days\n"
    assert say(["ops", "search", " ", "--config", site.config])[0] == 2


def test_search_finds_breaks_and_alarms_by_their_ids(site: Site) -> None:
    one = site.pay()
    site.answer(one, "Paid", paid_fen=9_999)
    opened = site.read("ops", "breaks", "list")
    raised = site.read("ops", "alarms", "list")
    assert opened or raised
    for what, name in [("break", b["break_id"]) for b in opened] + [("alarm", a["alarm_id"]) for a in raised]:
        (found,) = msgspec.convert(site.read("ops", "search", name), list[fields.Named])
        assert (found.what, found.id, found.state) == (what, name, "OPEN")
        assert f"{what} {name} is OPEN" in text(site, "ops", "search", name)


def test_search_finds_what_has_moved_to_the_archive(archivable: House) -> None:
    """Found by its account after the month has left the book, and said to be archived."""
    house = archivable
    kept = {row.gateway_serial: row for row in house.rows_of(rows.Payment)}
    run_archive(house)
    gone = sorted(set(kept) - {row.gateway_serial for row in house.rows_of(rows.Payment)})

    async def look(snapshot: Snapshot) -> list[fields.Found]:
        return [one for serial in gone for one in await read.search(snapshot, kept[serial].biller_account, "20261101")]

    found = asyncio.run(take_snapshot(house.path, look))
    assert [(one.gateway_serial, one.archived) for one in found] == [(serial, True) for serial in gone]
    assert len(gone) == 6


def test_paused_limited_and_drained_by_signed_deeds(site: Site) -> None:
    assert (
        site.done(1, "ops", "biller", "pause", "telecom", "--shop-text", "运营商检修") == "biller telecom is PAUSED\n"
    )
    refused = site.accept()
    assert isinstance(refused, items.Refusal)
    assert (refused.slug, refused.shop_text) == ("biller-closed", "运营商检修")
    (row,) = [one for one in site.read("ops", "biller", "list") if one["biller"] == "telecom"]
    assert (row["state"], row["changed_by"], row["reason"]) == ("PAUSED", "staff-1", "按规定办理")
    assert "PAUSED" in text(site, "ops", "biller", "list")
    assert site.do(1, "ops", "biller", "pause", "telecom", "--shop-text", "运营商检修")[0] == 1, "the same again"
    site.done(2, "ops", "biller", "pause", "telecom", "--shop-text", "延长检修")
    assert site.accept().shop_text == "延长检修"
    assert site.do(1, "ops", "biller", "pause", "telecom", "--reopens", "noon")[0] == 2
    site.done(2, "ops", "biller", "resume", "telecom")
    payment = site.pay()
    assert "3 at once" in site.done(1, "ops", "biller", "limits", "telecom", "--concurrency", "3", "--rate", "20")
    (row,) = [one for one in site.read("ops", "biller", "list") if one["biller"] == "telecom"]
    assert (row["concurrency"], row["rate_per_s"]) == (3, 20)
    assert site.do(1, "ops", "biller", "limits", "telecom", "--concurrency", "999999")[0] == 1
    said = (row["changed_by"], row["state"], row["limits_by"], row["limits_reason"])
    assert said == ("staff-2", "OPEN", "staff-1", "按规定办理"), "each by whoever set it"
    assert "staff-1: " in text(site, "ops", "biller", "list")
    assert site.read("audit")["ok"]
    site.done(1, "ops", "biller", "limits", "telecom")
    (row,) = [one for one in site.read("ops", "biller", "list") if one["biller"] == "telecom"]
    assert row["concurrency"] == row["concurrency_max"]

    assert site.read("ops", "drain", "status")["state"] == "OPEN"
    site.done(1, "ops", "drain", "begin")
    assert site.accept().slug == "biller-closed"
    status = site.read("ops", "drain", "status")
    assert (status["state"], status["in_flight"], status["unpublished"]) == ("DRAINING", 0, 1)
    site.sql("UPDATE outbox SET published_at = 1 WHERE published_at IS NULL RETURNING 1")
    status = site.read("ops", "drain", "status")
    assert (status["unpublished"], status["waiting"], status["empty"]) == (0, 1, False), "an order may still be sent"
    assert status["waiting_until"] == rfc3339(payment.send_before)
    assert "empty:" in text(site, "ops", "drain", "status")
    assert [(one["state"], one["number"], one["fen"]) for one in status["open"]] == [("RESERVED", 1, 10_000)]
    site.answer(payment, "Paid", paid_fen=10_000, biller_serial="B-1")
    assert "no payment is open" in text(site, "ops", "drain", "status")
    site.sql("UPDATE outbox SET published_at = 1 WHERE published_at IS NULL RETURNING 1")
    status = site.read("ops", "drain", "status")
    assert (status["waiting"], status["waiting_until"], status["empty"]) == (0, None, True)
    site.done(2, "ops", "drain", "end")
    site.pay(biller_account="13805790002")
    assert site.read("audit")["ok"]


def test_authorised_over_limit_once(site: Site) -> None:
    site.sql("UPDATE tariffs SET max_fen = 5000 RETURNING 1")
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date().isoformat()
    assert site.accept().slug == "amount-out-of-range"
    words = ("ops", "authorise", "issue", "--kind", "over-limit", "--station", CODE, "--service", "mobile.topup")
    site.done(1, *words, "--account", ACCOUNT, "--amount", "100", "--date", today)
    listed = text(site, "ops", "authorise", "list")
    assert "over-limit" in listed
    assert ACCOUNT not in listed
    (given,) = site.read("ops", "authorise", "list")
    payment = site.pay()
    assert site.read("ops", "authorise", "list") == []
    (used,) = site.read("ops", "authorise", "list", "--all")
    assert (used["state"], used["used_by"]) == ("USED", payment.gateway_serial)
    assert site.do(1, "ops", "authorise", "revoke", given["authorization_id"])[0] == 1
    assert site.do(1, *words, "--account", ACCOUNT, "--amount", "x", "--date", today)[0] == 2


INSERTED = (
    "INSERT INTO authorizations (authorization_id, kind, institution_code, service, biller_account, amount_fen,"
    f" valid_on, issued_by, issued_at, reason, record_id) VALUES ('A', 'cancel', '{CODE}', 'mobile.topup',"
    " '1', 1, '2026-11-24', 'staff-1', 1, 'r', 'no-record') RETURNING 1"
)


@pytest.mark.parametrize(
    ("change", "told_so"),
    [
        ("UPDATE biller_controls SET concurrency = 50 RETURNING 1", "held at 50"),
        ("UPDATE biller_controls SET limits_by = 'staff-2' RETURNING 1", "not what staff-1 signed"),
        ("UPDATE biller_controls SET changed_by = 'staff-1' RETURNING 1", "not what staff-2 signed"),
        ("UPDATE biller_controls SET state = 'PAUSED' RETURNING 1", "signed biller.resume"),
        ("UPDATE biller_controls SET shop_text = 'x' RETURNING 1", "another text"),
        ("UPDATE biller_controls SET record_id = limits_record_id RETURNING 1", "state: it is not what staff-1"),
        ("UPDATE biller_controls SET shop_text = 'x', record_id = NULL RETURNING 1", "nobody signed"),
        (
            INSERTED,
            "its record is gone",
        ),
        ("UPDATE authorizations SET revoked_by = 'staff-2', revoked_at = 1 RETURNING 1", "never signed that"),
    ],
)
def test_what_nobody_signed_fails_the_audit(site: Site, change: str, told_so: str) -> None:
    site.done(1, "ops", "biller", "pause", "telecom")
    site.done(2, "ops", "biller", "resume", "telecom")
    site.done(1, "ops", "biller", "limits", "telecom", "--concurrency", "3", "--rate", "20")
    words = ("ops", "authorise", "issue", "--kind", "cancel", "--station", CODE, "--service", "mobile.topup")
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date().isoformat()
    site.done(1, *words, "--account", ACCOUNT, "--amount", "100", "--date", today)
    assert site.read("audit")["ok"]
    site.sql(change)
    found = {one["name"]: one["violations"] for one in site.read("audit")["checks"]}
    assert any(told_so in one["detail"] for one in found["hands"]), found["hands"]


@pytest.mark.parametrize("later", ["biller.pause", "biller.resume"])
def test_a_control_rolled_back_to_an_older_deed_fails_the_audit(later: str) -> None:
    state = {"biller.pause": "PAUSED", "biller.resume": "OPEN"}
    older = next(action for action in state if action != later)
    row = rows.BillerControl(biller="acme", state=state[older], changed_by="s-1", changed_at=1, record_id="r1")
    first = Done(who="s-1", action=older, subject="acme", state=state[older], at=1)
    after = Done(who="s-2", action=later, subject="acme", state=state[later], at=60_000)
    limits = Done(who="s-2", action="biller.limits", subject="acme", state="3 at once", at=90_000)
    assert list(judge_state(row, {"r1": first})) == []
    assert list(judge_state(row, {"r1": first, "r3": limits})) == [], "limits are another thing"
    refused = Done(who="s-2", action=later, subject="acme", state="", at=60_000)
    assert list(judge_state(row, {"r1": first, "r2": refused})) == []
    (found,) = judge_state(row, {"r1": first, "r2": after})
    assert "signed" in found
    (found,) = judge_limits(row, {"r1": first, "r3": limits})
    assert "biller.limits later" in found


def test_nobody_is_told_to_rule_where_nobody_may(site: Site) -> None:
    site.in_doubt()
    listed = text(site, "ops", "in-doubt", "list")
    assert "two people may rule" not in listed
    assert "ops in-doubt show" in listed


def test_a_refusal_names_the_field(site: Site) -> None:
    code, _, err = site.do(1, "ops", "biller", "limits", "telecom", "--concurrency", "999999")
    assert (code, "field concurrency" in err) == (1, True), err


def test_a_plans_moments_are_by_the_bureaus_clock(site: Site, tmp_path: Path) -> None:
    old = site.in_doubt(hours=30)
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(b"%PDF")
    site.done(1, "ops", "rule", old.gateway_serial, "--paid", "--attach", str(letter))
    (plan,) = site.read("ops", "list")
    code, out, err = say(["ops", "show", plan["plan_sha256"], "--config", site.config])
    assert code == 0, err
    at = datetime.fromisoformat(plan["prepared_at"]).astimezone(ZoneInfo("Asia/Shanghai"))
    assert f"prepared_at: {at:%Y-%m-%d %H:%M}\n" in out


def test_station_is_the_same_under_ops(site: Site) -> None:
    assert site.done(1, "ops", "station", "suspend", CODE) == f"station {CODE} is SUSPENDED\n"
    assert site.done(2, "ops", "station", "resume", CODE) == f"station {CODE} is ACTIVE\n"


@pytest.mark.parametrize("kind", [fields.Doubt, fields.Broken, fields.Raised, fields.Found])
def test_the_fields_of_json_are_those_that_are_written_down(kind: Any) -> None:
    """A change here is a change of what scripts lean on: add, never rename."""
    wanted = {
        fields.Doubt: "gateway_serial state kind institution_code service biller biller_account amount_fen fee_fen"
        " account_date since age_s rung asks next_step reverse_at rule_from may_rule_now plan rulers",
        fields.Broken: "break_id code state biller gateway_serial payment_state amount_fen opened_at age_s detail"
        " evidence_id ruling closed_at resolution by_ruling owners",
        fields.Raised: "alarm_id kind biller gateway_serial detail raised_at age_s seen_at",
        fields.Found: "gateway_serial state kind institution_code terminal_id operator_id terminal_trace service biller"
        " biller_account biller_serial amount_fen account_date accepted_at trace_id archived matched",
    }[kind]
    assert list(kind.__struct_fields__) == wanted.split()
