"""The raw target: what is verified is what is routed."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.core.targets import TARGET_MAX, BadTarget, Target, read_target

GOOD = [
    ("/", "/", ""),
    ("/v1/payments", "/v1/payments", ""),
    ("/v1/payments/", "/v1/payments/", ""),
    ("/v1/payments?account_date=2026-11-24&limit=20", "/v1/payments", "account_date=2026-11-24&limit=20"),
    ("/v1/a?b=c?d", "/v1/a", "b=c?d"),
    ("/v1/%E7%94%B5?q=%20", "/v1/%E7%94%B5", "q=%20"),
    ("/v1/...", "/v1/...", ""),
    ("/v1/.a/..b/c..", "/v1/.a/..b/c..", ""),
    ("/v1/a?x=/../b", "/v1/a", "x=/../b"),
    ("/v1/a:b@c;d=e,f!$&'()*+", "/v1/a:b@c;d=e,f!$&'()*+", ""),
    ("/v1/%252F", "/v1/%252F", ""),
]
BAD = [
    *("", "*", "v1/payments", "?a=b", "http://evil/v1/payments", "https://pay.bianmin.example:8443/v1", "evil:443"),
    *("//evil/v1", "/v1//payments", "/v1/payments//", "/v1?a=//b", "///", "\\v1", "/v1\\payments", " /v1", "/v1 "),
    *("/v1/../v2", "/v1/./a", "/..", "/.", "/v1/..", "/v1/.", "/v1/..?a=b", "/v1/..;x=1/a", "/v1/.;/a"),
    *("/v1#f", "/v1?a=b#f", "/#", "/v1?", "/v1??", "/?", "/v1?a=?"),
    *(
        "/v1%2Fa",
        "/v1%2fa",
        "/v1%5Ca",
        "/v1%5ca",
        "/v1%00",
        "/v1?a=%2F",
        "/v1?a=%5C",
        "/v1?a=%00",
        "/v1%0D%0Ax",
        "/%7F",
    ),
    *("/%2e%2e/a", "/%2E%2E/a", "/%2E/a", "/v1/%41", "/v1/%7E", "/v1/%7e", "/v1/%2D", "/v1/%5F", "/v1?a=%30"),
    *("/v1/%e7%94%b5", "/v1/%E7%94%b5", "/v1/%3a", "/v1/%", "/v1/%2", "/v1/%zz", "/v1/%G0", "/v1?a=%"),
    *("/v1/%C0%AF", "/v1/%FF", "/v1/%ED%A0%80", "/v1/%E7%94"),
    *("/v1/电", "/v1/\udce7", "/v1/a|b", "/v1/{a}", "/v1/a[0]", "/v1?a=[0]", "/v1/a^b", "/v1/`", '/v1/"', "/v1/<a>"),
    *("/v1\n", "/v1\r\nHost: evil", "/v1\x00", "/v1\t", "/v1\x7f", "/v1\x85", "/v1\u2028", "/v1?a=b\n"),
    "/" + "a" * TARGET_MAX,
]


@pytest.mark.parametrize(("raw", "path", "query"), GOOD)
def test_taken_as_it_is(raw: str, path: str, query: str) -> None:
    assert read_target(raw) == Target(raw, path, query)


@pytest.mark.parametrize("raw", BAD)
def test_refused(raw: str) -> None:
    found = read_target(raw)
    assert isinstance(found, BadTarget)
    assert found.reason


def test_longest() -> None:
    raw = "/" + "a" * (TARGET_MAX - 1)
    assert read_target(raw) == Target(raw, raw, "")


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("http://evil/", "origin-form"),
        ("/a#b", "fragment"),
        ("/a?", "bare"),
        ("/%2f", "escape"),
        ("/|", "RFC 3986"),
        ("/a//b", "//"),
        ("/a/..", "dot segment"),
        ("/%FF", "UTF-8"),
        ("/" + "a" * 5000, "longer"),
    ],
)
def test_reasons(raw: str, word: str) -> None:
    found = read_target(raw)
    assert isinstance(found, BadTarget)
    assert word in found.reason


PIECES = st.sampled_from(
    [*"/?.%#;:@&=+~|\\ \x00éa", *"// .. /../ /./ %2F %2f %5C %41 %E7%94%B5 %C0%AF %20 v1 http://evil".split()]
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=20))
def test_what_is_taken_has_one_reading(raw: str) -> None:
    found = read_target("/" + raw)
    if isinstance(found, BadTarget):
        return
    assert found.raw == "/" + raw
    assert found.raw == found.path + ("?" + found.query if found.query else "")
    assert "?" not in found.path
    allowed = set(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/?%")
    assert set(found.raw) <= allowed
    segments = found.path.split("/")[1:]
    assert not {".", ".."} & {one.split(";")[0] for one in segments}
    assert all(segments[:-1])
    for escape in found.raw.split("%")[1:]:
        byte = bytes.fromhex(escape[:2])
        assert f"{byte[0]:02X}" == escape[:2]
        assert byte not in b"/\\"
        assert byte[0] > 0x1F
        assert byte[0] != 0x7F
        assert chr(byte[0]) not in string.ascii_letters + string.digits + "-._~"


@given(
    st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1), min_size=1)
)
def test_what_is_quoted_once_is_taken(segments: list[str]) -> None:
    raw = "/" + "/".join(quote(one, safe="") for one in segments if one not in {".", ".."})
    if len(raw) <= TARGET_MAX:
        assert read_target(raw) == Target(raw, raw, "")
