"""Deeds before there is a certificate: apply, approve or refuse, issue (CERT-02, JOIN-16, M12)."""

import base64
import binascii

from msgspec.structs import replace

from certs.core.certificate_requests import KnownKeys, RequestRefused, read_request
from certs.core.certificates import Certificate, CertificateError, parse_certificate
from certs.core.life import Event, Life, after
from certs.core.pem import is_pem
from certs.core.renewals import renews
from gateway.core.items import Refusal
from gateway.core.keys_in_hand import key_in_hand
from gateway.core.own_ca import judge_own, lint_own
from gateway.core.rows import (
    Binding,
    CertificateRequest,
    Operator,
    RegisteredCertificate,
    StaffMember,
    Station,
    Terminal,
)
from gateway.core.scene import (
    LAPSES_DAYS,
    Scene,
    add_step,
    conflict,
    find_certificate,
    lapsed,
    malformed,
    missing,
    open_binding,
)
from gateway.core.steps import Read, Work

ROLE_OF_PROFILE = {"station": "station", "operator": "operator", "staff": "operator"}
"""Profiles of certs/authority that people apply for here; the gateway's own keys are made by `init` and `ca`."""


def apply(scene: Scene) -> Work[Refusal | str]:
    """Ask for a certificate. subject: SHA-256 of the public key. Names are the register's, never the request's."""
    profile = scene.field("profile")
    if profile not in ROLE_OF_PROFILE:
        return malformed(f"one of {', '.join(ROLE_OF_PROFILE)}", "profile")
    csr = _bytes(scene.field("csr"))
    if csr is None or is_pem(csr):
        return malformed("the request, DER in base64", "csr")
    refused = yield from _new_key(scene, csr)
    if refused is not None:
        return refused
    name = yield from (_station_name(scene) if profile == "station" else _staff_name(scene))
    if isinstance(name, Refusal):
        return name
    holder = (scene.field("institution_code"), name) if profile == "station" else ("", scene.field("staff_id"))
    refused = yield from key_in_hand(scene, scene.field("key_serial"), holder, may_wait=True)
    if refused is not None:
        return refused
    if scene.field("renews"):
        refused = yield from _renewal(scene, csr, ROLE_OF_PROFILE[profile])
        if refused is not None:
            return refused
    request_id = scene.serials.mint()
    scene.book.add(
        CertificateRequest(
            request_id=request_id,
            profile=profile,
            institution_code=scene.field("institution_code"),
            terminal_id=scene.field("terminal_id"),
            operator_id=scene.field("operator_id"),
            name=name,
            staff_id=scene.field("staff_id") or None,
            key_serial=scene.field("key_serial"),
            csr=csr,
            public_key_sha256=scene.deed.subject,
            renews=scene.field("renews") or None,
            state=Life.APPLIED,
            applied_by=scene.by,
            applied_at=scene.now,
            reason=scene.deed.reason,
        )
    )
    yield from add_step(scene, request_id, Event.APPLY, "", Life.APPLIED)
    return request_id


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _new_key(scene: Scene, csr: bytes) -> Work[Refusal | None]:
    """The key is strong, in the asker's hand, and was never seen here before, whatever became of its certificate."""
    try:
        key = read_request(csr, KnownKeys())
    except RequestRefused as wrong:
        return malformed(str(wrong), "csr")
    if key.public_key_sha256 != scene.deed.subject:
        return malformed("the subject of an application is the SHA-256 of its public key", "subject")
    digest = key.public_key_sha256
    scene.book.load((yield Read("certificates_by_key", [(digest,)])))
    scene.book.load((yield Read("certificate_requests_by_key", [(digest,)])))
    if any(one.public_key_sha256 == digest for one in scene.book.all(RegisteredCertificate)):
        return conflict("This key has a certificate already; a key is registered once.")
    asked = [one for one in scene.book.all(CertificateRequest) if one.public_key_sha256 == digest]
    # Of a refused one the key may come again.
    if any(one.state != Life.REFUSED for one in asked):
        return conflict("Somebody has applied for a certificate of this key already.")
    return None


def _station_name(scene: Scene) -> Work[Refusal | str]:
    """The operator's name, where station, terminal and operator may have a certificate."""
    code, terminal_id, operator_id = (scene.field(name) for name in ("institution_code", "terminal_id", "operator_id"))
    scene.book.load((yield Read("stations", [(code,)])))
    scene.book.load((yield Read("terminals", [(code, terminal_id)])))
    scene.book.load((yield Read("operators", [(code, operator_id)])))
    station, terminal = scene.book.get(Station, code), scene.book.get(Terminal, code, terminal_id)
    operator = scene.book.get(Operator, code, operator_id)
    if station is None or terminal is None or operator is None:
        return missing(f"station {code} with terminal {terminal_id} and operator {operator_id}")
    if station.state == "CLOSED" or terminal.state != "ACTIVE" or operator.state != "ACTIVE":
        return conflict("Station, terminal and operator must be open.")
    if not scene.field("key_serial"):
        return malformed("a station's certificate names its USB key", "key_serial")
    return operator.name


def _staff_name(scene: Scene) -> Work[Refusal | str]:
    staff_id = scene.field("staff_id")
    scene.book.load((yield Read("staff", [(staff_id,)])))
    member = scene.book.get(StaffMember, staff_id)
    if member is None or member.state != "ACTIVE":
        return missing(f"person {staff_id} in the staff")
    return member.name


def _renewal(scene: Scene, csr: bytes, role: str) -> Work[Refusal | None]:
    """What is renewed is alive, of the same place or person, and its key signed the request for the new one."""
    old = yield from find_certificate(scene, scene.field("renews"))
    if old is None:
        return missing(f"certificate {scene.field('renews')}")
    if old.role != role or old.state != Life.ACTIVE or not old.not_before <= scene.now < old.not_after:
        return conflict("Only an active certificate is renewed, before it ends, by one of the same kind.")
    if role == "operator":
        if old.staff_id != scene.field("staff_id"):
            return conflict("It is another person's.")
    else:
        binding: Binding | None = yield from open_binding(scene, old.keyid)
        place = tuple(scene.field(name) for name in ("institution_code", "terminal_id", "operator_id"))
        if binding is None or (binding.institution_code, binding.terminal_id, binding.operator_id) != place:
            return conflict("It is bound to another station, terminal or operator.")
    signature = _bytes(scene.field("renewal_signature"))
    try:
        held = signature is not None and renews(parse_certificate(old.der), csr, signature)
    except CertificateError:
        held = False
    if not held:
        return Refusal(slug="signature-invalid", detail="The old key did not sign the request for the new one.")
    return None


def _find(scene: Scene) -> Work[CertificateRequest | None]:
    scene.book.load((yield Read("certificate_requests", [(scene.deed.subject,)])))
    return scene.book.get(CertificateRequest, scene.deed.subject)


def approve(scene: Scene) -> Work[Refusal | str]:
    """Another person than who applied says yes."""
    return (yield from _decide(scene, Event.APPROVE))


def refuse(scene: Scene) -> Work[Refusal | str]:
    """No; who applied may also take it back himself. The key may then be applied for anew."""
    return (yield from _decide(scene, Event.REFUSE))


def _decide(scene: Scene, event: Event) -> Work[Refusal | str]:
    request = yield from _find(scene)
    if request is None:
        return missing(f"application {scene.deed.subject}")
    to = after(request.state, event)
    if to is None:
        return conflict(f"An application that is {request.state} cannot be decided on.")
    if event is Event.APPROVE and request.applied_by == scene.by:
        return two_people("applied for it")
    if event is Event.APPROVE and (refused := (yield from _stands(scene, request))) is not None:
        return refused
    scene.book.put(replace(request, state=to, decided_by=scene.by, decided_at=scene.now, reason=scene.deed.reason))
    yield from add_step(scene, request.request_id, event, request.state, to)
    return to


def two_people(did: str) -> Refusal:
    """M12: the same person, whatever certificate he signs with."""
    return Refusal(slug="authorization-required", detail=f"Another person must approve: you {did} (M12).")


def issue(scene: Scene) -> Work[Refusal | str]:
    """Register what the CA made from an approved application. It must say what was approved, field by field."""
    request = yield from _find(scene)
    if request is None:
        return missing(f"application {scene.deed.subject}")
    to = after(request.state, Event.ISSUE)
    if to is None:
        return conflict(f"An application that is {request.state} gets no certificate.")
    refused = yield from _stands(scene, request)
    if refused is not None:
        return refused
    try:
        certificate = parse_certificate(_bytes(scene.field("certificate")) or b"")
    except CertificateError as wrong:
        return malformed(str(wrong), "certificate")
    issuer = _judge(certificate, request, scene)
    if isinstance(issuer, Refusal):
        return issuer
    scene.book.load((yield Read("certificates_by_key", [(certificate.public_key_sha256,)])))
    if any(one.public_key_sha256 == certificate.public_key_sha256 for one in scene.book.all(RegisteredCertificate)):
        return conflict("This key has a certificate already; a key is registered once.")
    scene.book.add(
        RegisteredCertificate(
            keyid=certificate.keyid,
            der=certificate.der,
            role=ROLE_OF_PROFILE[request.profile],
            state=to,
            public_key_sha256=certificate.public_key_sha256,
            not_before=int(certificate.not_before.timestamp()) * 1000,
            not_after=int(certificate.not_after.timestamp()) * 1000,
            registered_at=scene.now,
            serial=f"{certificate.serial:x}",
            issuer_keyid=issuer.keyid,
            key_serial=request.key_serial,
            state_at=scene.now,
            reason=scene.deed.reason,
            renews=request.renews,
            staff_id=request.staff_id,
        )
    )
    scene.book.put(replace(request, state=to, keyid=certificate.keyid))
    yield from add_step(scene, request.request_id, Event.ISSUE, request.state, to)
    yield from add_step(scene, certificate.keyid, Event.ISSUE, request.state, to)
    return certificate.keyid


def _stands(scene: Scene, request: CertificateRequest) -> Work[Refusal | None]:
    """It has not lapsed, and who applied and who approved are still of the staff, with certificates that stand."""
    if lapsed(request.applied_at, scene.now):
        return conflict(f"It was applied for more than {LAPSES_DAYS} days ago: refuse it, and apply anew.")
    people = {request.applied_by: request.applied_at}
    if request.decided_by is not None:
        people[request.decided_by] = int(request.decided_at or 0)
    for who, since in people.items():
        scene.book.load((yield Read("staff", [(who,)])))
        scene.book.load((yield Read("certificates_of_staff", [(who,)])))
        ended = [
            one
            for one in scene.book.all(RegisteredCertificate)
            if one.staff_id == who and one.state in (Life.FROZEN, Life.REVOKED) and one.state_at >= since
        ]
        if scene.book.need(StaffMember, who).state != "ACTIVE" or ended:
            return conflict(f"{who} has left, or his certificate was frozen or revoked since: refuse it.")
    return None


def _judge(certificate: Certificate, request: CertificateRequest, scene: Scene) -> Certificate | Refusal:
    """The issuing CA, where the certificate is what was approved, stands under our CA, and keeps to its profile."""
    refused = _is_of(certificate, request, scene)
    if refused is not None:
        return refused
    issuer = judge_own(certificate, scene.env, scene.now)
    if isinstance(issuer, Refusal):
        return issuer
    if scene.field("issuer_keyid") not in ("", issuer.keyid):
        return conflict("Another CA of ours has issued it.")
    subject = (request.name, request.institution_code, request.key_serial)
    broken = lint_own(certificate, issuer, request.profile, subject, scene.env)
    return issuer if broken is None else malformed(f"it breaks its profile: {broken}", "certificate")


def _is_of(certificate: Certificate, request: CertificateRequest, scene: Scene) -> Refusal | None:
    said = {
        "public key": (certificate.public_key_sha256, request.public_key_sha256),
        "role": (certificate.role, ROLE_OF_PROFILE[request.profile]),
        "institution code": (certificate.institution_code, request.institution_code),
        "operator": (certificate.operator, request.name),
        "USB key serial": (certificate.usb_key_serial, request.key_serial),
    }
    for name, (is_, wanted) in said.items():
        if is_ != wanted:
            return conflict(f"The certificate's {name} is not what was approved.")
    if certificate.not_after.timestamp() * 1000 <= scene.now:
        return Refusal(slug="certificate-expired", detail="The certificate has ended.")
    return None
