"""The evidence of a whole day: every record that was sealed in it, and that it is every one."""

import json
from pathlib import Path

from certs.keys import load_certificates
from gateway.core.rows import Record, Seal
from gateway.ops.audit.streams import all_rows, columns, records
from gateway.ops.evidence.files import Folder
from gateway.ops.evidence.standing import Standings
from gateway.ops.folders import made_whole
from gateway.ops.shared import NotSo
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

_RECORDS = f"SELECT {columns(Record)} FROM records t WHERE t.day = :day ORDER BY t.position"  # noqa: S608 - our own names


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
    with made_whole(folder) as made:
        out = Folder(made, standings)
        out.trust(root, issuing)
        async for values in records(snapshot, _RECORDS, {"day": day}):
            record = build(values)
            assert isinstance(record, Record)
            await out.record(record, seal)
        await out.day(seal)
        about = {"day": day, "count": seal.count, "root": seal.root.hex(), "signed_by": seal.keyid}
        (made / "day.json").write_text(json.dumps(about, indent=2) + "\n", encoding="ascii")
        out.finish(f"whole day {day}")
    return seal
