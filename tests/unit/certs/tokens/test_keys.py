"""Which key is meant, and how its signatures are put into the profile's form. No token is needed."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from pkcs11.constants import Attribute
from pkcs11.mechanisms import KeyType, Mechanism

from certs.certificates import Certificate
from certs.core.algorithms import KeyKind, key_kind, read_dates
from certs.core.headers import ALG_EC, ALG_RSA
from certs.tokens.algorithms import ALGORITHMS
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.key import read_public
from certs.tokens.keys import KeyPlace, choose
from tests.unit.certs.material import certificate

STATION, RSA = certificate("station"), certificate("station_rsa")
NOW = STATION.not_before + timedelta(days=1)
ONE, TWO = b"\x01", b"\x02"


def place(key_id: bytes = ONE, kind: KeyType = KeyType.EC) -> KeyPlace:
    """A key."""
    return KeyPlace(key_id=key_id, label="", key_type=kind)


def chosen(
    keys: list[KeyPlace], held: list[tuple[bytes, bytes]], given: Certificate | None = None, days: int = 0
) -> str | Trouble:
    """The keyid that is chosen, or the trouble."""
    try:
        return choose(keys, held, NOW + timedelta(days=days), given)[1].keyid
    except TokenFault as fault:
        return fault.trouble


def test_the_certificate_beside_the_key() -> None:
    ca = certificate("issuing")
    held = [(TWO, ca.der), (ONE, STATION.der), (b"", certificate("root").der)]
    assert chosen([place()], held) == STATION.keyid
    assert chosen([place(TWO, KeyType.EC), place()], [(ONE, STATION.der)]) == STATION.keyid
    assert chosen([place(), place(TWO, KeyType.RSA)], [(ONE, STATION.der), (TWO, RSA.der)]) is Trouble.SEVERAL_KEYS
    assert chosen([place()], [(ONE, STATION.der), (ONE, STATION.der)]) == STATION.keyid
    assert chosen([place()], [(TWO, STATION.der)]) is Trouble.NO_CERTIFICATE
    assert chosen([place()], [(ONE, b"no certificate")]) is Trouble.NO_CERTIFICATE
    assert chosen([], held) is Trouble.NO_KEY


def test_a_certificate_that_is_given() -> None:
    assert chosen([place()], [], STATION) == STATION.keyid
    assert chosen([place(), place(TWO)], [], STATION) is Trouble.NO_CERTIFICATE
    assert chosen([place(), place(TWO)], [(TWO, STATION.der)], STATION) == STATION.keyid


def test_out_of_date_is_passed_over_where_another_is_not() -> None:
    assert chosen([place()], [(ONE, STATION.der)], days=99999) is Trouble.CERTIFICATE_EXPIRED
    assert chosen([place()], [(ONE, STATION.der)], days=-2) is Trouble.CERTIFICATE_NOT_YET_VALID
    edge = STATION.not_after
    with pytest.raises(TokenFault):
        choose([place()], [(ONE, STATION.der)], edge, None)
    assert choose([place()], [(ONE, STATION.der)], edge - timedelta(seconds=1), None)[1] == STATION
    assert choose([place()], [(ONE, STATION.der)], STATION.not_before, None)[1] == STATION


def test_a_key_outside_the_profile_is_not_chosen() -> None:
    assert chosen([place()], [], replace(STATION, alg="")) is Trouble.KEY_UNFIT


def test_rsa_gets_the_digest_info_and_gives_pkcs1() -> None:
    algorithm = ALGORITHMS[ALG_RSA]
    key = rsa.generate_private_key(65537, 2048)
    prepared = algorithm.prepare(b"data")
    # RSA_PKCS is the private operation over the padded DigestInfo: recovering it shows what was signed.
    whole = key.sign(b"data", padding.PKCS1v15(), SHA256())
    numbers = key.public_key().public_numbers()
    recovered = pow(int.from_bytes(whole), numbers.e, numbers.n).to_bytes(256)
    assert recovered == b"\x00\x01" + b"\xff" * (256 - 3 - len(prepared)) + b"\x00" + prepared
    assert algorithm.finish(whole) == whole
    assert (algorithm.mechanism, algorithm.key_type) == (Mechanism.RSA_PKCS, KeyType.RSA)


def test_ecdsa_gets_the_hash_and_gives_r_and_s_also_from_der() -> None:
    algorithm = ALGORITHMS[ALG_EC]
    assert algorithm.prepare(b"data") == hashlib.sha256(b"data").digest()
    plain = bytes(range(64))
    assert algorithm.finish(plain) == plain
    r, s = 5, 2**256 - 1
    assert algorithm.finish(encode_dss_signature(r, s)) == r.to_bytes(32) + s.to_bytes(32)
    for strange in (b"", plain[:63], plain + b"\0", encode_dss_signature(2**256, 1), b"\x30\x00"):
        with pytest.raises(ValueError):
            algorithm.finish(strange)


def test_public_keys_as_drivers_tell_them() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    numbers = key.public_numbers()
    point = b"\x04" + numbers.x.to_bytes(32) + numbers.y.to_bytes(32)
    assert read_public({Attribute.EC_POINT: b"\x04\x41" + point, Attribute.MODULUS: None}) == key
    assert read_public({Attribute.EC_POINT: point, Attribute.MODULUS: None}) == key
    assert read_public({Attribute.EC_POINT: None, Attribute.MODULUS: None}) is None
    with pytest.raises(TokenFault) as caught:
        read_public({Attribute.EC_POINT: b"\x04" + b"\x01" * 64, Attribute.MODULUS: None})
    assert caught.value.trouble is Trouble.KEY_UNFIT
    big = rsa.generate_private_key(65537, 2048).public_key()
    for exponent in (65537, b"\x01\x00\x01"):
        told = {
            Attribute.EC_POINT: None,
            Attribute.MODULUS: big.public_numbers().n,
            Attribute.PUBLIC_EXPONENT: exponent,
        }
        assert read_public(told) == big


def test_kinds_and_dates() -> None:
    assert (key_kind(STATION.parsed), key_kind(RSA.parsed)) == (KeyKind.EC_P256, KeyKind.RSA)
    told = read_dates(STATION.der)
    assert (told.keyid, told.serial, told.not_after) == (STATION.keyid, STATION.serial, STATION.not_after)
    with pytest.raises(ValueError):
        read_dates(b"no certificate")
