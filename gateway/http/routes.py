"""The table of operations, and the way from a request target to one of them."""

from collections.abc import Mapping, Sequence

from gateway.http import (
    account_show,
    bill_query_create,
    bill_query_show,
    certificate_show,
    crl_show,
    entries_list,
    inquiry_create,
    openapi_show,
    payment_cancel,
    payment_create,
    payment_list,
    payment_refund,
    payment_show,
    payment_write,
    services_list,
    time_show,
)
from gateway.http.calls import Route

ROUTES: tuple[Route, ...] = (
    bill_query_create.ROUTE,
    bill_query_show.ROUTE,
    payment_create.ROUTE,
    payment_list.ROUTE,
    payment_show.ROUTE,
    inquiry_create.ROUTE,
    payment_cancel.ROUTE,
    payment_write.ROUTE,
    payment_refund.ROUTE,
    account_show.ROUTE,
    entries_list.ROUTE,
    services_list.ROUTE,
    time_show.ROUTE,
    certificate_show.ROUTE,
    crl_show.ROUTE,
    openapi_show.ROUTE,
)
"""Every operation of this process; a test compares them with contracts.routes."""

_NOTHING: Mapping[str, str] = {}


class Router:
    """Finds a route by method and raw path, byte for byte: nothing is decoded, nothing normalised."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._plain: dict[tuple[str, str], Route] = {}
        self._named: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
        for route in routes:
            contract = route.contract
            parts = contract.path.split("/")
            if "{" in contract.path:
                self._named.setdefault((contract.method, len(parts)), []).append((parts, route))
            else:
                self._plain[contract.method, contract.path] = route

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route and what stands for its `{name}`s; a plain path goes before one with names."""
        plain = self._plain.get((method, path))
        if plain is not None:
            return plain, _NOTHING
        given = path.split("/")
        for parts, route in self._named.get((method, len(given)), ()):
            values = _match(parts, given)
            if values is not None:
                return route, values
        return None


def _match(parts: list[str], given: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for part, text in zip(parts, given, strict=True):
        if part.startswith("{"):
            if not text:
                return None
            values[part[1:-1]] = text
        elif part != text:
            return None
    return values
