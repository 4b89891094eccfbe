"""What one deed made whole: people on the root's word, a station on that of two people. It must be what was signed."""

from base64 import b64decode
from binascii import Error
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from certs.core.certificates import Certificate, CertificateError, parse_certificate
from certs.core.life import Event, after
from gateway.core.env import rfc3339
from gateway.core.root_deeds import BY_ROOT, RESTORE, RESTORED, is_lost, lost_in, people_in
from gateway.core.rows import Alarm, Approval, CertificateStep, RegisteredCertificate
from gateway.core.scene import ROOT
from gateway.ops.audit.deeds import Done

STATION_ADD = "station.add"
FIRST_STEPS = (Event.APPLY, Event.APPROVE, Event.ISSUE, Event.BIND, Event.ACTIVATE)
"""Of what comes to life at once, all in one commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A certificate as a deed carries it. plan: of two people; None: on the root's word. fields: with whom."""

    der: bytes
    certificate: Certificate
    plan: Approval | None
    done: Done
    fields: Mapping[str, str]


def brings(number: int, event: str, action: str, plan: Approval | None) -> bool:
    """Whether a step of this number may come of such a deed; which certificate the deed carries is judged with it."""
    whole = action in BY_ROOT if plan is None else action == STATION_ADD
    return whole and FIRST_STEPS[number - 1 : number] == (event,)


def carried_by(done: Done | None, plan: tuple[Approval, Done] | None) -> list[Carried]:
    """What a deed brought in. plan: the one it approved, with what its preparer signed. A refused deed: nothing."""
    if done is None or done.wrong or not done.did:
        return []
    if plan is None:
        said = people_in(done.fields) if (done.who, done.action in BY_ROOT) == (ROOT, True) else []
    elif (plan[0].kind, plan[0].state) == (STATION_ADD, "DONE"):
        said = [dict(plan[1].fields)]
    else:
        said = []
    found = []
    for fields in said:
        try:
            der = b64decode(fields.get("certificate", ""), validate=True)
            certificate = parse_certificate(der)
        except (Error, ValueError, CertificateError):
            continue
        found.append(
            Carried(der=der, certificate=certificate, plan=plan[0] if plan else None, done=done, fields=fields)
        )
    return found


def judge_certificate(
    row: RegisteredCertificate, steps: Sequence[CertificateStep], carried: Sequence[Carried]
) -> Iterator[str]:
    """Byte by byte what the deed carries, of whom it says, alive in the commit of that deed and by no later word."""
    record = steps[0].record_id
    own = [(step.number, step.event, step.at) for step in steps if step.record_id == record]
    if own != [(number, event, row.registered_at) for number, event in enumerate(FIRST_STEPS, 1)]:
        yield "brought in whole is how it began and nothing else: its first steps are others"
    one = next((one for one in carried if one.certificate.keyid == row.keyid), None)
    if one is None or one.der != row.der:
        yield f"{steps[0].staff} signed for another certificate"
        return
    role, staff_id = ("station", None) if one.plan is not None else ("operator", one.fields["staff_id"])
    if (row.role, row.staff_id) != (role, staff_id):
        yield f"it is of {row.role} {row.staff_id or ''}, signed was {role} {staff_id or ''}"
    if row.registered_at != one.done.at:
        yield f"it was registered at {row.registered_at}, signed for at {one.done.at}"


def people(deeds: Mapping[str, Done]) -> dict[str, tuple[Mapping[str, str], int]]:
    """Whom the root's word brought in, and when first, by staff id."""
    found: dict[str, tuple[Mapping[str, str], int]] = {}
    for done in sorted(deeds.values(), key=lambda one: one.at):
        if done.did and (done.who, done.action in BY_ROOT) == (ROOT, True):
            for one in people_in(done.fields):
                found.setdefault(one["staff_id"], (one, done.at))
    return found


def judge_alarm(done: Done, alarms: Sequence[Alarm]) -> Iterator[str]:
    """Nobody is restored without an alarm that names what was frozen with it."""
    if (done.action, done.did) == (RESTORE, True) and not any(
        (one.kind, one.raised_at) == (RESTORED, done.at) and all(name in one.detail for name in lost_in(done.fields))
        for one in alarms
    ):
        yield f"the root's key restored staff, and there is no alarm {RESTORED} that says so"


def lost_by(done: Done, certificates: Mapping[str, RegisteredCertificate]) -> frozenset[str]:
    """Keyids of the certificates that the root's word said are lost: those it found, not those it brought in."""
    if (done.who, done.action, done.did) != (ROOT, RESTORE, True):
        return frozenset()
    own = {one.certificate.keyid for one in carried_by(done, None)}
    named = lost_in(done.fields)
    return frozenset(
        one.keyid
        for one in certificates.values()
        if is_lost(one, named) and one.registered_at <= done.at and one.keyid not in own
    )


def judge_lost(done: Done, record_id: str, lives: Mapping[str, Sequence[CertificateStep]]) -> Iterator[str]:
    """lives: the steps of what it said is lost. Whatever could still speak then was frozen in its commit."""
    for keyid, steps in lives.items():
        if any((one.record_id, one.event) == (record_id, Event.FREEZE) for one in steps):
            continue
        before = [one.to_state for one in steps if one.at < done.at][-1:]
        stood = before + [one.to_state for one in steps if one.at == done.at]
        if stood and all(after(state, Event.FREEZE) is not None for state in stood):
            yield f"it said that {keyid} is lost, and did not freeze it"


def told(done: Done) -> str | None:
    """For people: whom the root's key restored and what it froze; None of any other deed."""
    if (done.who, done.action, done.did) != (ROOT, RESTORE, True):
        return None
    people = ", ".join(f"{one['staff_id']} {one['name']}" for one in people_in(done.fields))
    lost = ", ".join(lost_in(done.fields)) or "nothing"
    return f"{RESTORED} at {rfc3339(done.at)}: the root's key brought in {people}, and froze as lost {lost}"
