"""Deeds about registered certificates: bind, activate, freeze, unfreeze, replace, revoke (CERT-02, CERT-03, M12)."""

from certs.core.life import Event, Life, RevokedFor
from gateway.core.items import Refusal
from gateway.core.keys_in_hand import holder_of, key_in_hand
from gateway.core.rows import (
    Binding,
    CertificateRequest,
    CertificateStep,
    Operator,
    RegisteredCertificate,
    Station,
    Terminal,
)
from gateway.core.scene import Scene, conflict, find_certificate, find_move, malformed, missing, move, open_binding
from gateway.core.steps import Read, Work


def bind(scene: Scene) -> Work[Refusal | str]:
    """Certificate, USB key, station, terminal and operator belong together; of staff: certificate, key and person."""
    found = yield from find_move(scene, Event.BIND)
    if isinstance(found, Refusal):
        return found
    (certificate, to), keyid = found, scene.deed.subject
    scene.book.load((yield Read("certificate_requests_of", [(keyid,)])))
    request = next((one for one in scene.book.all(CertificateRequest) if one.keyid == keyid), None)
    if request is None:
        return conflict("Nobody applied for this certificate.")
    refused = _says_the_same(scene, certificate, request)
    if refused is not None:
        return refused
    if certificate.role == "station":
        refused = yield from _place_open(scene, request)
        if refused is not None:
            return refused
    refused = yield from key_in_hand(scene, certificate.key_serial, holder_of(certificate))
    if refused is not None:
        return refused
    if certificate.role == "station":
        scene.book.add(
            Binding(
                keyid=keyid,
                institution_code=request.institution_code,
                terminal_id=request.terminal_id,
                operator_id=request.operator_id,
                key_serial=certificate.key_serial,
                bound_at=scene.now,
                prepared_by=str(scene.prepared_by),
                approved_by=scene.by,
            )
        )
    yield from move(scene, certificate, Event.BIND, to)
    return to


def _says_the_same(scene: Scene, certificate: RegisteredCertificate, request: CertificateRequest) -> Refusal | None:
    """Who binds says what he binds; it must be what was applied for and approved, part by part."""
    wanted = {"key_serial": certificate.key_serial}
    if certificate.role == "station":
        wanted |= {name: getattr(request, name) for name in ("institution_code", "terminal_id", "operator_id")}
    else:
        wanted["staff_id"] = str(certificate.staff_id)
    for name, value in wanted.items():
        if scene.field(name) != value:
            return conflict(f"It was approved for {name} {value or '(none)'}, not {scene.field(name) or '(none)'}.")
    return None


def _place_open(scene: Scene, request: CertificateRequest) -> Work[Refusal | None]:
    """Station, terminal and operator are there and not closed; the station's lock holds for all three."""
    code = request.institution_code
    refused = yield from _station_open(scene, code)
    if refused is not None:
        return refused
    scene.book.load((yield Read("terminals", [(code, request.terminal_id)])))
    scene.book.load((yield Read("operators", [(code, request.operator_id)])))
    terminal = scene.book.get(Terminal, code, request.terminal_id)
    operator = scene.book.get(Operator, code, request.operator_id)
    if terminal is None or operator is None or not terminal.state == operator.state == "ACTIVE":
        return conflict(f"Terminal {request.terminal_id} or operator {request.operator_id} is closed.")
    return None


def _station_open(scene: Scene, code: str) -> Work[Refusal | None]:
    # Locked: it may not close between this look and the commit, and deeds about one station take turns.
    scene.book.load((yield Read("stations_locked", [(code,)])))
    station = scene.book.get(Station, code)
    if station is None or station.state == "CLOSED":
        return conflict(f"Station {code} is closed.")
    return None


def activate(scene: Scene) -> Work[Refusal | str]:
    """A bound certificate may speak from now on; at its place, only the one it renews may still do so beside it."""
    return (yield from _speak(scene, Event.ACTIVATE))


def _speak(scene: Scene, event: Event) -> Work[Refusal | str]:
    """What lets a certificate speak, for the first time or again: its place is free and its key with its holder."""
    found = yield from find_move(scene, event)
    if isinstance(found, Refusal):
        return found
    certificate, to = found
    refused = yield from _place_is_free(scene, certificate)
    if refused is None:
        refused = yield from key_in_hand(scene, certificate.key_serial, holder_of(certificate))
    if refused is not None:
        return refused
    yield from move(scene, certificate, event, to)
    return to


def _place_is_free(scene: Scene, certificate: RegisteredCertificate) -> Work[Refusal | None]:
    """One place has one active certificate; beside it only its renewal, whichever of the two is asked about."""
    binding = yield from open_binding(scene, certificate.keyid)
    if binding is None:
        return None
    # Locked: two that come to life at one place take turns, and the second one sees the first.
    refused = yield from _station_open(scene, binding.institution_code)
    if refused is not None:
        return refused
    scene.book.load((yield Read("bindings_of_station", [(binding.institution_code,)])))
    beside = [
        one.keyid
        for one in scene.book.all(Binding)
        if one.unbound_at is None and _place(one) == _place(binding) and one.keyid != certificate.keyid
    ]
    scene.book.load((yield Read("certificates", [(keyid,) for keyid in beside])) if beside else [])
    for keyid in beside:
        other = scene.book.need(RegisteredCertificate, keyid)
        is_renewal = keyid == certificate.renews or other.renews == certificate.keyid
        if other.state == Life.ACTIVE and scene.now < other.not_after and not is_renewal:
            return conflict(f"Certificate {keyid} is active there: freeze, replace or revoke it first.")
    return None


def _place(binding: Binding) -> tuple[str, str, str]:
    return binding.institution_code, binding.terminal_id, binding.operator_id


def freeze(scene: Scene) -> Work[Refusal | str]:
    """From its commit on no process lets the certificate speak. One person suffices: a loss cannot wait."""
    found = yield from find_move(scene, Event.FREEZE)
    if isinstance(found, Refusal):
        return found
    certificate, to = found
    yield from move(scene, certificate, Event.FREEZE, to)
    return to


def unfreeze(scene: Scene) -> Work[Refusal | str]:
    """A frozen certificate may speak again, as it did before: its place is free, and its USB key is with its holder."""
    keyid = scene.deed.subject
    certificate = yield from find_certificate(scene, keyid)
    if certificate is None:
        return missing(f"certificate {keyid}")
    scene.book.load((yield Read("certificate_steps_of", [(keyid,)])))
    lived = [one.event for one in scene.book.all(CertificateStep) if one.subject == keyid]
    if certificate.state == Life.FROZEN and Event.ACTIVATE not in lived:
        # Else freezing would be a way round binding and activating.
        return conflict("It was frozen before it was ever active: revoke it, and apply for another.")
    return (yield from _speak(scene, Event.UNFREEZE))


def replace_certificate(scene: Scene) -> Work[Refusal | str]:
    """The old one of a renewal ends: the certificate in `by` renews it and is active."""
    found = yield from find_move(scene, Event.REPLACE)
    if isinstance(found, Refusal):
        return found
    certificate, to = found
    heir = yield from find_certificate(scene, scene.field("by"))
    if heir is None or heir.renews != certificate.keyid or heir.state != Life.ACTIVE:
        return conflict("The certificate that takes its place must renew it and be active.")
    yield from move(scene, certificate, Event.REPLACE, to)
    return to


def revoke(scene: Scene) -> Work[Refusal | str]:
    """The end of a certificate; `code` is one of RFC 5280's reasons, for those who read the list."""
    code = scene.field("code")
    if code not in list(RevokedFor):
        return malformed(f"one of {', '.join(RevokedFor)}", "code")
    found = yield from find_move(scene, Event.REVOKE)
    if isinstance(found, Refusal):
        return found
    certificate, to = found
    yield from move(scene, certificate, Event.REVOKE, to, revoked_for=code)
    return to
