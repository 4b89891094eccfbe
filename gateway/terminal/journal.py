"""What this terminal asked for, written down before it is sent: so that no crash can make a second payment.

An append-only file of one JSON line per event, each forced to disk before the next step. A line that a power cut left
half-written was never acted upon, and is dropped when the file is opened again.
"""

import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gateway.terminal.faults import JournalBusy, JournalFault

ROTATE_BYTES = 8 * 2**20
"""A journal larger than this is set aside when it is opened; what is open moves to the new one."""

Outcome = Literal["payment", "refused", "tombstone", "unsent"]


class Begun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="event", tag="begin"):
    """A request is about to be sent. at: RFC 3339 UTC. seq: counts this terminal's requests. body: as sent."""

    at: str
    seq: int
    key: str
    path: str
    body: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="event", tag="end"):
    """What provably became of it. status, body: of the reply; keyid, base, signature: its proof (hex, text, base64).

    inquiry: the reply is an inquiry's, not the request's own. `unsent` has no reply: no byte of any try can have left.
    """

    at: str
    key: str
    outcome: Outcome
    status: int = 0
    body: str = ""
    inquiry: bool = False
    keyid: str = ""
    base: str = ""
    signature: str = ""


@dataclass(slots=True)
class Entry:
    """One key: how it began and, once it is known, how it ended."""

    begun: Begun
    ended: Ended | None = None


_decoder = msgspec.json.Decoder(Begun | Ended)
_encoder = msgspec.json.Encoder()


def read_events(raw: bytes, file: Path) -> tuple[list[Begun | Ended], int]:
    """Events of a journal's bytes, and how many bytes of them are whole.

    The last line may be torn (no line feed, or unreadable): it is left out. Any other unreadable line is damage and
    raises JournalFault, since it may hide a payment.
    """
    events: list[Begun | Ended] = []
    lines = raw.split(b"\n")
    unended = lines.pop()
    whole = 0
    for number, line in enumerate(lines, start=1):
        try:
            events.append(_decoder.decode(line))
        except msgspec.MsgspecError as wrong:
            if number == len(lines) and not unended:
                break
            # What the decoder says repeats the value that it could not read.
            raise JournalFault(
                "终端流水文件已损坏，请联系邮政局，不要删除", f"{file}: line {number} is unreadable"
            ) from wrong
        whole += len(line) + 1
    return events, whole


def fold(events: list[Begun | Ended], file: Path) -> dict[str, Entry]:
    """Entries by key, in the order they began. Raises JournalFault for events that cannot follow one another."""
    entries: dict[str, Entry] = {}
    for event in events:
        known = entries.get(event.key)
        if isinstance(event, Begun) == (known is not None):
            raise JournalFault(
                "终端流水文件已损坏，请联系邮政局，不要删除", f"{file}: {event.key} begins twice or never"
            )
        if isinstance(event, Begun):
            entries[event.key] = Entry(event)
        elif known is not None:
            known.ended = event
    return entries


class Journal:
    """The journal of one terminal, held by one process at a time. Methods block on the disk and may run in threads."""

    def __init__(self, file: Path, *, keep: Callable[[Entry], bool]) -> None:
        """Open, lock, repair. keep: which entries move on to a new file when this one is full.

        Raises JournalBusy if another process (or another Journal) has it, JournalFault for damage and for files that
        cannot be used.
        """
        self._file, self._keep = file, keep
        self._guard = threading.Lock()
        self._broken = False
        self._lock_fd = _lock(file.with_name(file.name + ".lock"), file)
        try:
            self._fd, self._entries = self._open()
        except BaseException:  # boundary: closed here, raised on
            os.close(self._lock_fd)
            raise

    def close(self) -> None:
        """Release file and lock, after a write that is under way. Raises JournalFault for any write after it."""
        with self._guard:
            self._broken = True
            os.close(self._fd)
            os.close(self._lock_fd)

    def next_seq(self) -> int:
        """One more than the newest request's number."""
        with self._guard:
            return max((entry.begun.seq for entry in self._entries.values()), default=0) + 1

    def find(self, key: str) -> Entry | None:
        """The entry of a key."""
        with self._guard:
            return self._entries.get(key)

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        with self._guard:
            return list(self._entries.values())

    def begin(self, event: Begun) -> None:
        """Write down a request; only when this has returned may it be sent. Raises JournalFault."""
        with self._guard:
            if event.key in self._entries:
                raise ValueError(f"key {event.key} has begun already")
            self._append(event)
            self._entries[event.key] = Entry(event)

    def end(self, event: Ended) -> None:
        """Write down what became of a request that has begun. Raises JournalFault; the key then stays undecided."""
        with self._guard:
            entry = self._entries[event.key]
            self._append(event)
            entry.ended = event

    def _append(self, event: Begun | Ended) -> None:
        if self._broken:
            raise JournalFault(
                "终端流水文件写入失败，请检查磁盘后重启终端", f"{self._file}: closed after a failed write"
            )
        line = _encoder.encode(event) + b"\n"
        size = os.fstat(self._fd).st_size
        try:
            _write_all(self._fd, line)
            os.fsync(self._fd)
        except OSError as wrong:
            # After a failed write or fsync nobody knows what the disk holds: only a fresh look at the file may go on.
            self._broken = True
            self._take_back(size)
            raise JournalFault("终端流水文件写入失败，请检查磁盘", f"{self._file}: {wrong.strerror}") from wrong

    def _take_back(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            # Then the line stays torn, which the next opening repairs; this Journal is broken either way.
            return

    def _open(self) -> tuple[int, dict[str, Entry]]:
        try:
            fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as wrong:
            raise _unusable(self._file, wrong) from wrong
        try:
            raw = _read_all(fd)
            events, whole = read_events(raw, self._file)
            entries = fold(events, self._file)
            if whole < len(raw):
                os.ftruncate(fd, whole)
            os.fsync(fd)
            _sync_folder(self._file)
            if whole > ROTATE_BYTES:
                rotated, entries = self._rotate(entries)
                os.close(fd)
                fd = rotated
        except OSError as wrong:
            os.close(fd)
            raise _unusable(self._file, wrong) from wrong
        except BaseException:  # boundary: closed here, raised on
            os.close(fd)
            raise
        return fd, entries

    def _rotate(self, entries: dict[str, Entry]) -> tuple[int, dict[str, Entry]]:
        """Begin a new file with what is open and the newest entry; the old one stays beside it under a number."""
        newest = next(reversed(entries))
        kept = {key: entry for key, entry in entries.items() if self._keep(entry) or key == newest}
        events = [event for entry in kept.values() for event in (entry.begun, entry.ended) if event is not None]
        fresh = self._file.with_name(self._file.name + ".new")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            _write_all(fd, b"".join(_encoder.encode(event) + b"\n" for event in events))
            os.fsync(fd)
            number = 1
            while (aside := self._file.with_name(f"{self._file.name}.{number:04d}")).exists():
                number += 1
            # Linked first, replaced second: whenever the power goes, the name `journal` leads to a whole file.
            os.link(self._file, aside)
            os.replace(fresh, self._file)
            _sync_folder(self._file)
        except BaseException:  # boundary: closed here, raised on
            os.close(fd)
            raise
        return fd, kept


def _lock(lock_file: Path, file: Path) -> int:
    try:
        fd = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as wrong:
        raise _unusable(lock_file, wrong) from wrong
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as wrong:
        os.close(fd)
        raise JournalBusy("另一个程序正在使用本终端，请稍候再试", f"{file} is locked by another process") from wrong
    except OSError as wrong:
        os.close(fd)
        raise _unusable(lock_file, wrong) from wrong
    return fd


def _unusable(file: Path, wrong: OSError) -> JournalFault:
    return JournalFault("终端流水文件无法使用，请检查目录和磁盘", f"{file}: {wrong.strerror}")


def _read_all(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    parts = []
    while part := os.read(fd, 2**20):
        parts.append(part)
    return b"".join(parts)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _sync_folder(file: Path) -> None:
    fd = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
