"""SPEC s1 and s3: the flat object and its signature, on every recorded message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.telecom.signing import BadObject, SignType, check, read_object, sign, signed_text, write_object
from tests.unit.telecom.recorded import NAMES, VECTORS, agent_of, body, members

SIGNED = sorted(path.name for path in VECTORS.glob("*.signed.txt"))


@pytest.mark.parametrize("file", SIGNED)
def test_signed_text_and_sign_of_every_vector(file: str) -> None:
    number, side = int(file[:2]), file.split(".")[1]
    found, agent = members(number, side), agent_of(number)
    assert signed_text(found) == (VECTORS / file).read_bytes()
    wrong_on_purpose = (number, side) in {(34, "request"), (37, "request")}
    assert check(agent.sign_type, agent.secrets[found["keyNo"]], found) is not wrong_on_purpose
    if not wrong_on_purpose:
        assert sign(agent.sign_type, agent.secrets[found["keyNo"]], found) == found["sign"]


def test_all_vectors_are_there() -> None:
    assert len(NAMES) == 45
    assert len(SIGNED) == 82


@pytest.mark.parametrize("mode", list(SignType))
def test_case_of_the_sign_matters(mode: SignType) -> None:
    signed = {"a": "1", "B": "2"}
    signed["sign"] = sign(mode, "secret", signed)
    assert check(mode, "secret", signed)
    assert not check(mode, "secret", {**signed, "sign": signed["sign"].swapcase()})
    assert not check(mode, "secret", {**signed, "sign": "签" * 32})
    assert not check(mode, "other", signed)
    assert not check(mode, "secret", {"a": "1", "B": "2"})


def test_one_mode_is_not_taken_for_the_other() -> None:
    signed = {"a": "1", "sign": sign(SignType.MD5, "secret", {"a": "1"})}
    assert not check(SignType.HMAC, "secret", signed)


def test_empty_is_absent_and_upper_case_sorts_first() -> None:
    assert signed_text({"accNo": "1", "SMSFlag": "0", "x": "", "sign": "s"}) == b"SMSFlag=0&accNo=1"
    assert read_object(b'{"a":"","b":"1"}', 99) == {"b": "1"}
    assert write_object({"a": "", "b": "冯䶮"}) == '{"b":"冯䶮"}'.encode()


REFUSED = [
    body(38, "request"),
    b'{"a":"","a":""}',
    b'\xef\xbb\xbf{"a":"1"}',
    b'{"a":1}',
    b'{"a":null}',
    b'{"a":true}',
    b'{"a":["1"]}',
    b'{"a":{"b":"1"}}',
    b'{"a":{"b":"1","b":"1"}}',
    b'{"a":NaN}',
    b'["a"]',
    b'"a"',
    b"",
    b"{",
    b'{"a":"1"}x',
    b'{"a":"1"',
    b'{"a":"\\u0000"}',
    b'{"a":"\\n"}',
    b'{"a":"\n"}',
    b'{"a":"\\u007f"}',
    b'{"a":"\x7f"}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\udc00\\ud800"}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xff"}',
    b'{"1a":"1"}',
    b'{"a_b":"1"}',
    b'{"":"1"}',
    '{"名":"1"}'.encode(),
    b'{"' + b"a" * 33 + b'":"1"}',
    b'{"a":' * 5000,
    b"[" * 60_000,
    b'{"a":' + b"9" * 20_000 + b"}",
    '{"a":"1"}'.encode("utf-16"),
]


@pytest.mark.parametrize("raw", REFUSED, ids=range(len(REFUSED)))
def test_refused_objects(raw: bytes) -> None:
    with pytest.raises(BadObject):
        read_object(raw, 65_536)


def test_limit_is_inclusive() -> None:
    assert read_object(b'{"a":"1"}', 9) == {"a": "1"}
    with pytest.raises(BadObject, match="too long"):
        read_object(b'{"a":"1"}', 8)


def test_surrogate_pair_is_one_character() -> None:
    assert read_object(b'{"a":"\\ud842\\udfb7"}', 99) == {"a": "\U00020bb7"}


@pytest.mark.parametrize("bad", [{"a": "\n"}, {"a": "\ud800"}, {"1": "a"}, {"a" * 33: "b"}])
def test_never_writes_what_it_would_not_read(bad: dict[str, str]) -> None:
    with pytest.raises(BadObject):
        write_object(bad)


VALUE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in (*range(32), 127)]))
FLAT = st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,31}", fullmatch=True), VALUE, max_size=8)


@given(FLAT)
def test_round_trip(flat: dict[str, str]) -> None:
    kept = {key: value for key, value in flat.items() if value}
    assert read_object(write_object(flat), 10**6) == kept
    assert read_object(json.dumps(flat).encode(), 10**6) == kept
    for mode in SignType:
        bare = {key: value for key, value in flat.items() if key != "sign"}
        assert check(mode, "k", {**bare, "sign": sign(mode, "k", bare)})


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        found = read_object(raw, 200)
    except BadObject:
        return
    assert all(type(value) is str for value in found.values())
    assert "" not in found.values()
