"""Deeds about the staff: a new person (two people), one who leaves."""

import re

from msgspec.structs import replace

from certs.core.life import PROVISIONED
from gateway.core.items import Refusal
from gateway.core.rows import RegisteredCertificate, StaffMember
from gateway.core.scene import CLOCK, ROOT, Scene, conflict, freeze_all, malformed, missing
from gateway.core.steps import Read, Work

_STAFF_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_NAME_MAX = 64
NOBODY = frozenset({PROVISIONED, CLOCK, ROOT})
"""The names that steps bear where no person did them."""


def add(scene: Scene) -> Work[Refusal | str]:
    """A person with a department; what he may do follows from it. His certificate is applied for apart."""
    staff_id, name, department = scene.deed.subject, scene.field("name"), scene.field("department")
    refused = out_of_form(scene, staff_id, name, department)
    if refused is not None:
        return refused
    scene.book.load((yield Read("staff", [(staff_id,)])))
    if scene.book.get(StaffMember, staff_id) is not None:
        return conflict(f"{staff_id} is somebody's id already; ids are never given twice.")
    scene.book.add(member(staff_id, name, department, scene.now))
    return "ACTIVE"


def out_of_form(scene: Scene, staff_id: str, name: str, department: str) -> Refusal | None:
    """What no person may be called, and a department that is not there."""
    if not _STAFF_ID.fullmatch(staff_id) or staff_id in NOBODY:
        return malformed("a staff id is 1 to 32 of A-Z a-z 0-9 _ -", "subject")
    if not (0 < len(name) <= _NAME_MAX and name.isprintable() and name == name.strip()):
        return malformed("a name is 1 to 64 printable characters", "name")
    if department not in scene.env.rights:
        return malformed(f"no such department: {department or '(none)'}", "department")
    return None


def member(staff_id: str, name: str, department: str, now: int) -> StaffMember:
    """A person of the staff from now on."""
    return StaffMember(staff_id=staff_id, name=name, department=department, added_at=now, state_at=now)


def leave(scene: Scene) -> Work[Refusal | str]:
    """The person may do nothing more; active certificates are frozen in the same commit."""
    staff_id = scene.deed.subject
    scene.book.load((yield Read("staff", [(staff_id,)])))
    person = scene.book.get(StaffMember, staff_id)
    if person is None:
        return missing(f"person {staff_id}")
    if person.state != "ACTIVE":
        return conflict(f"{staff_id} has left already.")
    scene.book.put(replace(person, state="LEFT", state_at=scene.now))
    scene.book.load((yield Read("certificates_of_staff", [(staff_id,)])))
    yield from freeze_all(scene, [one for one in scene.book.all(RegisteredCertificate) if one.staff_id == staff_id])
    return "LEFT"
