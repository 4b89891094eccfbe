"""JSON as we accept it, and everything we do not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import api
from contracts.strict_json import INTEGER_DIGITS, MAX_DEPTH, Malformed, canonical, decode, scan

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_what_is_harmless_is_read(value: Any) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode()
    if b"\\u0000" in raw:
        with pytest.raises(Malformed):
            scan(raw)
    elif _depth(value) <= MAX_DEPTH:
        assert scan(raw) == value


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, dict | list) else 0


@given(st.binary(max_size=60) | st.text('[]{}",:\\0eE.-+ntu', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_malformed(raw: bytes) -> None:
    try:
        scan(raw)
        decode(raw, object)
    except Malformed:
        return
    json.loads(raw.decode())


HOSTILE = [
    b"",
    b" ",
    b"{",
    b"{}{}",
    b"{} x",
    b"{'a':1}",
    b'{"a":1,}',
    b"\xef\xbb\xbf{}",
    b'{"a":"\xff"}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xc0\xaf"}',
    b'{"a":"\x00"}',
    b'{"a":"\\u0000"}',
    b'{"a":"\n"}',
    b'{"a":1,"a":1}',
    b'{"a":1,"\\u0061":2}',
    b'{"x":[{"y":{"a":1,"a":2}}]}',
    b"1.0",
    b"1e3",
    b"1E-400",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b'{"a":0.1}',
    b"01",
    b"9" * (INTEGER_DIGITS + 1),
    b"-" + b"9" * (INTEGER_DIGITS + 1),
    b"9" * 100_000,
    b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'["' + b"]" * 9000 + b'",' + b"[" * 9000,
    b'["\\"' + b"]" * 9000 + b'",' + b"[" * 9000,
    b'["' + b"}" * 12 + b'",' + b"[" * 9 + b"]" * 10,
]


@pytest.mark.parametrize("raw", HOSTILE, ids=lambda raw: repr(raw[:24]))
def test_hostile_texts_are_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        scan(raw)
    with pytest.raises(Malformed):
        decode(raw, object)


def test_the_limits_themselves_are_read() -> None:
    assert scan(b"9" * INTEGER_DIGITS) == 10**INTEGER_DIGITS - 1
    assert scan(b"-" + b"9" * INTEGER_DIGITS) == 1 - 10**INTEGER_DIGITS
    scan(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert scan(b'["[[[[[[[[[[[[[[["]') == ["[" * 15]


def test_a_doubled_member_is_named() -> None:
    with pytest.raises(Malformed) as caught:
        scan(b'{"x":{"amount_fen":1,"amount_fen":2}}')
    assert caught.value.field == "$.amount_fen"


def test_a_wrong_member_is_named() -> None:
    with pytest.raises(Malformed) as caught:
        decode(b'{"amount_fen":0,"reason":"x"}', api.RefundRequest)
    assert caught.value.field == "$.amount_fen"


def test_a_lone_surrogate_is_refused_where_it_is_decoded() -> None:
    with pytest.raises(Malformed):
        decode(b'{"amount_fen":1,"reason":"\\ud800"}', api.RefundRequest)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.integers(0, 9), max_size=5))
def test_canonical_has_one_order_and_no_spaces(members: dict[str, int]) -> None:
    backwards = dict(reversed(members.items()))
    assert canonical(members) == canonical(backwards)
    assert json.loads(canonical(members)) == members


def test_canonical_is_that_of_the_worked_example() -> None:
    import hashlib

    body = {
        "service": "mobile.topup",
        "biller_account": "13805790001",
        "amount_fen": 10000,
        "terminal_trace": "000123",
        "cash_received_fen": 10100,
    }
    digest = hashlib.sha256(canonical(["POST", "/v1/payments", body])).hexdigest()
    assert (digest[:8], digest[-4:]) == ("8578fb19", "2923")
