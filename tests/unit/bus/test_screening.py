"""The book judges what a bus brings: one look for all; only the serials in a message are believed."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.states import OrderState
from gateway.bus.port import Dead, Dropped
from gateway.core import rows, views
from gateway.core.items import Message
from gateway.flow.screening import Screening
from gateway.store.port import StoreBusy
from tests.unit.bus.test_versions import ORDER, QUERY
from tests.unit.flow.fakes import FakeBook, order_row

NOW = 1_000_000


class Shelf(FakeBook):
    """Looks orders up."""

    def __init__(self, *orders: rows.Order) -> None:
        super().__init__()
        self.orders = {order.order_serial: order for order in orders}
        self.looks: list[list[str]] = []
        self.down = False

    async def look(self, item: Any) -> Any:
        assert isinstance(item, views.PeekOrders)
        self.looks.append(item.order_serials)
        if self.down:
            raise StoreBusy("told to be")
        found = [self.orders[serial] for serial in item.order_serials if serial in self.orders]
        return views.OrdersView(now=NOW, orders=found)


def about(order: rows.Order, topic: str = "bm.request.acme", **changes: Any) -> Message:
    named = {"gateway_serial": order.gateway_serial, "order_serial": order.order_serial, "biller": order.biller}
    return Message(message_id="m", topic=topic, key="forged", payload=json.dumps(ORDER | named | changes).encode())


async def judge(shelf: Shelf, *messages: Message) -> list[Any]:
    return list(await Screening(shelf, "bm")(messages))


async def test_a_ready_order_comes_back_with_the_books_own_account() -> None:
    shelf = Shelf(order_row(1, "330001"), order_row(2, "330002"))
    first, second = about(shelf.orders["20261124" + "1".zfill(16)]), about(shelf.orders["20261124" + "2".zfill(16)])
    found = await judge(shelf, first, second, first)
    assert [each.key for each in found] == ["330001", "330002", "330001"]
    assert found[0].payload == first.payload
    assert len(shelf.looks) == 1
    assert len(shelf.looks[0]) == 2


@pytest.mark.parametrize("state", [state for state in OrderState if state != OrderState.READY])
async def test_one_that_is_done_is_dropped_soon_after_and_buried_later(state: OrderState) -> None:
    order = replace(order_row(1, "1"), state=state, send_before=NOW)
    (soon,) = await judge(Shelf(order), about(order))
    assert soon == Dropped("not-ready")
    order = replace(order, send_before=NOW - 1)
    (late,) = await judge(Shelf(order), about(order))
    assert late == Dead("replayed", f"the order is {state}")


async def test_a_ready_order_past_its_time_is_left_to_the_claim() -> None:
    order = replace(order_row(1, "1"), send_before=NOW - 1)
    (found,) = await judge(Shelf(order), about(order))
    assert isinstance(found, Message)


async def test_what_the_book_does_not_know_or_another_biller_has() -> None:
    order, other = order_row(1, "1"), order_row(2, "1")
    strange = replace(order_row(3, "1"), biller="bolt")
    shelf = Shelf(order, strange)
    found = await judge(
        shelf, about(other), about(order, gateway_serial=other.gateway_serial), about(strange), about(order, biller="x")
    )
    assert [each.reason for each in found[:3]] == ["unknown-order", "unknown-order", "wrong-biller"]
    assert isinstance(found[3], Message), "the biller a message names is not believed either"


async def test_bill_queries_and_what_cannot_be_read_ask_no_book() -> None:
    shelf = Shelf()
    query = Message(message_id="m", topic="bm.request.acme", key="k", payload=json.dumps(QUERY).encode())
    found = await judge(shelf, query, Message(message_id="m", topic="bm.request.acme", key="k", payload=b"{"))
    assert found[0] is query
    assert found[1].reason == "malformed"
    assert shelf.looks == []


async def test_a_book_that_is_down_is_told() -> None:
    shelf = Shelf(order_row(1, "1"))
    shelf.down = True
    with pytest.raises(StoreBusy):
        await judge(shelf, about(next(iter(shelf.orders.values()))))
