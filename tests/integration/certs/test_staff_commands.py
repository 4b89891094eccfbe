"""CERT-03, M12: a person's certificate is renewed, and a bureau that locked itself out comes back by its root's key."""

import sqlite3
from pathlib import Path

import pytest

from certs.authority.files import write_key
from certs.authority.requests import build_csr
from certs.keys import load_certificates
from certs.pilot import make_key
from tests.integration.certs.desk import Desk, say


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "site")


def new_key(folder: Path, name: str) -> Path:
    """A key of a person in a file, and its request."""
    key = make_key()
    (folder / f"{name}.password").write_text(f"{name}-password\n")
    write_key(folder / f"{name}.key.pem", key, f"{name}-password".encode())
    (folder / f"{name}.csr.pem").write_bytes(build_csr(key))
    return folder / f"{name}.csr.pem"


def signs(folder: Path, name: str, certificate: Path) -> list[str]:
    key = ["--key", str(folder / f"{name}.key.pem"), "--password-file", str(folder / f"{name}.password")]
    return ["--as", str(certificate), *key]


def restoring(desk: Desk, out: Path, *people: tuple[str, str, Path]) -> list[str]:
    secrets, folder = desk.folder / "secrets", desk.folder / "keys"
    words = ["certs", "staff", "restore", "--ca", str(folder), "--out", str(out), "--reason", "两人U盾遗失"]
    words += ["--root-password-file", str(secrets / "root-key.password")]
    words += ["--issuing-password-file", str(secrets / "issuing-key.password"), "--config", desk.config]
    for staff_id, name, csr in people:
        words += ["--person", staff_id, name, "电子商务中心", str(csr)]
    return words


def test_a_bureau_locked_out_comes_back(desk: Desk, tmp_path: Path) -> None:
    """`certs freeze` of a lost key is never held up, `staff restore` is refused as long as two people can approve."""
    one, two, out = new_key(tmp_path, "one"), new_key(tmp_path, "two"), tmp_path / "out"
    people = ("zhou", "周八", one), ("staff-2", "王五", two)
    code, _, err = say(restoring(desk, out, *people))
    assert (code, "can approve" in err, out.exists()) == (1, True, False), err
    for number in (2, 1):
        frozen = next(o["keyid"] for o in desk.read("certs", "list") if o["staff_id"] == f"staff-{number}")
        assert "FROZEN" in desk.done(1, "certs", "freeze", frozen)
    assert desk.do(2, "certs", "staff", "add", "x", "--name", "x", "--department", "计财部")[0] == 1

    assert say(restoring(desk, out, *people, people[0]))[0] == 2, "two at most"
    code, said, err = say(restoring(desk, out, *people))
    assert (code, "alarm staff.restored" in said) == (0, True), err
    assert {one.name for one in out.iterdir()} == {"zhou.cert.pem", "staff-2.cert.pem"}

    config = ["--reason", "补办", "--config", desk.config]
    first = signs(tmp_path, "one", out / "zhou.cert.pem")
    second = signs(tmp_path, "two", out / "staff-2.cert.pem")
    words = ["certs", "staff", "add", "wu", "--name", "吴九", "--department", "计财部"]
    code, said, err = say([*words, *first, *config])
    assert code == 0, err
    code, said, err = say(["ops", "approve", said.split()[-1], *second, *config])
    assert (code, "is DONE" in said) == (0, True), err
    assert {one["staff_id"] for one in desk.read("certs", "staff", "list")} == {"staff-1", "staff-2", "zhou", "wu"}
    code, said, _ = say(["audit", "--config", desk.config])
    assert code == 0, said
    with sqlite3.connect(desk.folder / "var" / "bianmin.db") as book:
        assert book.execute("SELECT count(*) FROM alarms WHERE kind = 'staff.restored'").fetchone() == (1,)
    book.close()
    assert say(restoring(desk, tmp_path / "again", people[0]))[0] == 1


def test_both_keys_are_lost_and_nobody_can_freeze_them(desk: Desk, tmp_path: Path) -> None:
    """M12: whoever lost his key cannot freeze it; the root's key does, and the bureau stands again in one commit."""
    one, two, out = new_key(tmp_path, "one"), new_key(tmp_path, "two"), tmp_path / "out"
    words = restoring(desk, out, ("zhou", "周八", one), ("staff-2", "王五", two))
    (keyid,) = (o["keyid"] for o in desk.read("certs", "list") if o["staff_id"] == "staff-2")
    code, _, err = say([*words, "--lost", "staff-9"])
    assert (code, "staff-9" in err, out.exists()) == (1, True, False), err
    code, said, err = say([*words, "--lost", "staff-1", "--lost", keyid])
    assert (code, "staff-1 is lost: frozen" in said) == (0, True), err
    held = {(o["staff_id"], o["state"]) for o in desk.read("certs", "list", "--state", "FROZEN")}
    assert held == {("staff-1", "FROZEN"), ("staff-2", "FROZEN")}
    assert desk.do(1, "certs", "staff", "leave", "zhou")[0] == 1, "a thief's word"
    code, said, _ = say(["audit", "--config", desk.config])
    assert (code, f"froze as lost staff-1, {keyid}" in said) == (0, True), said


def test_a_file_that_is_no_request(desk: Desk, tmp_path: Path) -> None:
    """Told with file and person, and nothing was made."""
    wrong, broken, out = tmp_path / "wrong.pem", tmp_path / "broken.der", tmp_path / "out"
    wrong.write_bytes((desk.folder / "keys" / "staff-1.cert.pem").read_bytes())
    broken.write_bytes(b"0\x82")
    for file in (wrong, broken):
        code, _, err = say(restoring(desk, out, ("zhou", "周八", file)))
        assert (code, "zhou: " in err, str(file) in err, "Traceback" in err, out.exists()) == (
            1, True, True, False, False,
        ), err  # fmt: skip
        words = ["certs", "staff", "renewal", str(file), str(out), "--config", desk.config]
        code, _, err = say([*words, *desk.who(2)])
        assert (code, str(file) in err, out.exists()) == (1, True, False), err
        code, _, err = desk.do(1, "certs", "apply", str(file), "--staff", "staff-1")
        assert (code, str(file) in err) == (1, True), err


def test_another_installations_root_brings_nobody_in(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other")
    person = ("zhou", "周八", new_key(tmp_path, "one"))
    words = restoring(other, tmp_path / "out", person)
    words[words.index("--config") + 1] = desk.config
    code, _, err = say(words)
    assert (code, "is not this installation's" in err, (tmp_path / "out").exists()) == (1, True, False)


def test_a_person_renews_and_both_work_until_the_old_is_replaced(desk: Desk, tmp_path: Path) -> None:
    csr, signature, made = new_key(tmp_path, "new"), tmp_path / "old.sig", tmp_path / "new.cert.pem"
    (old,) = load_certificates(desk.folder / "keys" / "staff-2.cert.pem")
    words = ["certs", "staff", "renewal", str(csr), str(signature), "--config", desk.config]
    code, said, err = say([*words, *desk.who(2)])
    assert (code, old.keyid in said) == (0, True), err
    assert say([*words, *desk.who(2)])[0] == 2, "nothing is overwritten"
    renew = ("certs", "renew", old.keyid, str(csr), "--old-signature", str(signature))
    request_id = desk.done(1, *renew).split()[1].rstrip(";")
    desk.done(2, "certs", "approve", request_id)
    desk.done(1, "certs", "issue", request_id, "--out", str(made))
    new = load_certificates(made)[0].keyid
    desk.both("certs", "bind", new, "--staff", "staff-2")
    desk.done(1, "certs", "activate", new)
    assert [desk.state(old.keyid), desk.state(new)] == ["ACTIVE", "ACTIVE"]
    fresh = [*signs(tmp_path, "new", made), "--reason", "x", "--config", desk.config]
    assert say(["certs", "replace", old.keyid, new, *fresh])[0] == 0
    code, _, err = desk.do(2, "certs", "freeze", new)
    assert (code, "replaced" in err) == (1, True)
    code, said, _ = say(["audit", "--config", desk.config])
    assert code == 0, said


def test_where_there_is_no_issuing_key_a_station_comes_without_a_certificate(desk: Desk, tmp_path: Path) -> None:
    """JOIN-16: only a pilot has key files; elsewhere the station is there first, then its USB key and certificate."""
    text = (desk.folder / "bianmin.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(("issuing_key_file", "issuing_key_password"))]
    (desk.folder / "bianmin.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ("station", "add", "33078200018", "--name", "二站", "--operator-name", "李四")
    assert desk.do(1, *words, "--out", str(tmp_path / "out"))[0] == 2
    desk.both(*words)
    shown = desk.read("station", "show", "33078200018")
    assert (shown["state"], shown["certificates"]) == ("ACTIVE", [])
    assert not (desk.folder / "stations" / "33078200018").exists()
    desk.both("certs", "key", "receive", "UK-1")
    desk.both("certs", "key", "hand-out", "UK-1", "--station", "33078200018", "--holder", "李四")
