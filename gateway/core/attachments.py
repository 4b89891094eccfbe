"""Files that a deed leans on: kept by their hash before it is signed, named in it by hash and size (M12)."""

import hashlib
import re
from collections.abc import Sequence

from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Item, Kept, Refusal, Reply
from gateway.core.rows import Attachment, AttachmentName
from gateway.core.scene import Scene, malformed, missing
from gateway.core.steps import Claim, Now, Read, Work

SIZE_MAX = 5 * 1024 * 1024
FILES_MAX = 10
_NAME_MAX = 128
_ONE = re.compile(r"([0-9a-f]{64}):([1-9][0-9]{0,7})")


class KeepAttachment(Item, frozen=True, kw_only=True):
    """Keep these bytes, 1 to 5 MiB, under their SHA-256; a file that is here already stays as it came first."""

    name: str
    body: bytes


def keep_attachment(items: Sequence[KeepAttachment], env: Env) -> Work[list[Reply]]:
    """Replies: Kept (count 0: it was here), or Refusal."""
    now: int = yield Now()
    rows: dict[str, Attachment] = {}
    replies: list[Reply] = []
    for item in items:
        if not 0 < len(item.body) <= SIZE_MAX:
            replies.append(malformed(f"a file of 1 to {SIZE_MAX} bytes", "body"))
        elif not (0 < len(item.name) <= _NAME_MAX and item.name.isprintable() and "/" not in item.name):
            replies.append(malformed(f"a name of 1 to {_NAME_MAX} printable characters, without /", "name"))
        else:
            digest = hashlib.sha256(item.body).hexdigest()
            row = Attachment(sha256=digest, name=item.name, size=len(item.body), body=item.body, kept_at=now)
            rows.setdefault(digest, row)
            replies.append(Kept(count=1))
    if rows:
        yield Claim([rows[digest] for digest in sorted(rows)])
    yield Book().write()
    return replies


def name_attachments(files: Sequence[tuple[str, int]]) -> str:
    """The field of a deed that names files: (SHA-256 hex, size) each."""
    return ",".join(f"{digest}:{size}" for digest, size in files)


def read_names(text: str) -> list[tuple[str, int]] | None:
    """The files that a field names; None where it has not that form."""
    parts = [_ONE.fullmatch(part) for part in text.split(",")] if text else []
    named = [(part[1], int(part[2])) for part in parts if part is not None]
    return named if len(named) == len(parts) and len(set(named)) == len(named) <= FILES_MAX else None


def check_attachments(scene: Scene) -> Work[Refusal | None]:
    """Whether the files that the deed's field `attachments` names, one at least, are here, with these sizes."""
    named = read_names(scene.field("attachments"))
    if not named:
        return malformed(f"1 to {FILES_MAX} files as SHA-256:SIZE, with commas", "attachments")
    found: list[AttachmentName] = yield Read("attachment_names", sorted((digest,) for digest, _ in named))
    sizes = {row.sha256: row.size for row in found}
    for digest, size in named:
        if sizes.get(digest) != size:
            return missing(f"attachment {digest} of {size} bytes")
    return None
