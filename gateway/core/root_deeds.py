"""Deeds that the root's key signs: the first staff, and the way back when fewer than two people can approve (M12).

The root's private key is at hand at the making of an installation, and lies in a safe afterwards: whoever has it stands
above the staff, and above the issuing CA. Its certificate is the configuration's (`Env.root`), never the book's.
"""

import binascii
from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from certs.core.certificate_requests import KnownKeys, RequestRefused, read_request
from certs.core.certificates import Certificate, CertificateError, Role, parse_certificate
from certs.core.pem import is_pem
from gateway.core.approvers import TWO, keeps, look_for_all, who_can
from gateway.core.items import Refusal
from gateway.core.own_ca import judge_own, lint_own
from gateway.core.provisioned import Word, certified, provision
from gateway.core.rows import Alarm, RegisteredCertificate, StaffMember
from gateway.core.scene import ROOT, Scene, conflict, freeze_all, key_known, malformed, missing
from gateway.core.staff_deeds import member, out_of_form
from gateway.core.steps import Read, Scan, Work

FOUND, RESTORE = "staff.found", "staff.restore"
BY_ROOT = frozenset({FOUND, RESTORE})
"""What only the root's key may do; it may do nothing else."""
RESTORED = "staff.restored"
"""Alarm: the root's key has brought people in."""
RESTORED_MAX = 2
FIELDS = ("staff_id", "name", "department", "certificate", "csr")
"""Of each person, numbered from 1: staff_id_1 … csr_1, staff_id_2 …; certificate and csr are DER in base64."""
LOST = "lost"
"""Field of a restoring deed: whose keys are gone, staff ids and keyids, one space between them; left out: nobody."""
LOST_MAX = 16


@dataclass(frozen=True, slots=True)
class _Newcomer:
    """A person as a deed brings him in. known: his row, where he is of the staff already."""

    staff_id: str
    name: str
    department: str
    certificate: Certificate
    issuer: Certificate
    known: StaffMember | None


def people_in(fields: Mapping[str, str]) -> list[dict[str, str]]:
    """The people of a deed, in their order; what is missing is ""."""
    numbers = range(1, 1 + sum(name.startswith("staff_id_") for name in fields))
    return [{name: fields.get(f"{name}_{number}", "") for name in FIELDS} for number in numbers]


def lost_in(fields: Mapping[str, str]) -> list[str]:
    """The staff ids and keyids that a deed says are lost."""
    return fields.get(LOST, "").split()


def is_lost(certificate: RegisteredCertificate, lost: Collection[str]) -> bool:
    """Whether a certificate is a person's who is named there, or is named itself. Of stations: never."""
    return certificate.staff_id is not None and not {certificate.staff_id, certificate.keyid}.isdisjoint(lost)


def found(scene: Scene) -> Work[Refusal | str]:
    """The first staff of an installation: two people at least, or nobody could ever approve."""
    scene.book.load((yield Scan("staff_any")))
    if scene.book.all(StaffMember):
        return conflict("Staff exists here already; others: `bianmin certs staff add`.")
    people = yield from _newcomers(scene)
    if isinstance(people, Refusal):
        return people
    if len(people) < TWO:
        return malformed("two people at least", "people")
    _bring_in(scene, people)
    return "ACTIVE"


def restore(scene: Scene) -> Work[Refusal | str]:
    """Break-glass: one or two people who can approve, with certificates that speak at once. Never without an alarm.

    What is lost speaks until somebody freezes it, and who has lost it cannot: the deed names those people and
    certificates, they are frozen in its commit, and who can approve is counted after that. Only while fewer than two
    people can, and only where two can afterwards. Who is of the staff already, and has not left, gets another
    certificate under his own id: one person stays one person.
    """
    yield from look_for_all(scene)
    lost = _lost(scene)
    if isinstance(lost, Refusal):
        return lost
    able = who_can(scene, {one.keyid for one in lost})
    if len(able) >= TWO:
        return conflict(
            f"{', '.join(sorted(able))} can approve: whoever else is needed is added by two people (M12)."
            " Whose keys are lost has to be named."
        )
    people = yield from _newcomers(scene)
    if isinstance(people, Refusal):
        return people
    if len(people) > RESTORED_MAX:
        return malformed(f"{RESTORED_MAX} people at most", "people")
    if len(able | {one.staff_id for one in people if keeps(scene.env, one.department)}) < TWO:
        return conflict("Fewer than two people could approve even then: name others, of a department that approves.")
    yield from freeze_all(scene, lost)
    _bring_in(scene, people)
    _raise(scene, people)
    return "ACTIVE"


def _raise(scene: Scene, people: Sequence[_Newcomer]) -> None:
    told = "、".join(f"{one.staff_id} {one.name} {one.department}" for one in people)
    gone = "、".join(lost_in(scene.deed.fields))
    scene.book.add(
        Alarm(
            alarm_id=scene.serials.mint(),
            kind=RESTORED,
            biller=None,
            gateway_serial=None,
            detail=f"the root's key has brought in {told}{f', frozen as lost: {gone}' if gone else ''}:"
            f" {scene.deed.reason}",
            raised_at=scene.now,
        )
    )


def _lost(scene: Scene) -> list[RegisteredCertificate] | Refusal:
    """The certificates that the deed says are lost, after `look_for_all`; frozen already or not."""
    named = lost_in(scene.deed.fields)
    if len(named) > LOST_MAX or " ".join(dict.fromkeys(named)) != scene.field(LOST):
        return malformed(f"up to {LOST_MAX} staff ids or keyids, each once, one space between them", LOST)
    held = [one for one in scene.book.all(RegisteredCertificate) if one.staff_id is not None]
    known = {one.keyid for one in held} | {one.staff_id for one in scene.book.all(StaffMember)}
    unknown = next((one for one in named if one not in known), None)
    if unknown is not None:
        return missing(f"person or certificate of the staff {unknown}")
    return [one for one in held if is_lost(one, named)]


def _newcomers(scene: Scene) -> Work[list[_Newcomer] | Refusal]:
    said = people_in(scene.deed.fields)
    besides = scene.deed.action == RESTORE and LOST in scene.deed.fields
    if not said or len(scene.deed.fields) != len(said) * len(FIELDS) + besides:
        return malformed(f"{', '.join(FIELDS)} of each person, numbered from 1", "people")
    if len({one["staff_id"] for one in said}) < len(said):
        return malformed("one person is named twice", "people")
    found: list[_Newcomer] = []
    for one in said:
        newcomer = yield from _newcomer(scene, one)
        if isinstance(newcomer, Refusal):
            return newcomer
        found.append(newcomer)
    if len({one.certificate.public_key_sha256 for one in found}) < len(found):
        return malformed("two people have one key", "people")
    return found


def _newcomer(scene: Scene, said: Mapping[str, str]) -> Work[_Newcomer | Refusal]:
    staff_id, name, department = said["staff_id"], said["name"], said["department"]
    refused = out_of_form(scene, staff_id, name, department)
    if refused is not None:
        return refused
    scene.book.load((yield Read("staff", [(staff_id,)])))
    known = scene.book.get(StaffMember, staff_id)
    if known is not None and (known.name, known.department, known.state) != (name, department, "ACTIVE"):
        return conflict(f"{staff_id} is {known.name} of {known.department}, {known.state}; ids are never given twice.")
    read = _certificate(scene, said)
    if isinstance(read, Refusal):
        return read
    certificate, issuer = read
    if (yield from key_known(scene, certificate.public_key_sha256)):
        return conflict("This key has a certificate already, or one was applied for; a key is registered once.")
    return _Newcomer(staff_id, name, department, certificate, issuer, known)


def _certificate(scene: Scene, said: Mapping[str, str]) -> tuple[Certificate, Certificate] | Refusal:
    """His certificate and its issuing CA: of a strong key in his own hand, in his name, by its profile, valid now."""
    try:
        csr = b64decode(said["csr"], validate=True)
        if is_pem(csr):
            return malformed("the request, DER in base64", "csr")
        key = read_request(csr, KnownKeys())
        certificate = parse_certificate(b64decode(said["certificate"], validate=True))
    except (binascii.Error, CertificateError, RequestRefused) as wrong:
        return malformed(f"certificate and request as DER in base64; {wrong}", "people")
    if certificate.public_key_sha256 != key.public_key_sha256 or certificate.role is not Role.OPERATOR:
        return malformed("the certificate of the staff for the key of this request", "certificate")
    issuer = judge_own(certificate, scene.env, scene.now)
    if isinstance(issuer, Refusal):
        return issuer
    broken = lint_own(certificate, issuer, "operator", (said["name"], "", ""), scene.env)
    return (certificate, issuer) if broken is None else malformed(f"it breaks its profile: {broken}", "certificate")


def _bring_in(scene: Scene, people: Sequence[_Newcomer]) -> None:
    word = Word(staff=ROOT, prepared_by=ROOT, deed=scene.digest, record_id=scene.record_id, reason=scene.deed.reason)
    for one in people:
        if one.known is None:
            scene.book.add(member(one.staff_id, one.name, one.department, scene.now))
        made = certified(one.certificate, one.issuer)
        provision(scene.book, made, one.certificate.der, scene.now, role="operator", staff_id=one.staff_id, word=word)
