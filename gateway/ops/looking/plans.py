"""What stands behind a plan that waits for a second person: a ruling's payment and files, a replay's totals."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.core.attachments import read_names
from gateway.core.replays import read_plan
from gateway.store.port import Snapshot

RULE, REPLAY = "payment.rule", "replay.run"
_FILE = "SELECT t.name, t.size, t.body FROM attachments t WHERE t.sha256 = :digest"
_PLAN = "SELECT t.body FROM replay_files t WHERE t.plan_sha256 = :plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that a ruling leans on. name: as it came."""

    sha256: str
    name: str
    size: int
    body: bytes


async def files_of(snapshot: Snapshot, fields: Mapping[str, str]) -> list[File]:
    """The files that a ruling's deed names and the book has."""
    found = []
    for digest, _ in read_names(fields.get("attachments", "")) or ():
        async for part in snapshot.rows(_FILE, {"digest": digest}):
            found += [File(sha256=digest, name=name, size=size, body=bytes(body)) for name, size, body in part]
    return found


def write_files(files: Sequence[File], folder: Path) -> list[Path]:
    """Each as its hash and name in a folder. Raises OSError, ValueError where bytes are not those of the hash."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file in files:
        if hashlib.sha256(file.body).hexdigest() != file.sha256:
            raise ValueError(f"{file.name} is not the file that was signed")
        written.append(folder / f"{file.sha256[:12]}-{file.name}")
        written[-1].write_bytes(file.body)
    return written


async def totals_of(snapshot: Snapshot, plan_sha256: str) -> list[tuple[str, int, int]]:
    """Verdict, letters, fen of a kept replay plan; empty where there is none."""
    bodies = [bytes(body) async for part in snapshot.rows(_PLAN, {"plan": plan_sha256}) for (body,) in part]
    totals = [one for body in bodies for one in read_plan(body).totals]
    return [(str(one.verdict), one.letters, one.amount_fen) for one in totals]
