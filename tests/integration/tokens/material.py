"""A shop's key and certificate, and a USB key that holds them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import pilot
from certs.certificates import Certificate, PublicKey, Role
from certs.tokens import enrol
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.library import TokenSpec
from certs.tokens.opened import OpenToken
from certs.tokens.pins import Pin, PinAsk
from certs.tokens.signer import TokenSigner
from tests.stand.softhsm import PIN, SoftHsm, SoftToken, UsbKey

NOW = datetime.now(UTC)
KEY_ID = "a1b2"
DATA = b"what a terminal signs"


class PinBook:
    """A PIN source that counts and remembers what it was asked."""

    def __init__(self, *pins: str, then: str | None = PIN) -> None:
        self._pins, self._then = list(pins), then
        self.asked: list[PinAsk] = []

    def __call__(self, ask: PinAsk) -> Pin:
        self.asked.append(ask)
        pin = self._pins.pop(0) if self._pins else self._then
        if pin is None:
            raise TokenFault(Trouble.PIN_NEEDED)
        return Pin(pin)


class Bureau:
    """A pilot CA that issues station certificates."""

    def __init__(self, now: datetime = NOW) -> None:
        root = pilot.make_root("示范县邮政局", now)
        self._issuing = pilot.make_issuing(root, now)
        self.root, self.issuing = root.certificate, self._issuing.certificate

    def issue(self, key: PublicKey, now: datetime = NOW, *, operator: str = "0001") -> Certificate:
        """A station certificate."""
        return pilot.issue(
            self._issuing,
            Role.STATION,
            key,
            operator=operator,
            institution_code="33078200017",
            usb_key_serial="UK1",
            now=now,
        )


def fresh_key(kind: str = "ec") -> Any:
    """A private key: ec, p384, rsa, rsa1024."""
    if kind in {"ec", "p384"}:
        return ec.generate_private_key(ec.SECP256R1() if kind == "ec" else ec.SECP384R1())
    return rsa.generate_private_key(65537, 1024 if kind == "rsa1024" else 2048)


def pem(key: Any) -> bytes:
    """Unencrypted PKCS#8."""
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made


@dataclass(frozen=True)
class Shop:
    """A token with a key and its certificate."""

    hsm: SoftHsm
    token: SoftToken
    bureau: Bureau
    certificate: Certificate
    usb: UsbKey | None = None

    @property
    def spec(self) -> TokenSpec:
        """By label, through the USB key where there is one."""
        return TokenSpec(module=self.usb.module if self.usb else self.hsm.module, token=self.token.label)

    def open(self, pin: Any = None, **change: Any) -> TokenSigner:
        """Its signer."""
        return TokenSigner.open(self.spec, pin or PinBook(), **({"now": NOW} | change))


def make_shop(
    hsm: SoftHsm, bureau: Bureau, *, kind: str = "ec", label: str = "shop", usb: UsbKey | None = None
) -> Shop:
    """A token with a key made outside, and its certificate written beside it."""
    token, key = hsm.make_token(label), fresh_key(kind)
    hsm.import_key(token, pem(key), key_id=KEY_ID)
    certificate = bureau.issue(key.public_key())
    put_certificate(hsm, token, certificate)
    return Shop(hsm, token, bureau, certificate, usb)


def put_certificate(hsm: SoftHsm, token: SoftToken, certificate: Certificate) -> None:
    """Write a certificate beside the key it belongs to."""
    opened = OpenToken.open(TokenSpec(module=hsm.module, token=token.label), PinBook(), writable=True)
    try:
        enrol.install(opened, certificate, enrol.key_of(opened, certificate))
    finally:
        opened.close()


def later(days: int) -> datetime:
    """So many days from now."""
    return NOW + timedelta(days=days)


def trouble(work: Any) -> Trouble:
    """The trouble some work ends in."""
    with pytest.raises(TokenFault) as caught:
        work()
    return caught.value.trouble
