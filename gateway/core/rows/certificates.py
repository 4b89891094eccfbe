"""Certificates, USB keys, staff and what two people approved: who may speak, since when, and on whose word."""

from typing import ClassVar

from gateway.core.rows.base import Row


class RegisteredCertificate(Row, frozen=True, kw_only=True):
    """A certificate that this installation knows; its states are those of `certs.core.life` from ISSUED on.

    role: station, operator (of the staff), partner, reply, archive. serial: its number as hex; issuer_keyid: of the
    issuing CA's certificate. key_serial: of the USB key that holds the private key, "" for a file. renews: keyid of the
    certificate whose place it takes. staff_id: whose it is, of an operator certificate. revoked_for: a reason code of
    RFC 5280 (`certs.core.life.RevokedFor`), of a REVOKED one.
    """

    TABLE: ClassVar[str] = "certificates"
    KEY: ClassVar[tuple[str, ...]] = ("keyid",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "state_at", "reason", "revoked_for")
    GUARD: ClassVar[tuple[str, ...]] = ("state",)
    keyid: str
    der: bytes
    role: str
    state: str
    public_key_sha256: str
    not_before: int
    not_after: int
    registered_at: int
    serial: str = ""
    issuer_keyid: str = ""
    key_serial: str = ""
    state_at: int
    reason: str | None = None
    renews: str | None = None
    staff_id: str | None = None
    revoked_for: str | None = None


class Binding(Row, frozen=True, kw_only=True):
    """Which station, terminal and operator a certificate speaks for, since when, and who bound it (M12: two people).

    prepared_by, approved_by: staff ids; the same in both only where a whole station was provisioned at once (JOIN-16).
    """

    TABLE: ClassVar[str] = "bindings"
    KEY: ClassVar[tuple[str, ...]] = ("keyid", "bound_at")
    MUTABLE: ClassVar[tuple[str, ...]] = ("unbound_at",)
    GUARD: ClassVar[tuple[str, ...]] = ("unbound_at",)
    keyid: str
    institution_code: str
    terminal_id: str
    operator_id: str
    key_serial: str = ""
    bound_at: int
    prepared_by: str
    approved_by: str
    unbound_at: int | None = None


class CertificateRequest(Row, frozen=True, kw_only=True):
    """An application for a certificate. state: APPLIED, APPROVED, REFUSED, ISSUED (then keyid says which).

    profile: of certs/authority. csr: DER. institution_code, terminal_id, operator_id: "" where the profile has none.
    name: of the person, as the certificate will say it. renews: keyid of the certificate whose place it takes.
    """

    TABLE: ClassVar[str] = "certificate_requests"
    KEY: ClassVar[tuple[str, ...]] = ("request_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "decided_by", "decided_at", "reason", "keyid")
    GUARD: ClassVar[tuple[str, ...]] = ("state",)
    request_id: str
    profile: str
    institution_code: str
    terminal_id: str
    operator_id: str
    name: str
    staff_id: str | None = None
    key_serial: str
    csr: bytes
    public_key_sha256: str
    renews: str | None = None
    state: str
    applied_by: str
    applied_at: int
    decided_by: str | None = None
    decided_at: int | None = None
    reason: str | None = None
    keyid: str | None = None


class CertificateStep(Row, frozen=True, kw_only=True):
    """One step in the life of a certificate: append-only. subject: keyid, or request_id before there is one.

    number: 1, 2, … of its subject, so that a missing one is seen. from_state: "" of the first.
    staff: staff id of who did it (or `init`, `clock`). deed: SHA-256 of the signed deed, hex; record_id: its record.
    """

    TABLE: ClassVar[str] = "certificate_steps"
    KEY: ClassVar[tuple[str, ...]] = ("subject", "number")
    subject: str
    number: int
    event: str
    from_state: str
    to_state: str
    at: int
    staff: str
    deed: str | None = None
    record_id: str | None = None
    reason: str | None = None


class UsbKey(Row, frozen=True, kw_only=True):
    """A USB key of the stock register (CERT-01, CERT-04). state: as `certs.core.stock`.

    institution_code, holder: who has it, "" while it is with the bureau.
    """

    TABLE: ClassVar[str] = "usb_keys"
    KEY: ClassVar[tuple[str, ...]] = ("key_serial",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "institution_code", "holder", "state_at", "reason")
    GUARD: ClassVar[tuple[str, ...]] = ("state",)
    key_serial: str
    state: str
    institution_code: str = ""
    holder: str = ""
    received_at: int
    state_at: int
    reason: str | None = None


class UsbKeyStep(Row, frozen=True, kw_only=True):
    """One movement of a USB key: append-only. prepared_by is another person than staff where two are asked for."""

    TABLE: ClassVar[str] = "usb_key_steps"
    KEY: ClassVar[tuple[str, ...]] = ("key_serial", "number")
    key_serial: str
    number: int
    event: str
    from_state: str
    to_state: str
    institution_code: str = ""
    holder: str = ""
    at: int
    prepared_by: str | None = None
    staff: str
    deed: str | None = None
    record_id: str | None = None
    reason: str | None = None


class StaffMember(Row, frozen=True, kw_only=True):
    """A person of the bureau's staff: one person for M12, whatever certificates he holds. state: ACTIVE, LEFT."""

    TABLE: ClassVar[str] = "staff"
    KEY: ClassVar[tuple[str, ...]] = ("staff_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "state_at")
    GUARD: ClassVar[tuple[str, ...]] = ("state",)
    staff_id: str
    name: str
    department: str
    state: str = "ACTIVE"
    added_at: int
    state_at: int


class Approval(Row, frozen=True, kw_only=True):
    """What one person prepared and another decides (M12). state: OPEN, APPROVED, REJECTED, DONE.

    plan: the preparer's signed deed; plan_sha256: its hash, hex, which the decider signs. prepared_record: the record
    with the preparer's signature, by prepared_keyid. signature, keyid: of the decision, over decided_record's base.
    """

    TABLE: ClassVar[str] = "approvals"
    KEY: ClassVar[tuple[str, ...]] = ("plan_sha256",)
    MUTABLE: ClassVar[tuple[str, ...]] = (
        "state",
        "decided_by",
        "decided_at",
        "decision",
        "signature",
        "keyid",
        "decided_record",
    )
    GUARD: ClassVar[tuple[str, ...]] = ("state",)
    plan_sha256: str
    kind: str
    subject: str
    plan: bytes
    prepared_by: str
    prepared_at: int
    prepared_keyid: str
    prepared_record: str
    reason: str
    state: str
    decided_by: str | None = None
    decided_at: int | None = None
    decision: str | None = None
    signature: bytes | None = None
    keyid: str | None = None
    decided_record: str | None = None


class RevocationList(Row, frozen=True, kw_only=True):
    """A CRL, of our CA as published or of a partner's as taken in: append-only, its number only grows.

    issuer_keyid: of the CA's certificate; times in ms. published_at: from when on it is in force here; what it says of
    itself (this_update) is earlier, for clocks that run behind.
    """

    TABLE: ClassVar[str] = "revocation_lists"
    KEY: ClassVar[tuple[str, ...]] = ("issuer_keyid", "number")
    issuer_keyid: str
    number: int
    der: bytes
    this_update: int
    next_update: int
    published_at: int


class PartnerCertificate(Row, frozen=True, kw_only=True):
    """A partner's pinned certificate. use: sign, tls, ca (whose revocation lists count for its others), watch (only its
    dates are watched: one whose key nothing here can verify by, such as SM2).

    state: PREPARED, ACTIVE, CLOSED; two people (M12).
    """

    TABLE: ClassVar[str] = "partner_certificates"
    KEY: ClassVar[tuple[str, ...]] = ("biller", "keyid")
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "approved_by", "approved_at", "reason")
    GUARD: ClassVar[tuple[str, ...]] = ("state",)
    biller: str
    keyid: str
    der: bytes
    use: str
    public_key_sha256: str
    not_before: int
    not_after: int
    state: str
    added_by: str
    added_at: int
    approved_by: str | None = None
    approved_at: int | None = None
    reason: str | None = None
