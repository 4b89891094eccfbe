"""Alarms that a person has looked at: seen, by a signed deed with a reason; nothing else about them changes."""

from msgspec.structs import replace

from gateway.core.items import Refusal
from gateway.core.rows import Alarm
from gateway.core.scene import Scene, conflict, missing
from gateway.core.steps import Read, Scan, Work

AT_ONCE = 500


def see(scene: Scene) -> Work[Refusal | str]:
    """Seen. subject: an alarm's id, or a kind: then all of it that was raised before the deed, at most AT_ONCE."""
    subject = scene.deed.subject
    scene.book.load((yield Read("alarms", [(subject,)])))
    one = scene.book.get(Alarm, subject)
    if one is not None:
        if one.seen_at is not None:
            return conflict("It was seen already.")
        scene.book.put(replace(one, seen_at=scene.now))
        return "SEEN"
    found: list[Alarm] = yield Scan("alarms_unseen", {"kind": subject, "until": scene.deed.at, "limit": AT_ONCE})
    if not found:
        return missing(f"alarm {subject} that nobody has seen")
    scene.book.load(found)
    for row in found:
        scene.book.put(replace(row, seen_at=scene.now))
    return f"{len(found)} SEEN"
