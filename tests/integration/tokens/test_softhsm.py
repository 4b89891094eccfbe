"""Signing with a real PKCS#11 module: found, opened, signed with, unplugged and back."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from certs.core.profile import RequestHead, SignedRequest, holds, read_request, sign_request, verify
from certs.tokens import library
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.library import TokenSpec
from certs.tokens.opened import OpenToken
from certs.tokens.signer import TokenSigner
from tests.integration.tokens.material import (
    DATA,
    KEY_ID,
    NOW,
    Bureau,
    PinBook,
    Shop,
    fresh_key,
    later,
    make_shop,
    pem,
    put_certificate,
    trouble,
)
from tests.stand.softhsm import SoftHsm

AUTHORITY = "pay.bianmin.example:8443"


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_request_signed_with_a_token_is_a_signed_request(hsm: SoftHsm, bureau: Bureau, kind: str) -> None:
    shop = make_shop(hsm, bureau, kind=kind)
    signer = shop.open()
    headers = sign_request(
        signer, method="POST", authority=AUTHORITY, target="/v1/payments", body=b"{}", content_type="application/json",
        idempotency_key="T1-20261124-000123", created=int(NOW.timestamp()), expires=int(NOW.timestamp()) + 300,
        nonce="bm-test-nonce-0001",
    )  # fmt: skip
    lines = [("Host", AUTHORITY), *headers.items()]
    read = read_request(RequestHead("POST", "/v1/payments", lines, b"{}"), frozenset({AUTHORITY}))
    assert isinstance(read, SignedRequest), read
    assert verify(read, shop.certificate)
    assert (signer.keyid, signer.certificate_der) == (shop.certificate.keyid, shop.certificate.der)
    assert signer.key_serial == shop.token.serial
    signer.close()


def test_found_by_label_serial_or_both(shop: Shop, hsm: SoftHsm, bureau: Bureau) -> None:
    other = make_shop(hsm, bureau, label="other")
    module = hsm.module
    for spec, wanted in (
        (TokenSpec(module=module, token="shop"), shop),
        (TokenSpec(module=module, key_serial=other.token.serial), other),
        (TokenSpec(module=module, token="other", key_serial=other.token.serial, key_id=KEY_ID), other),
    ):
        signer = TokenSigner.open(spec, PinBook(), now=NOW)
        assert signer.keyid == wanted.certificate.keyid
        signer.close()
    assert trouble(lambda: TokenSigner.open(TokenSpec(module=module), PinBook(), now=NOW)) is Trouble.SEVERAL_TOKENS
    crossed = TokenSpec(module=module, token="shop", key_serial=other.token.serial)
    assert trouble(lambda: TokenSigner.open(crossed, PinBook(), now=NOW)) is Trouble.NO_TOKEN


def test_module_missing_or_no_module(hsm: SoftHsm, tmp_path: Path) -> None:
    nowhere = TokenSpec(module=tmp_path / "nowhere.so")
    assert trouble(lambda: TokenSigner.open(nowhere, PinBook(), now=NOW)) is Trouble.MODULE_MISSING
    (tmp_path / "text.so").write_text("no library")
    text = TokenSpec(module=tmp_path / "text.so")
    assert trouble(lambda: TokenSigner.open(text, PinBook(), now=NOW)) is Trouble.MODULE_UNUSABLE


def test_no_token_and_a_token_without_a_key(hsm: SoftHsm) -> None:
    spec = TokenSpec(module=hsm.module, token="shop")
    asked = PinBook()
    assert trouble(lambda: TokenSigner.open(spec, asked, now=NOW)) is Trouble.NO_TOKEN
    assert asked.asked == []
    hsm.make_token("shop")
    assert trouble(lambda: TokenSigner.open(spec, asked, now=NOW)) is Trouble.NO_KEY
    assert len(asked.asked) == 1


def test_a_certificate_may_be_given_and_must_be_the_keys_own(hsm: SoftHsm, bureau: Bureau) -> None:
    token, key = hsm.make_token("shop"), fresh_key()
    hsm.import_key(token, pem(key), key_id=KEY_ID)
    spec = TokenSpec(module=hsm.module, token="shop")
    assert trouble(lambda: TokenSigner.open(spec, PinBook(), now=NOW)) is Trouble.NO_CERTIFICATE
    own = bureau.issue(key.public_key())
    signer = TokenSigner.open(spec, PinBook(), now=NOW, certificate=own)
    assert holds(own, signer.alg, DATA, signer.sign(DATA))
    signer.close()
    for kind in ("ec", "rsa"):
        foreign = bureau.issue(fresh_key(kind).public_key())
        assert trouble(lambda f=foreign: TokenSigner.open(spec, PinBook(), now=NOW, certificate=f)) is Trouble.MISMATCH


def test_certificate_out_of_date(shop: Shop) -> None:
    assert trouble(lambda: shop.open(now=later(9999))) is Trouble.CERTIFICATE_EXPIRED
    assert trouble(lambda: shop.open(now=later(-1))) is Trouble.CERTIFICATE_NOT_YET_VALID
    assert trouble(lambda: shop.open(now=shop.certificate.not_after)) is Trouble.CERTIFICATE_EXPIRED


def test_two_certificates_in_force_must_be_told_apart(shop: Shop) -> None:
    expired = Bureau(later(-8000)).issue(shop.certificate.public_key, later(-8000))
    put_certificate(shop.hsm, shop.token, expired)
    signer = shop.open()
    assert signer.keyid == shop.certificate.keyid
    signer.close()
    put_certificate(shop.hsm, shop.token, shop.bureau.issue(shop.certificate.public_key, operator="0002"))
    assert trouble(shop.open) is Trouble.SEVERAL_KEYS
    signer = shop.open(certificate=shop.certificate)
    assert signer.keyid == shop.certificate.keyid
    signer.close()


@pytest.mark.parametrize("pins", [("111111",), ("9",), ("",)])
def test_a_wrong_pin_is_tried_once(shop: Shop, pins: tuple[str, ...]) -> None:
    book = PinBook(*pins)
    fault = trouble(lambda: shop.open(book))
    # SoftHSM sets its flag after the first wrong PIN and never locks.
    assert fault in {Trouble.PIN_FEW_TRIES, Trouble.PIN_WRONG, Trouble.PIN_MALFORMED}
    assert len(book.asked) == 1
    book = PinBook()
    signer = shop.open(book)
    assert len(book.asked) == 1
    signer.close()


def test_a_good_login_after_a_bad_one_is_no_leftover_of_it(shop: Shop) -> None:
    """A session of the failed try must not keep the token open: then a wrong PIN would do."""
    trouble(lambda: shop.open(PinBook("111111")))
    shop.open().close()
    assert trouble(lambda: shop.open(PinBook("111111"))) is Trouble.PIN_FEW_TRIES


def test_unplugged_says_so_and_plugged_in_again_goes_on(shop: Shop) -> None:
    book = PinBook()
    signer = shop.open(book)
    shop.hsm.unplug(shop.token)
    for _ in range(3):
        assert trouble(lambda: signer.sign(DATA)) is Trouble.REMOVED
    assert len(book.asked) == 1
    shop.hsm.plug(shop.token)
    assert holds(shop.certificate, signer.alg, DATA, signer.sign(DATA))
    assert [(ask.again, ask.key_serial) for ask in book.asked] == [
        (False, shop.token.serial),
        (True, shop.token.serial),
    ]
    signer.close()


def test_another_key_under_the_same_label_is_not_the_same(hsm: SoftHsm, bureau: Bureau) -> None:
    impostor = make_shop(hsm, bureau)
    hsm.unplug(impostor.token)
    shop, book = make_shop(hsm, bureau), PinBook()
    signer = shop.open(book)
    hsm.unplug(shop.token)
    hsm.plug(impostor.token)
    assert trouble(lambda: signer.sign(DATA)) is Trouble.REMOVED
    assert len(book.asked) == 1
    shop.hsm.unplug(impostor.token)
    shop.hsm.plug(shop.token)
    assert signer.sign(DATA)
    signer.close()


def test_a_pin_refused_after_coming_back_is_the_end(shop: Shop) -> None:
    book = PinBook("246810", "111111")
    signer = shop.open(book)
    shop.hsm.unplug(shop.token)
    trouble(lambda: signer.sign(DATA))
    shop.hsm.plug(shop.token)
    for _ in range(3):
        assert trouble(lambda: signer.sign(DATA)) is Trouble.PIN_FEW_TRIES
    assert len(book.asked) == 2
    signer.close()


def test_no_pin_given_again_may_be_given_later(shop: Shop) -> None:
    book = PinBook("246810", then=None)
    signer = shop.open(book)
    shop.hsm.unplug(shop.token)
    trouble(lambda: signer.sign(DATA))
    shop.hsm.plug(shop.token)
    assert trouble(lambda: signer.sign(DATA)) is Trouble.PIN_NEEDED
    book._then = "246810"
    assert signer.sign(DATA)
    signer.close()


def test_two_signers_of_one_token_share_its_login(shop: Shop) -> None:
    first, book = shop.open(), PinBook()
    second = shop.open(book)
    assert book.asked == []
    first.close()
    assert second.sign(DATA)
    assert trouble(lambda: first.sign(DATA)) is Trouble.CLOSED
    second.close()
    assert trouble(lambda: shop.open(PinBook("111111"))) is Trouble.PIN_FEW_TRIES


def test_two_tokens_of_one_module_survive_each_other(shop: Shop, bureau: Bureau) -> None:
    other = make_shop(shop.hsm, bureau, label="other", kind="rsa")
    first, second = shop.open(), other.open()
    shop.hsm.unplug(shop.token)
    assert trouble(lambda: first.sign(DATA)) is Trouble.REMOVED
    assert holds(other.certificate, second.alg, DATA, second.sign(DATA))
    # SoftHSM sees what is plugged in only when it is initialised, which would cost the other one its login.
    shop.hsm.plug(shop.token)
    assert trouble(lambda: first.sign(DATA)) is Trouble.REMOVED
    second.close()
    assert first.sign(DATA)
    first.close()


def test_many_threads_take_turns_also_over_a_replug(shop: Shop) -> None:
    book = PinBook()
    signer = shop.open(book)

    def sign(number: int) -> bool:
        data = b"%d" % number
        return holds(shop.certificate, signer.alg, data, signer.sign(data))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(sign, range(200)))
        shop.hsm.unplug(shop.token)
        trouble(lambda: signer.sign(DATA))
        shop.hsm.plug(shop.token)
        assert all(pool.map(sign, range(200)))
    assert len(book.asked) == 2
    signer.close()


async def test_the_event_loop_goes_on_while_a_token_signs(keyed: Shop) -> None:
    signer = await asyncio.to_thread(keyed.open)
    assert keyed.usb is not None
    keyed.usb.script("C_Sign", 0, times=1, sleep_ms=400)
    ticks, signing = 0, asyncio.create_task(asyncio.to_thread(signer.sign, DATA))
    while not signing.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert await signing
    assert ticks > 15
    await asyncio.to_thread(signer.close)


def test_closed_means_finalised_and_no_thread_left(shop: Shop) -> None:
    signer = shop.open()
    names = {one.name for one in threading.enumerate()}
    assert f"token {shop.hsm.module.name}" in names
    signer.close()
    signer.close()
    assert f"token {shop.hsm.module.name}" not in {one.name for one in threading.enumerate()}
    assert not library.library(shop.hsm.module).is_open


FORK = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from certs.tokens.faults import TokenFault
from certs.tokens.library import TokenSpec
from certs.tokens.pins import Pin
from certs.tokens.signer import TokenSigner

spec = TokenSpec(module=Path(sys.argv[1]), token="shop")
def open():
    return TokenSigner.open(spec, lambda ask: Pin("246810"), now=datetime.now(UTC))
def told(work):
    try:
        return len(work())
    except TokenFault as fault:
        return fault.trouble
signer = open()
if not (child := os.fork()):
    print("child", told(lambda: signer.sign(b"x")), told(lambda: open().sign(b"x")), signer.close(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("parent", told(lambda: signer.sign(b"x")), flush=True)
signer.close()
if not (child := os.fork()):
    print("late child", told(lambda: open().sign(b"x")), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_child_never_uses_the_parents_session(shop: Shop) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK, str(shop.hsm.module)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["child forked forked None", "parent 64", "late child 64"], done.stderr


def test_the_pin_is_held_by_nobody(shop: Shop) -> None:
    signer = shop.open()
    assert "246810" not in _held_text(signer)
    signer.close()
    with pytest.raises(TokenFault) as caught:
        shop.open(PinBook("864209"))
    trace, seen = caught.value.__traceback__, 0
    while trace is not None:
        # The frames of this test and its source know the PIN; those of the product may not.
        if "certs/tokens" in trace.tb_frame.f_code.co_filename:
            seen += 1
            assert "864209" not in _held_text(dict(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert seen > 3


def _held_text(start: Any) -> str:
    """repr of everything that is reached over attributes and containers, the test's own PIN book left out."""
    seen: dict[int, Any] = {}
    todo = [start]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, PinBook | ModuleType | type):
            continue
        seen[id(one)] = one
        if isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            todo += list(one)
        todo += list(getattr(one, "__dict__", {}).values())
        todo += [getattr(one, name) for name in getattr(type(one), "__slots__", ()) if hasattr(one, name)]
        if isinstance(one, FunctionType):
            todo += [cell.cell_contents for cell in one.__closure__ or ()]
    return " ".join(repr(one) for one in seen.values() if isinstance(one, str | bytes))


def test_a_writable_token_is_not_shared_with_a_reader(shop: Shop) -> None:
    signer = shop.open()
    assert trouble(lambda: OpenToken.open(shop.spec, PinBook(), writable=True)) is Trouble.DEVICE_BUSY
    assert signer.sign(DATA)
    signer.close()


def test_key_id_names_one_of_several_keys(shop: Shop) -> None:
    key = fresh_key()
    shop.hsm.import_key(shop.token, pem(key), key_id="c3d4")
    second = shop.bureau.issue(key.public_key())
    put_certificate(shop.hsm, shop.token, second)
    assert trouble(shop.open) is Trouble.SEVERAL_KEYS
    for key_id, wanted in ((KEY_ID, shop.certificate), ("c3d4", second)):
        signer = TokenSigner.open(replace(shop.spec, key_id=key_id), PinBook(), now=NOW)
        assert signer.keyid == wanted.keyid
        signer.close()
    assert trouble(lambda: TokenSigner.open(replace(shop.spec, key_id="ff"), PinBook(), now=NOW)) is Trouble.NO_KEY
