"""Facts of the cable TV and broadband platform, interface 1.2; NOTES.md says where one was chosen, not read."""

from contracts.manifest import BillModel, Can, FlowFacts, Manifest, Param
from contracts.money import Fen

_SOURCE = "cable TV and broadband interface 1.2"
_PRODUCT = Param(name="product", title="业务", choices={"tv": "有线电视", "broadband": "宽带"}, required=False)

MANIFEST = Manifest(
    name="tv",
    title="有线电视网络公司",
    can=frozenset({Can.QUERY_BILL, Can.QUERY_RESULT, Can.FETCH_RECON}),
    flows={
        "tv.bill": FlowFacts(
            title="有线电视宽带缴费",
            bill_model=BillModel.VALIDATE_PAY,  # s3 "validate → pay"
            account_pattern=r"[0-9]{8,16}",  # s3.1
            amount_min=Fen(100),
            amount_max=Fen(500_000),  # s3.2
            params=(_PRODUCT,),
            call_deadline_s=25,  # s1 "wait 15 s", the send window, and one more token
            ask_after_s=2,
            result_due_s=2 * 3600,  # s3.3
            # s7: 10 s after not_after, which is never later than send_by; 600 s for a platform whose clock is behind
            # ours: further behind it refuses every order as not_after_too_far (s3.2).
            absent_final_after_s=620,
            absent_void_after_s=None,  # s7 "it never becomes void"
            repeat_safe=True,  # s4
            order_expires=True,  # s3.2 not_after
            settle_lag_days=1,  # s8: dated by completion, up to 2 h after the call
            query_min_interval_s=2,  # s3.3
            source=f"{_SOURCE} s1, s3-s8",
        )
    },
    concurrency=100,  # s1
    rate_per_s=100,
    file_is_complete=True,  # s8
    source=_SOURCE,
)
"""What the gateway may rely on about this biller."""
