"""Two made-up billers: what the server's rules are tried on. No daily windows, so the hour of a test run is nothing."""

from zoneinfo import ZoneInfo

from contracts.manifest import BillModel, Can, FlowFacts, Manifest, Param
from contracts.money import Fen
from gateway.core.env import Env

CARRIER = Param(name="carrier", title="运营商", choices={"cmcc": "移动", "cucc": "联通"})


def _flow(title: str, model: BillModel, **changes: object) -> FlowFacts:
    facts: dict[str, object] = {
        "title": title,
        "bill_model": model,
        "account_pattern": r"[0-9]{6,12}",
        "amount_min": Fen(1),
        "amount_max": Fen(5_000_000),
        "call_deadline_s": 30,
        "absent_final_after_s": 600,
        "absent_void_after_s": None,
        "source": "made up",
    }
    return FlowFacts(**(facts | changes))  # type: ignore[arg-type]


TELE = Manifest(
    name="tele",
    title="通信",
    can=frozenset({Can.QUERY_RESULT}),
    flows={"mobile.topup": _flow("手机充值", BillModel.DIRECT, partial=True, params=(CARRIER,))},
    concurrency=10,
    rate_per_s=10,
    source="made up",
)
POWER = Manifest(
    name="power",
    title="电力",
    can=frozenset({Can.QUERY_RESULT, Can.QUERY_BILL, Can.CANCEL, Can.REFUND}),
    flows={
        "power.bill": _flow("电费", BillModel.FETCH_PAY, can_cancel=True),
        "power.card": _flow("购电", BillModel.DIRECT, card_meter=True, can_cancel=True),
    },
    concurrency=10,
    rate_per_s=10,
    source="made up",
)
ENV = Env(zone=ZoneInfo("Asia/Shanghai"), manifests={"tele": TELE, "power": POWER})
SERVICES = ["mobile.topup", "power.bill", "power.card"]


def shop_text(biller: str, service: str, resp_code: str) -> str | None:
    """The adapters' own words."""
    return {("tele", "E07"): "号码已停机，请核对。"}.get((biller, resp_code))


def undo_text(biller: str, service: str, resp_code: str) -> str | None:
    """Their words for a refused cancel."""
    return {("power", "E07"): "发票已打印，不能撤销。"}.get((biller, resp_code))
