"""The deed that registers a station whole, by two people: what `bianmin init` did for the first one (JOIN-16, M12)."""

import binascii
import re
from base64 import b64decode

from msgspec.structs import replace

from certs.core.certificates import Certificate, CertificateError, Role, parse_certificate
from gateway.core.items import AddStation, Refusal
from gateway.core.keys_in_hand import key_in_hand
from gateway.core.own_ca import judge_own, lint_own
from gateway.core.provisioned import Word, certified
from gateway.core.registry import provision_place, provision_station
from gateway.core.rows import Station
from gateway.core.scene import Scene, conflict, key_known, malformed
from gateway.core.station_deeds import DAY_MS, identifier_wrong, name_wrong, trained_wrong
from gateway.core.steps import Read, Work

_CODE = re.compile(r"[0-9]{6,14}")
_FEN = re.compile(r"0|[1-9][0-9]{0,10}")


def add(scene: Scene) -> Work[Refusal | str]:
    """Station, terminal, operator, training, services, certificate and binding in one commit. subject: its code.

    fields: name, terminal_id, operator_id, operator_name, trained_days, services (by commas), overdraft_limit_fen,
    low_balance_fen (0 where they are not there), and certificate (DER in base64): of a key file, where the installation
    is a pilot. Elsewhere it is left out: a USB key is handed out to a station that is there, and then applied for.
    """
    code = scene.deed.subject
    refused = _out_of_form(scene)
    if refused is not None:
        return refused
    scene.book.load((yield Read("stations", [(code,)])))
    if scene.book.get(Station, code) is not None:
        return conflict(f"Station {code} exists.")
    if not scene.field("certificate"):
        provision_place(_place(scene), scene.book, scene.now)
        return "ACTIVE"
    read = _certificate(scene)
    if isinstance(read, Refusal):
        return read
    certificate, issuer = read
    if (yield from key_known(scene, certificate.public_key_sha256)):
        return conflict("This key has a certificate already, or one was applied for; a key is registered once.")
    refused = yield from key_in_hand(scene, certificate.usb_key_serial, (code, certificate.operator))
    if refused is not None:
        return refused
    word = Word(
        staff=scene.by,
        prepared_by=str(scene.prepared_by),
        deed=scene.digest,
        record_id=scene.record_id,
        reason=scene.deed.reason,
    )
    provision_station(_item(scene, certificate, issuer), scene.book, scene.now, word)
    return "ACTIVE"


def _out_of_form(scene: Scene) -> Refusal | None:
    if not _CODE.fullmatch(scene.deed.subject):
        return malformed("an institution code is 6 to 14 digits", "subject")
    for name in ("overdraft_limit_fen", "low_balance_fen"):
        if not _FEN.fullmatch(scene.field(name) or "0"):
            return malformed("whole fen, not negative", name)
    unsold = [service for service in _services(scene) if service not in scene.env.billers]
    if unsold or not _services(scene):
        return Refusal(slug="service-not-open", detail=f"No adapter sells {', '.join(unsold) or 'nothing'}.")
    return (
        name_wrong(scene, "name")
        or name_wrong(scene, "operator_name")
        or identifier_wrong(scene, "terminal_id")
        or identifier_wrong(scene, "operator_id")
        or trained_wrong(scene)
    )


def _services(scene: Scene) -> list[str]:
    return [one for one in scene.field("services").split(",") if one]


def _certificate(scene: Scene) -> tuple[Certificate, Certificate] | Refusal:
    """The station's certificate and its issuing CA: in its name, by its profile, valid now."""
    try:
        certificate = parse_certificate(b64decode(scene.field("certificate"), validate=True))
    except (binascii.Error, CertificateError) as wrong:
        return malformed(f"a certificate as DER in base64; {wrong}", "certificate")
    if certificate.role is not Role.STATION:
        return malformed("a station's certificate", "certificate")
    issuer = judge_own(certificate, scene.env, scene.now)
    if isinstance(issuer, Refusal):
        return issuer
    subject = (scene.field("operator_name"), scene.deed.subject, certificate.usb_key_serial)
    broken = lint_own(certificate, issuer, "station", subject, scene.env)
    return (certificate, issuer) if broken is None else malformed(f"it breaks its profile: {broken}", "certificate")


def _place(scene: Scene) -> AddStation:
    """The station without a certificate."""
    return AddStation(
        institution_code=scene.deed.subject,
        name=scene.field("name"),
        terminal_id=scene.field("terminal_id"),
        operator_id=scene.field("operator_id"),
        operator_name=scene.field("operator_name"),
        certificate_der=b"",
        keyid="",
        public_key_sha256="",
        not_before=0,
        not_after=0,
        services=_services(scene),
        trained_until=scene.now + int(scene.field("trained_days")) * DAY_MS,
        overdraft_limit_fen=int(scene.field("overdraft_limit_fen") or 0),
        low_balance_fen=int(scene.field("low_balance_fen") or 0),
    )


def _item(scene: Scene, certificate: Certificate, issuer: Certificate) -> AddStation:
    made = certified(certificate, issuer)
    return replace(
        _place(scene),
        certificate_der=certificate.der,
        keyid=made.keyid,
        public_key_sha256=made.public_key_sha256,
        not_before=made.not_before,
        not_after=made.not_after,
        serial=made.serial,
        issuer_keyid=made.issuer_keyid,
        key_serial=certificate.usb_key_serial,
    )
