"""What a shop reads: results as lines of Simplified Chinese. Words carry the meaning, never a colour."""

import unicodedata
from collections.abc import Mapping
from datetime import datetime

from contracts import api
from contracts.money import Fen
from contracts.states import State
from gateway.terminal.answers import Fate, Last, Refused, Tombstone, Undecided

PAID: frozenset[str] = frozenset({State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITTEN, State.WRITE_FAILED})
"""States in which the customer has paid: only then may a receipt be given."""
TAKEN_BACK: frozenset[str] = frozenset({State.CANCELLED, State.FAILED})
"""States in which a cancel has done its work; FAILED: the payment was given up before it was sent."""

_STATES: Mapping[str, str] = {
    State.RESERVED: "处理中（尚未送出）",
    State.SENT: "处理中",
    State.SUCCESS: "缴费成功",
    State.FAILED: "缴费失败（未扣款）",
    State.UNKNOWN: "结果待查",
    State.REVERSING: "结果待查（冲正中）",
    State.REVERSED: "已冲正（未缴费）",
    State.CANCELLING: "撤销处理中",
    State.CANCELLED: "已撤销",
    State.PAID_WAIT_WRITE: "已缴费，等待写卡",
    State.WRITTEN: "已缴费，写卡成功",
    State.WRITE_FAILED: "已缴费，写卡失败，请重新写卡",
}
_KINDS = {"pay": "缴费", "cancel": "撤销", "refund": "退费", "write": "写卡"}
_IN_DOUBT = "请勿重复收款，也暂不退款，稍后用 terminal last 查询末笔交易"


def clean(text: str) -> str:
    """Text from outside, safe to print: no control, format or bidirectional characters."""
    return "".join("?" if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else letter for letter in text)


def yuan(amount_fen: int) -> str:
    """Fen as 元."""
    return f"{Fen(amount_fen).to_yuan()}元"


def local_time(text: str) -> str:
    """A time of the API by this machine's clock on the wall; as it came where it is no time."""
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return clean(text)


def state_text(state: str) -> str:
    """A state in words; one this terminal does not know is in progress, not failed."""
    return _STATES.get(state, f"处理中（{clean(state)}）")


def payment_lines(payment: api.Payment) -> list[str]:
    """A payment, a line each: label and value."""
    lines = [
        f"状态：{state_text(payment.state)}",
        f"业务：{clean(payment.service)}  户号：{clean(payment.biller_account)}",
        f"金额：{yuan(payment.amount_fen)}",
    ]
    if payment.paid_fen is not None and payment.paid_fen != payment.amount_fen:
        lines.append(f"实缴：{yuan(payment.paid_fen)}（部分成功）")
    lines += [
        f"手续费：{yuan(payment.fee_fen)}",
        f"平台流水号：{clean(payment.gateway_serial)}",
        f"收费单位流水号：{clean(payment.biller_serial or '无')}",
        f"受理时间：{local_time(payment.accepted_at)}  账务日期：{clean(payment.account_date)}",
    ]
    if payment.in_doubt is not None:
        since, next_at = local_time(payment.in_doubt.since), payment.in_doubt.next_step_at
        lines.append(f"待查自：{since}  下次查询：{local_time(next_at) if next_at else '待人工'}")
    return [*lines, f"提示：{clean(payment.shop_text)}"]


def refusal_lines(refused: Refused) -> list[str]:
    """A refusal and, for a repeat of a payment in doubt, what to do about it."""
    problem = refused.problem
    lines = [f"未办理：{clean(problem.shop_text)}", f"原因：{clean(problem.title)}（{clean(refused.slug)}）"]
    if problem.detail and problem.detail != problem.title:
        lines.append(f"详情：{clean(problem.detail)}")
    if problem.gateway_serial:
        lines.append(f"相关平台流水号：{clean(problem.gateway_serial)}")
    if refused.slug == "repeat-in-doubt":
        lines += _repeat_lines(problem)
    return [*lines, f"跟踪号：{clean(problem.trace_id)}"]


def _repeat_lines(problem: api.Problem) -> list[str]:
    if not problem.repeat_token:
        return [
            "原待查的一笔已有结果，不必再确认：请先运行 terminal last 查询那一笔，以免重复收款。",
            "如需再缴，请去掉 --confirm-repeat 重新缴费。",
        ]
    # A serial is told only of the station's own payment; another station's cannot be looked at from here.
    where = "请先运行 terminal last，本终端未定的交易都会列出"
    if problem.gateway_serial:
        where = f"请先查询那一笔：terminal status {clean(problem.gateway_serial)}，或运行 terminal last"
    return [
        "同一户号同一金额已有一笔结果未定，再缴一次可能重复扣款。",
        where,
        f"确需再缴，请加：--confirm-repeat {clean(problem.repeat_token)}",
    ]


def undecided_lines(undecided: Undecided) -> list[str]:
    """Nothing provable: never shown as a failure."""
    mend = [clean(undecided.shop_text)] if undecided.shop_text else []
    if not undecided.sent and mend:
        lines = [*mend, "请求没有发出，没有扣款"]
    elif not undecided.sent:
        lines = ["连接不上平台，请求没有发出，没有扣款", "请检查网络后重试"]
    elif undecided.key is None:
        lines = mend or ["没有得到平台的可靠答复，请稍后再查"]
    else:
        lines = ["状态：结果待查", f"提示：{_IN_DOUBT}", *mend, f"请求编号：{undecided.key}"]
    if undecided.problem is not None:
        lines.append(f"平台提示：{clean(undecided.problem.shop_text)}")
    return lines


def tombstone_lines(tombstone: Tombstone) -> list[str]:
    """The request never arrived and is void."""
    return [
        "状态：平台未受理，该请求已作废",
        "提示：没有扣款，可以退还现金，或重新发起缴费",
        f"请求编号：{tombstone.key}",
    ]


def cancel_lines(payment: api.Payment) -> list[str]:
    """A payment that was asked to be cancelled: first whether it is, for its own state may read like success."""
    if payment.state in PAID:
        result = "未成功，原缴费仍然有效，请勿退款"
    elif payment.state in TAKEN_BACK:
        result = "已撤销" if payment.state == State.CANCELLED else "已撤销（原缴费未办成，没有扣款）"
    else:
        result = "结果未定，暂不退款，稍后用 terminal last 查询"
    return [f"撤销结果：{result}", *payment_lines(payment)]


def fate_lines(fate: Fate, kind: str = "pay") -> list[str]:
    """Whatever came back about a request. kind: as in Last."""
    match fate:
        case Refused():
            return refusal_lines(fate)
        case Undecided():
            return undecided_lines(fate)
        case Tombstone():
            return tombstone_lines(fate)
    return cancel_lines(fate) if kind == "cancel" else payment_lines(fate)


def last_lines(last: Last) -> list[str]:
    """The newest request and what became of it, then every other one that was not known to be over."""
    lines = ["末笔交易：" + _about(last), *_outcome_lines(last)]
    for number, other in enumerate(last.also, start=1):
        lines += ["", f"此前未定的交易 {number}/{len(last.also)}：{_about(other)}", *_outcome_lines(other)]
    if last.also_undecided:
        lines += ["", f"有{last.also_undecided}笔此前的交易这次没有查到结果，请稍后再次运行 terminal last"]
    return lines


def _about(last: Last) -> str:
    request = " ".join(clean(str(last.request[name])) for name in ("service", "biller_account") if name in last.request)
    amount = last.request.get("amount_fen")
    return " ".join([_KINDS[last.kind], request, yuan(amount) if isinstance(amount, int) else ""]).strip()


def _outcome_lines(last: Last) -> list[str]:
    lines = [f"发起时间：{local_time(last.began_at)}", *fate_lines(last.fate, last.kind)]
    if isinstance(last.fate, Undecided) and last.known is not None:
        lines.append(f"上次查得：{state_text(last.known.state)}  平台流水号：{clean(last.known.gateway_serial)}")
    return lines


def bill_lines(bill: api.BillAnswer) -> list[str]:
    """A bill with its periods and its token."""
    periods = [
        f"  {clean(one.period)}  {yuan(one.amount_fen)}"
        + (f"  违约金{yuan(one.penalty_fen)}" if one.penalty_fen else "")
        for one in bill.bills
    ]
    return [
        f"户名：{clean(bill.customer_name)}",
        f"地址：{clean(bill.address or '无')}",
        *(["账单："] * bool(periods)),
        *periods,
        f"应缴合计：{yuan(bill.total_fen)}",
        f"可缴范围：{yuan(bill.min_fen)} 至 {yuan(bill.max_fen)}",
        f"查询凭证：{clean(bill.query_token)}（{local_time(bill.expires_at)} 前有效）",
    ]


def balance_lines(balance: api.AccountBalance) -> list[str]:
    """The prepaid account."""
    lines = [
        f"可用余额：{yuan(balance.available_fen)}",
        f"处理中占用：{yuan(balance.reserved_fen)}",
        f"账面余额：{yuan(balance.posted_fen)}",
        f"透支额度：{yuan(balance.overdraft_limit_fen)}",
        f"账务日期：{clean(balance.account_date)}",
    ]
    if balance.low_balance:
        lines.append("提示：余额不足，请及时充值")
    if (days := balance.certificate_days_left) is not None:
        lines.append(
            f"提示：U盾证书还有{days}天到期，请联系邮政局换证"
            if days
            else "提示：U盾证书今天到期，请立即联系邮政局换证"
        )
    return lines


def service_rows(services: api.ServiceList) -> list[tuple[str, ...]]:
    """Services as rows of a table, its heading first."""
    rows: list[tuple[str, ...]] = [("业务", "名称", "手续费", "金额范围", "附加信息", "状态")]
    for one in services.items:
        needs = "；".join(f"{clean(param.name)}={_choices(param)}" for param in one.params)
        state = "可办理" if one.open else f"暂停：{clean(one.closed_reason or '')}"
        limits = f"{yuan(one.min_fen)} 至 {yuan(one.max_fen)}"
        rows.append((clean(one.service), clean(one.title), yuan(one.fee_fen), limits, needs, state))
    return rows


def _choices(param: api.ServiceParam) -> str:
    return "/".join(f"{clean(value)}({clean(label)})" for value, label in param.choices.items()) or clean(param.title)


def payment_rows(page: api.PaymentPage) -> list[tuple[str, ...]]:
    """Payments as rows of a table, its heading first."""
    rows: list[tuple[str, ...]] = [("平台流水号", "业务", "户号", "金额", "手续费", "状态")]
    for one in page.items:
        account = (clean(one.service), clean(one.biller_account))
        rows.append(
            (clean(one.gateway_serial), *account, yuan(one.amount_fen), yuan(one.fee_fen), state_text(one.state))
        )
    return rows
