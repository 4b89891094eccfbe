"""Evidence of a whole day, of the moment of each signature, and against whoever edits the folder."""

import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.core.revocation_lists import read_crl
from gateway.core import rows
from gateway.ops.shared import NotSo
from tests.stand.house import NOON
from tests.stand.signed_house import SignedHouse, leaf_text, resum, verify

DAY = "2026-11-24"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedHouse]:
    """A day with three payments, a list of what is revoked, and deeds of the staff."""
    made = SignedHouse(tmp_path_factory.mktemp("signed"))
    made.publish(1)
    for number in range(10_001, 10_004):
        made.pay(number)
    made.do(made.bureau.clerk, "certs.freeze", made.bureau.chief.keyid)
    made.close_day()
    yield made
    made.house.close()


@pytest.fixture(scope="module")
def day(signed: SignedHouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day") / "evidence"
    signed.write_day(DAY, folder)
    return folder


@pytest.fixture(scope="module")
def payment(signed: SignedHouse, day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One payment of that day."""
    folder = tmp_path_factory.mktemp("payment") / "evidence"
    (found, *_) = signed.house.rows_of(rows.Payment)
    signed.write(found, folder)
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to / "copy")
    return to / "copy"


def records_of(folder: Path, kind: str) -> list[Path]:
    return sorted(one for one in (folder / "records").iterdir() if (one / "kind").read_text() == kind)


def lines_of(said: str, kind: str) -> list[str]:
    return [line for line in said.splitlines() if f" {kind} " in line]


def test_every_record_of_the_day(signed: SignedHouse, day: Path) -> None:
    code, said = verify(day)
    assert code == 0, said
    ((count,),) = signed.house.sql("SELECT count FROM seals WHERE day = ?", DAY)
    assert said.splitlines()[-1].startswith("OK ")
    assert f" whole day {DAY}, {count} records: all are under a signed day, 5 signed" in said.splitlines()[-1]
    assert len(list((day / "records").iterdir())) == count == 8
    assert [line.split("[")[1] for line in lines_of(said, "request")] == ["key: ACTIVE, list 1]"] * 3
    assert ["signed by the staff" in line for line in lines_of(said, "deed")] == [True]
    assert json.loads((day / "day.json").read_text())["count"] == count
    assert {path.name for path in (day / "crls").iterdir()} == {
        f"{signed.issuings[0].certificate.keyid}-{number}.pem" for number in (1, 2)
    }


def test_a_day_that_is_not_closed(signed: SignedHouse, tmp_path: Path) -> None:
    for name in ("2026-11-25", "2020-01-01"):
        with pytest.raises(NotSo, match="no closed day"):
            signed.write_day(name, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_record_taken_away(day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    shutil.rmtree(records_of(folder, "reply")[0])
    resum(folder)
    code, said = verify(folder)
    assert (code, "contents says 8 records, 7 are here" in said) == (1, True), said


def test_a_record_shown_twice(day: Path, tmp_path: Path) -> None:
    """Under another name, in the place of one that is gone: a record bears its name inside."""
    folder = copy_of(day, tmp_path)
    first, second = records_of(folder, "reply")[:2]
    shutil.rmtree(second)
    shutil.copytree(first, second)
    resum(folder)
    assert verify(folder)[0] == 1


@pytest.mark.parametrize("instead", [False, True])
def test_a_record_put_in(instead: bool, day: Path, tmp_path: Path) -> None:
    """Beside the others, or in the place of one that is gone."""
    folder = copy_of(day, tmp_path)
    first = records_of(folder, "reply")[0]
    extra = first.with_name("20261124ZZZZZZZZZZZZZZZZ")
    shutil.copytree(first, extra)
    (extra / "record_id").write_text(extra.name)
    (extra / "body").write_text("<paid again/>")
    (extra / "leaf").write_text(leaf_text(extra))
    if instead:
        shutil.rmtree(first)
    else:
        (folder / "contents").write_text(f"whole day {DAY}\nrecords 9\n")
    resum(folder)
    code, said = verify(folder)
    wanted = "do not lead to the root" if instead else "its statement says 8"
    assert (code, wanted in said) == (1, True), said


def test_two_records_that_changed_places(day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    first, second = records_of(folder, "reply")[:2]
    one, other = (first / "index").read_bytes(), (second / "index").read_bytes()
    (first / "index").write_bytes(other)
    (second / "index").write_bytes(one)
    resum(folder)
    code, said = verify(folder)
    assert (code, "do not lead to the root" in said) == (1, True), said


@pytest.mark.parametrize("what", ["whole day 2026-11-24\nrecords 3\n", "whole day 2026-11-24\nrecords 8\n", None])
def test_a_day_said_to_be_smaller(what: str | None, day: Path, tmp_path: Path) -> None:
    """Three of its seven, with sums of their own: said to be all, said to be seven, nothing said."""
    folder = copy_of(day, tmp_path)
    for record in sorted((folder / "records").iterdir())[3:]:
        shutil.rmtree(record)
    (folder / "contents").unlink() if what is None else (folder / "contents").write_text(what)
    resum(folder)
    code, said = verify(folder)
    assert (code, "OK" in said) == (1, False), said


def test_a_day_without_its_signature_is_not_proven(day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    for name in ("signature", "keyid", "signed_at"):
        (folder / "days" / DAY / name).unlink()
    resum(folder)
    code, said = verify(folder)
    assert (code, "OK" in said, said.count("UNPROVEN 2026")) == (3, False, 8), said
    assert "8 records: 8 UNPROVEN" in said.splitlines()[-1]


# What a signature stands under: whoever edits it cannot make it right again. The rest is the bureau's own book and the
# folder's own text, held by SHA256SUMS alone: verify.sh says so. So is the moment at which a day says it was signed.
UNSIGNED = {"payment.json", "day.json", "VERIFY.md", "verify.sh", "SHA256SUMS", "status", "contents"}


@pytest.mark.parametrize("rewritten", [False, True], ids=["stolen", "with new sums"])
def test_any_byte_of_any_file(day: Path, payment: Path, tmp_path: Path, rewritten: bool) -> None:
    """One byte of each file, at a drawn place, to a drawn value; whoever steals the folder may write new sums."""
    random_ = random.Random(20261124)
    folder, pristine = copy_of(payment if rewritten else day, tmp_path), day / "verify.sh"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) > 30
    for path in files:
        top = path.relative_to(folder).parts[0]
        if rewritten and (top in UNSIGNED or path.name == "signed_at"):
            continue
        kept = path.read_bytes()
        if not kept:
            continue
        at = random_.randrange(len(kept))
        edited = kept[:at] + bytes([kept[at] ^ random_.randrange(1, 256)]) + kept[at + 1 :]
        path.write_bytes(edited)
        if rewritten:
            resum(folder)
        code, said = verify(folder, pristine)
        assert code == 1, f"{path} at {at}: {kept[at]} became {edited[at]}\n{said}"
        assert "PROVEN" not in said
        assert "OK" not in said
        path.write_bytes(kept)
    if rewritten:
        resum(folder)
    assert verify(folder)[0] == 0


def test_line_ends_and_capitals_are_bytes_too(day: Path, tmp_path: Path) -> None:
    """Edits that tools read over: sha256sum takes capital digits and a carriage return."""
    folder = copy_of(day, tmp_path)
    sums = folder / "SHA256SUMS"
    text = sums.read_text()
    for edited in (
        text.upper()[:64] + text[64:],
        text[:-1] + "\r",
        text.replace("  ", " *", 1),
        text + "\n",
        text[:-1],
    ):
        sums.write_text(edited, newline="")
        code, said = verify(folder)
        assert (code, "PROVEN" in said) == (1, False), said


def test_what_is_no_plain_file(day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    (folder / "records" / "link").symlink_to("/etc")
    assert verify(folder)[0] == 1
    (folder / "records" / "link").unlink()
    (folder / "crls" / "SHA256SUMS").write_text("beside")
    assert verify(folder)[0] == 1, "a file of that name elsewhere"


# the moment of each signature


def test_a_list_forged_into_the_folder(day: Path, tmp_path: Path) -> None:
    """A list of another moment, and none at all: the first fails, the second only proves less."""
    folder = copy_of(day, tmp_path)
    (tmp_path / "other").mkdir()
    other = SignedHouse(tmp_path / "other")
    foreign = read_crl(other.publish(1)).parsed.public_bytes(Encoding.PEM)
    other.house.close()
    for path in (folder / "crls").iterdir():
        path.write_bytes(foreign)
    resum(folder)
    code, said = verify(folder)
    assert (code, "is no list in force" in said) == (1, True), said
    for path in (*folder.glob("records/*/crl"), *folder.glob("days/*/crl"), *folder.glob("crls/*")):
        path.unlink()
    resum(folder)
    code, said = verify(folder)
    assert (code, said.count("[key: ACTIVE, no list]")) == (3, 4), said
    assert (said.count("UNPROVEN 2026"), said.count("signed by the")) == (8, 1), said
    assert "is not known to have stood, key: ACTIVE, no list" in said


def taken_out(folder: Path, *records: Path) -> None:
    """These alone, as records of a payment whose day is not signed."""
    for record in (folder / "records").iterdir():
        if record not in records:
            shutil.rmtree(record)
            continue
        for name in ("path", "index", "day"):
            (record / name).unlink(missing_ok=True)
        (record / "leaf").write_text(leaf_text(record))
    if (folder / "days" / DAY).exists():
        shutil.rmtree(folder / "days" / DAY)
    (folder / "contents").write_text(f"payment {DAY.replace('-', '')}{'A' * 16}\nrecords {len(records)}\n")
    resum(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file.write_text(file.read_text().replace(" ACTIVE ", " FROZEN ")), "FROZEN"),
        (lambda file: file.unlink(), "unknown"),
        (lambda file: file.write_text(""), "unknown"),
    ],
)
def test_a_key_that_did_not_stand_proves_nothing_by_itself(
    change: Any, told: str, payment: Path, tmp_path: Path, signed: SignedHouse
) -> None:
    """Frozen, or its status taken away, so that nobody could tell: then the day's signature alone says something."""
    folder = copy_of(payment, tmp_path)
    change(folder / "status" / signed.signer.keyid)
    resum(folder)
    code, said = verify(folder)
    (line,) = lines_of(said, "request")
    assert (code, "signed by the station" in line, f"[key: {told}, list 1]" in line) == (0, False, True), said
    assert "0 signed by who asked" in said
    taken_out(folder, *records_of(folder, "request"))
    code, said = verify(folder)
    (line,) = lines_of(said, "request")
    assert (code, line.split()[0], "signed by" in line) == (3, "UNPROVEN", False), said


@pytest.mark.parametrize("gone", ["status", "list"])
def test_a_day_signed_by_a_key_of_unknown_standing_is_not_proven(
    gone: str, payment: Path, tmp_path: Path, signed: SignedHouse
) -> None:
    folder = copy_of(payment, tmp_path)
    day = folder / "days" / DAY
    ((folder / "status" / (day / "keyid").read_text().strip()) if gone == "status" else day / "crl").unlink()
    resum(folder)
    code, said = verify(folder)
    assert (code, said.count("UNPROVEN 2026"), "OK" in said) == (3, 2, False), said


@pytest.mark.parametrize("kind", ["request", "deed"])
def test_one_signed_record_shown_twice(kind: str, day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    first = records_of(folder, kind)[0]
    second = first.with_name("20261124ZZZZZZZZZZZZZZZZ")
    shutil.copytree(first, second)
    (second / "record_id").write_text(second.name)
    taken_out(folder, first, second)
    code, said = verify(folder)
    assert (code, f"FORGED: one signed {kind}, shown twice" in said) == (1, True), said


@pytest.mark.parametrize("kind", ["request", "deed"])
@pytest.mark.parametrize(
    ("seconds", "forged"), [(-61, True), (-60, False), (300, False), (301, True), (36_000_000, True)]
)
def test_a_record_received_outside_its_window(kind: str, seconds: int, forged: bool, day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    first = records_of(folder, kind)[0]
    at = datetime.fromtimestamp(NOON // 1000 + seconds, UTC)
    (first / "received_at").write_text(at.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    taken_out(folder, first)
    code, said = verify(folder)
    assert (code == 1, "FORGED" in said) == (forged, forged), said


def test_a_certificate_of_another_role_signs_no_request(day: Path, tmp_path: Path, signed: SignedHouse) -> None:
    """The clerk's key over a request's base: it verifies, and has not the station's role."""
    folder = copy_of(day, tmp_path)
    (record, *_) = records_of(folder, "request")
    clerk = signed.bureau.clerk.signer
    base = (record / "base").read_bytes().replace(signed.signer.keyid.encode(), clerk.keyid.encode())
    (record / "base").write_bytes(base)
    (record / "signature").write_bytes(clerk.sign(base))
    (record / "keyid").write_text(clerk.keyid)
    taken_out(folder, record)
    code, said = verify(folder)
    assert (code, "has not the role" in said) == (1, True), said
