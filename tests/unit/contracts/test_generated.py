"""The generated descriptions: committed as made, valid, complete. WRITE_CONTRACTS=1 writes the two files anew."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from contracts import api, asyncapi, bus, openapi
from contracts.problems import PROBLEMS, URN
from contracts.routes import ROUTES

CONTRACTS = Path(openapi.__file__).parent
SCHEMA = Path(__file__).parent / "asyncapi-3.0.0.schema.json"
MADE: dict[str, Callable[[], bytes]] = {"openapi.json": openapi.render, "asyncapi.json": asyncapi.render}


@pytest.mark.parametrize("name", MADE)
def test_the_committed_file_is_the_generated_one(name: str) -> None:
    if os.environ.get("WRITE_CONTRACTS") == "1":
        (CONTRACTS / name).write_bytes(MADE[name]())
    assert (CONTRACTS / name).read_bytes() == MADE[name](), f"run this test once with WRITE_CONTRACTS=1 for {name}"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The OpenAPI document as a reader gets it."""
    document: dict[str, Any] = json.loads(openapi.render())
    return document


def test_openapi_is_valid(described: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []
    broken = described | {"paths": {"/x": {"get": {"responses": {"200": {}}}}}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_every_route_and_every_slug_is_described(described: dict[str, Any]) -> None:
    operations = {
        (method.upper(), path) for path, item in described["paths"].items() for method in item if method != "parameters"
    }
    assert operations == {(route.method, route.path) for route in ROUTES}
    assert len({route.operation for route in ROUTES}) == len(ROUTES)
    assert {slug for route in ROUTES for slug in route.slugs} == set(described["x-problems"]) == set(PROBLEMS)
    assert described["components"]["schemas"]["Problem"]["properties"]["type"]["enum"] == [
        URN + slug for slug in sorted(PROBLEMS)
    ]


def test_segments_are_those_of_the_path() -> None:
    for route in ROUTES:
        assert set(re.findall(r"\{([a-z_]+)\}", route.path)) == set(route.segments), route.path
        assert all(slug in PROBLEMS for slug in route.slugs)
        assert len(set(route.slugs)) == len(route.slugs), route.path


def test_keys_are_asked_for_where_money_moves() -> None:
    keyed = {route.path for route in ROUTES if route.keyed}
    under = "/v1/payments/{gateway_serial}/"
    assert keyed == {"/v1/payments", under + "cancellations", under + "card-writes", under + "refunds"}
    assert {route.path for route in ROUTES if not route.signed} == {
        "/v1/time",
        "/v1/certificates/{keyid}",
        "/v1/crl/{issuer_keyid}",
        "/openapi.json",
    }


def test_the_worked_example_is_a_payment_and_a_found(described: dict[str, Any]) -> None:
    payment = {
        "gateway_serial": "2026112406H0P4QWR2D3RMF7",
        "state": "SUCCESS",
        "service": "mobile.topup",
        "biller": "telecom",
        "biller_account": "13805790001",
        "amount_fen": 10000,
        "paid_fen": 10000,
        "fee_fen": 100,
        "account_date": "2026-11-24",
        "settle_date": "2026-11-24",
        "accepted_at": "2026-11-24T01:02:03.456Z",
        "send_before": "2026-11-24T01:04:03.456Z",
        "final_at": "2026-11-24T01:02:05.914Z",
        "biller_serial": "TP2026112409020300000077",
        "reason": None,
        "shop_text": "缴费成功",
        "terminal_trace": "000123",
        "idempotency_key": "T1-20261124-000123",
        "in_doubt": None,
        "card": None,
        "params": {},
    }
    problem = {
        "type": URN + "station-suspended",
        "title": "Station takes no new payments",
        "status": 403,
        "detail": "An open receivable of 5600 fen must be covered by a deposit or top-up first.",
        "shop_text": "本站有欠款56.00元，暂停收费。请先充值，到账后自动恢复。",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    assert fits(described, "Payment", payment)
    assert fits(described, "Problem", problem)
    assert not fits(described, "Problem", problem | {"type": URN + "nonsense"})
    for found in (
        {"found": True, "payment": payment},
        {"found": True, "problem": problem},
        {"found": False, "tombstone": True},
    ):
        assert fits(described, "Found", found)
        msgspec.json.decode(msgspec.json.encode(found), type=api.Found)
    assert not fits(described, "Found", {"found": False, "payment": payment})
    assert not fits(described, "Found", {"found": True, "payment": payment, "tombstone": True})


def fits(described: dict[str, Any], name: str, value: object) -> bool:
    """Whether a value fits a component schema."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def test_requests_are_refused_by_the_schema_as_by_the_gateway(described: dict[str, Any]) -> None:
    body = {"service": "a.b", "biller_account": "1", "amount_fen": 1, "terminal_trace": "1"}
    assert fits(described, "PaymentRequest", body)
    for wrong in ({"amount_fen": 0}, {"biller_account": "1\n"}, {"colour": 1}, {"params": {"A": "x"}}):
        assert not fits(described, "PaymentRequest", body | wrong)


def test_asyncapi_is_valid_under_its_official_schema() -> None:
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    document = json.loads(asyncapi.render())
    assert [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(document)] == []
    assert list(validator.iter_errors(document | {"channels": {"x": {"address": 5}}}))


def test_asyncapi_names_every_message_and_every_reference_leads_somewhere() -> None:
    document = json.loads(asyncapi.render())
    messages = {
        kind.__name__
        for kind in vars(bus).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in {msgspec.Struct, bus.Envelope}
    }
    assert set(document["components"]["messages"]) == messages | {"DeadLetter"}
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', asyncapi.render().decode()):
        place: Any = document
        for step in reference.split("/"):
            place = place[step]


def test_asyncapi_takes_the_worked_example_and_no_unknown_member() -> None:
    document = json.loads(asyncapi.render())
    result = {
        "schema": "bianmin.result.v1",
        "message_id": "o-2",
        "gateway_serial": "2026112406H0P4QWR2D3RMF7",
        "order_serial": "2026112406H0P4QWR2D3RMF7",
        "order_kind": "PAY",
        "state": "SUCCESS",
        "version": 4,
        "final": True,
        "reply_to": "api-1",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-53995c3f42cd8ad8-01",
    }
    assert fits(document, "ResultMessage", result)
    assert not fits(document, "ResultMessage", result | {"amount_fen": 1})
    msgspec.convert(result, bus.ResultMessage)
