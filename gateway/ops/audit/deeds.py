"""Reading the signed deeds of the staff: is each one whole, by whom it is said to be, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from certs.core.certificates import CertificateError, parse_certificate
from certs.core.signatures import holds
from gateway.core.deeds import read_deed
from gateway.core.items import Refusal
from gateway.core.rows import RegisteredCertificate
from gateway.ops.audit.streams import records
from gateway.store.port import Snapshot

_NAMED = (
    "SELECT record_id AS named FROM certificate_steps WHERE record_id IS NOT NULL"
    " UNION SELECT record_id FROM usb_key_steps WHERE record_id IS NOT NULL"
    " UNION SELECT prepared_record FROM approvals"
    " UNION SELECT decided_record FROM approvals WHERE decided_record IS NOT NULL"
    # Some deeds leave no step: a person's leaving, the end of a partner's certificate.
    " UNION SELECT record_id FROM records WHERE kind = 'deed'"
    " UNION SELECT record_id FROM archive_records WHERE kind = 'deed'"
)
# Deeds leave the book with the records of their month; what they did stays.
_DEEDS = (
    "SELECT s.named, COALESCE(r.kind, a.kind), COALESCE(r.base, a.base), COALESCE(r.signature, a.signature),"  # noqa: S608
    f" COALESCE(r.keyid, a.keyid) FROM ({_NAMED}) s LEFT JOIN records r ON r.record_id = s.named"
    " LEFT JOIN archive_records a ON a.record_id = s.named"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A deed as it is proven. wrong: why it proves nothing; the rest is empty then. who: staff id of its signer."""

    wrong: str = ""
    who: str = ""
    action: str = ""
    subject: str = ""
    digest: str = ""
    keyid: str = ""
    signature: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)


async def read_deeds(snapshot: Snapshot, certificates: Mapping[str, RegisteredCertificate]) -> Mapping[str, Done]:
    """Every deed that was kept, done or refused, and every one that a step or an approval names, by its record id."""
    found: dict[str, Done] = {}
    async for record_id, kind, base, signature, keyid in records(snapshot, _DEEDS):
        found[record_id] = judge(kind, base, signature, certificates.get(keyid))
    return found


def judge(kind: str | None, base: bytes, signature: bytes, row: RegisteredCertificate | None) -> Done:
    """One record, by the certificate that it names."""
    if kind is None:
        return Done(wrong="its record is gone")
    if kind != "deed" or row is None or row.staff_id is None:
        return Done(wrong="its record is no deed of a person of the staff")
    deed = read_deed(base)
    if isinstance(deed, Refusal):
        return Done(wrong=f"its record is no deed: {deed.detail}")
    try:
        certificate = parse_certificate(row.der)
    except CertificateError as error:
        return Done(wrong=f"the certificate that signed it cannot be read: {error}")
    if certificate.keyid != row.keyid or not holds(certificate, certificate.alg, base, signature):
        return Done(wrong="its signature is not by the certificate it names")
    return Done(
        who=row.staff_id,
        action=deed.action,
        subject=deed.subject,
        digest=sha256(base).hexdigest(),
        keyid=row.keyid,
        signature=signature,
        fields=deed.fields,
    )
