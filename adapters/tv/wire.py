"""Requests to the TV platform, and what a reply of its says. Pure. Source: interface 1.2 s1, s3, s5, s6."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from adapters.transport.bearer import retry_after_s
from adapters.transport.http import Reply
from adapters.transport.json_body import BadBody, JsonBody
from adapters.transport.moments import BEIJING
from contracts.biller import PayOrder

REPLY_LIMIT = 16_384
"""Longest JSON reply in bytes (s1)."""
Fen = Annotated[int, Meta(ge=0, le=500_000)]
Account = Annotated[str, Meta(pattern=r"^[0-9]{8,16}\Z")]
Product = Literal["tv", "broadband"]
Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\+08:00\Z")]
Date = Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z")]
_Text = r"^[^\x00-\x1f\x7f\ud800-\udfff]*\Z"
_JSON = re.compile(r"application/json(; ?charset=utf-8)?", re.IGNORECASE)
_ID, _SHOP_NO, _ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,64}"), re.compile("[A-Za-z0-9]{1,20}"), re.compile("[0-9]{8,16}")
T = TypeVar("T", bound="Refusal | Customer | Order")


class BadOrder(ValueError):
    """We were asked to send what the platform would refuse: nothing was built. The text names the member."""


class Refusal(msgspec.Struct):
    """The body of every reply that is not 2xx (s1). `message` is never read."""

    code: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{1,39}\Z")]


class Customer(msgspec.Struct):
    """The reply to 3.1. Amounts in fen."""

    account_no: Account
    product: Product
    state: str
    name_masked: Annotated[str, Meta(max_length=64, pattern=_Text)]
    address_masked: Annotated[str, Meta(max_length=128, pattern=_Text)]
    due_fen: Annotated[int, Meta(ge=0, le=10**13)]
    min_fen: Annotated[int, Meta(ge=1, le=500_000)]
    max_fen: Annotated[int, Meta(ge=1, le=500_000)]


class Order(msgspec.Struct):
    """The order of 3.2 and 3.3. state: s5, perhaps one that is not listed."""

    client_order_id: str
    account_no: Account
    product: Product
    amount_fen: Annotated[int, Meta(ge=100, le=500_000)]
    order_no: Annotated[str, Meta(pattern=r"^CT[0-9]{18}\Z")]
    state: Annotated[str, Meta(pattern=r"^[A-Z][A-Z_]{1,39}\Z")]
    created_at: Time
    final_at: Time | None
    account_date: Date | None
    failure_code: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")] | None


_REFUSAL, ORDER, CUSTOMER = (
    JsonBody(Refusal, REPLY_LIMIT),
    JsonBody(Order, REPLY_LIMIT),
    JsonBody(Customer, REPLY_LIMIT),
)


def refusal(reply: Reply) -> str | None:
    """The status and code pair of a refusal, "409.order_conflict" (s6); None where it is none, or proves nothing."""
    try:
        return f"{reply.status}.{_REFUSAL.read(_json(reply)).code}" if reply.status >= 400 else None
    except BadBody:
        return None


def read(reply: Reply, body: JsonBody[T], *statuses: int) -> T:
    """The body of a success. Raises BadBody where it is none, or not of its form."""
    if reply.status not in statuses:
        raise BadBody(f"http.{reply.status}")
    return body.read(_json(reply))


def wish_s(reply: Reply) -> int:
    """Its `Retry-After`, 0 without."""
    return retry_after_s(reply, 0)


def write_order(order: PayOrder) -> bytes:
    """The body of 3.2. not_after is send_by cut to the second: never later (design s5). Raises BadOrder."""
    body = {
        "client_order_id": matching(order.partner_serial, _ID, "client_order_id"),
        "account_no": matching(order.biller_account, _ACCOUNT, "account_no"),
        "product": product(order.params),
        "amount_fen": order.amount.value,
        "shop_no": matching(order.institution_code, _SHOP_NO, "shop_no"),
        "not_after": order.send_by.astimezone(BEIJING).isoformat(timespec="seconds"),
    }
    if not 100 <= order.amount.value <= 500_000:
        raise BadOrder("amount_fen")
    return msgspec.json.encode(body)


def order_target(serial: str) -> str:
    """The path of 3.3. Raises BadOrder."""
    return f"/v1/orders/{matching(serial, _ID, 'client_order_id')}"


def account_target(account: str) -> str:
    """The path of 3.1. Raises BadOrder."""
    return f"/v1/accounts/{matching(account, _ACCOUNT, 'account_no')}"


def product(params: Mapping[str, str]) -> str:
    """The shop's choice, `tv` where it made none; never guessed from the number. Raises BadOrder."""
    return matching(params.get("product") or "tv", re.compile("tv|broadband"), "product")


def matching(value: str, form: re.Pattern[str], name: str) -> str:
    """The value, where it has the whole form. Raises BadOrder with the member's name."""
    if not form.fullmatch(value):
        raise BadOrder(name)
    return value


def _json(reply: Reply) -> bytes:
    # Replies are not signed: what is not the application's own JSON is some proxy's word (s1).
    if "content-encoding" in reply.headers or not _JSON.fullmatch(reply.headers.get("content-type", "")):
        raise BadBody("not_json")
    return reply.body
