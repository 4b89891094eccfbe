"""A hostile platform, or a proxy that plays one: no answer that is not exactly ours moves money (M4, M5)."""

import gzip
import hashlib
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.transport.http import Reply
from adapters.transport.json_body import BadBody
from adapters.tv import dayfile, replies, wire
from contracts.biller import Bill, BillUnavailable
from contracts.outcomes import Absent, Accepted, Declined, NotSent, Paid, Pending, Unknown
from tests.unit.tv.recorded import CODES, VECTORS, bill_query, body, changed, pay_order, reply, result_query

DAY = date(2026, 11, 24)
JSON = {"content-type": "application/json"}


def evidence(told: Reply) -> Any:
    return replies.result_evidence(told, result_query(17), CODES)


@pytest.mark.parametrize(
    "new",
    [
        {"amount_fen": 2002},
        {"account_no": "00000002"},
        {"client_order_id": "20261124-01JDEMO0002"},
        {"product": "broadband"},
    ],
    ids=lambda new: next(iter(new)),
)
def test_another_order_is_no_evidence_and_an_alarm(new: dict[str, Any]) -> None:
    """Another customer's serial, account or amount; a reply recorded earlier and played again is one of these."""
    told = evidence(changed(17, **new))
    assert isinstance(told, Unknown)
    assert told.alarm
    accepted = replies.pay_outcome(changed(6, **new), pay_order(6), CODES)
    assert isinstance(accepted, Unknown)
    assert accepted.alarm


@pytest.mark.parametrize(
    "new",
    [
        {"amount_fen": -2001},
        {"amount_fen": 2001.0},
        {"amount_fen": "2001"},
        {"amount_fen": True},
        {"amount_fen": 10**40},
        {"amount_fen": 500_001},
        {"amount_fen": None},
        {"amount_fen": ...},
        {"order_no": "CT20261124000000000１"},
        {"order_no": "CT202611240000000001\n"},
        {"order_no": ""},
        {"account_date": None},
        {"account_date": "2026-13-01"},
        {"account_date": "2026-11-24T00:00:00"},
        {"final_at": None},
        {"final_at": "2026-11-24T10:15:00Z"},
        {"final_at": ...},
        {"created_at": 1},
        {"state": "succeeded"},
        {"state": "SETTLED"},
        {"state": None},
        {"client_order_id": "\ud800"},
    ],
    ids=str,
)
def test_a_member_out_of_form_proves_nothing(new: dict[str, Any]) -> None:
    told = reply(17)
    members = {name: value for name, value in {**json.loads(told.body), **new}.items() if value is not ...}
    assert isinstance(evidence(Reply(200, told.headers, json.dumps(members).encode())), Unknown)


def test_a_failure_without_its_code_or_with_a_date_proves_nothing() -> None:
    for new in ({"failure_code": None}, {"failure_code": ""}, {"account_date": "2026-11-24"}):
        assert isinstance(replies.result_evidence(changed(18, **new), result_query(18), CODES), Unknown)


def test_an_unheard_of_failure_code_is_final_all_the_same() -> None:
    """s5: "Final, whatever the failure_code"."""
    told = replies.result_evidence(changed(18, failure_code="new_one"), result_query(18), CODES)
    assert isinstance(told, Declined)
    assert told.resp_code == "new_one"


@pytest.mark.parametrize("new", [{"zz_note": {"a": [1.5, None, 10**40]}}, {"score": 0.5}], ids=["nested", "fraction"])
def test_new_members_are_ignored(new: dict[str, Any]) -> None:
    assert isinstance(evidence(changed(17, **new)), Paid)


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [
        (200, {"content-type": "text/html"}, body(17, "reply")),
        (200, {}, body(17, "reply")),
        (200, {"content-type": "application/json; charset=gbk"}, body(17, "reply")),
        (200, {**JSON, "content-encoding": "gzip"}, body(17, "reply")),
        (200, JSON, b"\xef\xbb\xbf" + body(17, "reply")),
        (200, JSON, body(17, "reply").decode().encode("utf-16")),
        (200, JSON, body(3, "reply")[:-40]),
        (200, JSON, body(17, "reply") + b"{}"),
        (200, JSON, body(17, "reply").replace(b"{", b'{"state":"FAILED",', 1)),
        (200, JSON, b"[" * 100_000),
        (200, JSON, b" " * 20_000 + body(17, "reply")),
        (202, JSON, body(17, "reply")),
        (201, JSON, body(17, "reply")),
        (204, JSON, b""),
        (302, {**JSON, "location": "/v1/orders/x"}, body(17, "reply")),
        (500, JSON, b'{"code":"order_not_found"}'),
        (404, JSON, b'{"code":"order_not_found","code":"x"}'),
        (404, {"content-type": "text/html"}, b'{"code":"order_not_found"}'),
        (404, JSON, b'{"code":"not_found"}'),
        (410, JSON, b'{"code":"order_not_found"}'),
        (200, JSON, b'{"code":"order_not_found"}'),
    ],
    ids=range(21),
)
def test_what_is_not_the_applications_own_json_proves_nothing(
    status: int, headers: dict[str, str], content: bytes
) -> None:
    assert isinstance(evidence(Reply(status, headers, content)), Unknown)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "busy"), (500, "maintenance"), (502, "maintenance"), (422, "maintenance"), (400, "account_closed")],
)
def test_a_pair_that_is_not_listed_leaves_an_order_in_doubt(status: int, code: str) -> None:
    told = Reply(status, JSON, json.dumps({"code": code, "message": ""}).encode())
    assert isinstance(replies.pay_outcome(told, pay_order(6), CODES), Unknown)


def test_a_bill_of_another_account_is_not_shown() -> None:
    assert isinstance(replies.bill_reply(reply(3), bill_query("00000009"), CODES), BillUnavailable)
    assert isinstance(
        replies.bill_reply(changed(3, min_fen=500, max_fen=400), bill_query("00000001"), CODES), BillUnavailable
    )
    assert isinstance(replies.bill_reply(changed(3, due_fen=-1), bill_query("00000001"), CODES), BillUnavailable)
    assert isinstance(replies.bill_reply(changed(3, state="asleep"), bill_query("00000001"), CODES), BillUnavailable)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.just("SUCCEEDED"))


@given(st.sampled_from(sorted(json.loads(body(17, "reply")))), VALUES)
def test_whatever_one_member_becomes_money_is_never_misread(name: str, value: Any) -> None:
    told = evidence(changed(17, **{name: value}))
    assert isinstance(told, Paid | Pending | Declined | Unknown)
    if isinstance(told, Paid):
        assert (told.paid.value, told.biller_serial[:2]) == (2001, "CT")


@given(st.integers(100, 599), st.binary(max_size=300), st.sampled_from([JSON, {}, {"content-type": "text/html"}]))
def test_any_bytes(status: int, content: bytes, headers: dict[str, str]) -> None:
    """No exception, and nothing but doubt: random bytes are no answer of the platform."""
    told = Reply(status, headers, content)
    assert isinstance(evidence(told), Unknown)
    assert isinstance(replies.pay_outcome(told, pay_order(6), CODES), Unknown)
    assert isinstance(replies.bill_reply(told, bill_query("00000001"), CODES), BillUnavailable)
    with pytest.raises(BadBody):
        dayfile.read_offer(content, DAY)


@given(st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8))
def test_any_json(value: Any) -> None:
    told = Reply(200, JSON, json.dumps(value).encode())
    assert isinstance(evidence(told), Unknown)
    assert not isinstance(replies.bill_reply(told, bill_query("00000001"), CODES), Bill)


@given(st.sampled_from([6, 9, 17, 18, 20, 25]), st.data())
def test_every_damaged_byte_is_doubt_or_the_same(number: int, data: st.DataObject) -> None:
    whole = reply(number)
    at = data.draw(st.integers(0, len(whole.body) - 1))
    content = whole.body[:at] + data.draw(st.binary(max_size=2)) + whole.body[at + 1 :]
    query = result_query(number)
    told = replies.result_evidence(Reply(whole.status, whole.headers, content), query, CODES)
    assert isinstance(told, Paid | Pending | Declined | Absent | Unknown)
    if isinstance(told, Paid):
        assert told.paid == query.amount


def test_orders_the_platform_would_refuse_are_not_built() -> None:
    for new in (
        {"biller_account": "1234567"},
        {"biller_account": "../orders"},
        {"partner_serial": "a b"},
        {"institution_code": "店"},
        {"params": {"product": "phone"}},
        {"amount": pay_order(6).amount.__class__(99)},
    ):
        with pytest.raises(wire.BadOrder):
            wire.write_order(pay_order(6, **new))


def test_answers_of_pay_are_of_its_kinds() -> None:
    for number in (6, 11, 14, 28):
        assert isinstance(
            replies.pay_outcome(reply(number), pay_order(number), CODES), Accepted | Declined | NotSent | Unknown
        )


def _offer(**new: Any) -> dayfile.Offer:
    members = {**json.loads((VECTORS / f"tv-{DAY}.manifest.json").read_bytes()), **new}
    return dayfile.read_offer(json.dumps(members).encode(), DAY)


def _packed(text: bytes, **new: Any) -> tuple[dayfile.Offer, bytes]:
    content = gzip.compress(text, mtime=0)
    facts = {
        "gzip_size": len(content),
        "gzip_sha256": hashlib.sha256(content).hexdigest(),
        "plain_size": len(text),
        "plain_sha256": hashlib.sha256(text).hexdigest(),
    }
    return _offer(**{**facts, **new}), content


def test_a_gzip_bomb_is_not_unpacked() -> None:
    offer, content = _packed(b"\n" * 50_000_000, plain_size=516)
    assert dayfile.fault(offer, content) == "file.plain_size"


def test_files_that_are_not_the_one_promised() -> None:
    text = b"one\ntwo\n"
    offer, content = _packed(text)
    assert dayfile.fault(offer, content) is None
    assert dayfile.fault(offer, content[:-1]) == "file.sha256"
    assert dayfile.fault(_packed(b"one\n")[0], _packed(b"one\n")[1]) == "file.plain_sha256"  # a line short
    assert dayfile.fault(*_packed(text, plain_sha256="0" * 64)) == "file.plain_sha256"
    for damaged, cause in (
        (content + content, "file.plain_size"),
        (content[:-4], "file.cut"),
        (b"no gzip", "file.gzip"),
    ):
        facts = {"gzip_size": len(damaged), "gzip_sha256": hashlib.sha256(damaged).hexdigest()}
        assert dayfile.fault(_packed(text, **facts)[0], damaged) == cause


@pytest.mark.parametrize(
    "new",
    [
        {"date": "2026-11-25"},
        {"file": "tv-2026-11-24-02.jsonl.gz"},
        {"file": "../../etc/passwd"},
        {"lines": 3},
        {"orders_fen": -1},
        {"plain_size": 536_870_913},
        {"gzip_sha256": "A" * 64},
        {"issue": 0},
    ],
    ids=str,
)
def test_a_manifest_that_contradicts_itself_is_refused(new: dict[str, Any]) -> None:
    with pytest.raises(BadBody):
        _offer(**new)
