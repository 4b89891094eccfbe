"""SPEC s1: members looked at all at once are refused exactly where one of them would be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.telecom.signing import BadObject, write_object

NAMES = st.from_regex(r"[A-Za-z0-9_]{1,33}", fullmatch=True)
ODD = st.sampled_from(list("\x00\x1f\x7f\x80\x9f\u3000\u2028\ue000\ud7ff\ud800\udbff\udc00\udfff\U00020bb7"))
VALUES = st.text(st.one_of(st.characters(), ODD), max_size=6)


def allowed(name: str, value: str) -> bool:
    """The rule in one line."""
    form = re.fullmatch("[A-Za-z][A-Za-z0-9]{0,31}", name)
    return form is not None and not any(c <= "\x1f" or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in value)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_all_at_once(members: dict[str, str]) -> None:
    if all(allowed(name, value) for name, value in members.items()):
        write_object(members)
    else:
        with pytest.raises(BadObject):
            write_object(members)


@pytest.mark.parametrize("value", [1, None, True, ["1"], b"1"])
def test_only_texts(value: object) -> None:
    with pytest.raises(BadObject, match="not a string"):
        write_object({"a": "1", "b": value})  # type: ignore[dict-item]
