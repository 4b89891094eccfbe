"""What was signed, received and judged, and what people must look at."""

from typing import ClassVar

from gateway.core.rows.base import Row


class Setting(Row, frozen=True, kw_only=True):
    """One number of the installation, e.g. `nonce_floor` (ms)."""

    TABLE: ClassVar[str] = "settings"
    KEY: ClassVar[tuple[str, ...]] = ("name",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("value",)
    name: str
    value: int


class Record(Row, frozen=True, kw_only=True):
    """What was signed or received, whole, with its leaf (M11). day and position are set by the sealer."""

    TABLE: ClassVar[str] = "records"
    KEY: ClassVar[tuple[str, ...]] = ("record_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("day", "position", "chain")
    record_id: str
    kind: str
    received_at: int
    institution_code: str | None
    gateway_serial: str | None
    keyid: str | None
    base: bytes
    signature: bytes
    body: bytes
    leaf: bytes
    day: str | None = None
    position: int | None = None
    chain: bytes | None = None


class Seal(Row, frozen=True, kw_only=True):
    """A day's signed end: count, Merkle root, end of the chain, the statement and its signature (M11)."""

    TABLE: ClassVar[str] = "seals"
    KEY: ClassVar[tuple[str, ...]] = ("day",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("statement", "keyid", "signature", "signed_at")
    day: str
    count: int
    root: bytes
    chain_end: bytes
    statement: bytes
    keyid: str | None = None
    signature: bytes | None = None
    signed_at: int | None = None


class EvidenceRow(Row, frozen=True, kw_only=True):
    """What was judged, and to which effect. waiting: judged again when the open order ends.

    sent: ids of the records of what we sent for it, one space between them; None where nothing was kept.
    """

    TABLE: ClassVar[str] = "evidence"
    KEY: ClassVar[tuple[str, ...]] = ("evidence_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("waiting",)
    evidence_id: str
    gateway_serial: str
    order_serial: str
    record_id: str | None
    sent: str | None = None
    source: str
    event: str
    effect: str
    waiting: bool = False
    biller_serial: str | None = None
    paid_fen: int | None = None
    biller_date: str | None = None
    resp_code: str | None = None
    cause: str | None = None
    created_at: int


class Break(Row, frozen=True, kw_only=True):
    """Something that two books say differently, or a contradiction of evidence; closed by people (M12).

    ruling: the evidence row of the ruling that evidence_id contradicts.
    """

    TABLE: ClassVar[str] = "breaks"
    KEY: ClassVar[tuple[str, ...]] = ("break_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "closed_at", "resolution")
    break_id: str
    code: str
    biller: str
    gateway_serial: str | None
    evidence_id: str | None
    amount_fen: int
    state: str = "OPEN"
    detail: str
    opened_at: int
    closed_at: int | None = None
    resolution: str | None = None
    ruling: str | None = None


class Attachment(Row, frozen=True, kw_only=True):
    """A file that a ruling leans on, kept by its hash: append-only. name: as it was when it first came."""

    TABLE: ClassVar[str] = "attachments"
    KEY: ClassVar[tuple[str, ...]] = ("sha256",)
    sha256: str
    name: str
    size: int
    body: bytes
    kept_at: int


class AttachmentName(Row, frozen=True, kw_only=True):
    """Read only: an attachment without its bytes."""

    TABLE: ClassVar[str] = ""
    KEY: ClassVar[tuple[str, ...]] = ("sha256",)
    sha256: str
    name: str
    size: int


class Alarm(Row, frozen=True, kw_only=True):
    """Something a person must look at."""

    TABLE: ClassVar[str] = "alarms"
    KEY: ClassVar[tuple[str, ...]] = ("alarm_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("seen_at",)
    alarm_id: str
    kind: str
    biller: str | None
    gateway_serial: str | None
    detail: str
    raised_at: int
    seen_at: int | None = None
