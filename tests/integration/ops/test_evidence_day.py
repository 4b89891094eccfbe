"""Evidence of a whole day, of the moment of each signature, and against whoever edits the folder."""

import asyncio
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.core.revocation_lists import read_crl
from gateway.core import items, rows
from gateway.ops.archive import archive
from gateway.ops.evidence.standing import Standings
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
    assert f"day {DAY} is whole: {count} records" in said.splitlines()
    assert said.splitlines()[-1].startswith("OK ")
    assert len(list((day / "records").iterdir())) == count == 7
    assert [line.split("[")[1] for line in lines_of(said, "request")] == ["key: ACTIVE, list 1]"] * 3
    assert ["signed by the staff" in line for line in lines_of(said, "deed")] == [True]
    assert json.loads((day / "day.json").read_text())["count"] == count
    assert {path.name for path in (day / "crls").iterdir()} == {f"{signed.issuings[0].certificate.keyid}-1.pem"}


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
    assert (code, "not all of its 7 records are here" in said) == (1, True), said


def test_a_record_shown_twice(day: Path, tmp_path: Path) -> None:
    """Under another name, in the place of one that is gone: a record bears its name inside."""
    folder = copy_of(day, tmp_path)
    first, second = records_of(folder, "reply")[:2]
    shutil.rmtree(second)
    shutil.copytree(first, second)
    resum(folder)
    assert verify(folder)[0] == 1


def test_a_record_put_in(day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    first = records_of(folder, "reply")[0]
    extra = first.with_name("20261124ZZZZZZZZZZZZZZZZ")
    shutil.copytree(first, extra)
    (extra / "record_id").write_text(extra.name)
    (extra / "body").write_text("<paid again/>")
    (extra / "leaf").write_text(leaf_text(extra))
    resum(folder)
    code, said = verify(folder)
    assert (code, "does not lead to the root" in said) == (1, True), said


def test_two_records_that_changed_places(day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    first, second = records_of(folder, "reply")[:2]
    for name in ("index", "path"):
        one, other = (first / name).read_bytes(), (second / name).read_bytes()
        (first / name).write_bytes(other)
        (second / name).write_bytes(one)
    resum(folder)
    assert verify(folder)[0] == 1


def test_a_day_said_to_be_smaller(day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path)
    (folder / "days" / DAY / "whole").write_text("6\n")
    shutil.rmtree(records_of(folder, "reply")[0])
    resum(folder)
    assert verify(folder)[0] == 1


# What a signature stands under: whoever edits it cannot make it right again. The rest is the bureau's own book and the
# folder's own text, held by SHA256SUMS alone: verify.sh says so. So is the moment at which a day says it was signed.
UNSIGNED = {"payment.json", "day.json", "VERIFY.md", "verify.sh", "SHA256SUMS", "status"}


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


def test_later_lists_and_steps_say_nothing_about_before(tmp_path: Path) -> None:
    """Revoked in the afternoon, on a list that is dated back: the payment of the morning stays proven."""
    house = SignedHouse(tmp_path)
    house.publish(1)
    morning = house.pay(10_001)
    house.house.advance(60)
    house.do(house.bureau.clerk, "certs.revoke", house.signer.keyid, code="keyCompromise")
    house.publish(2, house.signer.certificate)
    house.close_day()
    house.write(morning, tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 0, said
    assert "[key: ACTIVE, list 1]" in said
    assert len(list((tmp_path / "out" / "crls").iterdir())) == 1
    status = (tmp_path / "out" / "status" / house.signer.keyid).read_text().splitlines()
    assert status[-1].split()[1:4] == ["revoke", "ACTIVE", "REVOKED"]
    house.house.close()


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
    assert (code, said.count("[key: ACTIVE, no list]")) == (0, 4), said


def test_a_key_that_was_frozen_proves_nothing_by_itself(day: Path, tmp_path: Path, signed: SignedHouse) -> None:
    folder = copy_of(day, tmp_path)
    for record in records_of(folder, "request"):
        for name in ("path", "index", "day"):
            (record / name).unlink()
    (folder / "days" / DAY / "whole").unlink()
    status = folder / "status" / signed.signer.keyid
    status.write_text(status.read_text().replace(" ACTIVE ", " FROZEN "))
    resum(folder)
    code, said = verify(folder)
    assert code == 3, said
    assert [line.split()[0] for line in lines_of(said, "request")] == ["UNPROVEN"] * 3


def test_a_certificate_of_another_role_signs_no_request(day: Path, tmp_path: Path, signed: SignedHouse) -> None:
    """The clerk's key over a request's base: it verifies, and has not the station's role."""
    folder = copy_of(day, tmp_path)
    (record, *_) = records_of(folder, "request")
    clerk = signed.bureau.clerk.signer
    base = (record / "base").read_bytes().replace(signed.signer.keyid.encode(), clerk.keyid.encode())
    (record / "base").write_bytes(base)
    (record / "signature").write_bytes(clerk.sign(base))
    (record / "keyid").write_text(clerk.keyid)
    for name in ("path", "index", "day"):
        (record / name).unlink()
    (record / "leaf").write_text(leaf_text(record))
    (folder / "days" / DAY / "whole").unlink()
    resum(folder)
    code, said = verify(folder)
    assert (code, "has not the role" in said) == (1, True), said


def test_it_outlives_every_certificate_in_it(tmp_path: Path) -> None:
    """Root, issuing CA, station and archive keys ended years ago; two periods of issuing CAs beside each other."""
    house = SignedHouse(tmp_path, noon=NOON - 22 * 365 * 86_400_000)
    house.publish(1)
    first = house.pay(10_001)
    house.close_day()
    house.rotate()
    house.publish(1)
    second = house.pay(10_002)
    house.close_day()
    for number, payment in enumerate((first, second)):
        house.write(payment, tmp_path / f"out-{number}")
        code, said = verify(tmp_path / f"out-{number}")
        assert code == 0, said
        assert "[key: ACTIVE, " in said
    assert (tmp_path / "out-0" / "issuing.cert.pem").read_text().count("BEGIN") == 2
    day = house.house.rows_of(rows.Seal)[0].day
    assert day.startswith("2004")
    house.write_day(day, tmp_path / "day")
    assert verify(tmp_path / "day")[0] == 0
    house.house.close()


def test_archived_payments_are_included(tmp_path: Path) -> None:
    house = SignedHouse(tmp_path)
    payment = house.pay(10_001)
    house.close_day()
    before = tmp_path / "before"
    house.write_day(DAY, before)
    house.house.advance(9 * 86_400)
    ids = [one.message_id for one in house.house.ask(items.TakeOutbox(older_than_ms=0), items.Outbox).messages]
    house.house.ask(items.MarkPublished(message_ids=ids), items.Kept)
    house.house.settle(house.house.pay(biller_account="70001"))
    house.house.seal()
    moved = asyncio.run(archive(_Desk(house), "2026-12-01"))
    assert moved.payments == 1
    for what, folder in ((DAY, tmp_path / "day"), (payment, tmp_path / "payment")):
        house.write_day(what, folder) if isinstance(what, str) else house.write(what, folder)
        code, said = verify(folder)
        assert code == 0, said
    assert (before / "SHA256SUMS").read_bytes() == (tmp_path / "day" / "SHA256SUMS").read_bytes()
    house.house.close()


class _Desk:
    """The house as commands see a book."""

    def __init__(self, house: SignedHouse) -> None:
        self._house = house.house

    async def run(self, item: Any) -> Any:
        return self._house.batch([item])[0]

    async def look(self, item: Any) -> Any:
        return self._house.engine.look(item)

    async def snapshot(self, use: Any) -> Any:
        raise NotImplementedError


def test_the_list_in_force_is_the_one_published_by_then(tmp_path: Path) -> None:
    house = SignedHouse(tmp_path)
    ca, now = house.issuings[0].certificate.keyid, house.house.now
    house.publish(1)
    house.house.advance(100)
    house.publish(2)

    async def at(snapshot: Any, moments: list[int]) -> list[int | None]:
        standings = Standings(snapshot, [house.issuings[0].certificate])
        found = [await standings.list_at(ca, moment) for moment in moments]
        return [one.number if one else None for one in found]

    moments = [now - 1, now, now + 99_999, now + 100_000, now + 86_400_000 + 99_000, now + 86_400_000 + 100_000]
    assert house.snapshot(lambda snapshot: at(snapshot, moments)) == [None, 1, 1, 2, 2, None]
    house.house.close()
