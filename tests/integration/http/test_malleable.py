"""ECDSA signatures have a twin, (r, n-s), that verifies as well: it is one signature more, and passes nothing twice."""

import asyncio
import base64
from dataclasses import replace as swap
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from certs.certificates import Certificate, parse_certificate
from certs.keys import PemSigner
from tests.integration.http.house import House
from tests.integration.http.shops import Request, Shop, new_key, validity
from tests.unit.certs.forged import tlv

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def twin_of(request: Request) -> Request:
    """The same request under the other signature."""
    raw = base64.b64decode(request.headers["Signature"][4:-1])
    other = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    assert other != raw
    return swap(request, headers=request.headers | {"Signature": f"bm=:{base64.b64encode(other).decode()}:"})


def certificate_twin(one: Certificate) -> Certificate:
    """The same certificate under its CA's other signature: other bytes, another keyid."""
    parsed = one.parsed
    r, s = decode_dss_signature(parsed.signature)
    outer = bytes.fromhex("300a06082a8648ce3d040302")
    signature = tlv(3, b"\0" + encode_dss_signature(r, P256_ORDER - s))
    return parse_certificate(tlv(0x30, parsed.tbs_certificate_bytes, outer, signature))


def payment(shop: Shop, key: str) -> Request:
    body = b'{"service":"mobile.topup","biller_account":"13900000001","amount_fen":1000,"terminal_trace":"1",'
    return shop.sign("POST", "/v1/payments", body + b'"params":{"carrier":"cmcc"}}', key=key)


async def counts(house: House) -> dict[str, int]:
    """What the book holds of payments, keys, nonces and evidence."""
    tables = ("payments", "idempotency_keys", "nonces", "records", "postings")

    async def use(snapshot: Any) -> dict[str, int]:
        found = {}
        for table in tables:
            async for part in snapshot.rows(f"SELECT count(*) FROM {table}"):
                found[table] = part[0][0]
        return found

    read: dict[str, int] = await house.store.snapshot(use)
    return read


async def test_the_twin_of_a_request_buys_nothing(any_house: House) -> None:
    shop = await any_house.shop()
    request = payment(shop, new_key())
    first = await shop.send(request)
    assert (first.status, first.signed) == (202, True)
    before = await counts(any_house)
    again = await shop.send(twin_of(request))
    assert (again.slug, again.signed) == ("nonce-replayed", True), "it is answered to this very signature"
    assert await counts(any_house) == before


async def test_both_at_once(any_house: House) -> None:
    """Which of the two comes first does not matter: one payment, one nonce, one piece of evidence."""
    shop = await any_house.shop()
    request = payment(shop, new_key())
    before = await counts(any_house)
    replies = await asyncio.gather(*(shop.send(one) for one in (request, twin_of(request)) * 4))
    assert sorted(reply.slug or str(reply.status) for reply in replies) == ["202"] + ["nonce-replayed"] * 7
    after = await counts(any_house)
    assert {table: after[table] - before[table] for table in ("payments", "idempotency_keys", "nonces", "records")} == {
        "payments": 1, "idempotency_keys": 1, "nonces": 1, "records": 1,
    }  # fmt: skip


async def test_a_reply_is_of_the_signature_that_was_sent(house: House) -> None:
    """A reply to the twin proves nothing to who sent the original: turned signatures turn no answers."""
    shop = await house.shop()
    request = payment(shop, new_key())
    twin = twin_of(request)
    reply = await shop.send_raw(twin.raw(), request.field)
    assert not reply.signed


async def test_a_copy_that_came_first_is_told_from_a_failure(any_house: House) -> None:
    """Somebody on the wire delivers the request himself and swallows the 202: what the terminal then gets is signed,
    and says nothing about the payment; the inquiry does."""
    shop = await any_house.shop()
    key = new_key()
    request = payment(shop, key)
    swallowed = await shop.send(request)
    told = await shop.send(request)
    assert (told.status, told.slug, told.signed) == (401, "nonce-replayed", True)
    asked = await shop.post("/v1/payment-inquiries", {"idempotency_key": key})
    assert asked.signed
    assert asked.json["payment"]["gateway_serial"] == swallowed.json["gateway_serial"]
    retried = await shop.send(payment(shop, key))
    assert (retried.status, retried.header("Idempotent-Replayed")) == (202, "true")


async def test_the_twin_of_a_certificate_speaks_for_nobody(any_house: House) -> None:
    shop = await any_house.shop()
    other = certificate_twin(shop.signer.certificate)
    assert other.public_key_sha256 == shop.signer.certificate.public_key_sha256
    assert other.keyid != shop.signer.keyid
    stranger = Shop(shop.code, PemSigner(other, shop.signer._key), shop.pki, shop.port)
    assert (await stranger.get("/v1/account")).slug == "certificate-unknown"
    from gateway.core.items import RegisterCertificate
    from gateway.store.port import StoreError

    item = RegisterCertificate(
        keyid=other.keyid, der=other.der, role="station", public_key_sha256=other.public_key_sha256, **validity(other)
    )
    try:
        refused = await any_house.store.run(item)
    except StoreError as error:
        refused = error
    assert not hasattr(refused, "count"), "a key is registered once"
    assert (await stranger.get("/v1/account")).slug == "certificate-unknown"
