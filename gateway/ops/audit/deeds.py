"""Reading the signed deeds of the staff: is each one whole, by whom it is said to be, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from certs.core.certificates import Certificate, CertificateError, parse_certificate
from certs.core.signatures import holds
from contracts.strict_json import Malformed, decode
from gateway.core.deeds import DEED, ROOT_DEED, read_deed
from gateway.core.items import Refusal
from gateway.core.root_deeds import BY_ROOT
from gateway.core.rows import RegisteredCertificate
from gateway.core.scene import ROOT
from gateway.ops.audit.streams import records
from gateway.store.port import Snapshot

_NAMED = (
    "SELECT record_id AS named FROM certificate_steps WHERE record_id IS NOT NULL"
    " UNION SELECT record_id FROM usb_key_steps WHERE record_id IS NOT NULL"
    " UNION SELECT prepared_record FROM approvals"
    " UNION SELECT decided_record FROM approvals WHERE decided_record IS NOT NULL"
    # Some deeds leave no step: a person's leaving, the end of a partner's certificate.
    " UNION SELECT record_id FROM records WHERE kind IN ('deed', 'root-deed')"
    " UNION SELECT record_id FROM archive_records WHERE kind IN ('deed', 'root-deed')"
)
# Deeds leave the book with the records of their month; what they did stays.
_DEEDS = (
    "SELECT s.named, COALESCE(r.kind, a.kind), COALESCE(r.base, a.base), COALESCE(r.signature, a.signature),"  # noqa: S608
    " COALESCE(r.keyid, a.keyid), COALESCE(r.body, a.body), COALESCE(r.received_at, a.received_at)"
    f" FROM ({_NAMED}) s LEFT JOIN records r ON r.record_id = s.named"
    " LEFT JOIN archive_records a ON a.record_id = s.named"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A deed as it is proven. wrong: why it proves nothing; the rest is empty then. who: staff id of its signer; ROOT.

    state: what its subject became by it; OPEN where it waits for another person, "" where it was refused. at: when, ms.
    """

    wrong: str = ""
    who: str = ""
    action: str = ""
    subject: str = ""
    digest: str = ""
    keyid: str = ""
    signature: bytes = b""
    state: str = ""
    at: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def did(self) -> bool:
        """Whether anything came of it by itself."""
        return self.state not in ("", "OPEN")


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as the deeds are read from it."""

    kind: str | None
    base: bytes
    signature: bytes
    keyid: str | None
    body: bytes
    at: int


async def read_deeds(
    snapshot: Snapshot, certificates: Mapping[str, RegisteredCertificate], root: Certificate | None
) -> Mapping[str, Done]:
    """Every deed that was kept, done or refused, and every one that a step or an approval names, by its record id.

    root: of the configuration; None: what it signed is taken as it stands.
    """
    found: dict[str, Done] = {}
    async for record_id, *values in records(snapshot, _DEEDS):
        kept = Kept(*values)
        found[record_id] = judge(kept, certificates.get(str(kept.keyid)), root)
    return found


def judge(kept: Kept, row: RegisteredCertificate | None, root: Certificate | None) -> Done:
    """One record, by the certificate that it names."""
    if kept.kind is None:
        return Done(wrong="its record is gone")
    by_root = kept.kind == ROOT_DEED
    if not by_root and (kept.kind != DEED or row is None or row.staff_id is None):
        return Done(wrong="its record is no deed of a person of the staff")
    deed = read_deed(kept.base)
    if isinstance(deed, Refusal):
        return Done(wrong=f"its record is no deed: {deed.detail}")
    if by_root != (deed.action in BY_ROOT):
        return Done(wrong=f"{deed.action} is not what this key may do")
    wrong = _forged(kept, root) if by_root else _forged(kept, _read(row))
    if wrong:
        return Done(wrong=wrong)
    try:
        state = decode(kept.body, dict[str, str]).get("state", "")
    except Malformed:
        return Done(wrong="what came of it cannot be read")
    return Done(
        who=ROOT if row is None or row.staff_id is None else row.staff_id,
        action=deed.action,
        subject=deed.subject,
        digest=sha256(kept.base).hexdigest(),
        keyid=str(kept.keyid),
        signature=kept.signature,
        state=state,
        at=kept.at,
        fields=deed.fields,
    )


def _read(row: RegisteredCertificate | None) -> Certificate | str:
    try:
        return parse_certificate(row.der if row is not None else b"")
    except CertificateError as error:
        return f"the certificate that signed it cannot be read: {error}"


def _forged(kept: Kept, signer: Certificate | str | None) -> str:
    """Why its signature proves nothing; signer None: it cannot be told here."""
    if isinstance(signer, str):
        return signer
    if signer is None:
        return ""
    if signer.keyid != kept.keyid or not holds(signer, signer.alg, kept.base, kept.signature):
        return "its signature is not by the certificate it names"
    return ""
