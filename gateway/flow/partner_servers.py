"""Who may be a partner's server: billers that are called only where they show a certificate pinned in the book."""

from collections.abc import Mapping

from contracts.biller import PinsServer
from gateway.core.partner_keys import FindPartnerKeys, PartnerKeys
from gateway.store.port import Store

LOOK_S = 15.0
"""So long a certificate may go on to count after it was closed, and a new one wait for its first call."""


class PartnerServers:
    """billers: by name, those of `http.partner_server_certs`."""

    def __init__(self, store: Store, billers: Mapping[str, PinsServer]) -> None:
        self._store, self._billers = store, billers
        self._told: dict[str, tuple[bytes, ...]] = {}

    async def look(self) -> None:
        """Tell each biller which certificates count now; none: nobody is its server. Raises StoreError, ValueError."""
        for name, biller in sorted(self._billers.items()):
            found = await self._store.run(FindPartnerKeys(biller=name, use="tls"))
            assert isinstance(found, PartnerKeys)
            pinned = tuple(sorted(one.der for one in found.keys))
            if self._told.get(name) != pinned:
                biller.pin_server(pinned)
                self._told[name] = pinned

    async def turn(self) -> float:
        """Look once; the seconds until the next look. Raises StoreError: what counted goes on."""
        await self.look()
        return LOOK_S
