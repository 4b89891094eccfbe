"""Query strings, path segments, `Prefer`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import api
from contracts.routes import PageLimit
from contracts.states import State
from gateway.http.problems import BadRequest
from gateway.http.queries import WAIT_MAX_S, read_query, read_segments, wait_of

KINDS = {"account": api.Account, "limit": PageLimit, "state": State}


def test_values_have_their_types() -> None:
    read = read_query("state=SUCCESS&limit=20&account=00123%40x", KINDS)
    assert read == {"state": State.SUCCESS, "limit": 20, "account": "00123@x"}
    assert read_query("account=20", KINDS) == {"account": "20"}
    assert read_query("", KINDS) == {}


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ("limit=1&limit=2", "limit"),
        ("limit", "limit"),
        ("limit=", "limit"),
        ("limit=00", "limit"),
        ("limit=9999999999", "limit"),
        ("other=1", "other"),
        ("x y=1", None),
        ("a" * 99 + "=1", "a" * 32),
        ("account=a+b", "account"),
        ("state=success", "state"),
        ("account=%0A1", "account"),
        ("&limit=1", None),
    ],
)
def test_what_is_not_asked_for_is_refused(raw: str, field: str | None) -> None:
    with pytest.raises(BadRequest) as refused:
        read_query(raw, KINDS)
    assert (refused.value.slug, refused.value.field) == ("malformed", field)


def test_segments_that_name_nothing() -> None:
    read_segments({"gateway_serial": "2026112406H0P4QWR2D3RMF7"}, {"gateway_serial": api.Serial})
    with pytest.raises(BadRequest, match="no such thing"):
        read_segments({"gateway_serial": "2026112406H0P4QWR2D3RMFI"}, {"gateway_serial": api.Serial})


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ([], None),
        (["wait=10"], 10),
        (["WAIT=10"], 10),
        (['wait="10"'], 10),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=5"], 5),
        (["wait=5, wait=9"], 5),
        (["wait=0"], 0),
        (["wait=00000000000000000000000000007"], 7),
        (["wait=31"], 30),
        (["wait=" + "9" * 8000], 30),
        (["wait = 10 ; x=1"], 10),
        (["wait=1.5"], None),
        (["wait=-1"], None),
        (["await=10"], None),
        (["wait=10x"], None),
        (["wait"], None),
    ],
)
def test_prefer(lines: list[str], seconds: int | None) -> None:
    assert wait_of(lines) == seconds


@given(st.text(max_size=200))
def test_prefer_never_fails(line: str) -> None:
    seconds = wait_of([line])
    assert seconds is None or 0 <= seconds <= WAIT_MAX_S
