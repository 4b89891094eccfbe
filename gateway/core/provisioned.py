"""Certificates that come to life at once, with all they belong to: by one deed, or before there was staff (JOIN-16)."""

from dataclasses import dataclass
from typing import Protocol

from certs.core.certificates import Certificate
from certs.core.life import PROVISIONED, TABLE, Event, Life
from gateway.core.book import Book
from gateway.core.rows import CertificateStep, RegisteredCertificate

_EVENTS = (Event.APPLY, Event.APPROVE, Event.ISSUE, Event.BIND, Event.ACTIVATE)


class Certified(Protocol):
    """What an item says of a certificate beside its DER. Moments in ms; serial: hex."""

    @property
    def keyid(self) -> str: ...

    @property
    def public_key_sha256(self) -> str: ...

    @property
    def not_before(self) -> int: ...

    @property
    def not_after(self) -> int: ...

    @property
    def serial(self) -> str: ...

    @property
    def issuer_keyid(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """On whose word. staff: PROVISIONED, where nobody signed; then reason says who typed it (`cli:NAME`).

    prepared_by: of who had prepared it. deed: SHA-256 of the deed that did it; record_id: its record.
    """

    staff: str = PROVISIONED
    prepared_by: str = PROVISIONED
    deed: str | None = None
    record_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A certificate as Certified has it."""

    keyid: str
    public_key_sha256: str
    not_before: int
    not_after: int
    serial: str
    issuer_keyid: str


def certified(certificate: Certificate, issuer: Certificate) -> Made:
    """What a certificate says of itself."""
    return Made(
        keyid=certificate.keyid,
        public_key_sha256=certificate.public_key_sha256,
        not_before=int(certificate.not_before.timestamp()) * 1000,
        not_after=int(certificate.not_after.timestamp()) * 1000,
        serial=f"{certificate.serial:x}",
        issuer_keyid=issuer.keyid,
    )


def provision(
    book: Book,
    item: Certified,
    der: bytes,
    now: int,
    *,
    role: str,
    key_serial: str = "",
    staff_id: str | None = None,
    word: Word,
) -> None:
    """Register it as active, with every step of its life until then on one word."""
    book.add(
        RegisteredCertificate(
            keyid=item.keyid,
            der=der,
            role=role,
            state=Life.ACTIVE,
            public_key_sha256=item.public_key_sha256,
            not_before=item.not_before,
            not_after=item.not_after,
            registered_at=now,
            serial=item.serial,
            issuer_keyid=item.issuer_keyid,
            key_serial=key_serial,
            state_at=now,
            staff_id=staff_id,
        )
    )
    state: Life | None = None
    for number, event in enumerate(_EVENTS, 1):
        came, state = state, TABLE[state, event]
        book.add(
            CertificateStep(
                subject=item.keyid,
                number=number,
                event=event,
                from_state=came or "",
                to_state=state,
                at=now,
                staff=word.staff,
                deed=word.deed,
                record_id=word.record_id,
                reason=word.reason,
            )
        )
