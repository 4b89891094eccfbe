"""Deeds about partners' certificates: add (two people, M12) and close. Certificates are pinned: nothing is built up."""

from base64 import b64decode
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from msgspec.structs import replace

from certs.core.algorithms import Dates, read_dates
from certs.core.certificates import Certificate, parse_certificate
from certs.core.revocation_lists import may_sign_lists, names_issuer
from gateway.core.items import Refusal
from gateway.core.rows import PartnerCertificate
from gateway.core.scene import Scene, conflict, malformed, missing
from gateway.core.steps import Read, Work

AT_ONCE = 2
"""Certificates of one partner and use that count at the same time: the one in use, and its successor."""
WATCH = "watch"
USES = ("sign", "tls", "ca", WATCH)
_S = 1000


def add(scene: Scene) -> Work[Refusal | str]:
    """Pin a certificate. subject: its keyid; fields: biller, use, certificate (its DER in base64).

    sign: of its signatures; tls: of its server, or of itself as a client; ca: whose revocation lists count for the
    others; watch: only its dates are watched, whatever its key is (SM2): nothing is verified by it. Refused: a biller
    that is not configured, one that has ended, a key that was ever registered (also under another certificate: a
    closed key never comes back), an authority's for sign or tls, more than AT_ONCE at the same time.
    """
    biller, use = scene.field("biller"), scene.field("use")
    if biller not in scene.env.manifests:
        return missing(f"biller {biller}")
    if use not in USES:
        return malformed(f"one of {', '.join(USES)}", "use")
    certificate = _read(scene, use)
    if isinstance(certificate, Refusal):
        return certificate
    key = (certificate.public_key_sha256,)
    known: Sequence[PartnerCertificate] = yield Read("partner_certificates_by_key", [key])
    ours = yield Read("certificates_by_key", [key])
    if known or ours:
        return conflict(
            "This key is registered already, whatever became of it: a partner's next certificate has its own."
        )
    scene.book.load((yield Read("partner_certificates_of_locked", [(biller,)])))
    beside = [one for one in scene.book.all(PartnerCertificate) if _counts(one, biller, use, scene.now)]
    if len(beside) >= AT_ONCE:
        return conflict(f"{biller} has {len(beside)} certificates for {use}: close one first.")
    scene.book.add(
        PartnerCertificate(
            biller=biller,
            keyid=certificate.keyid,
            der=certificate.der,
            use=use,
            public_key_sha256=certificate.public_key_sha256,
            not_before=int(certificate.not_before.timestamp()) * _S,
            not_after=int(certificate.not_after.timestamp()) * _S,
            state="ACTIVE",
            added_by=str(scene.prepared_by),
            added_at=scene.now,
            approved_by=scene.by,
            approved_at=scene.now,
            reason=scene.deed.reason,
        )
    )
    return "ACTIVE"


def _read(scene: Scene, use: str) -> Certificate | Dates | Refusal:
    try:
        der = b64decode(scene.field("certificate"), validate=True)
        certificate = read_dates(der) if use == WATCH else parse_certificate(der)
    except ValueError as wrong:
        return malformed(f"a certificate as DER in base64; {wrong}", "certificate")
    if certificate.keyid != scene.deed.subject:
        return malformed("the keyid of the certificate", "subject")
    if int(certificate.not_after.timestamp()) * _S <= scene.now:
        return Refusal(slug="certificate-expired", detail="It has ended.")
    if isinstance(certificate, Dates):
        return certificate
    if use in ("sign", "tls") and _of_an_authority(certificate):
        return malformed("its own certificate, not that of an authority, under which others stand", "certificate")
    if use == "sign" and not certificate.alg:
        return malformed("a key that this service can verify by: P-256, or RSA of 2048-4096 bits", "certificate")
    if use == "ca" and not may_sign_lists(certificate):
        return malformed("the certificate of an authority that may sign revocation lists", "certificate")
    return certificate


def _of_an_authority(certificate: Certificate) -> bool:
    """Whether it may sign other certificates, and is not one that signed itself: many tools make those so, and where
    a certificate is pinned it is compared byte by byte."""
    try:
        constraints = certificate.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    if not constraints.ca:
        return False
    try:
        certificate.parsed.verify_directly_issued_by(certificate.parsed)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return True
    return False


def _counts(one: PartnerCertificate, biller: str, use: str, now: int) -> bool:
    return one.biller == biller and one.use == use and one.state == "ACTIVE" and now < one.not_after


def close(scene: Scene) -> Work[Refusal | str]:
    """From its commit on nothing by this certificate counts. One person suffices: a loss cannot wait. Final."""
    biller, keyid = scene.field("biller"), scene.deed.subject
    scene.book.load((yield Read("partner_certificates_of_locked", [(biller,)])))
    row = scene.book.get(PartnerCertificate, biller, keyid)
    if row is None:
        return missing(f"certificate {keyid} of {biller}")
    if row.state == "CLOSED":
        return conflict("It is closed already.")
    if row.use == "ca" and (leans := _leans_on(row, scene.book.all(PartnerCertificate))) is not None:
        # Else one person could take the list away by which that certificate is refused.
        return conflict(f"Certificate {leans} stands on its lists: close that one first.")
    scene.book.put(replace(row, state="CLOSED", reason=scene.deed.reason))
    return "CLOSED"


def _leans_on(authority: PartnerCertificate, rows: Sequence[PartnerCertificate]) -> str | None:
    """The keyid of a certificate of the same partner that counts as long as this authority's list does not name it."""
    own = parse_certificate(authority.der)
    return next(
        (
            row.keyid
            for row in rows
            if (row.biller, row.state) == (authority.biller, "ACTIVE")
            and row.use not in ("ca", WATCH)
            and names_issuer(parse_certificate(row.der), own)
        ),
        None,
    )
