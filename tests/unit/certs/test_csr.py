"""Requests: the key and its proof of possession count, the name does not, and no weak key gets through."""

import base64
import random
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from math import gcd, isqrt, prod
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.authority.issuing import issue, make_key
from certs.authority.profiles import profile
from certs.authority.requests import build_csr
from certs.authority.signing import KeyStaysInside, as_private_key
from certs.core.certificate_requests import KnownKeys, RequestRefused, check_key, key_digest, read_request
from certs.core.certificates import PublicKey
from certs.core.weak_keys import (
    has_close_primes,
    has_roca_fingerprint,
    is_on_p256,
    rsa_weakness,
    shares_factor,
    weakness,
)
from certs.keys import PemSigner, PrivateKey
from tests.unit.certs.forged import ISSUING, KEY, SHOP, integer, spki_of, tlv
from tests.unit.certs.material import NOW, signer

NOTHING = KnownKeys()
RSA_KEY = rsa.generate_private_key(65537, 2048)


def refused(data: bytes, known: KnownKeys = NOTHING) -> str:
    """The slug."""
    with pytest.raises(RequestRefused) as wrong:
        read_request(data, known)
    assert str(wrong.value).startswith(wrong.value.slug)
    return wrong.value.slug


def csr(key: PrivateKey, hashed: type[SHA256 | SHA384] = SHA256, rsa_padding: padding.PSS | None = None) -> bytes:
    """A request that names somebody else and asks to be a CA."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root"), x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashed(), rsa_padding=rsa_padding).public_bytes(Encoding.PEM)


def forged_csr(spki: bytes, by: PrivateKey) -> bytes:
    """A request for any key, signed by another."""
    info = tlv(0x30, integer(0), tlv(0x30), spki, tlv(0xA0))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    assert isinstance(by, ec.EllipticCurvePrivateKey)
    return tlv(0x30, info, algorithm, tlv(3, b"\0", by.sign(info, ec.ECDSA(SHA256()))))


@pytest.mark.parametrize("key", [KEY, RSA_KEY], ids=["ec", "rsa"])
@pytest.mark.parametrize("hashed", [SHA256, SHA384], ids=["sha256", "sha384"])
def test_the_name_and_the_wishes_are_not_read(key: PrivateKey, hashed: type[SHA256 | SHA384]) -> None:
    found = read_request(csr(key, hashed), NOTHING)
    assert found.public_key == key.public_key()
    made = issue(ISSUING, profile("station"), found.public_key, SHOP, now=NOW)
    assert (made.operator, made.institution_code) == ("张三", "46012345")
    assert made.public_key_sha256 == found.public_key_sha256


def test_der_and_pem() -> None:
    pem = build_csr(KEY, label="T1")
    parsed = x509.load_pem_x509_csr(pem)
    assert read_request(parsed.public_bytes(Encoding.DER), NOTHING) == read_request(pem, NOTHING)
    old = pem.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
    assert read_request(b"\n" + old.replace(b"\n", b"\r\n"), NOTHING).public_key == KEY.public_key()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda der: der + b"\0",
        lambda der: der[:-1],
        lambda der: b"\x30\x83\x00" + der[2:],
        lambda der: b"",
        lambda der: b"junk",
        lambda der: b"-----BEGIN CERTIFICATE REQUEST-----\n!\n-----END CERTIFICATE REQUEST-----\n",
        lambda der: b"-----BEGIN CERTIFICATE REQUEST-----\nAAA\n-----END CERTIFICATE REQUEST-----\n",
        lambda der: build_csr(KEY) * 2,
        lambda der: b"-----BEGIN X-----\n" + base64.b64encode(der) + b"\n-----END X-----\n",
        lambda der: build_csr(KEY) + b"x",
        lambda der: tlv(4, bytes(20_000)),
        lambda der: build_csr(KEY) + b"\n" * 40_000,
    ],
)
def test_malformed(spoil: Callable[[bytes], bytes]) -> None:
    der = x509.load_pem_x509_csr(build_csr(KEY)).public_bytes(Encoding.DER)
    assert refused(spoil(der)) == "csr-malformed"


def test_proof_of_possession() -> None:
    other = make_key()
    assert refused(forged_csr(spki_of(KEY), by=other)) == "csr-not-signed"
    assert read_request(forged_csr(spki_of(other), by=other), NOTHING).public_key == other.public_key()
    der = bytearray(x509.load_pem_x509_csr(build_csr(KEY, label="T1")).public_bytes(Encoding.DER))
    at = der.index(b"T1")
    der[at] ^= 1
    assert refused(bytes(der)) == "csr-not-signed"


def test_padding_other_than_the_profiles() -> None:
    scheme = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
    assert refused(csr(RSA_KEY, rsa_padding=scheme)) == "csr-not-signed"


def test_keys_of_other_kinds() -> None:
    name = x509.Name([])
    key = ed25519.Ed25519PrivateKey.generate()
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, None).public_bytes(Encoding.DER)
    assert refused(made) == "csr-key-kind"
    assert refused(csr(ec.generate_private_key(ec.SECP384R1()))) == "key-weak-curve"
    assert refused(csr(ec.generate_private_key(ec.SECP256K1()))) == "key-weak-curve"
    assert refused(csr(rsa.generate_private_key(65537, 1024))) == "key-weak-size"
    assert refused(csr(rsa.generate_private_key(3, 2048))) == "key-weak-exponent"


def test_a_key_is_registered_once() -> None:
    known = KnownKeys(public_keys={key_digest(KEY.public_key())})
    assert refused(csr(KEY), known) == "key-known"
    assert refused(csr(RSA_KEY), KnownKeys(public_keys={key_digest(RSA_KEY.public_key())})) == "key-known"
    assert check_key(make_key().public_key(), known)


def test_the_point_in_another_form_is_the_same_key() -> None:
    """A compressed point is another SubjectPublicKeyInfo, and no other key."""
    spki = spki_of(KEY)
    point = bytes([2 + spki[-1] % 2]) + spki[-64:-32]
    short = tlv(0x30, spki[2:23], tlv(3, b"\0", point))
    assert refused(forged_csr(short, by=KEY), KnownKeys(public_keys={key_digest(KEY.public_key())})) == "key-known"
    off = bytearray(spki)
    off[-1] ^= 1
    assert refused(forged_csr(bytes(off), by=KEY)) == "csr-malformed"
    infinity = tlv(0x30, spki[2:23], tlv(3, b"\0\0"))
    assert refused(forged_csr(infinity, by=KEY)) == "csr-malformed"


def is_prime(number: int) -> bool:
    """Probably."""
    return pow(2, number - 1, number) == 1


SMALL = prod(number for number in range(3, 400, 2) if all(number % other for other in range(3, number, 2)))


def next_prime(number: int) -> int:
    """The first from here up."""
    number |= 1
    while gcd(number, SMALL) != 1 or not is_prime(number):
        number += 2
    return number


@cache
def roca_modulus() -> int:
    """2048 bits as the broken chips made them (the paper, s2.1): p = k·M + (65537^a mod M), M of 126 primes."""
    rng = random.Random(20171016)
    primes = [number for number in range(2, 702) if all(number % other for other in range(2, isqrt(number) + 1))]
    assert len(primes) == 126
    product = prod(primes)
    found: list[int] = []
    while len(found) < 2:
        prime = rng.getrandbits(53) * product + pow(65537, rng.getrandbits(200), product)
        if prime.bit_length() == 1024 and prime >> 1022 == 3 and is_prime(prime):
            found.append(prime)
    return found[0] * found[1]


def test_roca() -> None:
    assert has_roca_fingerprint(roca_modulus())
    assert rsa_weakness(roca_modulus(), 65537) == "roca"
    assert weakness(rsa.RSAPublicNumbers(65537, roca_modulus()).public_key()) == "roca"
    assert not has_roca_fingerprint(RSA_KEY.public_key().public_numbers().n)
    rng = random.Random(7)
    assert not any(has_roca_fingerprint(rng.getrandbits(2048) | 1) for _ in range(20_000))


@cache
def prime(number: int) -> int:
    """The number-th of some 1024-bit primes."""
    return next_prime(random.Random(number).getrandbits(1024) | 3 << 1022)


def test_small_shared_and_close_factors() -> None:
    p, q, r = prime(1), prime(2), prime(3)
    assert rsa_weakness(p * q, 65537) is None
    assert rsa_weakness(p * q, 65537, [p * q]) is None
    assert rsa_weakness(p * q, 65537, [r * q, 3 * r]) == "shared-factor"
    assert shares_factor(p * q, [r, r * p])
    assert not shares_factor(p * q, [r * r, r])
    assert rsa_weakness(p * q * 9973, 65537) == "small-factor"
    near = p * next_prime(p + 2)
    assert has_close_primes(near)
    assert rsa_weakness(near, 65537) == "close-primes"
    assert has_close_primes(p * p)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 17, 65535, 65536, 65538, (1 << 256) + 1])
def test_exponents(exponent: int) -> None:
    assert rsa_weakness(prime(1) * prime(2), exponent) == "exponent"


@pytest.mark.parametrize("bits", [512, 2047, 4097])
def test_sizes(bits: int) -> None:
    assert rsa_weakness(1 << (bits - 1) | 1, 65537) == "size"


def test_points() -> None:
    numbers = KEY.public_key().public_numbers()
    field = 2**256 - 2**224 + 2**192 + 2**96 - 1
    assert is_on_p256(numbers.x, numbers.y)
    assert is_on_p256(numbers.x, field - numbers.y)
    for x, y in ((numbers.x, numbers.y + 1), (0, 0), (numbers.x + field, numbers.y), (numbers.x, numbers.y - field)):
        assert not is_on_p256(x, y)


class Elsewhere:
    """A key behind the port: what a token is to the builders."""

    def __init__(self, by: PemSigner, *, spoil: int = 0) -> None:
        self._by, self._spoil, self.asked = by, spoil, 0

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._by.certificate.public_key

    def sign(self, data: bytes) -> bytes:
        """Sign, or nearly."""
        self.asked += 1
        made = self._by.sign(data)
        return made[: -self._spoil] + bytes(self._spoil) if self._spoil else made


@pytest.mark.parametrize("name", ["station", "station_rsa"])
def test_a_key_that_stays_inside_signs_a_request(name: str) -> None:
    inside = Elsewhere(signer(name))
    found = read_request(build_csr(as_private_key(inside), label="T1"), NOTHING)
    assert found.public_key == inside.public_key
    assert inside.asked == 1


@pytest.mark.parametrize("name", ["station", "station_rsa"])
def test_a_token_that_signs_wrongly_makes_no_request(name: str) -> None:
    with pytest.raises(RequestRefused, match="csr-not-signed"):
        build_csr(as_private_key(Elsewhere(signer(name), spoil=3)))


def test_a_key_inside_does_nothing_else() -> None:
    one, other = as_private_key(Elsewhere(signer("station"))), as_private_key(Elsewhere(signer("station_rsa")))
    assert isinstance(one, ec.EllipticCurvePrivateKey)
    assert isinstance(other, rsa.RSAPrivateKey)
    for wrong in (
        one.private_numbers,
        lambda: one.sign(b"", ec.ECDSA(SHA384())),
        lambda: one.exchange(ec.ECDH(), KEY.public_key()),
        lambda: other.decrypt(b"", padding.PKCS1v15()),
        lambda: other.sign(b"", padding.PKCS1v15(), SHA384()),
        lambda: other.sign(b"", padding.PSS(padding.MGF1(SHA256()), 32), SHA256()),
        lambda: csr(one, SHA384),
    ):
        with pytest.raises(KeyStaysInside):
            wrong()

    class Short(Elsewhere):
        """A driver that answers DER."""

        def sign(self, data: bytes) -> bytes:
            """Too much."""
            return bytes(70)

    with pytest.raises(ValueError, match="70 bytes"):
        build_csr(as_private_key(Short(signer("station"))))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_agrees_in_both_directions(tmp_path: Path) -> None:
    (tmp_path / "ours.pem").write_bytes(build_csr(as_private_key(Elsewhere(signer("station"))), label="T1"))
    checked = subprocess.run(
        ["openssl", "req", "-in", "ours.pem", "-verify", "-noout"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "verify OK" in checked.stdout + checked.stderr
    make = "openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=x/O=y -out theirs.pem"
    subprocess.run(make.split(), cwd=tmp_path, capture_output=True, check=True)
    theirs = read_request((tmp_path / "theirs.pem").read_bytes(), NOTHING)
    assert isinstance(theirs.public_key, rsa.RSAPublicKey)
