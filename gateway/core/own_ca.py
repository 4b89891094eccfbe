"""Whether a certificate stands under the installation's own CA: asked by every deed, and before one is registered."""

from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from certs.core.certificates import Certificate
from certs.core.chains import issuer_of, judge_among
from certs.core.lints import Wanted, lint
from certs.core.subjects import Subject
from gateway.core.env import Env
from gateway.core.items import Refusal


def judge_own(certificate: Certificate, env: Env, now: int) -> Certificate | Refusal:
    """The issuing CA of ours that it stands under at `now` (ms); a Refusal where there is none.

    A process that knows no CA refuses everything: what cannot be checked does not count.
    """
    if env.root is None:
        return Refusal(slug="certificate-unknown", detail="The certificates of the installation's CA are not here.")
    slug = judge_among(certificate, env.issuings, env.root, _moment(now))
    issuer = issuer_of(certificate, env.issuings)
    if slug is not None or issuer is None:
        return Refusal(
            slug=slug or "certificate-unknown", detail="It does not stand under the installation's CA at this moment."
        )
    return issuer


def lint_own(
    certificate: Certificate, issuer: Certificate, profile: str, subject: tuple[str, str, str], env: Env
) -> str | None:
    """What breaks the profile it was approved for, or None. subject: operator, institution code, USB key serial."""
    if profile not in env.profiles:
        return f"the profile {profile} is not here"
    names = issuer.parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    operator, code, key_serial = subject
    found = lint(
        certificate.der,
        Wanted(
            profile=env.profiles[profile],
            issuer=issuer.der,
            subject=Subject(
                organization=str(names[0].value) if names else "",
                operator=operator,
                institution_code=code,
                usb_key_serial=key_serial,
            ),
            spki=certificate.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            serial=certificate.serial,
            begin=certificate.not_before,
        ),
    )
    return "; ".join(f"{one.rule}: {one.detail}" for one in found) or None


def _moment(now: int) -> datetime:
    return datetime.fromtimestamp(now // 1000, UTC)
