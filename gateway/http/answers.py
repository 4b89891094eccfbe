"""A reply before it is signed, and the bytes it becomes on the wire."""

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec

JSON = "application/json"
PROBLEM = "application/problem+json"
_encode = msgspec.json.Encoder().encode
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_FIXED = "Cache-Control: no-store, no-transform\r\nServer: bianmin\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and the headers beside those that belong to every reply.

    slug: of a refusal, else "". gateway_serial: of the payment that it tells of, for the evidence.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    slug: str = ""
    gateway_serial: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A whole reply as bytes, and whether the connection may go on."""

    data: bytes
    keep_alive: bool


def json_answer(
    status: int, value: Any, headers: tuple[tuple[str, str], ...] = (), *, gateway_serial: str | None = None
) -> Answer:
    """An answer whose body is the value as JSON."""
    return Answer(status, _encode(value), JSON, headers, gateway_serial=gateway_serial)


def write(
    answer: Answer, headers: Iterable[tuple[str, str]], *, now_s: int, keep_alive: bool, head_only: bool = False
) -> Written:
    """The bytes of a reply. headers: beside the answer's own, Content-Type among them where there is a body."""
    lines = [_STATUS_LINES[answer.status], _FIXED, f"Date: {_date(now_s)}\r\nContent-Length: {len(answer.body)}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    lines += [f"{name}: {value}\r\n" for name, value in answer.headers]
    lines.append("\r\n" if keep_alive else "Connection: close\r\n\r\n")
    head = "".join(lines).encode("ascii")
    return Written(head if head_only else head + answer.body, keep_alive)


@lru_cache(maxsize=4)
def _date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)
