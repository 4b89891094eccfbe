"""From a raw path to an operation, byte for byte."""

import pytest

from gateway.http.routes import ROUTES, Router

ROUTER = Router(ROUTES)
SERIAL = "2026112406H0P4QWR2D3RMF7"


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/v1/payments", "/v1/payments"),
        ("GET", "/v1/payments", "/v1/payments"),
        ("GET", f"/v1/payments/{SERIAL}", "/v1/payments/{gateway_serial}"),
        ("POST", f"/v1/payments/{SERIAL}/refunds", "/v1/payments/{gateway_serial}/refunds"),
        ("GET", "/v1/account/entries", "/v1/account/entries"),
        ("GET", "/openapi.json", "/openapi.json"),
        ("GET", "/v1/payments/", None),
        ("GET", f"/v1/payments/{SERIAL}/", None),
        ("GET", f"/v1/payments/{SERIAL}/refunds", None),
        ("POST", "/v1/payments//refunds", None),
        ("GET", "v1/payments", None),
        ("GET", "/v1/PAYMENTS", None),
        ("HEAD", "/v1/payments", None),
        ("GET", "", None),
        ("GET", "*", None),
    ],
)
def test_find(method: str, path: str, found: str | None) -> None:
    hit = ROUTER.find(method, path)
    assert (hit[0].contract.path if hit else None) == found
    if hit is not None and "{" in hit[0].contract.path:
        assert hit[1] == {"gateway_serial": SERIAL}


def test_only_reads_are_pure() -> None:
    assert {route.contract.method for route in ROUTES if route.pure_read} == {"GET"}
    assert {route.contract.method for route in ROUTES if not route.pure_read} == {"POST"}
