"""Texts for shops, as data. What is not decided is never worded as a failure (M5)."""

from collections.abc import Mapping

from contracts.outcomes import Reason
from contracts.states import State

STATE_TEXTS: Mapping[State, str] = {
    State.CREATED: "处理中：请勿重复收款，稍后查询末笔交易",
    State.RESERVED: "处理中：请勿重复收款，稍后查询末笔交易",
    State.SENT: "处理中：请勿重复收款，稍后查询末笔交易",
    State.SUCCESS: "缴费成功",
    State.UNKNOWN: "结果待查：请勿重复收款，也暂不退款，稍后查询末笔交易",
    State.REVERSING: "冲正处理中，结果待查：请勿重复收款，也暂不退款，稍后查询末笔交易",
    State.REVERSED: "已冲正：款项已退回预存账户，可退还顾客",
    State.CANCELLING: "撤销处理中，结果待查：暂不退款，稍后查询末笔交易",
    State.CANCELLED: "已撤销：款项已退回预存账户，可退还顾客",
    State.PAID_WAIT_WRITE: "已缴费，请立即写卡",
    State.WRITTEN: "缴费成功，写卡成功",
    State.WRITE_FAILED: "已缴费，写卡未成功，请重新写卡，请勿重复收款",
}
"""Of payments; FAILED is worded by its reason."""

REASON_TEXTS: Mapping[Reason, str] = {
    Reason.BILLER_REFUSED: "收费单位未受理",
    Reason.ACCOUNT_NOT_FOUND: "收费单位查无此户号",
    Reason.ACCOUNT_STATE: "该户号当前状态不能缴费",
    Reason.AMOUNT: "金额不符合收费单位要求",
    Reason.BILL_CHANGED: "账单已变化，请重新查询",
    Reason.NO_ARREARS: "该户号没有欠费",
    Reason.CARRIER: "运营商不符，请核对后重新办理",
    Reason.BATCH_DEBIT: "银行批量扣款期间不能缴费",
    Reason.BILLER_LIMIT: "超出收费单位限额",
    Reason.FAILED_LATER: "收费单位最终处理失败",
    Reason.EXPIRED_UNSENT: "超时未发出，已自动取消",
    Reason.GIVEN_UP: "已放弃，未发往收费单位",
    Reason.ABSENT: "收费单位确认无此笔缴费",
    Reason.RULED: "经人工裁定未缴费",
}
"""Why a payment did not happen."""

FAILED = "缴费失败：{why}。款项已退回预存账户"
FAILED_UNEXPLAINED = "收费单位未受理"
PARTIAL = "部分成功：实缴{paid}元，未缴{rest}元已退回预存账户，请退还顾客差额"

RULED_PAID = "缴费成功（经人工裁定）"
RULED_CANCELLED = "已撤销（经人工裁定）：款项已退回预存账户，可退还顾客"
"""Of states that two people ruled, not the biller."""
NOT_CANCELLED = "撤销未成功：{why}。{now}"
NOT_CANCELLED_REASONS: Mapping[Reason, str] = {
    Reason.EXPIRED_UNSENT: "撤销请求超时未发出",
    Reason.GIVEN_UP: "撤销请求未发往收费单位",
    Reason.ABSENT: "收费单位确认未收到撤销请求",
    Reason.RULED: "经人工裁定未撤销",
}
"""Why a cancel did not happen, where that is not the biller's word."""
NOT_CANCELLED_UNEXPLAINED = "收费单位拒绝撤销"
STILL_PAID = "原缴费仍然有效，请勿退款"

REFUND_TEXTS: Mapping[State, str] = {
    State.RESERVED: "退费申请已登记，等待审批",
    State.SENT: "退费处理中，稍后查询",
    State.SUCCESS: "退费成功",
    State.FAILED: "退费未办理",
    State.UNKNOWN: "退费结果待查，请勿重复退费，稍后查询",
}
TOP_UP_TEXTS: Mapping[State, str] = {
    State.RESERVED: "充值处理中，稍后查询余额",
    State.SENT: "充值处理中，稍后查询余额",
    State.SUCCESS: "充值成功",
    State.FAILED: "充值失败，未入账",
    State.UNKNOWN: "充值结果待查，请勿重复充值，稍后查询余额",
    State.REVERSED: "充值已冲正，未入账",
}

SERVICE_CLOSED = "本站已停办该业务"
NO_TARIFF = "该业务暂无有效资费"
WINDOW_CLOSED = "收费单位当前时段不收费，{minutes}分钟后恢复"
BREAKER_OPEN = "收费单位暂时连接不上，请稍后再试"
