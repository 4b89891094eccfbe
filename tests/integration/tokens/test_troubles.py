"""What a USB key does that SoftHSM never does: warns, locks, breaks, disappears in the middle of a signature."""

import subprocess
import threading
import time
from pathlib import Path

import pytest
from pkcs11.constants import Attribute, CertificateType, ObjectClass

from certs.certificates import CertificateError, parse_certificate
from certs.core.algorithms import KeyKind, read_dates
from certs.core.profile import holds
from certs.tokens import enrol
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.key import find_key
from certs.tokens.library import TokenSpec
from certs.tokens.opened import OpenToken
from certs.tokens.pins import AskedPin, FdPin, PinAsk, PinWarning
from certs.tokens.signer import TokenSigner
from tests.integration.tokens.material import (
    DATA,
    KEY_ID,
    NOW,
    Bureau,
    PinBook,
    Shop,
    fresh_key,
    make_shop,
    pem,
    trouble,
)
from tests.stand.softhsm import SoftHsm, UsbKey

FUNCTION_FAILED, DEVICE_ERROR, DEVICE_REMOVED, TOKEN_NOT_PRESENT, GENERAL_ERROR = 0x06, 0x30, 0x32, 0xE0, 0x05
VENDOR = 0x80000001


def the_usb(shop: Shop) -> UsbKey:
    """Its USB key."""
    assert shop.usb is not None
    return shop.usb


def test_each_wrong_pin_counts_down_to_the_lock(keyed: Shop) -> None:
    usb, seen = the_usb(keyed), []
    for _ in range(3):
        book = PinBook("111111")
        seen.append((trouble(lambda b=book: keyed.open(b)), usb.tries_left, book.asked[0].warnings))
    assert seen == [
        (Trouble.PIN_FEW_TRIES, 2, ()),
        (Trouble.PIN_LAST_TRY, 1, (PinWarning.FEW_TRIES,)),
        (Trouble.PIN_LOCKED, 0, (PinWarning.LAST_TRY, PinWarning.FEW_TRIES)),
    ]
    assert usb.calls("C_Login") == 3
    book = PinBook()
    assert trouble(lambda: keyed.open(book)) is Trouble.PIN_LOCKED
    assert (book.asked, usb.calls("C_Login")) == ([], 3), "a locked key is not tried, and nobody is asked"


def test_the_right_pin_resets_the_count_and_the_warning_is_told(keyed: Shop) -> None:
    trouble(lambda: keyed.open(PinBook("111111")))
    signer = keyed.open()
    assert signer.warnings == (PinWarning.FEW_TRIES,)
    assert the_usb(keyed).tries_left == 3
    signer.close()


def test_a_pin_from_a_file_never_risks_the_last_try(keyed: Shop, tmp_path: Path) -> None:
    usb = the_usb(keyed)
    usb.set("tries", 1)
    with (tmp_path / "pin").open("w+b") as file:
        file.write(b"246810\n")
        file.seek(0)
        source = FdPin(file.fileno())
        assert trouble(lambda: keyed.open(source)) is Trouble.PIN_NOT_RISKED
        assert (usb.calls("C_Login"), usb.tries_left) == (0, 1)
    typed: list[PinAsk] = []

    def prompt(ask: PinAsk) -> str:
        typed.append(ask)
        return "246810"

    signer = keyed.open(AskedPin(prompt))
    assert typed[0].warnings[0] is PinWarning.LAST_TRY
    signer.close()


def test_a_pin_to_be_changed_is_told_and_refused_where_the_key_refuses(keyed: Shop) -> None:
    usb = the_usb(keyed)
    usb.set("flags", 0x80000)
    signer = keyed.open()
    assert signer.warnings == (PinWarning.TO_BE_CHANGED,)
    signer.close()
    usb.script("C_Login", 0xA3)
    assert trouble(keyed.open) is Trouble.PIN_TO_BE_CHANGED


@pytest.mark.parametrize(
    ("call", "rv", "expected"),
    [
        ("C_Login", 0xA0, Trouble.PIN_WRONG),
        ("C_Login", 0xA1, Trouble.PIN_MALFORMED),
        ("C_Login", 0xA2, Trouble.PIN_MALFORMED),
        ("C_Login", 0xA4, Trouble.PIN_LOCKED),
        ("C_Login", 0x102, Trouble.PIN_NOT_SET),
        ("C_Login", FUNCTION_FAILED, Trouble.DEVICE_ERROR),
        ("C_Login", DEVICE_REMOVED, Trouble.REMOVED),
        ("C_Initialize", GENERAL_ERROR, Trouble.MODULE_UNUSABLE),
        ("C_GetSlotList", DEVICE_ERROR, Trouble.DEVICE_ERROR),
        ("C_GetTokenInfo", TOKEN_NOT_PRESENT, Trouble.NO_TOKEN),
        ("C_GetTokenInfo", DEVICE_ERROR, Trouble.DEVICE_ERROR),
        ("C_OpenSession", TOKEN_NOT_PRESENT, Trouble.REMOVED),
        ("C_OpenSession", 0xB1, Trouble.DEVICE_BUSY),
        ("C_SignInit", 0x70, Trouble.MECHANISM_UNSUPPORTED),
        ("C_SignInit", 0x63, Trouble.MECHANISM_UNSUPPORTED),
        ("C_Sign", VENDOR, Trouble.DEVICE_ERROR),
    ],
)
def test_every_return_code_at_opening_has_its_words(keyed: Shop, call: str, rv: int, expected: Trouble) -> None:
    the_usb(keyed).script(call, rv)
    logins = the_usb(keyed).calls("C_Login")
    assert trouble(keyed.open) is expected
    assert the_usb(keyed).calls("C_Login") - logins <= 1
    the_usb(keyed).mend(call)
    signer = keyed.open()
    assert signer.sign(DATA)
    signer.close()


@pytest.mark.parametrize(
    "rv", [DEVICE_REMOVED, TOKEN_NOT_PRESENT, 0xB3, 0x60, 0x82, 0x101, 0x90, FUNCTION_FAILED, VENDOR]
)
def test_pulled_in_the_middle_of_a_signature(keyed: Shop, rv: int) -> None:
    usb, book = the_usb(keyed), PinBook()
    signer = keyed.open(book)
    usb.script("C_Sign", rv, times=1)
    usb.set("pull_at_sign")
    assert trouble(lambda: signer.sign(DATA)) is Trouble.REMOVED
    assert trouble(lambda: signer.sign(DATA)) is Trouble.REMOVED
    usb.plug()
    assert holds(keyed.certificate, signer.alg, DATA, signer.sign(DATA))
    assert len(book.asked) == 2
    signer.close()


def test_out_and_in_between_two_signatures(keyed: Shop) -> None:
    usb, book = the_usb(keyed), PinBook()
    signer = keyed.open(book)
    usb.pull()
    trouble(lambda: signer.sign(DATA))
    usb.plug()
    before = usb.calls("C_Finalize")
    assert signer.sign(DATA)
    assert usb.calls("C_Finalize") > before - 1
    usb.script("C_SignInit", 0xB3, times=1)
    assert signer.sign(DATA), "a session that died with the key still there is renewed at once"
    assert len(book.asked) == 3
    signer.close()


@pytest.mark.parametrize("rv", [FUNCTION_FAILED, DEVICE_ERROR, GENERAL_ERROR, VENDOR])
def test_a_hiccup_with_the_key_in_place_is_told_and_passes(keyed: Shop, rv: int) -> None:
    usb, book = the_usb(keyed), PinBook()
    signer = keyed.open(book)
    usb.script("C_Sign", rv, times=1)
    assert trouble(lambda: signer.sign(DATA)) in {Trouble.DEVICE_ERROR, Trouble.DEVICE_BUSY}
    assert signer.sign(DATA)
    assert len(book.asked) == 1
    signer.close()


def test_a_driver_that_hangs_is_given_up_and_holds_up_nobody(keyed: Shop) -> None:
    usb = the_usb(keyed)
    signer = keyed.open(within_s=0.3)
    usb.script("C_Sign", 0, times=1, sleep_ms=1500)
    assert trouble(lambda: signer.sign(DATA)) is Trouble.NO_ANSWER
    asked = usb.calls("C_Sign")
    assert trouble(lambda: signer.sign(DATA)) is Trouble.NO_ANSWER
    assert usb.calls("C_Sign") == asked, "nobody else is let in to wait as well"
    time.sleep(1.5)
    assert signer.sign(DATA), "it came back after all"
    signer.close()


def test_a_queue_behind_a_slow_key_is_not_signed_late(keyed: Shop) -> None:
    usb = the_usb(keyed)
    signer = keyed.open(within_s=0.4)
    usb.script("C_Sign", 0, times=1, sleep_ms=1000)
    before, ends = usb.calls("C_Sign"), []

    def sign() -> None:
        try:
            signer.sign(DATA)
        except TokenFault as fault:
            ends.append(fault.trouble)

    threads = [threading.Thread(target=sign) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    time.sleep(1)
    assert ends == [Trouble.NO_ANSWER] * 3
    assert usb.calls("C_Sign") - before == 1
    signer.close()


def test_a_spoilt_signature_never_leaves(keyed: Shop) -> None:
    signer = keyed.open()
    the_usb(keyed).set("bend")
    assert trouble(lambda: signer.sign(DATA)) is Trouble.BAD_SIGNATURE
    signer.close()


def test_a_key_that_could_leave_the_token_is_destroyed_again(keyed: Shop) -> None:
    the_usb(keyed).set("careless")
    token = OpenToken.open(keyed.spec, PinBook(), writable=True)
    assert trouble(lambda: enrol.make_key(token, enrol.NewKey.EC_P256, "new")) is Trouble.KEY_EXTRACTABLE
    token.close()
    signer = keyed.open()
    assert signer.keyid == keyed.certificate.keyid
    signer.close()


def test_pulled_while_a_key_is_made_makes_no_second_one(keyed: Shop) -> None:
    usb, book = the_usb(keyed), PinBook()
    token = OpenToken.open(keyed.spec, book, writable=True)
    usb.script("C_GenerateKeyPair", DEVICE_REMOVED, times=1)
    assert trouble(lambda: enrol.make_key(token, enrol.NewKey.EC_P256, "new")) is Trouble.REMOVED
    assert len(book.asked) == 1
    token.close()


def test_an_sm2_certificate_is_refused_in_so_many_words(hsm: SoftHsm, bureau: Bureau, tmp_path: Path) -> None:
    shop = make_shop(hsm, bureau)
    der = sm2_certificate(tmp_path)
    token = OpenToken.open(shop.spec, PinBook(), writable=True)
    (old,) = token.run(lambda session: list(session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE})))
    content = {
        Attribute.CLASS: ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
        Attribute.TOKEN: True,
        Attribute.ID: bytes.fromhex(KEY_ID),
        Attribute.SUBJECT: b"\x30\x00",
        Attribute.VALUE: der,
    }
    token.run(lambda session: old.destroy())
    token.run(lambda session: session.create_object(content))
    token.close()
    with pytest.raises(TokenFault) as caught:
        TokenSigner.open(shop.spec, PinBook(), now=NOW)
    assert caught.value.trouble is Trouble.SM2_UNSUPPORTED
    assert "SM2" in caught.value.shop_text
    dates = read_dates(der)
    assert dates.kind is KeyKind.SM2
    assert dates.not_before < dates.not_after
    with pytest.raises(CertificateError, match="SM2"):
        parse_certificate(der)


@pytest.mark.parametrize("kind", ["p384", "rsa1024"])
def test_a_key_outside_the_profile_is_refused(hsm: SoftHsm, kind: str) -> None:
    hsm.import_key(hsm.make_token("shop"), pem(fresh_key(kind)), key_id=KEY_ID)
    token = OpenToken.open(TokenSpec(module=hsm.module, token="shop"), PinBook())
    assert trouble(lambda: find_key(token)) is Trouble.KEY_UNFIT
    token.close()


def sm2_certificate(folder: Path) -> bytes:
    """A self-signed SM2 certificate by openssl, DER; skips the test by name where openssl has no SM2."""
    key, made = folder / "sm2.key", folder / "sm2.der"
    for command in (
        f"genpkey -algorithm SM2 -out {key}",
        f"req -x509 -new -key {key} -sm3 -subj /CN=0001 -outform DER -out {made} -sigopt distid:1234567812345678",
    ):
        if subprocess.run(["openssl", *command.split()], capture_output=True, check=False).returncode:
            pytest.skip("this openssl makes no SM2 certificate")
    return made.read_bytes()
