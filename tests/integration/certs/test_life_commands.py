"""The life of a certificate as the clerk types it: two people, every step, a renewal, a loss, a closed station."""

import json
import sqlite3
import time
from pathlib import Path

import pytest

from certs.authority.files import write_key
from certs.authority.requests import build_csr
from certs.keys import load_certificates
from certs.pilot import make_key
from gateway.config import build_env, find_adapters, load_config
from gateway.ops.audit import audit_sqlite
from gateway.ops.enrol import operating_user
from tests.integration.certs.desk import Desk, say

CODE = "33078200017"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("bureau") / "site")


def new_key(folder: Path, name: str) -> Path:
    """A key of a shop in a file and its request, as files of terminal.toml's names."""
    folder.mkdir()
    key = make_key()
    (folder / "station-key.password").write_text(f"{name}-password\n")
    write_key(folder / "station.key.pem", key, f"{name}-password".encode())
    (folder / "request.pem").write_bytes(build_csr(key))
    return folder / "request.pem"


PLACE = ("--station", CODE, "--terminal", "T1", "--operator", "0001", "--key-serial", "UK-1")


def enrolled(desk: Desk, request: Path, *apply: str) -> str:
    """From the request to the active certificate; its keyid."""
    applied = desk.done(1, "certs", *(apply or ("apply", str(request), *PLACE)))
    request_id = applied.split()[1].rstrip(";")
    assert desk.do(1, "certs", "approve", request_id)[0] == 1
    desk.done(2, "certs", "approve", request_id)
    out = request.with_name("station.cert.pem")
    desk.done(1, "certs", "issue", request_id, "--out", str(out))
    keyid = load_certificates(out)[0].keyid
    desk.both("certs", "bind", keyid, *PLACE)
    desk.done(1, "certs", "activate", keyid)
    return keyid


def test_whole_life(desk: Desk, tmp_path: Path) -> None:
    first = next(one for one in desk.read("certs", "list") if one["role"] == "station")
    assert (first["institution_code"], first["state"]) == (CODE, "ACTIVE")

    desk.both("certs", "key", "receive", "UK-1")
    desk.both("certs", "key", "hand-out", "UK-1", "--station", CODE, "--holder", "张三")
    assert [(one["key_serial"], one["state"]) for one in desk.read("certs", "key", "list")] == [("UK-1", "ISSUED")]

    desk.done(2, "certs", "freeze", first["keyid"])
    old = enrolled(desk, new_key(tmp_path / "old", "old"))
    renewing = new_key(tmp_path / "new", "new")
    terminal = (desk.folder / "terminal.toml").read_text(encoding="utf-8")
    own = terminal.replace(f"stations/{CODE}/", f"{tmp_path}/old/")
    (desk.folder / "old.toml").write_text(own, encoding="utf-8")
    signature = str(tmp_path / "old.sig")
    code, out, err = say(["terminal", "renewal", str(renewing), signature, "--config", str(desk.folder / "old.toml")])
    assert (code, old in out) == (0, True), err
    new = enrolled(desk, renewing, "renew", old, str(renewing), "--old-signature", signature)
    assert [desk.state(keyid) for keyid in (first["keyid"], old, new)] == ["FROZEN", "ACTIVE", "ACTIVE"]
    desk.done(1, "certs", "replace", old, new)
    desk.done(1, "certs", "key", "lost", "UK-1")
    assert [desk.state(keyid) for keyid in (old, new)] == ["REPLACED", "FROZEN"]
    assert desk.do(1, "certs", "unfreeze", new)[0] == 1
    desk.done(1, "certs", "revoke", new, "--code", "keyCompromise")
    assert desk.state(new) == "REVOKED"

    desk.both("station", "close", CODE)
    assert desk.state(first["keyid"]) == "REVOKED"
    plans = desk.read("ops", "list", "--all")
    assert {one["state"] for one in plans} == {"DONE"}
    assert all(one["prepared_by"] != one["decided_by"] for one in plans)
    shown = desk.read("ops", "show", plans[0]["plan_sha256"])
    assert shown["plan"]["action"] == shown["kind"] == "key.receive"

    config = load_config(desk.folder / "bianmin.toml", find_adapters())
    report = audit_sqlite(desk.folder / "var" / "bianmin.db", build_env(config, find_adapters()))
    assert report.ok, report.text()


def test_staff_and_what_they_may(desk: Desk) -> None:
    people = desk.read("certs", "staff", "list")
    assert [(one["staff_id"], one["state"]) for one in people] == [("staff-1", "ACTIVE"), ("staff-2", "ACTIVE")]
    assert "certs.bind" in people[0]["approves"]
    desk.both("certs", "staff", "add", "s-3", "--name", "赵六", "--department", "计财部")
    assert {one["staff_id"]: one["may"] for one in desk.read("certs", "staff", "list")}["s-3"] == ["certs.freeze"]
    code, _, err = desk.do(1, "certs", "staff", "add", "s-4", "--name", "钱七", "--department", "无此部门")
    assert (code, "no such department" in err) == (1, True)


def test_operators_and_terminals_of_a_station(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.both("station", "operator", "add", CODE, "0002", "--name", "孙八")
    desk.both("station", "terminal", "add", CODE, "T2")
    shown = desk.read("station", "show", CODE)
    assert [(one["operator_id"], one["state"]) for one in shown["operators"]][1:] == [("0002", "ACTIVE")]
    assert [(one["terminal_id"], one["state"]) for one in shown["terminals"]] == [("T1", "ACTIVE"), ("T2", "ACTIVE")]
    desk.both("station", "operator", "close", CODE, "0002")
    desk.both("station", "terminal", "close", CODE, "T2")
    code, _, err = desk.do(1, "station", "terminal", "close", CODE, "T1")
    assert (code, "revoke it first" in err) == (1, True)
    assert "is SUSPENDED" in desk.done(2, "station", "suspend", CODE)
    assert desk.read("station", "show", CODE)["reason"] == "按规定办理（经办：staff-2）"


def test_who_typed_what_nobody_signed_and_who_signed_the_rest(tmp_path: Path) -> None:
    """`init` makes the first station unsigned; the staff stands on the root's word, a second station on that of two."""
    desk = Desk(tmp_path / "site")
    second = ("station", "add", "33078200018", "--name", "二站", "--operator-name", "李四")
    assert say([*second, "--config", desk.config])[0] == 2, "who acts?"
    desk.both(*second)
    with sqlite3.connect(desk.folder / "var" / "bianmin.db") as book:
        found = book.execute(
            "SELECT c.role, s.staff, s.reason FROM certificate_steps s JOIN certificates c ON c.keyid = s.subject"
            " WHERE c.role IN ('station', 'operator')"
        ).fetchall()
    book.close()
    assert len(found) == 4 * 5
    assert set(found) == {
        ("operator", "root", f"bianmin init, {operating_user()}"),
        ("station", "init", operating_user()),
        ("station", "staff-2", "按规定办理"),
    }
    assert operating_user().startswith("cli:")
    code, out, _ = say(["audit", "--config", desk.config])
    assert code == 0, out
    made = f"note: provisioned whole, with nobody's signature (JOIN-16): 1 by {operating_user()}"
    assert made in out.replace("2 by unknown, ", "").replace(", 2 by unknown", "")


def test_one_person_only_prepares_that_the_other_leaves(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    assert "another person approves it" in desk.done(1, "certs", "staff", "leave", "staff-2")
    assert {one["state"] for one in desk.read("certs", "staff", "list")} == {"ACTIVE"}


def test_who_acts_must_be_proven(desk: Desk, tmp_path: Path) -> None:
    keyid = desk.read("certs", "list")[0]["keyid"]
    freeze = ["certs", "freeze", keyid, "--reason", "x", "--config", desk.config]
    assert say(freeze)[0] == 2
    shop = desk.folder / "stations" / CODE
    station = ["--as", str(shop / "station.cert.pem"), "--key", str(shop / "station.key.pem")]
    code, _, err = say([*freeze, *station, "--password-file", str(shop / "station-key.password")])
    assert (code, "staff is needed" in err) == (1, True)
    other = Desk(tmp_path / "other")
    code, _, err = say([*freeze, *other.who(1)])
    assert (code, "certificate-unknown" in err) == (1, True)
    code, _, err = say([*freeze, *desk.who(1)[:-1], str(desk.folder / "secrets" / "staff-2-key.password")])
    assert (code, "not readable" in err) == (2, True)


def test_expiring(desk: Desk) -> None:
    code, out, _ = say(["certs", "expiring", "--config", desk.config])
    assert (code, out) == (0, "")
    with sqlite3.connect(desk.folder / "var" / "bianmin.db") as book:
        book.execute("DROP TRIGGER certificates_no_update")
        for days, staff_id in ((59, "staff-1"), (6, "staff-2")):
            ends = int(time.time() * 1000) + days * 86_400_000 + 60_000
            book.execute("UPDATE certificates SET not_after = ? WHERE staff_id = ?", (ends, staff_id))
    book.close()
    code, out, _ = say(["certs", "expiring", "--json", "--config", desk.config])
    assert code == 1
    assert [(one["staff_id"], one["within_days"], one["days_left"]) for one in json.loads(out)] == [
        ("staff-2", 7, 6),
        ("staff-1", 60, 59),
    ]


def test_issued_by_an_authority_and_registered_elsewhere(tmp_path: Path) -> None:
    """`--ca` signs with the folder's issuing key; what it made is registered here only under this installation's CA."""
    desk, stranger = Desk(tmp_path / "here"), Desk(tmp_path / "there")

    def approved(name: str) -> tuple[str, Path]:
        request = new_key(tmp_path / name, name)
        place = ("--station", CODE, "--terminal", "T1", "--operator", "0001", "--key-serial", f"PILOT-{name}")
        request_id = desk.done(1, "certs", "apply", str(request), *place).split()[1].rstrip(";")
        desk.done(2, "certs", "approve", request_id)
        return request_id, request.with_name("station.cert.pem")

    def authority(of: Desk) -> tuple[str, ...]:
        password = of.folder / "secrets" / "issuing-key.password"
        return ("--ca", str(of.folder / "keys"), "--issuing-password-file", str(password))

    request_id, out = approved("a")
    desk.done(1, "certs", "issue", request_id, *authority(desk), "--out", str(out))
    (leaf,) = load_certificates(out)
    assert desk.state(leaf.keyid) == "ISSUED"

    request_id, out = approved("b")
    code, _, err = desk.do(1, "certs", "issue", request_id, *authority(stranger), "--out", str(out))
    assert (code, out.exists(), "does not stand under" in err) == (1, False, True)
    code, _, err = desk.do(1, "certs", "issue", request_id, "--certificate", str(tmp_path / "a" / "station.cert.pem"))
    assert (code, "not what was approved" in err) == (1, True)
    desk.done(1, "certs", "issue", request_id, "--out", str(out))
    assert desk.do(1, "certs", "issue", request_id)[0] == 1


def test_what_is_no_state_and_no_day_is_wrong_use(tmp_path: Path) -> None:
    """Exit 2: an empty answer would read as "there is none"."""
    desk = Desk(tmp_path / "site")
    config = ["--config", desk.config]
    assert say(["certs", "list", "--state", "ACTIV", *config])[0] == 2
    assert {one["state"] for one in desk.read("certs", "list", "--state", "ACTIVE")} == {"ACTIVE"}
    assert desk.read("certs", "list", "--state", "FROZEN") == []
    for words in (
        ["audit", "verify", "--from", "2026-02-31"],
        ["evidence", "--day", "2026-02-31", "--out", str(tmp_path / "out")],
        ["evidence", "--day", "20260228", "--out", str(tmp_path / "out")],
    ):
        assert say([*words, *config])[0] == 2, words
    words = [
        "ops",
        "authorise",
        "issue",
        "--kind",
        "cancel",
        "--station",
        CODE,
        "--service",
        "telecom.bill",
        "--account",
        "1",
    ]
    code, _, err = desk.do(1, *words, "--amount", "1.00", "--date", "2026-02-31")
    assert (code, "a day is YYYY-MM-DD" in err) == (2, True), err


def test_init_says_what_the_roots_key_is_needed_for(tmp_path: Path) -> None:
    code, said, _ = say(["init", str(tmp_path / "site")])
    assert (code, "certs staff restore" in said, "不足两名" in said) == (0, True, True), said
