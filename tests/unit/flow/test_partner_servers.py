"""CERT-05: whom a partner's adapter takes for its server is what two people pinned, and no longer than that."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.flow.partner_servers import LOOK_S, PartnerServers
from tests.unit.core.test_partner_keys import BILLER, Desk, _Store


class Pinned:
    """Implements PinsServer; keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[list[bytes]] = []

    def pin_server(self, certificates: Sequence[bytes]) -> None:
        self.told.append(list(certificates))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.house.close()


async def test_it_is_told_what_counts_and_only_when_that_changes(desk: Desk) -> None:
    biller = Pinned()
    book: Any = _Store(desk.house)
    servers = PartnerServers(book, {BILLER: biller})
    old, new = desk.ca.alone("old"), desk.ca.alone("new")

    async def now() -> list[bytes]:
        assert await servers.turn() == LOOK_S
        return biller.told[-1]

    assert await now() == [], "nobody is pinned: nobody is its server"
    desk.add(desk.ca.alone("signs"), "sign")
    desk.add(old, "tls")
    assert await now() == [old.certificate.der]
    desk.add(new, "tls")
    both = sorted(one.certificate.der for one in (old, new))
    assert await now() == both == await now()
    desk.close(old)
    assert await now() == [new.certificate.der]
    desk.house.advance(366 * 86_400)
    assert await now() == []
    assert len(biller.told) == 5
