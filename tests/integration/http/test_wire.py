"""Raw sockets: shapes that mean one thing to one parser and another to the next are refused (design s6)."""

import asyncio

import pytest

from tests.integration.http.house import House
from tests.integration.http.shops import AUTHORITY, Reply, Request, new_key, read_reply

INQUIRY = b'{"idempotency_key":"abcdefghijklmnop"}'


def _lines(request: Request, *more: tuple[str, str], drop: str = "") -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers.items() if name != drop] + list(more)


async def _unchanged(house: House, before: dict[str, int], reply: Reply, statuses: tuple[int, ...] = (400,)) -> None:
    assert reply.status in statuses, reply.body
    assert not reply.signed
    assert reply.header("Content-Type") == "application/problem+json"
    assert house.counts() == before


TARGETS = [
    f"http://{AUTHORITY}/v1/account",
    f"https://{AUTHORITY}/v1/account",
    "http://evil.example/v1/account",
    "//evil.example/v1/account",
    "/v1//account",
    "/v1/account/..",
    "/v1/x/../account",
    "/v1/./account",
    "/v1/%2e%2e/account",
    "/v1%2Faccount",
    "/v1%2faccount",
    "/v1%5Caccount",
    "/v1/account%00",
    "/v1/%61ccount",
    "/v1/account#x",
    "/v1/account?",
    "/v1/account\\x",
    "/v1/..;/account",
    "*",
    "/v1/account|x",
    '/v1/account"x',
    "/v1/支付",
]


@pytest.mark.parametrize("target", TARGETS)
async def test_targets(house: House, target: str) -> None:
    """Route confusion: signed for one target, sent with another, or with one that no signer may name."""
    shop = await house.shop()
    before = house.counts()
    request = shop.sign("GET", "/v1/account")
    raw = request.raw(target=target.encode().decode("latin-1"))
    await _unchanged(house, before, await shop.send_raw(raw, request.field))


@pytest.mark.parametrize("target", ["/v1/services", "/v1/account?x=1", "/v1/Account", "/v1/account/"])
async def test_a_signature_is_good_for_its_own_target_only(house: House, target: str) -> None:
    shop = await house.shop()
    request = shop.sign("GET", "/v1/account")
    reply = await shop.send_raw(request.raw(target=target), request.field)
    assert (reply.status, reply.slug, reply.signed) == (401, "signature-invalid", False)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/nothing"),
        ("GET", "/v1/account/"),
        ("GET", "/v1/Account"),
        ("DELETE", "/v1/payments"),
        ("PUT", "/v1/account"),
        ("HEAD", "/v1/account"),
        ("GET", "/v1/payments/x/cancellations"),
        ("GET", "/v1/payments/2026112406H0P4QWR2D3RMF7/"),
        ("GET", "/v1/payments/%E4%BD%A0"),
        ("GET", "/v1/payments/2026112406H0P4QWR2D3RMF7;x"),
        ("POST", "/v1/top-ups"),
        ("POST", "/v1/day-ends"),
        ("GET", "/v1/receipts/2026112406H0P4QWR2D3RMF7"),
        ("POST", "/v1/payments/x/refunds"),
    ],
)
async def test_what_is_not_served_is_a_signed_404(house: House, method: str, target: str) -> None:
    shop = await house.shop()
    body = b"{}" if method == "POST" else b""
    request = shop.sign(method, target, body, key=new_key() if body else None)
    before = house.counts()
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    writer.write(request.raw())
    reply = await read_reply(reader, shop.pki, request.field, head_only=method == "HEAD")
    writer.close()
    assert reply.status == 404
    if method != "HEAD":
        assert (reply.slug, reply.signed) == ("not-found", True)
    # Nonce and evidence of whatever is no read are kept (M11); nothing else is.
    kept = 0 if method in ("GET", "HEAD") else 1
    after = house.counts()
    assert (after.pop("nonces"), after.pop("records")) == (before.pop("nonces") + kept, before.pop("records") + kept)
    assert after == before


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Type", "Content-Length", "Content-Digest", "Idempotency-Key", "Signature-Input", "Signature"],
)
@pytest.mark.parametrize("case", ["same", "other"])
async def test_doubled_lines(house: House, name: str, case: str) -> None:
    shop = await house.shop()
    before = house.counts()
    request = shop.sign("POST", "/v1/payment-inquiries", INQUIRY, key=new_key())
    value = request.headers[name] if case == "same" else request.headers[name][:-1] + "0"
    raw = request.raw(lines=_lines(request, (name.swapcase(), value)))
    await _unchanged(house, before, await shop.send_raw(raw, request.field))


@pytest.mark.parametrize(
    ("more", "statuses"),
    [
        (("Transfer-Encoding", "chunked"), (400,)),
        (("Transfer-Encoding", "identity"), (400,)),
        (("Transfer-Encoding", "gzip, chunked"), (400,)),
        (("Content-Encoding", "gzip"), (415,)),
        (("Content-Encoding", "identity"), (415,)),
        (("Content-Length ", "38"), (400,)),
        (("X-A", "b\r\n c"), (400,)),
        (("X-A\0", "b"), (400,)),
        (("X-A", "b\rc"), (400,)),
        (("Connection", "upgrade\r\nUpgrade: websocket"), (400,)),
    ],
)
async def test_smuggling_shapes(house: House, more: tuple[str, str], statuses: tuple[int, ...]) -> None:
    shop = await house.shop()
    before = house.counts()
    request = shop.sign("POST", "/v1/payment-inquiries", INQUIRY)
    rest = b"0\r\n\r\n" if more[0] == "Transfer-Encoding" else b""
    raw = request.raw(lines=_lines(request, more)) + rest
    await _unchanged(house, before, await shop.send_raw(raw, request.field), statuses)


@pytest.mark.parametrize("length", ["+38", "0x26", "-1", "38, 38", "3 8", "", "99999999999999999999999"])
async def test_lengths(house: House, length: str) -> None:
    shop = await house.shop()
    before = house.counts()
    request = shop.sign("POST", "/v1/payment-inquiries", INQUIRY)
    raw = request.raw(lines=_lines(request, ("Content-Length", length), drop="Content-Length"))
    await _unchanged(house, before, await shop.send_raw(raw, request.field))


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/1.1x", "http/1.1"])
async def test_versions(house: House, version: str) -> None:
    shop = await house.shop()
    before = house.counts()
    request = shop.sign("POST", "/v1/payment-inquiries", INQUIRY)
    await _unchanged(house, before, await shop.send_raw(request.raw(version=version), request.field))


async def test_a_chunked_body_is_not_read(house: House) -> None:
    shop = await house.shop()
    before = house.counts()
    request = shop.sign("POST", "/v1/payment-inquiries", INQUIRY)
    lines = _lines(request, ("Transfer-Encoding", "chunked"), drop="Content-Length")
    chunks = f"{len(INQUIRY):x}\r\n".encode() + INQUIRY + b"\r\n0\r\n\r\n"
    reply = await shop.send_raw(request.raw(lines=lines, body=chunks), request.field)
    await _unchanged(house, before, reply)
    assert reply.header("Connection") == "close"


async def test_a_get_with_a_body(house: House) -> None:
    shop = await house.shop()
    request = shop.sign("GET", "/v1/account")
    lines = _lines(request, ("Content-Length", "2"))
    reply = await shop.send_raw(request.raw(lines=lines, body=b"{}"), request.field)
    assert (reply.status, reply.slug, reply.signed) == (400, "malformed", False)


async def test_what_follows_a_refused_body_is_no_request(house: House) -> None:
    """A body longer than is read may hold a request; the connection ends, so it is never taken for one."""
    shop = await house.shop()
    hidden = shop.sign("POST", "/v1/payment-inquiries", INQUIRY).raw()
    request = shop.sign("POST", "/v1/payment-inquiries", b" " * 70_000 + hidden)
    before = house.counts()
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    writer.write(request.raw())
    reply = await read_reply(reader, shop.pki, request.field)
    assert (reply.status, reply.slug, reply.signed) == (413, "too-large", False)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert house.counts() == before


async def test_pipelined_requests_are_answered_in_order(house: House) -> None:
    shop = await house.shop()
    requests = [shop.sign("GET", f"/v1/payments?limit={n}") for n in (1, 2, 0, 3)]
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    writer.write(b"".join(request.raw() for request in requests))
    replies = [await read_reply(reader, shop.pki, request.field) for request in requests]
    writer.close()
    assert [reply.status for reply in replies] == [200, 200, 400, 200]
    assert all(reply.signed for reply in replies)


async def test_a_reply_proves_its_own_request_only(house: House) -> None:
    shop = await house.shop()
    first, second = shop.sign("GET", "/v1/account"), shop.sign("GET", "/v1/account")
    assert (await shop.send_raw(first.raw(), first.field)).signed
    assert not (await shop.send_raw(first.raw(), second.field)).signed


@pytest.mark.parametrize("authority", ["evil.example:8443", "pay.test.example", "pay.test.example:8444"])
async def test_another_authority(house: House, authority: str) -> None:
    """A signature made for another installation is no signature here."""
    shop = await house.shop()
    reply = await shop.get("/v1/account", authority=authority)
    assert (reply.status, reply.slug, reply.signed) == (401, "signature-invalid", False)


async def test_forwarding_and_override_headers_are_not_read(house: House) -> None:
    shop = await house.shop()
    request = shop.sign("GET", "/v1/account")
    more = (
        ("X-Forwarded-Host", "evil"),
        ("Forwarded", "host=evil"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Original-URL", "/v1/services"),
    )
    reply = await shop.send_raw(request.raw(lines=_lines(request, *more)), request.field)
    assert (reply.status, "available_fen" in reply.json) == (200, True)


@pytest.mark.parametrize("name", ["Signature", "Content-Digest", "Idempotency-Key", "Content-Type", "Signature-Input"])
async def test_any_covered_byte_that_changes_is_seen(house: House, name: str) -> None:
    shop = await house.shop()
    before = house.counts()
    request = shop.sign("POST", "/v1/payment-inquiries", INQUIRY, key=new_key())
    value = request.headers[name]
    middle = len(value) // 2
    changed = value[:middle] + ("b" if value[middle] != "b" else "c") + value[middle + 1 :]
    raw = request.raw(lines=_lines(request, (name, changed), drop=name))
    await _unchanged(house, before, await shop.send_raw(raw, request.field), (400, 401, 415))


async def test_a_changed_body_is_seen(house: House) -> None:
    shop = await house.shop()
    request = shop.sign("POST", "/v1/payment-inquiries", INQUIRY)
    reply = await shop.send_raw(request.raw(body=INQUIRY.replace(b"abc", b"abd")), request.field)
    assert (reply.status, reply.slug) == (401, "signature-invalid")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        b"GET /v1/account\r\n\r\n",
        b"GET /v1/account HTTP/1.1\nHost: x\n\n",
        b"GET /v1/account HTTP/1.1\r\n\r\n",
        b"CONNECT pay.test.example:8443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"get /v1/account HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_a_problem_document(
    house: House, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    shop = await house.shop()
    reply = await shop.send_raw(raw)
    assert (reply.status, reply.slug, reply.header("Connection")) == (400, "malformed", "close")
    # A stranger's bytes are no line in our log.
    assert caplog.text == ""


@pytest.mark.parametrize("where", ["target", "field"])
async def test_heads_have_a_size(house: House, where: str) -> None:
    shop = await house.shop()
    long = "x" * 9000
    raw = {
        "target": f"GET /v1/{long} HTTP/1.1\r\nHost: x\r\n\r\n",
        "field": f"GET /v1/account HTTP/1.1\r\nHost: x\r\nX-A: {long}\r\n\r\n",
    }[where]
    reply = await shop.send_raw(raw.encode())
    assert (reply.status, reply.slug) == (413, "too-large")


async def test_heads_have_a_number_of_lines(house: House) -> None:
    shop = await house.shop()
    more = "".join(f"X-{n}: 1\r\n" for n in range(100))
    reply = await shop.send_raw(f"GET /v1/account HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
    assert reply.status in (400, 413)
