"""`bianmin audit verify`: whole days, again, and whoever changed one of them is told where."""

import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from certs.authority.issuing import make_issuing, make_root
from certs.certificates import Certificate
from certs.core import seals
from gateway.core.rows import Record
from gateway.ops.audit.days import Span, Trust, verify_days
from gateway.ops.audit.report import Report
from gateway.ops.audit.sealed import leaf_of
from gateway.ops.whole import WholeBook
from gateway.store.sqlite.readers import take_snapshot
from tests.stand.signed_house import SignedHouse

FIRST, SECOND = "2026-11-24", "2026-11-25"
ALL = Span(first=FIRST, last=SECOND, signatures=True)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedHouse]:
    """Two signed days of three payments each, and a third that is open."""
    made = SignedHouse(tmp_path_factory.mktemp("signed"))
    for day in (10_000, 20_000):
        for number in (1, 2, 3):
            made.pay(day + number)
        made.close_day()
    made.pay(30_001)
    made.house.seal()
    yield made
    made.house.close()


class Copy:
    """The book in somebody's hands who has a console, and no trigger to stop him."""

    def __init__(self, signed: SignedHouse, folder: Path) -> None:
        self.path = folder / "book.db"
        with sqlite3.connect(signed.house.path) as source, sqlite3.connect(self.path) as target:
            source.backup(target)
        source.close()
        target.close()
        self.signed = signed
        self.db = sqlite3.connect(self.path, isolation_level=None)
        for (name,) in self.sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            self.db.execute(f"DROP TRIGGER {name}")
        self.db.execute("DROP INDEX uq_records_place")

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        return list(self.db.execute(text, values))

    def records(self, day: str = FIRST, kind: str = "%") -> list[str]:
        """Ids in the order of their places."""
        sql = "SELECT record_id FROM records WHERE day = ? AND kind LIKE ? ORDER BY position"
        return [row[0] for row in self.sql(sql, day, kind)]

    async def verify(self, span: Span = ALL, trust: Trust | None = None) -> Report:
        trust = trust or Trust([one.certificate for one in self.signed.issuings], self.signed.bureau.root.certificate)
        return await take_snapshot(self.path, lambda snapshot: verify_days(WholeBook(snapshot), span, trust))

    def releaf(self, record_id: str) -> None:
        """The leaf as whoever changed the record would write it."""
        names = ", ".join(Record.__struct_fields__)
        (row,) = self.sql(f"SELECT {names} FROM records WHERE record_id = ?", record_id)
        made = leaf_of(Record(**dict(zip(Record.__struct_fields__, row, strict=True))))
        self.sql("UPDATE records SET leaf = ? WHERE record_id = ?", made, record_id)

    def rechain(self) -> None:
        """Every link, root and statement as they follow from what is there now; signatures he cannot make."""
        end, previous = seals.GENESIS, seals.GENESIS
        for (day,) in self.sql("SELECT DISTINCT day FROM records WHERE day IS NOT NULL ORDER BY day"):
            tree = seals.Frontier()
            places = self.sql("SELECT record_id, leaf FROM records WHERE day = ? ORDER BY position", day)
            for place, (record_id, leaf) in enumerate(places, 1):
                end = seals.chain(end, leaf)
                tree.add(leaf)
                self.sql("UPDATE records SET position = ?, chain = ? WHERE record_id = ?", place, end, record_id)
            from datetime import date

            statement = seals.day_statement(date.fromisoformat(day), tree.count, tree.root(), end, previous)
            previous = seals.statement_hash(statement)
            self.sql(
                "UPDATE seals SET count = ?, root = ?, chain_end = ?, statement = ? WHERE day = ?",
                *(tree.count, tree.root(), end, statement, day),
            )


@pytest.fixture
def copy(signed: SignedHouse, tmp_path: Path) -> Iterator[Copy]:
    made = Copy(signed, tmp_path)
    yield made
    made.db.close()


def named(report: Report) -> dict[str, set[str]]:
    """What each check that found something names."""
    return {check.name: {one.about for one in check.violations} for check in report.checks if not check.ok}


async def test_sound_days(copy: Copy) -> None:
    report = await copy.verify()
    assert report.ok, report.text()
    assert {check.name: check.rows for check in report.checks} == {
        "records": 13, "chain": 13, "days": 2, "signatures": 7,
    }  # fmt: skip
    later = await copy.verify(Span(first=SECOND, last="2026-12-31"))
    assert later.ok, later.text()
    assert [check.name for check in later.checks] == ["records", "chain", "days"]
    assert "2026-11-26 is not closed yet" in later.text()


def altered(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    target = copy.records(kind="reply")[1]
    copy.sql("UPDATE records SET body = x'00' WHERE record_id = ?", target)
    return target, {"records": {target}}


def altered_with_its_leaf(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    target = copy.records(kind="reply")[1]
    copy.sql("UPDATE records SET body = x'00' WHERE record_id = ?", target)
    copy.releaf(target)
    return target, {"chain": {target}, "days": {FIRST}}


def removed(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    before, target, after = copy.records()[1:4]
    copy.sql("DELETE FROM records WHERE record_id = ?", target)
    return f"1 records of {FIRST} are missing after {before}, places 3 to 3", {"chain": {after}, "days": {FIRST}}


def removed_and_renumbered(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    before, target, after = copy.records()[1:4]
    copy.sql("DELETE FROM records WHERE record_id = ?", target)
    copy.sql("UPDATE records SET position = position - 1 WHERE day = ? AND position > 3", FIRST)
    return f"its link does not follow after {before}", {"chain": {after}, "days": {FIRST}}


def removed_at_the_end(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    copy.sql("DELETE FROM records WHERE record_id = ?", copy.records()[-1])
    return "1 records at its end are missing", {"days": {FIRST}}


def put_in(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    target = copy.records()[2]
    copy.sql("UPDATE records SET position = position + 1 WHERE day = ? AND position > 3", FIRST)
    names = list(Record.__struct_fields__)
    values = ", ".join({"record_id": "'PUT-IN'", "position": "4"}.get(name, name) for name in names)
    copy.sql(f"INSERT INTO records ({', '.join(names)}) SELECT {values} FROM records WHERE record_id = ?", target)
    copy.releaf("PUT-IN")
    return "PUT-IN", {"chain": {"PUT-IN"}, "days": {FIRST}}


def moved(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    first, second, third = copy.records()[1:4]
    copy.sql("UPDATE records SET position = 99 WHERE record_id = ?", first)
    copy.sql("UPDATE records SET position = 2 WHERE record_id = ?", second)
    copy.sql("UPDATE records SET position = 3 WHERE record_id = ?", first)
    return f"its link does not follow after {second}", {"chain": {first, second, third}, "days": {FIRST}}


def a_day_taken_away(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    copy.sql("DELETE FROM records WHERE day = ?", FIRST)
    copy.sql("DELETE FROM seals WHERE day = ?", FIRST)
    return "its statement is not what", {"chain": {copy.records(SECOND)[0]}, "days": {SECOND}}


def records_of_a_day_taken_away(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    copy.sql("DELETE FROM records WHERE day = ?", FIRST)
    return "the book has no records of this day", {"days": {FIRST}}


def a_seal_taken_away(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    copy.sql("DELETE FROM seals WHERE day = ?", FIRST)
    return "it has no seal", {"days": {FIRST, SECOND}}


def everything_rewritten(copy: Copy) -> tuple[str, dict[str, set[str]]]:
    """What can be recomputed is; the archive's signatures cannot, nor can the station's."""
    target = copy.records(kind="request")[0]
    copy.sql(
        "UPDATE records SET base = CAST(replace(CAST(base AS TEXT), 'POST', 'PUT') AS BLOB) WHERE record_id = ?", target
    )
    copy.releaf(target)
    copy.rechain()
    return "its signature does not hold", {"days": {FIRST, SECOND}, "signatures": {target}}


@pytest.mark.parametrize(
    "fault",
    [
        altered, altered_with_its_leaf, removed, removed_and_renumbered, removed_at_the_end, put_in, moved,
        a_day_taken_away, records_of_a_day_taken_away, a_seal_taken_away, everything_rewritten,
    ],
)  # fmt: skip
async def test_what_was_done_is_named(copy: Copy, fault: Callable[[Copy], tuple[str, dict[str, set[str]]]]) -> None:
    told, wanted = fault(copy)
    report = await copy.verify()
    assert named(report) == wanted, report.text()
    assert told in report.text()


async def test_a_fault_of_another_day_is_not_told(copy: Copy) -> None:
    altered_with_its_leaf(copy)
    assert (await copy.verify(Span(first=SECOND, last=SECOND))).ok
    assert not (await copy.verify(Span(first=FIRST, last=FIRST))).ok


async def test_the_archives_key_is_held_to_the_files(copy: Copy) -> None:
    """A book in which somebody registered a CA's key of his own, and signed the days with it."""
    now = copy.signed.issuings[0].certificate.not_before
    root = make_root("示范县邮政局", now)
    foreign: list[Certificate] = [make_issuing(root, now).certificate]
    report = await copy.verify(trust=Trust(foreign, root.certificate))
    assert named(report)["days"] == {FIRST, SECOND}
    assert "did not stand then: certificate-unknown" in report.text()


async def test_an_unsigned_day_is_a_note(copy: Copy) -> None:
    copy.sql("UPDATE seals SET signature = NULL, signed_at = NULL, keyid = NULL WHERE day = ?", SECOND)
    report = await copy.verify()
    assert report.ok, report.text()
    assert f"{SECOND} is not signed yet" in report.text()


async def test_whose_key_signed_what(copy: Copy) -> None:
    """A body, a key and a purpose that are not those that were signed, each with leaf, chain and seals made right."""
    requests = copy.records(kind="request")
    clerk = copy.signed.bureau.clerk
    copy.sql("UPDATE records SET body = x'00' WHERE record_id = ?", requests[0])
    (base,) = copy.sql("SELECT base FROM records WHERE record_id = ?", requests[1])[0]
    made = bytes(base).replace(copy.signed.signer.keyid.encode(), clerk.keyid.encode())
    copy.sql(
        "UPDATE records SET keyid = ?, base = ?, signature = ? WHERE record_id = ?",
        *(clerk.keyid, made, clerk.signer.sign(made), requests[1]),
    )
    copy.sql("UPDATE records SET keyid = 'x' WHERE record_id = ?", requests[2])
    for one in requests:
        copy.releaf(one)
    copy.rechain()
    report = await copy.verify()
    assert named(report)["signatures"] == set(requests)
    for told in ("the kept body is not the one", "is no station certificate", "which the book does not know"):
        assert told in report.text()


async def test_archived_records_are_read_too(copy: Copy) -> None:
    names = ", ".join(Record.__struct_fields__)
    for target in copy.records()[::2]:
        copy.sql(f"INSERT INTO archive_records ({names}) SELECT {names} FROM records WHERE record_id = ?", target)
        copy.sql("DELETE FROM records WHERE record_id = ?", target)
    report = await copy.verify()
    assert report.ok, report.text()
    assert report.checks[0].rows == 13
    copy.sql("UPDATE archive_records SET body = x'00' WHERE position = 3")
    assert not (await copy.verify()).ok


async def test_memory_does_not_grow_with_the_days(copy: Copy) -> None:
    """The days again with a hundred times their records, chained and unsigned."""
    names = list(Record.__struct_fields__)
    for copy_number in range(1, 100):
        values = ", ".join({"record_id": f"record_id || '-{copy_number:03d}'"}.get(name, name) for name in names)
        where = "day = ? AND record_id NOT LIKE '%-%'"
        unplaced = values.replace(" position,", f" position + {copy_number * 1000},")
        copy.sql(f"INSERT INTO records ({', '.join(names)}) SELECT {unplaced} FROM records WHERE {where}", FIRST)
    peaks, rows_seen = [], 0
    for span in (Span(first=SECOND, last=SECOND), Span(first=FIRST, last=FIRST)):
        tracemalloc.start()
        rows_seen = (await copy.verify(span)).checks[0].rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert rows_seen == 700
    assert peaks[1] < peaks[0] + 4_000_000, peaks


def test_the_command(signed: SignedHouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from gateway.cli import run

    assert run(["init", str(tmp_path / "site")]) == 0
    config = ["--config", str(tmp_path / "site" / "bianmin.toml")]
    shutil.copy(signed.house.path, tmp_path / "site" / "var" / "bianmin.db")
    for name, file in signed.trust().items():
        (tmp_path / "site" / "keys" / f"{name}.cert.pem").write_bytes(file.read_bytes())
    capsys.readouterr()
    assert run(["audit", "verify", "--from", FIRST, "--to", SECOND, "--signatures", "--json", *config]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in told["checks"]] == ["records", "chain", "days", "signatures"]
    assert run(["audit", "verify", *config]) == 0
    for words in (["--from", "yesterday"], ["--from", SECOND, "--to", FIRST]):
        assert run(["audit", "verify", *words, *config]) == 2


# the open day, and how keys stood

EVER = Span(first=FIRST, last="2026-12-31", signatures=True)
OPEN = "2026-11-26"


async def test_the_last_record_of_an_open_day(copy: Copy) -> None:
    copy.sql("DELETE FROM records WHERE record_id = ?", copy.records(OPEN)[-1])
    report = await copy.verify(EVER)
    assert named(report) == {"days": {OPEN}}, report.text()
    assert "removed: the sealer has sealed 2, 1 records are left" in report.text()


async def test_all_records_of_an_open_day(copy: Copy) -> None:
    copy.sql("DELETE FROM records WHERE day = ?", OPEN)
    report = await copy.verify(EVER)
    assert named(report) == {"days": {"the open day"}}, report.text()


async def test_a_record_said_to_be_unsealed(copy: Copy) -> None:
    copy.sql("UPDATE records SET day = NULL, position = NULL, chain = NULL WHERE record_id = ?", copy.records(OPEN)[-1])
    report = await copy.verify(EVER)
    assert named(report) == {"days": {OPEN}}, report.text()
    assert "1 are not sealed yet" in report.text()


async def test_an_open_day_of_other_records(copy: Copy) -> None:
    """As many, chained anew: the tree of the sealer has others."""
    target = copy.records(OPEN)[-1]
    copy.sql("UPDATE records SET body = x'78' WHERE record_id = ?", target)
    copy.releaf(target)
    copy.rechain()
    report = await copy.verify(EVER)
    assert OPEN in named(report)["days"], report.text()
    assert "it is not what the sealer has sealed" in report.text()


async def test_an_unsealed_record_that_was_changed(copy: Copy) -> None:
    sound = await copy.verify(EVER)
    assert sound.ok, sound.text()
    target = copy.records(OPEN)[-1]
    copy.sql("UPDATE records SET day = NULL, position = NULL, chain = NULL, body = x'78' WHERE record_id = ?", target)
    assert named(await copy.verify(EVER))["records"] == {target}


@pytest.mark.parametrize("state", ["FROZEN", "REVOKED"])
async def test_a_key_that_had_ended(state: str, copy: Copy) -> None:
    """Frozen between two days, it is said: what was accepted after that is named."""
    keyid = copy.signed.signer.keyid
    ((at,),) = copy.sql("SELECT MAX(received_at) FROM records WHERE day = ?", FIRST)
    copy.sql(
        "INSERT INTO certificate_steps (subject, number, event, from_state, to_state, at, staff)"
        " VALUES (?, 6, 'freeze', 'ACTIVE', ?, ?, 's-1')",
        *(keyid, state, at + 1),
    )
    report = await copy.verify(EVER)
    late = {*copy.records(SECOND, "request"), *copy.records(OPEN, "request")}
    assert named(report) == {"signatures": late}, report.text()
    assert f"its key {keyid} was {state} then" in report.text()
    copy.sql("UPDATE records SET gateway_serial = NULL WHERE kind = 'request'")
    report = await copy.verify(EVER)
    assert report.ok, report.text()
    assert "4 requests are by keys that were frozen or had ended: refused" in report.text()
