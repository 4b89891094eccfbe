"""The journal on a real disk: torn lines, damage, locks, rotation."""

import os
from pathlib import Path

import pytest

from gateway.terminal import JournalBusy, JournalFault
from gateway.terminal import journal as journals
from gateway.terminal.fates import is_open
from gateway.terminal.journal import Begun, Ended, Journal


def begun(number: int) -> Begun:
    """A request."""
    body = '{"service":"mobile.topup","biller_account":"13805790001","amount_fen":10000}'
    return Begun(at="2026-11-24T01:02:03Z", seq=number, key=f"key-{number:012d}", path="/v1/payments", body=body)


def ended(number: int) -> Ended:
    """Its end."""
    return Ended(at="2026-11-24T01:02:05Z", key=f"key-{number:012d}", outcome="payment", status=201, body="{}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def written(file: Path) -> list[tuple[str, bool]]:
    """Keys in order, and whether each has ended."""
    journal = Journal(file, keep=is_open)
    try:
        return [(entry.begun.key, entry.ended is not None) for entry in journal.entries()]
    finally:
        journal.close()


def test_cut_at_every_byte_it_keeps_every_whole_line(file: Path) -> None:
    journal = Journal(file, keep=is_open)
    journal.begin(begun(1))
    journal.end(ended(1))
    journal.begin(begun(2))
    journal.close()
    whole = file.read_bytes()
    ends = [at for at, byte in enumerate(whole, start=1) if byte == 0x0A]
    assert len(ends) == 3
    known = [[], [(begun(1).key, False)], [(begun(1).key, True)], [(begun(1).key, True), (begun(2).key, False)]]
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        lines = sum(end <= cut for end in ends)
        assert written(file) == known[lines], cut
        assert file.read_bytes() == whole[: ends[lines - 1] if lines else 0]
        journal = Journal(file, keep=is_open)
        journal.begin(begun(3))
        journal.close()
        assert written(file) == [*known[lines], (begun(3).key, False)], cut


@pytest.mark.parametrize("tail", [b"\0" * 40, b"\0" * 40 + b"\n", b'{"event":"begin"\n', b"\xff\xfe\n"])
def test_a_last_line_of_rubbish_is_torn_too(file: Path, tail: bytes) -> None:
    journal = Journal(file, keep=is_open)
    journal.begin(begun(1))
    journal.close()
    with file.open("ab") as out:
        out.write(tail)
    assert written(file) == [(begun(1).key, False)]


@pytest.mark.parametrize("rubbish", [b"\0" * 40 + b"\n", b"{}\n", b"\n"])
def test_rubbish_before_a_whole_line_is_damage(file: Path, rubbish: bytes) -> None:
    journal = Journal(file, keep=is_open)
    journal.begin(begun(1))
    journal.begin(begun(2))
    journal.close()
    first, second, _ = file.read_bytes().split(b"\n")
    file.write_bytes(first + b"\n" + rubbish + second + b"\n")
    before = file.read_bytes()
    with pytest.raises(JournalFault, match="line 2"):
        Journal(file, keep=is_open)
    assert file.read_bytes() == before
    file.write_bytes(first + b"\n" + second + b"\n")
    assert len(written(file)) == 2


@pytest.mark.parametrize("numbers", [(1, 1), (-1,)])
def test_events_that_cannot_follow_are_damage(file: Path, numbers: tuple[int, ...]) -> None:
    lines = [journals._encoder.encode(begun(n) if n > 0 else ended(-n)) + b"\n" for n in numbers]
    file.write_bytes(b"".join(lines) + journals._encoder.encode(begun(9)) + b"\n")
    with pytest.raises(JournalFault, match="begins twice or never"):
        Journal(file, keep=is_open)


def test_it_is_held_by_one_only(file: Path) -> None:
    journal = Journal(file, keep=is_open)
    with pytest.raises(JournalBusy):
        Journal(file, keep=is_open)
    journal.close()
    Journal(file, keep=is_open).close()


def test_it_is_for_its_owner_only(file: Path) -> None:
    Journal(file, keep=is_open).close()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_closed_journal_writes_nothing(file: Path) -> None:
    journal = Journal(file, keep=is_open)
    journal.close()
    with pytest.raises(JournalFault):
        journal.begin(begun(1))


@pytest.mark.parametrize("broken", ["write", "fsync"])
def test_after_a_failed_write_only_a_fresh_look_goes_on(
    file: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(file, keep=is_open)
    journal.begin(begun(1))

    def short(fd: int, data: bytes) -> int:
        if len(data) < 60:
            raise OSError(28, "No space left on device")
        return real(fd, data[:60])

    def failing(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    real = os.write
    monkeypatch.setattr(os, broken, short if broken == "write" else failing)
    with pytest.raises(JournalFault):
        journal.begin(begun(2))
    monkeypatch.undo()
    with pytest.raises(JournalFault):
        journal.begin(begun(3))
    assert journal.find(begun(2).key) is None
    journal.close()
    assert written(file) == [(begun(1).key, False)]


def test_a_large_one_is_set_aside_and_nothing_open_is_lost(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(file, keep=is_open)
    for number in range(1, 60):
        journal.begin(begun(number))
        if number % 10:
            journal.end(ended(number))
    journal.close()
    old = file.read_bytes()
    monkeypatch.setattr(journals, "ROTATE_BYTES", 2000)
    kept = [(begun(number).key, False) for number in range(10, 60, 10)] + [(begun(59).key, True)]
    assert written(file) == kept
    assert file.with_name("journal.jsonl.0001").read_bytes() == old
    journal = Journal(file, keep=is_open)
    assert journal.next_seq() == 60
    journal.begin(begun(60))
    journal.close()
    assert written(file)[-1] == (begun(60).key, False)


@pytest.mark.parametrize("step", ["link", "replace"])
def test_power_lost_while_setting_aside(file: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(file, keep=is_open)
    for number in range(1, 9):
        journal.begin(begun(number))
        journal.end(ended(number))
    journal.begin(begun(9))
    journal.close()

    def lost(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(journals, "ROTATE_BYTES", 1000)
    monkeypatch.setattr(os, step, lost)
    with pytest.raises(KeyboardInterrupt):
        Journal(file, keep=is_open)
    monkeypatch.undo()
    monkeypatch.setattr(journals, "ROTATE_BYTES", 1000)
    assert written(file) == [(begun(9).key, False)]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JournalFault, match="No such file"):
        Journal(tmp_path / "nowhere" / "journal.jsonl", keep=is_open)
