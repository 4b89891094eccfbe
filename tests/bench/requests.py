"""Signed payment requests, rendered to the bytes that go on the wire, made in several processes beforehand."""

import secrets
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import msgspec

from certs.core.profile import LIFETIME_MAX_S, RequestHead, sign_request
from tests.bench.installation import AUTHORITY, Installation

TARGET = "/v1/payments"
_LENGTH = struct.Struct(">I")
_house: Installation


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to pay. accounts are first_account + number."""

    service: str
    first_account: int
    amount_fen: int = 10_000
    params: tuple[tuple[str, str], ...] = ()
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that was asked about beforehand: who may pay it, and by which token."""

    station: int
    account: str
    query_token: str


def render(house: Installation, order: Order, number: int, bill: Bill | None = None) -> bytes:
    """One request; each has its own key, nonce and account."""
    station = house.stations[bill.station if bill else number % len(house.stations)]
    body = msgspec.json.encode(
        {
            "service": order.service,
            "biller_account": bill.account if bill else str(order.first_account + number),
            "amount_fen": order.amount_fen,
            "terminal_trace": f"{number:06d}",
            "params": dict(order.params),
            **({"query_token": bill.query_token} if bill else {}),
        }
    )
    created = int(time.time())
    headers = sign_request(
        station.signer,
        method="POST",
        authority=AUTHORITY,
        target=TARGET,
        body=body,
        content_type="application/json",
        idempotency_key=secrets.token_hex(16),
        created=created,
        expires=created + LIFETIME_MAX_S,
        nonce=secrets.token_hex(16),
        scheme="http",
    )
    lines = [f"POST {TARGET} HTTP/1.1", f"Host: {AUTHORITY}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if order.wait_s:
        lines.append(f"Prefer: wait={order.wait_s}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _render_many(order: Order, numbers: Sequence[int], bills: Sequence[Bill] | None) -> list[bytes]:
    return [render(_house, order, number, bills[at] if bills else None) for at, number in enumerate(numbers)]


def make(
    house: Installation, order: Order, count: int, *, first: int = 0, bills: Sequence[Bill] = (), processes: int = 2
) -> list[bytes]:
    """Many requests. They are good for 300 s from now; bills: one for each, else none is needed."""
    global _house
    _house = house  # inherited by the forked processes: signers cannot be sent
    chunks = [range(at, min(at + 512, first + count)) for at in range(first, first + count, 512)]
    parts: Iterable[Sequence[Bill] | None] = (
        [bills[it.start - first : it.stop - first] for it in chunks] if bills else repeat(None)
    )
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        return [one for many in pool.map(_render_many, repeat(order), chunks, parts) for one in many]


def save(file: Path, requests: Iterable[bytes]) -> Path:
    """Write requests for a load generator."""
    with file.open("wb") as out:
        for request in requests:
            out.write(_LENGTH.pack(len(request)) + request)
    return file


def load(file: Path) -> Iterator[bytes]:
    """What save() has written."""
    data = file.read_bytes()
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def parse(request: bytes) -> RequestHead:
    """A rendered request as the gateway reads it."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return RequestHead(method, target, headers, body)
