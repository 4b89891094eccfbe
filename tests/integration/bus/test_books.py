"""Messages that a book wrote itself are judged by that book, on both engines, through the life of an order."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.bus.port import Dead, Dropped
from gateway.core import items
from gateway.core.items import Message
from gateway.core.rows import OutboxRow
from gateway.flow.screening import Screening
from gateway.store.migrations import upgrade
from tests.stand.flow_parts import LocalStore
from tests.stand.house import House
from tests.stand.stores import TwinStores


class Shop:
    """A book over its store, and the request messages it has written."""

    def __init__(self, store: Any, make: House) -> None:
        self.store, self.make = store, make
        self.written: list[OutboxRow] = []
        store.listen(self.written.extend)
        self.screen = Screening(store, make.env.topic_prefix)

    async def pay(self, account: str) -> items.Taken:
        taken = await self.store.run(self.make.accept(1, biller_account=account))
        assert isinstance(taken, items.Taken)
        return taken

    def requests(self) -> list[Message]:
        return [
            Message(message_id=row.message_id, topic=row.topic, key="forged", payload=row.payload)
            for row in self.written
            if ".request." in row.topic
        ]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    if request.param == "sqlite":
        house = House(tmp_path)
        yield Shop(LocalStore(house.engine), house)
        house.close()
        return
    dsn = request.getfixturevalue("postgres_dsn")
    await asyncio.to_thread(upgrade, dsn)
    gateways = TwinStores(dsn)
    await gateways.one.open()
    await gateways.found()
    yield Shop(gateways.one, gateways.make)
    await gateways.one.close()


async def test_the_life_of_an_order_as_its_messages_see_it(shop: Shop) -> None:
    first, second = await shop.pay("330001"), await shop.pay("330002")
    messages = shop.requests()
    assert len(messages) == 2
    found = await shop.screen([*messages, *reversed(messages)])
    assert [each.key for each in found if isinstance(each, Message)] == ["330001", "330002", "330002", "330001"]
    claim = items.Claim(
        gateway_serial=first.payment.gateway_serial, order_serial=first.payment.gateway_serial, worker="w", entropy=1
    )
    assert isinstance(await shop.store.run(claim), items.Granted)
    found = await shop.screen(messages)
    assert found[0] == Dropped("not-ready")
    assert isinstance(found[1], Message)
    body = msgspec.json.decode(messages[1].payload)
    unknown = msgspec.json.encode(body | {"order_serial": "20261124ZZZZZZZZZZZZZZZZ"})
    strange = msgspec.structs.replace(messages[1], payload=unknown)
    elsewhere = msgspec.structs.replace(messages[1], topic=f"{shop.make.env.topic_prefix}.request.meters")
    verdicts = await shop.screen([strange, elsewhere])
    assert [each.reason for each in verdicts if isinstance(each, Dead)] == ["unknown-order", "wrong-biller"]
    assert second.payment.state == "RESERVED"
