"""Deeds about registered certificates: bind, activate, freeze, unfreeze, replace, revoke (CERT-02, CERT-03, M12)."""

from certs.core.life import Event, Life, RevokedFor
from gateway.core.items import Refusal
from gateway.core.rows import Binding, CertificateRequest, RegisteredCertificate, Station, UsbKey
from gateway.core.scene import Scene, conflict, find_certificate, malformed, may_move, missing, move, open_binding
from gateway.core.steps import Read, Work

PILOT_KEY = "PILOT-"
"""How the serial of a key begins that lies in a file, with no USB key in the stock register."""


def bind(scene: Scene) -> Work[Refusal | str]:
    """Certificate, USB key, station, terminal and operator belong together; of staff: certificate, key and person."""
    keyid = scene.deed.subject
    certificate = yield from find_certificate(scene, keyid)
    if certificate is None:
        return missing(f"certificate {keyid}")
    to = may_move(certificate, Event.BIND, scene.now)
    if isinstance(to, Refusal):
        return to
    scene.book.load((yield Read("certificate_requests_of", [(keyid,)])))
    request = next((one for one in scene.book.all(CertificateRequest) if one.keyid == keyid), None)
    if request is None:
        return conflict("Nobody applied for this certificate.")
    refused = _says_the_same(scene, certificate, request)
    if refused is not None:
        return refused
    if certificate.role == "station":
        refused = yield from _station_can(scene, request)
        if refused is not None:
            return refused
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


def _station_can(scene: Scene, request: CertificateRequest) -> Work[Refusal | None]:
    # Locked: it may not close, nor its key be lost, between this look and the commit.
    scene.book.load((yield Read("stations_locked", [(request.institution_code,)])))
    station = scene.book.get(Station, request.institution_code)
    if station is None or station.state == "CLOSED":
        return conflict(f"Station {request.institution_code} is closed.")
    if request.key_serial.startswith(PILOT_KEY):
        return None
    scene.book.load((yield Read("usb_keys_locked", [(request.key_serial,)])))
    key = scene.book.get(UsbKey, request.key_serial)
    if key is None or (key.state, key.institution_code) != ("ISSUED", request.institution_code):
        return conflict(f"USB key {request.key_serial} has not been handed out to {request.institution_code}.")
    return None


def activate(scene: Scene) -> Work[Refusal | str]:
    """A bound certificate may speak from now on; at its place, only the one it renews may still do so beside it."""
    certificate = yield from find_certificate(scene, scene.deed.subject)
    if certificate is None:
        return missing(f"certificate {scene.deed.subject}")
    to = may_move(certificate, Event.ACTIVATE, scene.now)
    if isinstance(to, Refusal):
        return to
    binding = yield from open_binding(scene, certificate.keyid)
    if binding is not None:
        # Locked: two that come to life at one place take turns, and the second one sees the first.
        scene.book.load((yield Read("stations_locked", [(binding.institution_code,)])))
        station = scene.book.get(Station, binding.institution_code)
        if station is None or station.state == "CLOSED":
            return conflict(f"Station {binding.institution_code} is closed.")
        scene.book.load((yield Read("bindings_of_station", [(binding.institution_code,)])))
        beside = [
            one.keyid
            for one in scene.book.all(Binding)
            if one.unbound_at is None and _place(one) == _place(binding) and one.keyid != certificate.keyid
        ]
        scene.book.load((yield Read("certificates", [(keyid,) for keyid in beside])) if beside else [])
        for keyid in beside:
            other = scene.book.need(RegisteredCertificate, keyid)
            if other.state == Life.ACTIVE and keyid != certificate.renews:
                return conflict(f"Certificate {keyid} is active there: freeze, replace or revoke it first.")
    yield from move(scene, certificate, Event.ACTIVATE, to)
    return to


def _place(binding: Binding) -> tuple[str, str, str]:
    return binding.institution_code, binding.terminal_id, binding.operator_id


def freeze(scene: Scene) -> Work[Refusal | str]:
    """From its commit on no process lets the certificate speak. One person suffices: a loss cannot wait."""
    return (yield from _simple(scene, Event.FREEZE))


def unfreeze(scene: Scene) -> Work[Refusal | str]:
    """A frozen certificate may speak again; not while its USB key is lost or gone."""
    certificate = yield from find_certificate(scene, scene.deed.subject)
    if certificate is not None and certificate.key_serial:
        # Locked, as by whoever reports it lost: the later of the two sees what the other did.
        scene.book.load((yield Read("usb_keys_locked", [(certificate.key_serial,)])))
        key = scene.book.get(UsbKey, certificate.key_serial)
        if key is not None and key.state != "ISSUED":
            return conflict(f"Its USB key {key.key_serial} is {key.state}.")
    return (yield from _simple(scene, Event.UNFREEZE))


def _simple(scene: Scene, event: Event) -> Work[Refusal | str]:
    certificate = yield from find_certificate(scene, scene.deed.subject)
    if certificate is None:
        return missing(f"certificate {scene.deed.subject}")
    to = may_move(certificate, event, scene.now)
    if isinstance(to, Refusal):
        return to
    yield from move(scene, certificate, event, to)
    return to


def replace_certificate(scene: Scene) -> Work[Refusal | str]:
    """The old one of a renewal ends: the certificate in `by` renews it and is active."""
    certificate = yield from find_certificate(scene, scene.deed.subject)
    if certificate is None:
        return missing(f"certificate {scene.deed.subject}")
    heir = yield from find_certificate(scene, scene.field("by"))
    if heir is None or heir.renews != certificate.keyid or heir.state != Life.ACTIVE:
        return conflict("The certificate that takes its place must renew it and be active.")
    to = may_move(certificate, Event.REPLACE, scene.now)
    if isinstance(to, Refusal):
        return to
    yield from move(scene, certificate, Event.REPLACE, to)
    return to


def revoke(scene: Scene) -> Work[Refusal | str]:
    """The end of a certificate; `code` is one of RFC 5280's reasons, for those who read the list."""
    code = scene.field("code")
    if code not in list(RevokedFor):
        return malformed(f"one of {', '.join(RevokedFor)}", "code")
    certificate = yield from find_certificate(scene, scene.deed.subject)
    if certificate is None:
        return missing(f"certificate {scene.deed.subject}")
    to = may_move(certificate, Event.REVOKE, scene.now)
    if isinstance(to, Refusal):
        return to
    yield from move(scene, certificate, Event.REVOKE, to, revoked_for=code)
    return to
