"""A canary in every input never reaches a log: requests, partners' replies and notices, bus, environment, adapters.

What may appear, and is no canary here: gateway serials, trace ids, the station's code and terminal, billers' names,
amounts, states, our own words. Everything `serve` writes on stdout and stderr is looked at as bytes.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from adapters.telecom.config import Config
from contracts import bus
from contracts.biller import BadNotice, BillQuery, Notice, PayOrder, ResultQuery
from contracts.clock import Clock
from contracts.outcomes import Evidence, Outcome
from contracts.routes import ROUTES, Route
from tests.integration.http.shops import Request, Shop, new_key
from tests.stand.canaries import ACCOUNT, BROADBAND, CANARIES, CARD, LATIN_NAME, NAME, SECRET, TOKEN, leaks, parts_told
from tests.stand.gateway import SECRET as PARTNER_SECRET
from tests.stand.gateway import Hasty, Stand, hasty_adapter
from tests.stand.hostile_partner import HostilePartner, notice, signed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SERIAL = "2026112406H0P4QWR2D3RMF7"
PAYMENT: dict[str, Any] = {
    "service": "mobile.topup",
    "biller_account": ACCOUNT,
    "amount_fen": 1000,
    "terminal_trace": "1",
    "params": {"carrier": "cmcc"},
}
GOOD: dict[str, dict[str, Any]] = {
    "/v1/bill-queries": {"service": "broadband.bill", "biller_account": BROADBAND, "params": {"carrier": "cmcc"}},
    "/v1/payments": PAYMENT,
    "/v1/payment-inquiries": {"idempotency_key": TOKEN},
    "/v1/payments/{gateway_serial}/cancellations": {"reason": NAME, "authorization": TOKEN},
    "/v1/payments/{gateway_serial}/card-writes": {"result": "ok", "card_data": "0013805791357A"},
    "/v1/payments/{gateway_serial}/refunds": {"amount_fen": 10, "reason": NAME},
}
HEADERS = ("Authorization", "Cookie", "X-Forwarded-For", "User-Agent", "Prefer", "traceparent", "baggage", "Referer")
SIGNED = ("Idempotency-Key", "Signature", "Signature-Input", "Content-Digest", "Content-Type", "Host")


def written(stand: Stand) -> str:
    """stdout and stderr of serve, byte by byte."""
    return (stand.folder / "serve.log").read_bytes().decode("latin-1")


def events(output: str) -> set[str]:
    return {json.loads(line)["event"] for line in output.splitlines() if line.startswith("{")}


def secrets_of(folder: Path) -> set[str]:
    """Passwords and lines of keys of an installation."""
    files = [path for path in folder.rglob("*") if path.name.endswith((".password", ".key", ".key.pem"))]
    assert len(files) > 10
    found = {line for path in files for line in path.read_text().splitlines() if not line.startswith("-----")}
    return {line for line in found if len(line) >= 12}  # a key's last line may be a few characters


# --- the terminals' port


def bodies(route: Route) -> Iterator[bytes]:
    """Every member of a body as each canary, then bodies that are none."""
    good = GOOD[route.path]
    assert route.request is not None
    for canary in CANARIES:
        for field in msgspec.structs.fields(route.request):
            yield msgspec.json.encode({**good, field.name: canary})
            yield msgspec.json.encode({**good, field.name: {canary: canary}})
        yield msgspec.json.encode({**good, canary: canary})
        yield msgspec.json.encode({**good, "params": {"carrier": canary}})
        yield f'{{"{canary}":'.encode("gbk")
        yield canary.encode()
    yield f'{{"amount_fen":{CARD},"biller_account":{ACCOUNT}}}'.encode()


WHERE = {"gateway_serial": SERIAL, "token": TOKEN, "keyid": "a" * 64, "issuer_keyid": "b" * 64}
"""What stands for the parts of a path that are not misspelt."""


def targets(route: Route) -> Iterator[str]:
    """Segments and query members as each canary, percent-encoded, raw where HTTP lets it pass, and misspelt."""
    for canary in CANARIES:
        path = route.path.format(**dict.fromkeys(route.segments, quote(canary)))
        yield path
        for name in (*route.query, quote(canary)):
            yield f"{route.path.format(**WHERE)}?{name}={quote(canary)}"
        yield f"{path}/../{quote(canary)}?{canary if canary.isascii() else quote(canary, encoding='gbk')}%"


def requests(shop: Shop) -> Iterator[tuple[bytes, str]]:
    """Bytes to send, and the signature a reply would have to cover."""
    for route in ROUTES:
        for target in targets(route):
            body = msgspec.json.encode(GOOD[route.path]) if route.request else b""
            key = new_key() if route.keyed else None
            try:
                asked = shop.sign(route.method, target, body, key=key)
            except ValueError:  # a terminal would not sign it: the signature of another target stands under it
                asked = shop.sign(route.method, route.path.format(**dict.fromkeys(route.segments, "x")), body, key=key)
            yield asked.raw(target=target), asked.field
        if route.request:
            for body in bodies(route):
                path = route.path.format(gateway_serial=SERIAL)
                asked = shop.sign(route.method, path, body, key=new_key() if route.keyed else None)
                yield asked.raw(), asked.field
    for method, target, body in (("POST", "/v1/payments", msgspec.json.encode(PAYMENT)), ("GET", "/v1/account", b"")):
        # Signed anew for each: a second use of a nonce would be refused before anything else is read.
        yield from with_headers(lambda: shop.sign(method, target, body, key=new_key() if body else None))  # noqa: B023
    yield from ((raw, ":AA==:") for raw in no_requests())


def with_headers(sign: Callable[[], Request]) -> Iterator[tuple[bytes, str]]:
    """A signed request with each header added or replaced by canaries, in and out of form; then without signature."""
    for canary in CANARIES:
        value = canary if canary.isascii() else canary.encode().decode("latin-1")
        forms = (value, f"Bearer {value}", f"wait={value}", f"00-{value}-{value}-01", f"bm=:{value}:", f"bm=({value})")
        for form, name in product(forms, (*HEADERS, *SIGNED)):
            asked = sign()
            lines = [(given, text) for given, text in asked.headers.items() if given != name]
            yield asked.raw(lines=[*lines, (name, form)]), asked.field
        bare = [(given, text) for given, text in sign().headers.items() if not given.startswith("Signature")]
        yield sign().raw(lines=[*bare, (f"X-{value.encode().hex()}", value)]), ":AA==:"


def no_requests() -> Iterator[bytes]:
    """Bytes that are no HTTP request, or one that is refused before its signature."""
    for canary in CANARIES:
        raw = canary.encode()
        yield raw + b"\r\n\r\n"
        yield b"GET /" + raw + b" HTTP/1.0\r\n\r\n"
        yield b"GET http://" + raw + b"/ HTTP/1.1\r\nHost: " + raw + b"\r\n\r\n"
        yield raw + b" /v1/time HTTP/1.1\r\nHost: x\r\n\r\n"
        yield b"GET /v1/time HTTP/1.1\r\n" + raw + b"\0: x\r\n" + raw + b"\r\n\r\n"
        yield b"POST /v1/payments HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + raw + b"\r\n" + raw + b"\r\n"
        yield b"POST /v1/payments HTTP/1.1\r\nContent-Length: " + raw + b"\r\n\r\n" + raw
        yield b"GET /v1/time HTTP/1.1\r\nX: " + raw * 2000 + b"\r\n\r\n"


async def flood(shop: Shop) -> int:
    """Send them all, a few at once; how many were answered."""
    gate, answered = asyncio.Semaphore(16), 0

    async def one(raw: bytes, field: str) -> None:
        nonlocal answered
        async with gate:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, StopIteration):
                async with asyncio.timeout(5):
                    await shop.send_raw(raw, field)
                    answered += 1

    await asyncio.gather(*(one(raw, field) for raw, field in requests(shop)))
    return answered


# --- the partners' port, the admin port, the bus


def post(url: str, body: bytes, **headers: str) -> None:
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(request, timeout=5) as reply:
        reply.read()


def give_notices(stand: Stand) -> None:
    url = f"http://127.0.0.1:{stand.partner}/notices/telecom"
    numbers = [number for (number,) in stand.sql("SELECT partner_serial FROM orders LIMIT 2")]
    for name in ("orderNo", "accNo", "platNo", "failCode", "state", "faceValue", "msg", "nonce", "timestamp"):
        for canary in CANARIES:
            post(url, notice(PARTNER_SECRET, **{name: canary}))
    for number in numbers:
        post(url, notice(PARTNER_SECRET, orderNo=number))
    for canary in CANARIES:
        post(url, notice(SECRET, msg=canary))
        post(url, canary.encode("gbk"), Authorization=quote(canary), Cookie=quote(canary))
        post(f"{url}/{quote(canary)}", b"")
        post(f"http://127.0.0.1:{stand.admin}/metrics/{quote(canary)}?{quote(canary)}", canary.encode())


MESSAGES: tuple[msgspec.Struct, ...] = (
    bus.OrderMessage(
        message_id="m",
        order_kind="PAY",
        gateway_serial=SERIAL,
        order_serial=SERIAL,
        biller="telecom",
        send_before="2026-11-24T00:00:00Z",
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
    ),
    bus.BillQueryMessage(
        message_id="m",
        query_token=TOKEN,
        biller="telecom",
        expires_at="2099-11-24T00:00:00+00:00",
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
    ),
)


def put_on_bus(stand: Stand) -> int:
    """Messages nobody wrote: garbage, and each member of the true ones as each canary. Returns how many."""
    payloads = [canary.encode() for canary in CANARIES]
    for message, canary in product(MESSAGES, CANARIES):
        whole = msgspec.to_builtins(message)
        payloads += [json.dumps({**whole, name: canary}).encode() for name in (*whole, canary)]
    topics = ("bianmin.request.telecom", "bianmin.result")
    rows = [
        (f"canary{number:05d}", topic, payload) for number, (topic, payload) in enumerate(product(topics, payloads))
    ]
    path = stand.folder / "pilot" / "var" / "bianmin.db"
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
        put = "INSERT INTO outbox (message_id, topic, key, payload, created_at) VALUES (?, ?, ?, ?, 1)"
        connection.executemany(put, [(number, topic, ACCOUNT, payload) for number, topic, payload in rows])
        connection.commit()
    return len(rows)


def wait_for(stand: Stand, sql: str, wanted: int, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while stand.sql(sql)[0][0] < wanted:
        assert time.monotonic() < until, (sql, stand.sql(sql), written(stand)[-1500:])
        time.sleep(0.1)


def pay_all(stand: Stand, count: int) -> list[str]:
    """Payments, each of an account that begins like the canary's and called before the next one; their serials."""
    shop, serials = stand.shop(), []
    for number in range(count):
        account = ACCOUNT if not number else f"{ACCOUNT[:9]}{number:02d}"
        reply = asyncio.run(shop.pay(biller_account=account))
        assert reply.status in (201, 202), (reply.body, written(stand)[-3000:])
        serials.append(reply.json["gateway_serial"])
        wait_for(stand, "SELECT count(*) FROM attempts WHERE ended_at > 0", number + 1)
    return serials


ENVIRONMENT = dict.fromkeys(
    ("HTTPS_PROXY", "http_proxy", "ALL_PROXY", "PGPASSWORD", "BIANMIN_TOKEN", "COOKIE"),
    f"http://{LATIN_NAME}:{SECRET}@{ACCOUNT}",
)


def test_no_canary_of_any_input_reaches_the_log_of_serve(tmp_path: Path) -> None:
    with Stand(tmp_path) as stand:
        told = stand.config_file.read_text().replace(
            "[http]\n", "[http]\nstation_per_s = 100000\nstation_burst = 100000\n"
        )
        stand.config_file.write_text(told)
        stand.deposit("5000", ACCOUNT)
        stand.stop_simulator()
        with HostilePartner(stand.platform, PARTNER_SECRET) as partner:
            stand.start(full=True, environment=ENVIRONMENT)
            ways = len(partner.modes())
            pay_all(stand, ways)
            keys = {key for (key,) in stand.sql("SELECT idempotency_key FROM payments")}
            answered = asyncio.run(flood(stand.shop()))
            give_notices(stand)
            count = put_on_bus(stand)
            wait_for(stand, "SELECT count(*) FROM outbox WHERE message_id LIKE '%canary%' AND published_at > 0", count)
            with urllib.request.urlopen(f"http://127.0.0.1:{stand.admin}/metrics", timeout=5) as reply:
                page = reply.read().decode()
            stand.stop()
        output = written(stand)
        assert answered > 1_000
        assert {
            "serve.started",
            "pay.accepted",
            "pay.refused",
            "pay.ended",
            "evidence.judged",
            "message.dead",
        } <= events(output)
        names = ("试验局", "试验站", "张三", "Tel-Test-Secret")
        assert leaks(output + page, (*CANARIES, *names, *secrets_of(tmp_path / "pilot"), *keys)) == []
        assert parts_told(output) == []
        (ports,) = [line["cause"] for line in map(json.loads, lines(output)) if line["event"] == "serve.started"]
        assert ports == f"public {stand.public} partner {stand.partner} admin {stand.admin}"
        assert "log.refused" not in events(output)


def lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("{")]


# --- an adapter's own mistakes, and questions


class Blabbing(Hasty):
    """Tells whole orders and notices in what it raises."""

    async def pay(self, order: PayOrder) -> Outcome:
        if order.biller_account in (ACCOUNT, f"{ACCOUNT[:9]}01"):
            raise LookupError(f"{order} {SECRET} {NAME}")
        return await super().pay(order)

    async def query_bill(self, query: BillQuery) -> Any:
        raise ValueError(f"{query} {TOKEN}")

    async def query_result(self, query: ResultQuery) -> Evidence:
        if query.biller_account == ACCOUNT:
            raise ConnectionError(f"{query.biller_account}: {NAME}")
        return await super().query_result(query)

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice | BadNotice:
        raise KeyError(body.decode("utf-8", "replace"), SECRET)


def test_no_canary_in_what_adapters_raise_and_partners_answer_to_questions(tmp_path: Path) -> None:
    hasty = hasty_adapter()

    def build(config: Config, clock: Clock) -> Blabbing:
        from adapters.telecom import load_table

        return Blabbing(config, clock, manifest=hasty.manifest, codes=load_table())

    with Stand(tmp_path) as stand:
        stand.adapters = {"telecom": replace(hasty, build=build)}
        stand.deposit("5000", "V1")
        stand.stop_simulator()
        with HostilePartner(stand.platform, PARTNER_SECRET) as partner:
            stand.start()
            pay_all(stand, 24)
            asyncio.run(stand.shop().post("/v1/bill-queries", GOOD["/v1/bill-queries"], prefer="wait=1"))
            post(f"http://127.0.0.1:{stand.partner}/notices/telecom", notice(PARTNER_SECRET))
            until = time.monotonic() + 30
            while written(stand).count("question.answered") < 8:
                assert time.monotonic() < until, written(stand)[-2000:]
                time.sleep(0.1)
            assert "/v3/order/query" in partner.asked
            stand.stop()
        output = written(stand)
        wanted = {"adapter.failed", "notice.failed", "question.answered", "pay.ended"}
        assert wanted <= events(output)
        assert "log.refused" not in events(output)
        assert "LookupError: " in output
        assert '"outcome":"PAY Declined ***"' in output, "the partner's own code was an account"
        assert leaks(output) == []
        assert parts_told(output) == []


def test_the_canaries_would_be_seen() -> None:
    """The search finds each disguise; a serial beside them is none."""
    for canary in CANARIES:
        for form in (canary, quote(canary), json.dumps(canary), repr(canary.encode()), canary.encode("gbk").hex()):
            assert canary in leaks(f"x{form}y {SERIAL}"), form
    assert leaks(f'{{"gateway_serial":"{SERIAL}","trace_id":"{os.urandom(16).hex()}"}}') == []
    assert parts_told(json.dumps({"cause": f"no {ACCOUNT[3:9]}"})) == [ACCOUNT[3:9]]
    assert signed(SECRET, {"a": "b"}).startswith(b'{"a":"b","sign":"')
