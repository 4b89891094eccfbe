"""The evidence of a whole day: every record that was sealed in it, and that it is every one."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from certs.core import seals
from certs.keys import load_certificates
from gateway.core.rows import Record, Seal
from gateway.ops.audit.streams import all_rows, columns, records
from gateway.ops.evidence.files import Folder
from gateway.ops.evidence.standing import Standings
from gateway.ops.folders import made_whole
from gateway.ops.shared import NotSo
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

_LEAVES = "SELECT leaf FROM records WHERE day = :day ORDER BY position"
_RECORDS = f"SELECT {columns(Record)} FROM records t WHERE t.day = :day ORDER BY t.position"  # noqa: S608 - our own names
_SIZE = seals.HASH_BYTES


class DayTree:
    """A day's Merkle tree on disk: paths of any leaf in a few reads, memory of none."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._levels: list[tuple[int, int]] = []  # where a level begins, and how many hashes it has

    def add(self, leaf: bytes) -> None:
        """The next leaf; before build()."""
        self._file.write(seals.tree_leaf(leaf))

    def build(self) -> bytes:
        """Everything above the leaves; the root. Raises ValueError for a day without records."""
        self._file.flush()
        begin, count = 0, self._file.tell() // _SIZE
        if not count:
            raise ValueError("a day without records")
        self._levels = [(begin, count)]
        while count > 1:
            for at in range(0, count - 1, 2):
                pair = self._read(begin, at, 2)
                self._file.write(seals.tree_node(pair[:_SIZE], pair[_SIZE:]))
            if count & 1:
                self._file.write(self._read(begin, count - 1, 1))
            self._file.flush()
            begin, count = begin + count * _SIZE, (count + 1) >> 1
            self._levels.append((begin, count))
        return self._read(begin, 0, 1)

    def path(self, index: int) -> Iterator[tuple[seals.Side, bytes]]:
        """As seals.merkle_path."""
        for begin, count in self._levels[:-1]:
            if index & 1:
                yield seals.Side.LEFT, self._read(begin, index - 1, 1)
            elif index + 1 < count:
                yield seals.Side.RIGHT, self._read(begin, index + 1, 1)
            index >>= 1

    def _read(self, begin: int, at: int, hashes: int) -> bytes:
        return os.pread(self._file.fileno(), hashes * _SIZE, begin + at * _SIZE)


@contextmanager
def day_tree() -> Iterator[DayTree]:
    """A tree in a file without a name, gone with the block."""
    with tempfile.TemporaryFile(buffering=_SIZE * 4096) as file:
        yield DayTree(file)


async def write_day(snapshot: Snapshot, day: str, folder: Path, *, root: Path, issuing: Path) -> Seal:
    """Write the folder of a closed day, which must not exist; it appears whole or not at all. snapshot: of the whole
    book, archive included. Memory does not grow with the day.

    Raises NotSo for a day that is not closed, FileExistsError, OSError, KeyFileError.
    """
    found = [row for row in await all_rows(snapshot, Seal, "ORDER BY t.day") if row.day == day]
    if not found:
        raise NotSo(f"{day} is no closed day: nothing was sealed on it, or the next has not begun")
    (seal,) = found
    standings = Standings(snapshot, load_certificates(issuing))
    build = shape_of(Record).build
    with made_whole(folder) as made, day_tree() as tree:
        out = Folder(made, standings)
        out.trust(root, issuing)
        async for (leaf,) in records(snapshot, _LEAVES, {"day": day}):
            tree.add(leaf)
        tree.build()
        async for values in records(snapshot, _RECORDS, {"day": day}):
            record = build(values)
            assert isinstance(record, Record)
            await out.record(record, seal, list(tree.path((record.position or 1) - 1)))
        await out.day(seal, whole=True)
        about = {"day": day, "count": seal.count, "root": seal.root.hex(), "signed_by": seal.keyid}
        (made / "day.json").write_text(json.dumps(about, indent=2) + "\n", encoding="ascii")
        out.finish()
    return seal
