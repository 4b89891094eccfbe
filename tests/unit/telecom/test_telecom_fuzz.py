"""Whatever bytes come back: no reader raises, and no damaged reply ever says Paid, Declined or anything but Unknown."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.telecom import bills, dayfile, replies
from adapters.telecom.wire import Answer, Doubt, open_reply
from contracts.biller import BadNotice
from tests.unit.telecom.recorded import (
    AGENT,
    CODES,
    NOW,
    bill_question,
    body,
    members,
    pay_order,
    read_nonce,
    resign,
    result_query,
    undo_order,
)
from tests.unit.telecom.test_telecom_notices import DAY

READERS: dict[int, Callable[[Answer], Any]] = {
    1: lambda told: bills.bill_reply(told, bill_question(1), CODES),
    4: lambda told: replies.pay_outcome(told, pay_order(4), CODES),
    8: lambda told: replies.pay_outcome(told, pay_order(8), CODES),
    13: lambda told: replies.undo_outcome(told, undo_order(13), CODES),
    19: lambda told: replies.pay_outcome(told, pay_order(19), CODES),
    28: lambda told: replies.result_evidence(told, result_query(28), CODES),
    30: lambda told: replies.result_evidence(told, result_query(30), CODES),
    43: lambda told: dayfile.recon_reply(told, AGENT, DAY, CODES),
}


def opened(number: int, raw: bytes) -> Answer | Doubt:
    return open_reply(AGENT, read_nonce(number), 200, raw)


@pytest.mark.parametrize("number", sorted(READERS))
def test_every_truncation_is_doubt(number: int) -> None:
    raw = body(number, "reply")
    for end in range(len(raw)):
        assert isinstance(opened(number, raw[:end]), Doubt)


@pytest.mark.parametrize("number", sorted(READERS))
def test_every_bit_flip_is_doubt_or_changes_nothing(number: int) -> None:
    raw, whole = body(number, "reply"), opened(number, body(number, "reply"))
    assert isinstance(whole, Answer)
    for at in range(len(raw)):
        for bit in range(8):
            damaged = raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :]
            told = opened(number, damaged)
            # A flip outside names and values (one blank into another) may leave the very same members.
            assert isinstance(told, Doubt) or told == whole


def test_every_bit_flip_of_a_notice_is_refused_or_changes_nothing() -> None:
    raw = body(25, "request")
    whole = replies.read_notice(AGENT, raw, NOW, CODES)
    for at in range(len(raw)):
        for bit in range(8):
            damaged = raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :]
            found = replies.read_notice(AGENT, damaged, NOW, CODES)
            # Only the names of its empty members (failCode, failMsg) are outside the signature.
            assert isinstance(found, BadNotice) or found == whole


@given(st.binary(max_size=400), st.integers(100, 599))
def test_any_bytes_are_doubt(raw: bytes, status: int) -> None:
    assert isinstance(open_reply(AGENT, "n" * 16, status, raw), Doubt)
    assert isinstance(replies.read_notice(AGENT, raw, NOW, CODES), BadNotice)


NAMES = sorted({name for number in READERS for name in members(number, "reply")} - {"sign", "nonce", "agentNo"})
VALUE = st.one_of(
    st.sampled_from(["", "0", "1", "2", "3", "4", "5", "0.00", "36.51", "99999999.00", "0000", "2404", "20261124"]),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40),
)


@given(
    st.sampled_from(sorted(READERS)),
    st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=6),
    st.sets(st.sampled_from(NAMES), max_size=4),
)
def test_signed_nonsense_never_raises(number: int, new: dict[str, str], gone: set[str]) -> None:
    """Even a platform gone mad, signing what it likes, gets an answer and no exception."""
    told = {key: value for key, value in {**members(number, "reply"), **new}.items() if key not in gone}
    if told.get("keyNo") not in {"01", "02"}:
        return
    found = opened(number, resign(told))
    if isinstance(found, Answer):
        READERS[number](found)


@given(st.dictionaries(st.sampled_from(sorted(members(25, "request"))), VALUE, max_size=5))
def test_signed_nonsense_notices_never_raise(new: dict[str, str]) -> None:
    told = {**members(25, "request"), **new}
    if told.get("keyNo") in {"01", "02"}:
        replies.read_notice(AGENT, resign(told), NOW, CODES)
