"""Deeds about the staff: a new person (two people), one who leaves; and the first staff of an installation."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from certs.core.life import PROVISIONED
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Kept, Refusal, Reply
from gateway.core.items_deeds import RegisterStaff
from gateway.core.provisioned import provision
from gateway.core.rows import RegisteredCertificate, StaffMember
from gateway.core.scene import Scene, conflict, freeze_all, malformed, missing
from gateway.core.steps import Now, Read, Scan, Work

_STAFF_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_NAME_MAX = 64


def add(scene: Scene) -> Work[Refusal | str]:
    """A person with a department; what he may do follows from it. His certificate is applied for apart."""
    staff_id, name, department = scene.deed.subject, scene.field("name"), scene.field("department")
    # The names that steps bear where no person did them.
    if not _STAFF_ID.fullmatch(staff_id) or staff_id in (PROVISIONED, "clock"):
        return malformed("a staff id is 1 to 32 of A-Z a-z 0-9 _ -", "subject")
    if not (0 < len(name) <= _NAME_MAX and name.isprintable() and name == name.strip()):
        return malformed("a name is 1 to 64 printable characters", "name")
    if department not in scene.env.rights:
        return malformed(f"no such department: {department or '(none)'}", "department")
    scene.book.load((yield Read("staff", [(staff_id,)])))
    if scene.book.get(StaffMember, staff_id) is not None:
        return conflict(f"{staff_id} is somebody's id already; ids are never given twice.")
    scene.book.add(_member(staff_id, name, department, scene.now))
    return "ACTIVE"


def _member(staff_id: str, name: str, department: str, now: int) -> StaffMember:
    return StaffMember(staff_id=staff_id, name=name, department=department, added_at=now, state_at=now)


def leave(scene: Scene) -> Work[Refusal | str]:
    """The person may do nothing more; active certificates are frozen in the same commit."""
    staff_id = scene.deed.subject
    scene.book.load((yield Read("staff", [(staff_id,)])))
    member = scene.book.get(StaffMember, staff_id)
    if member is None:
        return missing(f"person {staff_id}")
    if member.state != "ACTIVE":
        return conflict(f"{staff_id} has left already.")
    scene.book.put(replace(member, state="LEFT", state_at=scene.now))
    scene.book.load((yield Read("certificates_of_staff", [(staff_id,)])))
    yield from freeze_all(scene, [one for one in scene.book.all(RegisteredCertificate) if one.staff_id == staff_id])
    return "LEFT"


def register_staff(items: Sequence[RegisterStaff], env: Env) -> Work[list[Reply]]:
    """The first staff: two people at least, or nobody could ever approve. Replies: Kept, or Refusal."""
    now: int = yield Now()
    book = Book()
    book.load((yield Scan("staff_any")))
    replies: list[Reply] = []
    for item in items:
        if book.all(StaffMember):
            replies.append(conflict("Staff exists here already; others: `bianmin certs staff add`."))
        elif len({one.staff_id for one in item.people}) < 2:
            replies.append(malformed("two people at least", "people"))
        elif unknown := {one.department for one in item.people} - set(env.rights):
            replies.append(malformed(f"no such department: {', '.join(sorted(unknown))}", "department"))
        else:
            for one in item.people:
                book.add(_member(one.staff_id, one.name, one.department, now))
                provision(book, one, one.der, now, role="operator", staff_id=one.staff_id, by=item.by)
            replies.append(Kept(count=len(item.people)))
    yield book.write()
    return replies
