"""Our own revocation lists, for outsiders: inside, the status in the book rules at once (decision 0020)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority.issuing import BACKDATED, Authority, IssueRefused
from certs.core.revocation_lists import Reason, Revoked, judge_crl, read_crl

VALID = timedelta(hours=24)


def make_crl(
    authority: Authority,
    *,
    number: int,
    after: int,
    now: datetime,
    revoked: Sequence[Revoked] = (),
    valid: timedelta = VALID,
) -> bytes:
    """A complete list of one authority as PEM, signed by it, entries by serial.

    number: of this list; after: of the newest one published, 0 for none: a number never comes twice nor goes back.
    revoked: everything revoked and not yet expired (RFC 5280 s3.3), each at most at `now`.
    valid: until nextUpdate; publish the next one at half of it. now: aware.
    Kept as evidence of the moment of signing, because a later verifier ignores revocation dates.
    Raises IssueRefused: `crl-number`, `crl-entry` (a serial twice, a date to come, a hold), and `crl-unsound` for a
    list that does not read back and stand as it was meant.
    """
    if not number > after >= 0:
        raise IssueRefused("crl-number", f"list {number} after list {after}")
    if len({one.serial for one in revoked}) != len(revoked) or any(one.at > now for one in revoked):
        raise IssueRefused("crl-entry", "a serial stands there twice, or was revoked in the future")
    if any(one.reason is Reason.CERTIFICATE_HOLD for one in revoked):
        raise IssueRefused("crl-entry", "a freeze is in no list: it can be undone, a revocation cannot")
    entries = sorted(revoked, key=lambda one: one.serial)
    made = _sign(authority, number, now, entries, valid)
    found = read_crl(made)
    slug = judge_crl(found, authority.certificate, now)
    as_meant = [(one.serial, one.at.replace(microsecond=0), one.reason) for one in entries]
    if (
        slug
        or found.number != number
        or [(one.serial, one.at, one.reason) for one in found.revoked.values()] != as_meant
    ):
        raise IssueRefused("crl-unsound", f"the list was not let out: {slug or 'it does not read back as meant'}")
    return made


def _sign(authority: Authority, number: int, now: datetime, entries: Sequence[Revoked], valid: timedelta) -> bytes:
    key = authority.certificate.public_key
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.parsed.subject)
        .last_update(now.replace(microsecond=0) - BACKDATED)
        .next_update(now.replace(microsecond=0) + valid)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key), critical=False)
    )
    for one in entries:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.at)
        # RFC 5280 s5.3.1: an unspecified reason is told by saying nothing.
        if one.reason is not Reason.UNSPECIFIED:
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(one.reason.value)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, SHA256()).public_bytes(Encoding.PEM)
