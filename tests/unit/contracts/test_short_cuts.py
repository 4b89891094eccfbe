"""What is computed the short way says what the long way says."""

from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.api import PaymentRequest
from contracts.serials import encode_crockford, mint_serial
from contracts.strict_json import Malformed, canonical, decode, decode_both

SHANGHAI = ZoneInfo("Asia/Shanghai")
BODY = {"service": "mobile.bill", "biller_account": "13805790001", "amount_fen": 1200, "terminal_trace": "t-1"}


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 2**32 - 1))
def test_a_serial_is_its_80_bits_after_the_date(now_ms: int, random_bits: int) -> None:
    serial = mint_serial(now_ms, SHANGHAI, random_bits)
    assert serial[8:] == encode_crockford(now_ms << 32 | random_bits, 16)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=64))
def test_both_readings_are_of_one_document(value: str) -> None:
    raw = canonical({**BODY, "params": {"note": value}})
    body, plain = decode_both(raw, PaymentRequest)
    assert body == decode(raw, PaymentRequest)
    assert plain == msgspec.json.decode(raw)
    assert canonical(plain) == raw


@pytest.mark.parametrize("raw", [b'{"service":"a.b","service":"a.b"}', b'{"x":1}', b"{", b'{"service":"\\ud800.b"}'])
def test_what_one_reading_refuses_has_no_other(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode_both(raw, PaymentRequest)
