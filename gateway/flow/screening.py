"""What a bus brings is judged by the book, one look for a whole batch, before anybody works on it.

A message over Kafka may be old, doubled, or not ours at all. The book says which order it names, whose account that is,
and whether it still waits; nothing else in a message is believed.
"""

from collections.abc import Sequence

from contracts.bus import OrderMessage, UnreadableMessage, read_request
from contracts.states import OrderState
from gateway.bus.port import Dead, Dropped, Verdict
from gateway.core.items import Message
from gateway.core.rows import Order
from gateway.core.views import OrdersView, PeekOrders
from gateway.store.port import Store


class Screening:
    """Implements gateway.bus.port.Screen. topic_prefix: as in the core's Env."""

    def __init__(self, store: Store, topic_prefix: str) -> None:
        self._store, self._topics = store, f"{topic_prefix}.request."

    async def __call__(self, messages: Sequence[Message]) -> Sequence[Message | Verdict]:
        """See Screen."""
        found: list[Message | Verdict] = list(messages)
        named: dict[int, OrderMessage] = {}
        for place, message in enumerate(messages):
            try:
                request = read_request(message.payload)
            except UnreadableMessage as wrong:
                found[place] = Dead(wrong.reason, wrong.detail)
                continue
            if isinstance(request, OrderMessage):
                named[place] = request
        if named:
            view = await self._look(sorted({request.order_serial for request in named.values()}))
            orders = {order.order_serial: order for order in view.orders}
            for place, request in named.items():
                message = messages[place]
                found[place] = self._judge(message, request, orders.get(request.order_serial), view.now)
        return found

    async def _look(self, order_serials: list[str]) -> OrdersView:
        view = await self._store.look(PeekOrders(order_serials=order_serials))
        if not isinstance(view, OrdersView):
            raise TypeError(f"the book answered with {type(view).__name__}")
        return view

    def _judge(self, message: Message, request: OrderMessage, order: Order | None, now: int) -> Message | Verdict:
        if order is None or order.gateway_serial != request.gateway_serial:
            return Dead("unknown-order", "the book has no such order of such a payment")
        if message.topic != f"{self._topics}{order.biller}":
            return Dead("wrong-biller", "the order is another biller's")
        if order.state != OrderState.READY:
            # Soon after, it is an ordinary redelivery; nobody has a reason to bring it once its time is over.
            over = now > order.send_before
            return Dead("replayed", f"the order is {order.state}") if over else Dropped("not-ready")
        # The account decides who must wait for whom: it is the book's, never the message's.
        return Message(
            message_id=message.message_id, topic=message.topic, key=order.biller_account, payload=message.payload
        )
