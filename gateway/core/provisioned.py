"""Certificates that were made with all they belong to, before there was staff to do it step by step (JOIN-16)."""

from typing import Protocol

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


def provision(
    book: Book,
    item: Certified,
    der: bytes,
    now: int,
    *,
    role: str,
    key_serial: str = "",
    staff_id: str | None = None,
    by: str = "",
) -> None:
    """Register it as active, with every step of its life until then done by PROVISIONED.

    by: who typed it, as the operating system knows him (`cli:NAME`); kept as the reason of each step.
    """
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
                staff=PROVISIONED,
                reason=by or None,
            )
        )
