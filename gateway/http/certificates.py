"""Stations' certificates by keyid: read once, kept; their state is judged in the book, never here."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding

from certs.certificates import Certificate, CertificateError, Role, parse_certificate
from certs.core.chains import issuer_of, judge_among
from contracts.clock import Clock
from gateway.core.views import CertificateView, PeekCertificate
from gateway.store.port import Store

KEPT = 8192
SERVED_ROLES = frozenset({"reply", "archive"})
_log = logging.getLogger("bianmin.http")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A certificate that may sign requests. begins, ends: when its issuing CA and the root are valid."""

    certificate: Certificate
    begins: datetime
    ends: datetime


class StationCertificates:
    """Certificates that may sign requests: registered as a station's, of the station role, under one of our CAs.

    issuings: of every period that still verifies.
    """

    def __init__(self, store: Store, clock: Clock, issuings: Sequence[Certificate], root: Certificate) -> None:
        self._store, self._clock, self._issuings, self._root = store, clock, tuple(issuings), root
        self._kept: OrderedDict[str, Speaker] = OrderedDict()

    def chain_is_valid(self, speaker: Speaker) -> bool:
        """Whether the speaker's issuing CA and the root are within their own validity now."""
        return speaker.begins <= self._clock.now() < speaker.ends

    async def find(self, keyid: str) -> Speaker | None:
        """The certificate, or None where no signature by it can count. Raises StoreError."""
        known = self._kept.get(keyid)
        if known is not None:
            self._kept.move_to_end(keyid)
            return known
        found = await self._read(keyid)
        if found is not None:
            self._kept[keyid] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    async def _read(self, keyid: str) -> Speaker | None:
        view: CertificateView = await self._store.look(PeekCertificate(keyid=keyid))
        row = view.certificate
        if row is None or row.role != Role.STATION:
            return None
        try:
            certificate = parse_certificate(row.der)
        except CertificateError as error:
            _log.error("certificate.unreadable", extra={"cause": str(error)})
            return None
        if certificate.keyid != keyid or certificate.role is not Role.STATION:
            return None
        # Validity in time is the book's to judge, by the database's clock.
        slug = judge_among(certificate, self._issuings, self._root, self._clock.now())
        issuing = issuer_of(certificate, self._issuings)
        if slug == "certificate-unknown" or issuing is None:
            return None
        begins = max(issuing.not_before, self._root.not_before)
        return Speaker(certificate, begins, min(issuing.not_after, self._root.not_after))


def served_pem(store: Store, issuings: Sequence[Certificate]) -> Callable[[str], Awaitable[bytes | None]]:
    """A look-up of what `GET /certificates/{keyid}` serves: PEM, leaf then issuer, of the gateway's signing keys."""

    async def find(keyid: str) -> bytes | None:
        view: CertificateView = await store.look(PeekCertificate(keyid=keyid))
        row = view.certificate
        if row is None or row.role not in SERVED_ROLES:
            return None
        leaf = parse_certificate(row.der)
        issuing = issuer_of(leaf, issuings)
        # Of a period that this process no longer holds: nobody it serves could verify by it either.
        return None if issuing is None else b"".join(one.parsed.public_bytes(Encoding.PEM) for one in (leaf, issuing))

    return find
