"""A dead letter as people and scripts see it: documented members, masked, with what happens next by itself."""

from datetime import timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.core.letters import JudgedLetter
from gateway.core.rows import LetterHead, Order
from gateway.ops.letters.replay_cli import _new
from gateway.ops.letters.shown import (
    age,
    as_json,
    body_of,
    clock_time,
    headers_of,
    line,
    masked_filter,
    next_step,
    who_may,
)
from gateway.ops.shared import NotSo
from gateway.ops.tables import escape, mask, mask_digits

NOW = 1_795_492_800_000
LETTER = LetterHead(
    letter_id="L", origin="kafka:t/0/1@5", topic="t", body_sha256="0" * 64, reason="replayed", buried_at=NOW - 61_000,
    kept_at=NOW, message="order", gateway_serial="G", order_serial="O", order_kind="PAY", biller="acme",
    institution_code="46000001", biller_account="6217001234567890", amount_fen=123_400,
)  # fmt: skip
ORDER = Order(
    order_serial="O", gateway_serial="G", kind="PAY", state="READY", biller="acme", biller_account="6217001234567890",
    partner_serial="O", created_at=NOW, send_before=NOW + 1_000, next_try_at=NOW,
)  # fmt: skip


def test_members_are_those_that_scripts_know() -> None:
    shown = as_json(JudgedLetter(letter=LETTER, verdict="SEND_AGAIN", order=ORDER, payment_state="RESERVED"), NOW)
    assert list(shown) == [
        "letter_id", "state", "reason", "buried_at", "age_s", "biller", "institution_code", "biller_account",
        "amount_fen", "gateway_serial", "order_serial", "order_kind", "order_state", "payment_state", "verdict", "says",
        "says_zh", "next_step", "next_step_at", "runs", "corrects", "origin", "topic", "message", "body_sha256",
        "actions",
    ]  # fmt: skip
    assert (shown["age_s"], shown["biller_account"]) == (61, "************7890")
    assert (shown["next_step"], shown["next_step_at"]) == ("sent by itself, until", "2026-11-24T04:00:01.000Z")
    assert set(shown["actions"]) == {"replay.run", "replay.start", "letter.close"}
    assert "电子商务中心" in shown["actions"]["replay.run"]["approves"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("sent by itself, until", NOW + 1_000)),
        ({"hold": True}, ("a second person decides", None)),
        ({"in_flight": True, "call_deadline": 5}, ("the call ends", 5)),
        ({"state": "UNKNOWN", "ask_at": 7}, ("the biller is asked", 7)),
        ({"state": "DONE"}, ("nothing", None)),
    ],
)
def test_what_happens_next_by_itself(changes: dict[str, object], expected: tuple[str, int | None]) -> None:
    assert next_step(replace(ORDER, **changes)) == expected
    assert next_step(None) == ("nothing", None)


def test_words_for_people() -> None:
    assert [age(seconds) for seconds in (0, 59, 60, 3_600, 90_000)] == ["0s", "59s", "1m", "1h", "1d"]
    assert [mask(text) for text in ("1234", "12345", "12345678")] == ["**34", "***45", "****5678"]
    zone = timezone(timedelta(hours=8))
    assert clock_time("2026-11-24T04:00:01.000Z", zone, NOW) == "12:00:01"
    assert clock_time("2026-11-24T04:00:01.000Z", zone, NOW + 86_400_000) == "11-24 12:00"
    assert who_may(["no such action"]) == {"no such action": {"may": [], "approves": []}}


def test_a_body_shows_no_account() -> None:
    """Whatever may be one, in a body that nobody can read too, and where it is cut (style s8)."""
    assert mask_digits("a=6217001234567890;1234") == "a=************7890;1234"
    assert body_of(b'{"account":"13900010004","n":12}\xff', 99) == '{"account":"*******0004","n":12}\ufffd'
    assert body_of(b"x 13900010004", 6) == "x ****"
    assert "139" not in body_of(rb"\u0031\u00339\u00300010004", 99)
    assert headers_of('[["key","13900010004"],["13900010004","v"]]') == [["key", "*******0004"], ["*******0004", "v"]]
    assert masked_filter({"account": "13900010004", "since": "2026-11-24"})["account"] == "*******0004"


def test_no_character_moves_a_terminal() -> None:
    for sign in ("\x1b", "\x9b", "\u202e", "\u200b", "\u2028", "\ue000", "\ud800", "\U000e0001", "\n"):
        for shown in (escape(f"a{sign}b"), line(f"a{sign}b"), line([f"a{sign}b"]), line({f"a{sign}": 1})):
            assert shown.isprintable()
            assert sign not in shown
    assert line("缴费 a") == "缴费 a"


def test_a_plan_that_fails_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "a.plan"

    def torn() -> None:
        with _new(out) as file:
            file.write(b"half")
            file.flush()
            assert not out.exists()
            raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        torn()
    assert list(tmp_path.iterdir()) == []
    with _new(out) as file:
        file.write(b"whole")
    assert (list(tmp_path.iterdir()), out.read_bytes()) == ([out], b"whole")
    with pytest.raises(NotSo, match="there already"), _new(out):
        pass
    assert out.read_bytes() == b"whole"


def test_what_may_be_done_about_one_that_is_put_apart() -> None:
    for message, expected in (
        (None, {"letter.correct", "letter.close"}),
        ("order", {"letter.release", "letter.close"}),
    ):
        letter = replace(LETTER, message=message, state="QUARANTINED")
        assert set(as_json(JudgedLetter(letter=letter, verdict="MALFORMED"), NOW)["actions"]) == expected
