"""The closed list of refusals (RFC 9457, api s1)."""

from collections.abc import Mapping
from dataclasses import dataclass

URN = "urn:bianmin:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: HTTP status, English title, Simplified Chinese text for the shop."""

    status: int
    title: str
    shop_text: str


PROBLEMS: Mapping[str, Kind] = {
    "malformed": Kind(400, "The request is not well formed", "请求格式不正确，请检查后重试"),
    "signature-missing": Kind(401, "The request is not signed", "请求未签名，请插好USB Key后重试"),
    "signature-invalid": Kind(401, "The signature does not prove this request", "签名校验未通过，请检查USB Key"),
    "signature-expired": Kind(401, "The signature is outside its time window", "终端时间不准或签名过期，请校时后重试"),
    "nonce-replayed": Kind(401, "The nonce was used before", "重复的签名请求，请查询末笔交易"),
    "certificate-unknown": Kind(401, "The certificate is not registered", "证书未登记，请联系邮政局"),
    "certificate-expired": Kind(401, "The certificate has expired", "证书已过期，请联系邮政局换证"),
    "certificate-revoked": Kind(401, "The certificate is revoked or frozen", "证书已吊销或冻结，请联系邮政局"),
    "certificate-not-bound": Kind(
        401, "The certificate is not bound here and now", "证书未绑定本站本终端，请联系邮政局"
    ),
    "station-suspended": Kind(403, "Station takes no new payments", "本站已暂停收费，请联系邮政局"),
    "operator-not-trained": Kind(
        403, "The operator has no valid training for this", "操作员未通过该业务培训，不能办理"
    ),
    "service-not-open": Kind(403, "The service is not open at this station", "本站未开通该业务"),
    "authorization-required": Kind(403, "Head office must authorise this", "该操作需上级授权"),
    "not-found": Kind(404, "There is no such thing here", "未找到该记录"),
    "request-running": Kind(409, "The first request with this key is not decided yet", "请求处理中，请稍候查询"),
    "tombstoned": Kind(
        409, "This key was asked about before it arrived and is refused for good", "该请求已作废，请重新发起"
    ),
    "repeat-in-doubt": Kind(
        409,
        "A payment of the same account and amount is still open",
        "同一户号同一金额的缴费结果待查，请勿重复收款；确需再缴请确认",
    ),
    "state-conflict": Kind(409, "The payment's state does not allow this", "当前状态不能办理该操作"),
    "too-large": Kind(413, "The request is too large", "请求内容过大"),
    "unsupported-media-type": Kind(415, "The body must be application/json", "请求格式不受支持"),
    "key-reused": Kind(422, "The idempotency key belongs to another request", "请求编号重复使用，请重新发起"),
    "insufficient-balance": Kind(422, "The prepaid balance does not cover amount and fee", "预存余额不足，请先充值"),
    "amount-out-of-range": Kind(422, "The amount is not allowed for this service", "金额超出允许范围"),
    "query-token-stale": Kind(
        422, "The bill query is too old, used, or of another account", "查询结果已失效，请重新查询"
    ),
    "account-not-found": Kind(422, "The biller does not know this account", "收费单位查无此户号"),
    "too-many-requests": Kind(429, "Too many requests", "操作过于频繁，请稍后再试"),
    "biller-closed": Kind(503, "The biller takes no payments now", "收费单位暂停服务，请稍后再试"),
    "overloaded": Kind(503, "The gateway is busy", "系统繁忙，请稍后再试"),
    "internal": Kind(500, "Something went wrong here", "系统异常，请查询末笔交易"),
}

DECIDES_KEY: frozenset[int] = frozenset({403, 409, 422})
"""Statuses that are final for a free key of a request that may move money (design s10)."""
LEAVES_KEY_FREE: frozenset[str] = frozenset({"request-running"})
"""Slugs that never decide a key although their status would."""
