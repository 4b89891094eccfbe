"""W3C trace context: what is read of strangers, and what we write."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.traces import span_id, trace_of, traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_a_good_header_is_adopted() -> None:
    assert trace_of([GOOD]) == TRACE


@pytest.mark.parametrize(
    "values",
    [
        [],
        [GOOD, GOOD],
        [GOOD.upper()],
        [GOOD + "\n"],
        [GOOD + "-extra"],
        [" " + GOOD],
        [f"01-{TRACE}-00f067aa0ba902b7-01"],
        [f"00-{'0' * 32}-00f067aa0ba902b7-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE[:-1]}-00f067aa0ba902b7-01"],
        ["00-" + "٣" * 32 + "-00f067aa0ba902b7-01"],
    ],
)
def test_anything_else_is_no_trace(values: list[str]) -> None:
    assert trace_of(values) is None


@given(st.text(max_size=80))
def test_what_we_write_we_read(span_of: str) -> None:
    written = traceparent(TRACE, span_of)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", written)
    assert trace_of([written]) == TRACE
    assert written.split("-")[2] == span_id(span_of)
