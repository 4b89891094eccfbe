"""The steps of a certificate that was made with all it belongs to, before there was staff to do them one by one."""

from certs.core.life import PROVISIONED, TABLE, Event, Life
from gateway.core.book import Book
from gateway.core.rows import CertificateStep

_EVENTS = (Event.APPLY, Event.APPROVE, Event.ISSUE, Event.BIND, Event.ACTIVATE)


def add_lived(book: Book, keyid: str, now: int, by: str = "") -> None:
    """Applied for, approved, issued, bound and activated at once, by PROVISIONED (JOIN-16).

    by: who typed it, as the operating system knows him (`cli:NAME`); kept as the reason of each step.
    """
    state: Life | None = None
    for number, event in enumerate(_EVENTS, 1):
        came, state = state, TABLE[state, event]
        book.add(
            CertificateStep(
                subject=keyid,
                number=number,
                event=event,
                from_state=came or "",
                to_state=state,
                at=now,
                staff=PROVISIONED,
                reason=by or None,
            )
        )
