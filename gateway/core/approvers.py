"""Who could still approve after a deed: a bureau with fewer than two such people needs its root's key (M12)."""

from collections.abc import Set as AbstractSet

from certs.core.certificates import CertificateError, parse_certificate
from certs.core.life import Life
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Refusal
from gateway.core.keys_in_hand import certificates_in
from gateway.core.own_ca import judge_own
from gateway.core.rights import Rights
from gateway.core.rows import RegisteredCertificate, StaffMember
from gateway.core.scene import Scene
from gateway.core.steps import Read, Scan, Work

KEEPERS = frozenset({"staff.add", "certs.apply", "certs.bind"})
"""What it takes to approve a new person and his certificate; who may approve less does not count here."""
TWO = 2


def leaving_takes_two(scene: Scene) -> Work[bool]:
    """`staff.leave`: whether this person's going leaves too few."""
    yield from _look(scene)
    return _too_few(scene.book, scene.env, scene.now, staff_id=scene.deed.subject)


def ending_takes_two(scene: Scene) -> Work[bool]:
    """`certs.revoke`: whether the end of this certificate leaves too few. Of stations: never."""
    scene.book.load((yield Read("certificates", [(scene.deed.subject,)])))
    certificate = scene.book.get(RegisteredCertificate, scene.deed.subject)
    if certificate is None or certificate.staff_id is None:
        return False
    yield from _look(scene)
    return _too_few(scene.book, scene.env, scene.now, keyids={certificate.keyid})


def returning_takes_two(scene: Scene) -> Work[bool]:
    """`key.return`: whether what lies in the key, and is frozen with it, leaves too few."""
    keyids = {one.keyid for one in (yield from certificates_in(scene, scene.deed.subject)) if one.staff_id is not None}
    if not keyids:
        return False
    yield from _look(scene)
    return _too_few(scene.book, scene.env, scene.now, keyids=keyids)


def look_for_all(scene: Scene) -> Work[None]:
    """Everybody of the staff and their certificates, before `who_can`."""
    yield from _look(scene)
    # Of two that ask at once the second sees, after it has waited for the first, whom that one brought in.
    yield from _look(scene)


def who_can(scene: Scene, lost: AbstractSet[str] = frozenset()) -> frozenset[str]:
    """Staff ids of those who can approve now, after `look_for_all`. lost: keyids that do not count any more."""
    able = _approvers(scene.book, scene.env, scene.now)
    return frozenset(who for who, keys in able.items() if keys - lost)


def keeps(env: Env, department: str) -> bool:
    """Whether people of this department may approve a new person and his certificate."""
    return env.rights.get(department, Rights()).approves >= KEEPERS


def _look(scene: Scene) -> Work[None]:
    """Locked, and read after that: of two that end at once the second sees that the first is gone."""
    people: list[StaffMember] = yield Scan("staff_all")
    ids = sorted({(one.staff_id,) for one in people})
    scene.book.load((yield Read("staff_locked", ids)) if ids else [])
    scene.book.load((yield Read("certificates_of_staff", ids)) if ids else [])


def _too_few(book: Book, env: Env, now: int, *, staff_id: str = "", keyids: AbstractSet[str] = frozenset()) -> bool:
    before = _approvers(book, env, now)
    after = {who for who, keys in before.items() if who != staff_id and keys - keyids}
    return len(after) < min(TWO, len(before))


def _approvers(book: Book, env: Env, now: int) -> dict[str, set[str]]:
    """Keyids of the certificates that can sign an approval now, by person."""
    people = {one.staff_id for one in book.all(StaffMember) if one.state == "ACTIVE" and keeps(env, one.department)}
    found: dict[str, set[str]] = {}
    for one in book.all(RegisteredCertificate):
        if one.staff_id in people and _can_sign(one, env, now):
            found.setdefault(str(one.staff_id), set()).add(one.keyid)
    return found


def _can_sign(row: RegisteredCertificate, env: Env, now: int) -> bool:
    """Whether a deed by it would be taken: the same questions as `deeds` asks, the issuing CA above it included."""
    if row.role != "operator" or row.state != Life.ACTIVE or not row.not_before <= now < row.not_after:
        return False
    try:
        certificate = parse_certificate(row.der)
    except CertificateError:
        return False
    return certificate.keyid == row.keyid and not isinstance(judge_own(certificate, env, now), Refusal)
