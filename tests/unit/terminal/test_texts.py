"""What a shop reads."""

import time

import pytest
from msgspec import convert

from contracts import api
from contracts.states import State
from gateway.terminal import Refused, Undecided
from gateway.terminal.texts import (
    balance_lines,
    clean,
    fate_lines,
    local_time,
    payment_lines,
    refusal_lines,
    state_text,
    yuan,
)

PAYMENT = {
    "gateway_serial": "2026112406H0P4QWR2D3RMF7",
    "state": "SUCCESS",
    "service": "mobile.topup",
    "biller": "telecom",
    "biller_account": "13805790001",
    "amount_fen": 10000,
    "paid_fen": 10000,
    "fee_fen": 100,
    "account_date": "2026-11-24",
    "settle_date": "2026-11-24",
    "accepted_at": "2026-11-24T01:02:03.456Z",
    "send_before": "2026-11-24T01:04:03.456Z",
    "final_at": None,
    "biller_serial": None,
    "reason": None,
    "shop_text": "缴费成功",
    "terminal_trace": "000123",
    "idempotency_key": "T1-20261124-000123",
    "in_doubt": None,
    "card": None,
    "params": {},
}


def payment(**change: object) -> api.Payment:
    """A payment."""
    return convert(PAYMENT | change, api.Payment)


def test_every_state_has_words_and_only_failures_sound_like_one() -> None:
    failing = {state for state in State if "失败" in state_text(state)}
    assert failing == {State.FAILED, State.WRITE_FAILED}
    assert all(not state_text(state).isascii() for state in State)
    assert state_text("SOMETHING_NEW") == "处理中（SOMETHING_NEW）"


def test_a_part_that_was_paid_is_shown() -> None:
    assert "实缴：60.00元（部分成功）" in payment_lines(payment(paid_fen=6000))
    assert not any("实缴" in line for line in payment_lines(payment()))


def test_times_are_those_on_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        assert local_time("2026-11-24T16:02:03.456Z") == "2026-11-25 00:02:03"
        assert local_time("later\x1b") == "later?"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_doubt_says_since_when_and_what_comes_next() -> None:
    doubt = {"since": "2026-11-24T01:02:09Z", "rung": 4, "next_step_at": None}
    since = local_time("2026-11-24T01:02:09Z")
    assert f"待查自：{since}  下次查询：待人工" in payment_lines(payment(state="UNKNOWN", in_doubt=doubt))


@pytest.mark.parametrize(
    ("undecided", "words"),
    [
        (Undecided(key="k" * 16, why="x"), "请勿重复收款"),
        (Undecided(key="k" * 16, why="x", sent=False), "没有发出，没有扣款"),
        (Undecided(key=None, why="x"), "可靠答复"),
        (Undecided(key="k" * 16, why="x", sent=False, shop_text="U盾已拔出"), "U盾已拔出\n请求没有发出，没有扣款"),
        (
            Undecided(key="k" * 16, why="x", shop_text="U盾已拔出"),
            "暂不退款，稍后用 terminal last 查询末笔交易\nU盾已拔出",
        ),
        (Undecided(key=None, why="x", shop_text="U盾已拔出"), "U盾已拔出"),
    ],
)
def test_nothing_provable_is_no_failure(undecided: Undecided, words: str) -> None:
    text = "\n".join(fate_lines(undecided))
    assert words in text
    assert "失败" not in text


def test_a_refusal_without_a_token_offers_none() -> None:
    problem = api.Problem(
        type="urn:bianmin:problem:repeat-in-doubt", title="t", status=409, detail="d", shop_text="s", trace_id="1"
    )
    told = "\n".join(refusal_lines(Refused(problem)))
    assert "请加：--confirm-repeat" not in told
    # Nothing is open any more: the shop is not told the opposite.
    assert "未定" not in told
    assert "原待查的一笔已有结果" in told


def test_a_refusal_names_the_payment_in_doubt_where_it_is_told() -> None:
    problem = api.Problem(
        type="urn:bianmin:problem:repeat-in-doubt",
        title="t",
        status=409,
        detail="d",
        shop_text="s",
        trace_id="1",
        gateway_serial="2026112406H0P4QWR2D3RMF7",
        repeat_token="r" * 40,
    )
    assert "terminal status 2026112406H0P4QWR2D3RMF7" in "\n".join(refusal_lines(Refused(problem)))


@pytest.mark.parametrize("hostile", ["a\x1b[2Jb", "a\nb", "a\u202eb", "a\u2028b", "a\ud800b", "a\x9bb"])
def test_hostile_letters_are_replaced(hostile: str) -> None:
    shown = clean(hostile)
    assert shown.isprintable()
    assert shown.startswith("a?")
    assert clean("张三 Ａ") == "张三 Ａ"


@pytest.mark.parametrize(
    ("fen", "text"), [(0, "0.00元"), (5, "0.05元"), (-10100, "-101.00元"), (10**13, "100000000000.00元")]
)
def test_yuan(fen: int, text: str) -> None:
    assert yuan(fen) == text


@pytest.mark.parametrize(
    ("days", "hint"),
    [
        (None, []),
        (59, ["提示：U盾证书还有59天到期，请联系邮政局换证"]),
        (0, ["提示：U盾证书今天到期，请立即联系邮政局换证"]),
    ],
)
def test_shop_is_told_that_its_certificate_ends(days: int | None, hint: list[str]) -> None:
    money = {"available_fen": 1, "reserved_fen": 0, "posted_fen": 1, "overdraft_limit_fen": 0, "low_balance": False}
    told = convert(money | {"account_date": "2026-11-24", "certificate_days_left": days}, api.AccountBalance)
    assert balance_lines(told)[5:] == hint
