"""What the platform takes and says: forms of requests, texts of refusals, moments (interface 1.2 s1-s6). Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from adapters.kit.clock import BEIJING

BODY_LIMIT = 4_096
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
ACCOUNT = re.compile(r"[0-9]{8,16}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+08:00")
_SURROGATE = re.compile("[\ud800-\udfff]")

_TEXTS = {
    "invalid_token": "token missing, expired or revoked",
    "rate_limited": "more than 100 calls at once",
    "maintenance": "maintenance",
    "malformed": "body unreadable",
    "method_not_allowed": "method not allowed",
    "too_large": "body too large",
    "unsupported_media_type": "application/json without encoding",
    "not_found": "no such path",
    "order_conflict": "client_order_id belongs to another order",
    "account_not_found": "no such account",
    "wrong_product": "the account is of the other product",
    "account_closed": "the account takes no payment",
    "amount_out_of_range": "amount outside min_fen and max_fen",
    "expired": "not_after has passed",
    "not_after_too_far": "not_after is more than 600 s ahead",
    "order_not_found": "no such order",
    "order_not_refundable": "the order is not SUCCEEDED",
    "too_early": "a refund may be asked for from the next calendar day",
    "already_requested": "another refund request is open or approved",
    "refund_conflict": "client_refund_id belongs to another order",
    "refund_not_found": "no such refund request",
    "file_not_ready": "no such file yet",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply before it is written. raw: bytes of a day file or manifest instead of a JSON body."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None


def refuse(status: int, code: str, name: str = "") -> Answer:
    """A refusal (s1). name: the member at fault, "" for none."""
    body = {"code": code, "message": _TEXTS.get(code, code)} | ({"field": name} if name else {})
    headers: dict[str, str] = {}
    if status in (429, 503):
        headers["Retry-After"] = "5"
    if code == "invalid_token":
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return Answer(status, body, headers)


class MalformedError(ValueError):
    """The body is not of its form; the text is the member's name, "" for the whole."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise MalformedError(name)
        members[name] = value
    return members


def _no_integer(text: str) -> Any:
    return None


def _integer(text: str) -> Any:
    return int(text) if not text.startswith("-") and len(text) <= 16 else None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_no_integer, parse_constant=_no_integer
)


def _parse(raw: bytes) -> Any:
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except MalformedError:
        raise
    except (ValueError, RecursionError):
        raise MalformedError("") from None


def read_body(raw: bytes, forms: Mapping[str, re.Pattern[str] | None]) -> dict[str, Any]:
    """One flat object with exactly these members. forms: of strings; None: an integer. Raises MalformedError."""
    members = _parse(raw)
    if not isinstance(members, dict):
        raise MalformedError("")
    for name, value in members.items():
        known = name in forms
        form = forms.get(name)
        whole = form is None and type(value) is int
        text = form is not None and isinstance(value, str) and form.fullmatch(value) and not _SURROGATE.search(value)
        if not known or not (whole or text):
            raise MalformedError(name if not _SURROGATE.search(name) else "")
    for name in forms:
        if name not in members:
            raise MalformedError(name)
    return members


ORDER = {
    "client_order_id": ID,
    "account_no": ACCOUNT,
    "product": re.compile("tv|broadband"),
    "amount_fen": None,
    "shop_no": re.compile("[A-Za-z0-9]{1,20}"),
    "not_after": _TIME,
}
"""Members of an order (s3.2)."""
REFUND = {"client_refund_id": ID, "reason": re.compile(r"(?s).{1,100}")}
"""Members of a refund request (s3.4)."""


@lru_cache(maxsize=4096)
def write_moment(epoch_s: int) -> str | None:
    """Epoch seconds as s1 writes them; None for 0, which stands for "not yet"."""
    return datetime.fromtimestamp(epoch_s, BEIJING).isoformat() if epoch_s else None


def read_moment(text: str) -> int | None:
    """A moment of s1 as epoch seconds, None where it does not exist."""
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


def account_fault(account_no: str) -> bool:
    """Whether the test platform does not know the account (s10)."""
    return account_no.endswith("404")


def customer(account_no: str) -> dict[str, Any]:
    """The account as 3.1 shows it (s10)."""
    state, due = {"00000002": ("stopped", 0), "00000003": ("closed", 0)}.get(
        account_no, ("normal", 2_000 + int(account_no[-4:]))
    )
    return {
        "account_no": account_no,
        "product": "broadband" if account_no.startswith("9") else "tv",
        "state": state,
        "name_masked": "*䶮" if account_no == "00000001" else "*户",
        "address_masked": "历下区***3号楼",
        "due_fen": due,
        "min_fen": 100,
        "max_fen": 500_000,
    }


def plan_of(account_no: str) -> tuple[str, str, int | None]:
    """How an order ends: state, failure_code, after so many seconds (None: by hand) (s10)."""
    plans: dict[str, tuple[str, str, int | None]] = {
        "00000005": ("FAILED", "account_closed", 1),
        "00000006": ("FAILED", "over_limit", 1),
        "00000007": ("SUCCEEDED", "", 30),
        "00000008": ("SUCCEEDED", "", None),
    }
    return plans.get(account_no, ("SUCCEEDED", "", 1))
