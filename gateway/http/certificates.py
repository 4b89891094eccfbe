"""Stations' certificates by keyid: read once, kept; their state is judged in the book, never here."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from cryptography.hazmat.primitives.serialization import Encoding

from certs.certificates import Certificate, CertificateError, Role, judge, parse_certificate
from contracts.clock import Clock
from gateway.core.views import CertificateView, PeekCertificate
from gateway.store.port import Store

KEPT = 8192
SERVED_ROLES = frozenset({"reply", "archive"})
_log = logging.getLogger("bianmin.http")


class StationCertificates:
    """Certificates that may sign requests: registered as a station's, of the station role, under our own CA."""

    def __init__(self, store: Store, clock: Clock, issuing: Certificate, root: Certificate) -> None:
        self._store, self._clock, self._issuing, self._root = store, clock, issuing, root
        self._from = max(issuing.not_before, root.not_before)
        self._until = min(issuing.not_after, root.not_after)
        self._kept: OrderedDict[str, Certificate] = OrderedDict()

    def chain_is_valid(self) -> bool:
        """Whether issuing CA and root are within their own validity now."""
        return self._from <= self._clock.now() < self._until

    async def find(self, keyid: str) -> Certificate | None:
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

    async def _read(self, keyid: str) -> Certificate | None:
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
        slug = judge(certificate, self._issuing, self._root, self._clock.now())
        return None if slug == "certificate-unknown" else certificate


def served_pem(store: Store, issuing: Certificate) -> Callable[[str], Awaitable[bytes | None]]:
    """A look-up of what `GET /certificates/{keyid}` serves: PEM, leaf then issuer, of the gateway's signing keys."""
    issuer_pem = issuing.parsed.public_bytes(Encoding.PEM)

    async def find(keyid: str) -> bytes | None:
        view: CertificateView = await store.look(PeekCertificate(keyid=keyid))
        row = view.certificate
        if row is None or row.role not in SERVED_ROLES:
            return None
        return parse_certificate(row.der).parsed.public_bytes(Encoding.PEM) + issuer_pem

    return find
