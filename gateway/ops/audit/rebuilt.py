"""What gives power, made again from what was signed for it: staff, certificates, bindings, keys, partners (M12).

Only what was provisioned before there was staff has no deed behind it: its first steps, all in one commit. What one
deed made whole is judged by `brought_in`.
"""

from base64 import b64decode
from binascii import Error
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from certs.core.certificates import Certificate, CertificateError, parse_certificate
from certs.core.life import PROVISIONED, Event, Life
from certs.core.stock import Movement
from gateway.core.certificate_requests import ROLE_OF_PROFILE
from gateway.core.rows import (
    Approval,
    Binding,
    CertificateRequest,
    CertificateStep,
    PartnerCertificate,
    RegisteredCertificate,
    StaffMember,
    UsbKey,
    UsbKeyStep,
)
from gateway.ops.audit import brought_in
from gateway.ops.audit.brought_in import FIRST_STEPS, STATION_ADD
from gateway.ops.audit.deeds import Done

_OWN_ROLES = frozenset({"reply", "archive"})
_PLACE = ("institution_code", "terminal_id", "operator_id", "key_serial")
_ASKED = ("profile", "institution_code", "terminal_id", "operator_id", "key_serial", "staff_id", "renews")
_AWAY = frozenset({Movement.HAND_OUT, Movement.HAND_OVER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The registers and what was signed, read from one snapshot."""

    certificates: Mapping[str, RegisteredCertificate]
    requests: Mapping[str, CertificateRequest]
    bindings: Mapping[str, Sequence[Binding]]
    staff: Mapping[str, StaffMember]
    partners: Sequence[PartnerCertificate]
    keys: Mapping[str, UsbKey]
    plans: Mapping[str, Approval]
    lived: Mapping[str, Sequence[CertificateStep]]
    moved: Mapping[str, Sequence[UsbKeyStep]]
    deeds: Mapping[str, Done]

    def plan_of(self, record_id: str | None) -> tuple[Approval, Done] | None:
        """The plan that a deed approved, and what its preparer signed; None where it approved nothing."""
        done = self.deeds.get(str(record_id))
        plan = self.plans.get(done.subject) if done is not None else None
        prepared = self.deeds.get(plan.prepared_record) if plan is not None else None
        return (plan, prepared) if plan is not None and prepared is not None and not prepared.wrong else None

    def done(self, kind: str, subject: str) -> list[tuple[Approval, Done]]:
        """Plans of this kind for this subject that were approved and done."""
        found = [one for one in self.plans.values() if (one.kind, one.subject, one.state) == (kind, subject, "DONE")]
        read = [(one, self.deeds.get(one.prepared_record)) for one in found]
        return [(one, said) for one, said in read if said is not None and not said.wrong]

    def signed(self, action: str, subject: str) -> list[Done]:
        """Deeds of this kind for this subject that were done."""
        return [one for one in self.deeds.values() if (one.action, one.subject) == (action, subject) and one.did]


def _differs(row: object, said: Mapping[str, object], whose: str) -> Iterator[str]:
    for name, value in said.items():
        if getattr(row, name) != value:
            shown = "" if isinstance(value, bytes) else f": {getattr(row, name)!r}, {value!r} there"
            yield f"its {name} is not that of {whose}{shown}"


def _read(der: bytes) -> Certificate | None:
    try:
        return parse_certificate(der)
    except CertificateError:
        return None


def _ms(certificate: Certificate) -> dict[str, object]:
    ends = {"not_before": certificate.not_before, "not_after": certificate.not_after}
    return {name: int(moment.timestamp()) * 1000 for name, moment in ends.items()}


def judge_certificate(row: RegisteredCertificate, books: Books) -> Iterator[str]:
    """What its own DER says; and who asked for it: an application, or the first steps of something provisioned."""
    certificate = _read(row.der)
    if certificate is not None:
        said = _ms(certificate) | {
            "keyid": certificate.keyid,
            "public_key_sha256": certificate.public_key_sha256,
            "role": certificate.role,
        }
        if certificate.usb_key_serial or row.key_serial:
            said["key_serial"] = certificate.usb_key_serial
        if row.serial:
            said["serial"] = f"{certificate.serial:x}"
        yield from _differs(row, said, "its DER")
    steps = books.lived.get(row.keyid, ())
    if any(step.staff == PROVISIONED for step in steps):
        yield from _judge_provisioned(row, steps, books)
        return
    if carried := brought_in.carried_by(*_origin(steps, books)):
        yield from brought_in.judge_certificate(row, steps, carried)
        return
    request = next((one for one in books.requests.values() if one.keyid == row.keyid), None)
    if request is None:
        yield "nobody applied for it, and it was not provisioned"
        return
    wanted = {"role": ROLE_OF_PROFILE.get(request.profile)}
    wanted |= {name: getattr(request, name) for name in ("key_serial", "staff_id", "renews", "public_key_sha256")}
    yield from _differs(row, wanted, f"its application {request.request_id}")
    issued = next((step for step in steps if step.event == Event.ISSUE), None)
    done = books.deeds.get(str(issued.record_id)) if issued is not None else None
    if done is not None and not done.wrong and _bytes(done.fields.get("certificate", "")) != row.der:
        yield f"it is not the certificate that {done.who} issued"


def _origin(steps: Sequence[CertificateStep], books: Books) -> tuple[Done | None, tuple[Approval, Done] | None]:
    """The deed of the first step, and the plan it approved."""
    record = steps[0].record_id if steps else None
    return books.deeds.get(str(record)), books.plan_of(record)


def _judge_provisioned(row: RegisteredCertificate, steps: Sequence[CertificateStep], books: Books) -> Iterator[str]:
    own = [step for step in steps if step.staff == PROVISIONED]
    first = [(step.number, step.event, step.at) for step in own]
    if first != [(number, event, row.registered_at) for number, event in enumerate(FIRST_STEPS, 1)]:
        later = ", ".join(f"{step.event} as step {step.number}" for step in own if step.number > len(FIRST_STEPS))
        yield f"provisioned is how it began and nothing else: {later or 'its first steps are others'}"
    if any(one.keyid == row.keyid for one in books.requests.values()):
        yield "it was applied for, and provisioned it is said"
    began = min((one.added_at for one in books.staff.values()), default=row.registered_at)
    if row.role == "station":
        if row.registered_at > began:
            yield "a station that came when there was staff, and nobody signed for it"
    elif row.role not in _OWN_ROLES:
        yield f"no {row.role} is provisioned"


def judge_staff(row: StaffMember, books: Books) -> Iterator[str]:
    """Added by two people, or by the root's word; LEFT if, and only if, a deed of leaving was done."""
    plans, rooted = books.done("staff.add", row.staff_id), brought_in.people(books.deeds).get(row.staff_id)
    if plans:
        plan, said = plans[0]
        wanted: dict[str, object] = {name: said.fields.get(name, "") for name in ("name", "department")}
        yield from _differs(row, wanted | {"added_at": plan.decided_at}, "the plan that two people signed")
    elif rooted is not None:
        wanted = {name: rooted[0][name] for name in ("name", "department")}
        yield from _differs(row, wanted | {"added_at": rooted[1]}, "what the root signed")
    else:
        yield "nobody added it: neither two people nor the root"
    left = [one.who for one in books.signed("staff.leave", row.staff_id) if one.state == "LEFT"]
    left += [str(plan.decided_by) for plan, _ in books.done("staff.leave", row.staff_id)]
    if row.state == "LEFT" and not left:
        yield "it has left, and nobody signed that"
    if row.state != "LEFT" and left:
        yield f"it is {row.state}, and it has left by the word of {', '.join(left)}"


def judge_bound(one: Binding, books: Books) -> Iterator[str]:
    """The place that two people signed for; of a provisioned one, the station that its certificate names."""
    steps = books.lived.get(one.keyid, ())
    row = books.certificates.get(one.keyid)
    if PROVISIONED in (one.prepared_by, one.approved_by):
        certificate = _read(row.der) if row is not None else None
        if certificate is not None:
            wanted = {"institution_code": certificate.institution_code, "key_serial": certificate.usb_key_serial}
            yield from _differs(one, wanted, "its certificate")
        if row is not None and one.bound_at != row.registered_at:
            yield "provisioned is what was bound when it was registered, and nothing else"
        return
    bound = next((step for step in steps if step.event == Event.BIND and step.at == one.bound_at), None)
    found = books.plan_of(bound.record_id) if bound is not None else None
    if found is None:
        yield "no plan of two people bound it"
        return
    plan, said = found
    wanted_: dict[str, object] = {name: said.fields.get(name, "") for name in _PLACE}
    wanted_["keyid"] = said.subject
    if plan.kind == STATION_ADD:
        # Which certificate it carries is judged with the certificate.
        certificate = _read(row.der) if row is not None else None
        serial = certificate.usb_key_serial if certificate is not None else ""
        wanted_ |= {"keyid": one.keyid, "institution_code": said.subject, "key_serial": serial}
    wanted_ |= {"prepared_by": plan.prepared_by, "approved_by": plan.decided_by}
    yield from _differs(one, wanted_, "the plan that two people signed")


def judge_request(request: CertificateRequest, books: Books) -> Iterator[str]:
    """What was applied for is what the deed of its first step says; what was issued, what that deed carried."""
    steps = {step.event: step for step in books.lived.get(request.request_id, ())}
    applied = books.deeds.get(str(steps[Event.APPLY].record_id)) if Event.APPLY in steps else None
    if applied is None or applied.wrong or applied.action != "certs.apply":
        yield "nobody signed its application"
        return
    wanted: dict[str, object] = {name: applied.fields.get(name, "") for name in _ASKED}
    for name in ("staff_id", "renews"):
        wanted[name] = wanted[name] or None
    wanted |= {"csr": _bytes(applied.fields.get("csr", "")), "public_key_sha256": applied.subject}
    yield from _differs(request, wanted, f"the application that {applied.who} signed")
    if Event.APPROVE in steps and request.state in (Life.APPROVED, Life.ISSUED):
        yield from _differs(request, {"decided_by": steps[Event.APPROVE].staff}, "its step")
    issued = books.deeds.get(str(steps[Event.ISSUE].record_id)) if Event.ISSUE in steps else None
    certificate = books.certificates.get(str(request.keyid))
    if issued is not None and not issued.wrong:
        if issued.subject != request.request_id:
            yield f"{issued.who} issued a certificate for {issued.subject}"
        if certificate is None or _bytes(issued.fields.get("certificate", "")) != certificate.der:
            yield f"its keyid is not of the certificate that {issued.who} issued"


def judge_key(key: UsbKey, books: Books) -> Iterator[str]:
    """Who holds it is who it was handed to, as two people signed."""
    holds = ("", "")
    for step in books.moved.get(key.key_serial, ()):
        if step.staff == PROVISIONED:
            yield f"step {step.number}: no USB key is provisioned"
        if step.event in _AWAY:
            found = books.plan_of(step.record_id) if step.event == Movement.HAND_OVER else None
            said = found[1] if found is not None else books.deeds.get(str(step.record_id), Done())
            holds = (said.fields.get("institution_code", ""), said.fields.get("holder", ""))
            if (step.institution_code, step.holder) != holds:
                yield f"step {step.number} names {step.institution_code} {step.holder}, signed was {' '.join(holds)}"
        elif step.event != Movement.LOSE:
            holds = ("", "")
    if (key.institution_code, key.holder) != holds:
        signed = " ".join(holds).strip() or "nobody"
        yield f"{key.institution_code} {key.holder} is said to hold it, signed was {signed}"


def judge_partner(row: PartnerCertificate, books: Books) -> Iterator[str]:
    """Pinned by two people, byte by byte; once closed, closed for good."""
    plans = [found for found in books.done("partner.add", row.keyid) if found[1].fields.get("biller") == row.biller]
    if not plans:
        yield "no plan of two people pinned it"
        return
    plan, said = plans[0]
    certificate = _read(row.der)
    wanted: dict[str, object] = {"der": _bytes(said.fields.get("certificate", "")), "use": said.fields.get("use")}
    wanted |= {"added_by": plan.prepared_by, "approved_by": plan.decided_by}
    if certificate is not None:
        wanted |= _ms(certificate) | {"keyid": certificate.keyid, "public_key_sha256": certificate.public_key_sha256}
    yield from _differs(row, wanted, "the plan that two people signed")
    closed = [one for one in books.signed("partner.close", row.keyid) if one.fields.get("biller") == row.biller]
    if row.state == "CLOSED" and not closed:
        yield "it is closed, and nobody signed that"
    if row.state != "CLOSED" and closed:
        yield f"it is {row.state}, and {', '.join(one.who for one in closed)} closed it"


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        return b""
