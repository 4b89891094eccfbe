"""One verified request on its way through a handler, and the row of the route table that leads to it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from certs.core.messages import SignedRequest
from contracts import api
from contracts import routes as contract
from contracts.api import Request
from gateway.core import fingerprints
from gateway.core.items import Arrival, Item, Keyed, Refusal, Reply, Taken
from gateway.http import render
from gateway.http.answers import Answer
from gateway.http.holding import Deciding, Holding
from gateway.http.problems import BadRequest, refuse
from gateway.http.services import Services

T = TypeVar("T")
R = TypeVar("R", bound=Reply)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: what the contract says of it, and the handler that answers it."""

    contract: contract.Route
    handle: "Callable[[Call], Awaitable[Answer]]"

    @property
    def pure_read(self) -> bool:
        """Whether it stores nothing, not even the nonce."""
        return self.contract.request is None


_CONTRACTS = {(route.method, route.path): route for route in contract.ROUTES}


def route(method: str, path: str, handle: "Callable[[Call], Awaitable[Answer]]") -> Route:
    """The route a handler registers itself with. KeyError for an operation the contract does not have."""
    return Route(_CONTRACTS[method, path], handle)


@dataclass(slots=True, kw_only=True)
class Call:
    """A request whose signature verified, or (signed is None) one to an unsigned operation.

    values: what stood for the path's `{name}`s. query: its parameters, each of the contract's type. body: decoded, of
    the contract's type; plain: the same as plain JSON values. wait_s: of `Prefer`.
    """

    services: Services
    holding: Holding
    deciding: Deciding
    trace_id: str
    signed: SignedRequest | None
    values: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Request | None = None
    plain: Any = None
    wait_s: int | None = None
    _arrival: Arrival | None = None

    @property
    def request(self) -> SignedRequest:
        """The verified request. TypeError in an unsigned operation."""
        if self.signed is None:
            raise TypeError("this operation is not signed")
        return self.signed

    @property
    def arrival(self) -> Arrival:
        """What the book keeps of it; the same one however often it is asked for."""
        if self._arrival is None:
            self._arrival = make_arrival(self.request, self.trace_id, self.services.entropy)
        return self._arrival

    @property
    def key(self) -> str:
        """The idempotency key; BadRequest where it is missing."""
        key = self.request.idempotency_key
        if key is None:
            raise BadRequest("malformed", "This operation needs an Idempotency-Key.", "Idempotency-Key")
        return key

    @property
    def request_hash(self) -> bytes:
        """What the key is bound to (M3)."""
        return fingerprints.request_hash(self.request.method, self.request.path, self.plain)

    def body_as(self, kind: type[T]) -> T:
        """The body, which the route declares to be of this type."""
        if not isinstance(self.body, kind):
            raise TypeError(f"the route does not declare {kind.__name__}")
        return self.body

    async def decide(self, item: Keyed, kind: type[R]) -> R | Refusal:
        """Give an item under an idempotency key to the book. Raises StoreError."""
        running = self.deciding.begin(item.key)
        try:
            return expect(await self.services.store.run(item), kind)
        finally:
            self.deciding.end(item.key, running)

    async def run(self, item: Item, kind: type[R]) -> R | Refusal:
        """Give an item to the book. Raises StoreError."""
        return expect(await self.services.store.run(item), kind)

    async def look(self, item: Item, kind: type[R]) -> R | Refusal:
        """Ask the book. Raises StoreError."""
        return expect(await self.services.store.look(item), kind)

    def show(self, taken: Taken) -> api.Payment:
        """A payment as the terminal sees it, in the adapter's own words where it has some."""
        return render.payment(taken, self.services.shop_text, self.services.undo_text)

    def refuse(self, refusal: Refusal) -> Answer:
        """The answer of a refusal."""
        return refuse(refusal, self.trace_id)


def make_arrival(signed: SignedRequest, trace_id: str, entropy: Callable[[], int]) -> Arrival:
    """What the book keeps of a verified request. trace_id: may be the terminal's own, so it cannot name the arrival."""
    return Arrival(
        arrival_id=f"{entropy():016x}{entropy():016x}",
        entropy=entropy(),
        keyid=signed.keyid,
        nonce=signed.nonce,
        created=signed.created,
        expires=signed.expires,
        base=signed.base,
        signature=signed.signature,
        body=signed.body,
        trace_id=trace_id,
    )


def expect(reply: Any, kind: type[R]) -> R | Refusal:
    """A reply of the kind its item promises, or a refusal; TypeError otherwise."""
    if isinstance(reply, kind | Refusal):
        return reply
    raise TypeError(f"the book answered {type(reply).__name__}, not {kind.__name__}")
