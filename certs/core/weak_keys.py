"""Public keys that prove nothing, because somebody else can find their private half.

Sources: NIST SP 800-56A s5.6.2.3 (points), SP 800-89 s5.3.3 (RSA plausibility);
M. Nemec, M. Sys, P. Svenda, D. Klinec, V. Matyas: "The Return of Coppersmith's Attack: Practical Factorization of
Widely Used RSA Moduli", ACM CCS 2017, s2.3 (the discriminant, "ROCA", CVE-2017-15361);
N. Heninger et al.: "Mining Your Ps and Qs", USENIX Security 2012 (moduli that share a prime);
H. Boeck: "Fermat Factorization in the Wild", IACR ePrint 2023/026 (close primes, CVE-2022-26320).
"""

from collections.abc import Collection
from functools import cache
from math import gcd, isqrt, prod

from cryptography.hazmat.primitives.asymmetric import ec

from certs.core.certificates import PublicKey

RSA_BITS_MIN, RSA_BITS_MAX = 2048, 4096
RSA_EXPONENT_MIN = 65537
RSA_EXPONENT_BITS_MAX = 256
"""FIPS 186-5 s5.1: an odd exponent, 2^16 < e < 2^256."""

_SMALL = 10_000
_FERMAT_ROUNDS = 100
# The primes of the published detector, without 2. Where 65537 generates every residue the prime tells nothing.
_ROCA_PRIMES = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107),
    *(109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)
_P256_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def weakness(key: PublicKey, known_moduli: Collection[int] = ()) -> str | None:
    """Why no certificate is issued for this key, or None.

    known_moduli: RSA moduli of the keys registered so far; one that shares a factor with this one breaks both.
    `curve`, `point`: EC outside P-256, or a point not on it. For RSA: `size` (2048-4096 bits), `exponent` (odd, from
    65537, below 2^256), `small-factor` (a prime below 10,000), `shared-factor`, `roca`, `close-primes`.
    About 1 ms for RSA; linear in len(known_moduli), 3 µs each.
    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            return "curve"
        point = key.public_numbers()
        return None if is_on_p256(point.x, point.y) else "point"
    numbers = key.public_numbers()
    return rsa_weakness(numbers.n, numbers.e, known_moduli)


def is_on_p256(x: int, y: int) -> bool:
    """Whether (x, y) is a point of P-256, both below the field's prime. The point at infinity has no coordinates."""
    inside = 0 <= x < _P256_P and 0 <= y < _P256_P
    return inside and (y * y - (x * x * x - 3 * x + _P256_B)) % _P256_P == 0


def rsa_weakness(modulus: int, exponent: int, known_moduli: Collection[int] = ()) -> str | None:
    """The RSA half of weakness(), for numbers that a library may refuse to take for a key."""
    if modulus < 0 or not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX:
        return "size"
    if exponent < RSA_EXPONENT_MIN or exponent % 2 == 0 or exponent.bit_length() > RSA_EXPONENT_BITS_MAX:
        return "exponent"
    if gcd(modulus, _primorial()) != 1:
        return "small-factor"
    if shares_factor(modulus, known_moduli):
        return "shared-factor"
    if has_roca_fingerprint(modulus):
        return "roca"
    return "close-primes" if has_close_primes(modulus) else None


def shares_factor(modulus: int, known_moduli: Collection[int]) -> bool:
    """Whether a known modulus has a prime in common with this one. The same modulus is no news: it counts not."""
    product = 1
    for known in known_moduli:
        if known != modulus:
            product = product * known % modulus
    return gcd(product, modulus) != 1


def has_roca_fingerprint(modulus: int) -> bool:
    """Whether the modulus is a power of 65537 modulo each of 38 small primes, as every key of the broken chips is.

    Those chips made primes k·M + (65537^a mod M), M a product of the first primes. A sound key looks like one with
    odds of 1 to 2·10^8 (the product over the primes of order ÷ (prime − 1)); a new one is then made.
    """
    return all(modulus % prime in powers for prime, powers in _roca_powers())


def has_close_primes(modulus: int) -> bool:
    """Whether Fermat's method finds the factors within 100 rounds: the primes were taken one after the other."""
    middle = isqrt(modulus)
    middle += middle * middle < modulus
    return any(isqrt(rest) ** 2 == rest for rest in ((middle + step) ** 2 - modulus for step in range(_FERMAT_ROUNDS)))


@cache
def _primorial() -> int:
    sieve = bytearray([1]) * _SMALL
    for number in range(2, isqrt(_SMALL) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, _SMALL, number)))
    return prod(number for number in range(2, _SMALL) if sieve[number])


@cache
def _roca_powers() -> tuple[tuple[int, frozenset[int]], ...]:
    return tuple((prime, frozenset(pow(65537, power, prime) for power in range(prime - 1))) for prime in _ROCA_PRIMES)
