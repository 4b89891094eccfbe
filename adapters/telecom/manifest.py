"""Facts of the telecom platform, interface 3.4; NOTES.md says where one was chosen rather than read."""

from datetime import time

from contracts.manifest import BillModel, Can, FlowFacts, Manifest, Param
from contracts.money import Fen

_SOURCE = "telecom interface 3.4"
_MOBILE = r"1[3-9][0-9]{9}"
_FACE_VALUES = tuple(Fen(yuan * 100) for yuan in (10, 20, 30, 50, 100, 200, 300, 500))
_CUT_OVER = time(23, 0)
_MAINTENANCE = ((time(2, 0), time(2, 30)),)
# s9 counts 600 s from the signed timestamp, which may be a minute off the platform's clock and still pass (s2).
_ABSENT_FINAL_S = 660
# 72 h run from the record's making (s5.5), which lies before send_by by at most the send window and the clocks'
# difference (300 s, s2); 660 s cover both.
_ABSENT_VOID_S = 72 * 3600 - 660
_QUERY_GAP_S = 2
# queryNo is good for 1800 s (s4); a payment may wait 120 s for its first byte.
_QUERY_VALID_S = 1680

_CARRIER = Param(
    name="carrier", title="运营商", choices={"cmcc": "移动", "cucc": "联通", "ctcc": "电信", "cbn": "广电"}
)
_LINE = Param(name="line", title="线路", choices={"broadband": "宽带", "fixed": "固定电话"}, required=False)
_SMS = Param(name="sms", title="短信通知", choices={"0": "不发送", "1": "发送"}, required=False)


def _bill(title: str, account_pattern: str, params: tuple[Param, ...]) -> FlowFacts:
    return FlowFacts(
        title=title,
        bill_model=BillModel.FETCH_PAY,
        account_pattern=account_pattern,
        amount_min=Fen(1),
        amount_max=Fen(5_000_000),
        params=params,
        call_deadline_s=60,
        absent_final_after_s=_ABSENT_FINAL_S,
        absent_void_after_s=_ABSENT_VOID_S,
        can_reverse=True,
        can_cancel=True,
        reverse_repeat_safe=True,
        cancel_repeat_safe=True,
        cut_off_local=_CUT_OVER,
        query_valid_s=_QUERY_VALID_S,
        query_min_interval_s=_QUERY_GAP_S,
        closed_local=_MAINTENANCE,
        source=f"{_SOURCE} s1, s4, s5.1-s5.3, s5.5, s7, s9, s11",
    )


def _topup() -> FlowFacts:
    return FlowFacts(
        title="手机充值",
        bill_model=BillModel.DIRECT,
        account_pattern=_MOBILE,
        amount_min=_FACE_VALUES[0],
        amount_max=_FACE_VALUES[-1],
        amounts=_FACE_VALUES,
        params=(_CARRIER, _SMS),
        call_deadline_s=20,
        ask_after_s=60,
        result_due_s=24 * 3600,
        absent_final_after_s=_ABSENT_FINAL_S,
        absent_void_after_s=_ABSENT_VOID_S,
        partial=True,
        cut_off_local=_CUT_OVER,
        settle_lag_days=1,
        query_min_interval_s=_QUERY_GAP_S,
        closed_local=_MAINTENANCE,
        source=f"{_SOURCE} s1, s4, s5.4, s5.5, s6, s7, s9, s11",
    )


MANIFEST = Manifest(
    name="telecom",
    title="通信缴费充值平台",
    can=frozenset({Can.QUERY_BILL, Can.QUERY_RESULT, Can.REVERSE, Can.CANCEL, Can.NOTICE, Can.FETCH_RECON}),
    flows={
        "mobile.topup": _topup(),
        "mobile.bill": _bill("手机缴费", _MOBILE, (_CARRIER, _SMS)),
        "broadband.bill": _bill("宽带固话缴费", r"[A-Za-z0-9@._-]{4,32}", (_CARRIER, _LINE, _SMS)),
    },
    concurrency=50,
    rate_per_s=100,
    serial_digits=20,
    file_is_complete=True,
    source=_SOURCE,
)
"""What the gateway may rely on about this biller."""
