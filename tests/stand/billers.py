"""Declared facts of invented billers, for tests of the core."""

from datetime import time

from contracts.manifest import BillModel, Can, FlowFacts, Manifest, Param
from contracts.money import Fen


def facts(title: str, **changes: object) -> FlowFacts:
    """One service with handy defaults."""
    values: dict[str, object] = {
        "title": title,
        "bill_model": BillModel.DIRECT,
        "account_pattern": r"[0-9]{4,12}",
        "amount_min": Fen(100),
        "amount_max": Fen(5_000_000),
        "call_deadline_s": 20,
        "absent_final_after_s": 600,
        "absent_void_after_s": 259_200,
        "source": "tests",
    }
    return FlowFacts(**(values | changes))  # type: ignore[arg-type]  # handy defaults are not typed one by one


ACME = Manifest(
    name="acme",
    title="Acme 收费",
    can=frozenset({Can.QUERY_BILL, Can.QUERY_RESULT, Can.REVERSE, Can.CANCEL, Can.REFUND, Can.NOTICE}),
    flows={
        "acme.bill": facts(
            "账单",
            can_reverse=True,
            can_cancel=True,
            reverse_repeat_safe=True,
            cancel_repeat_safe=True,
            cut_off_local=time(23, 0),
        ),
        "acme.topup": facts("充值", ask_after_s=60, result_due_s=86_400, partial=True, settle_lag_days=1),
        "acme.fetch": facts("查缴", bill_model=BillModel.FETCH_PAY, can_cancel=True),
        "acme.once": facts(
            "一次",
            can_reverse=True,
            can_cancel=True,
            params=(Param(name="carrier", title="运营商", choices={"a": "甲", "b": "乙"}),),
        ),
    },
    concurrency=50,
    rate_per_s=1000,
    serial_digits=20,
    source="tests",
)

METERS = Manifest(
    name="meters",
    title="卡表",
    can=frozenset({Can.QUERY_RESULT, Can.CANCEL, Can.WRITE_CONFIRM}),
    flows={"meters.card": facts("购电", card_meter=True, can_cancel=True)},
    concurrency=10,
    rate_per_s=100,
    source="tests",
)

TELECOM = Manifest(
    name="telecom",
    title="电信运营商",
    can=frozenset({Can.QUERY_RESULT, Can.NOTICE, Can.FETCH_RECON}),
    flows={
        "mobile.topup": facts(
            "手机充值",
            call_deadline_s=20,
            ask_after_s=60,
            result_due_s=86_400,
            partial=True,
            params=(Param(name="carrier", title="运营商", choices={"cmcc": "移动"}, required=False),),
        )
    },
    concurrency=50,
    rate_per_s=1000,
    serial_digits=20,
    source="worked example s3.1",
)
POWER = Manifest(
    name="power",
    title="电力公司",
    can=frozenset({Can.QUERY_BILL, Can.QUERY_RESULT, Can.FETCH_RECON}),
    flows={
        "power.bill": facts(
            "电费",
            bill_model=BillModel.FETCH_PAY,
            call_deadline_s=45,
            absent_final_after_s=600,
            absent_void_after_s=3_456_000,
        )
    },
    concurrency=50,
    rate_per_s=1000,
    source="worked example s3.2",
)
WATER = Manifest(
    name="water",
    title="自来水公司",
    can=frozenset({Can.QUERY_RESULT, Can.FETCH_RECON}),
    flows={"water.bill": facts("水费")},
    concurrency=50,
    rate_per_s=1000,
    source="worked example s3.4",
)
"""The three billers of the worked example's payments."""
