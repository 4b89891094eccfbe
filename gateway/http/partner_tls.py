"""Who may call the notices' port: billers that must show a client certificate of theirs that is pinned in the book."""

import ssl
from collections.abc import Callable, Collection

from certs.certificates import CertificateError, parse_certificate
from contracts.clock import Clock
from gateway.core.partner_keys import FindPartnerKeys, PartnerKeys
from gateway.http.protocol import Incoming
from gateway.store.port import Store, StoreError

LOOK_S = 15.0
"""So long a newly approved certificate may wait for its first handshake. One that is closed is refused at once."""


class PartnerDoor:
    """billers: whose notices need one. context: of the port; a certificate that nobody pinned fails its handshake.

    failed: called where the book could not be read.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        context: ssl.SSLContext,
        billers: Collection[str],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self._store, self._clock, self._context, self._failed = store, clock, context, failed
        self._billers = frozenset(billers)
        self._loaded: set[str] = set()
        context.verify_mode = ssl.CERT_OPTIONAL
        # A pinned certificate is the end of its own chain, whoever signed it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self._clock.sleep(LOOK_S)
            try:
                await self.look()
            except StoreError as error:
                self._failed("partners' certificates", error)

    async def look(self) -> None:
        """Let the handshakes know what is pinned by now. Raises StoreError."""
        for biller in sorted(self._billers):
            for pinned in (await self._keys(biller)).keys:
                if pinned.keyid not in self._loaded:
                    self._context.load_verify_locations(cadata=pinned.der)
                    self._loaded.add(pinned.keyid)

    async def admits(self, biller: str, incoming: Incoming) -> bool:
        """Whether this connection may speak for the biller, by the book as it is now. Raises StoreError."""
        if biller not in self._billers:
            return True
        shown = incoming.peer_certificate()
        if shown is None:
            return False
        try:
            keyid = parse_certificate(shown).keyid
        except CertificateError:
            return False
        return any(one.keyid == keyid for one in (await self._keys(biller, keyid)).keys)

    async def _keys(self, biller: str, keyid: str = "") -> PartnerKeys:
        found = await self._store.run(FindPartnerKeys(biller=biller, use="tls", keyid=keyid))
        assert isinstance(found, PartnerKeys)
        return found
