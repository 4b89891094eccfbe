"""The strict reader: one value, one encoding; and random bytes never do more than be refused."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.certificates import CertificateError, judge, parse_certificate
from certs.core.certificate_fields import read_fields
from certs.core.der import DEPTH_MAX, SIZE_MAX, DerError, read_der
from certs.core.lints import lint
from tests.unit.certs.forged import ISSUING, ROLE, ROOT, Forged, extension, extensions, oid, tlv, utc, wanted
from tests.unit.certs.material import NOW, certificate

NOT_DER = {
    "nothing": "",
    "cut off": "30",
    "shorter than it says": "3003020100"[:-2],
    "longer than it says": "3003020100ff",
    "indefinite length": "30800201000000",
    "reserved length": "30ff0201",
    "length in two forms": "308103020100",
    "length with a zero": "30820003020100",
    "length of five bytes": "30850000000003020100",
    "child beyond its parent": "300302020100",
    "boolean 01": "010101",
    "boolean of two": "0102ffff",
    "empty integer": "0200",
    "padded integer": "02020001",
    "padded negative integer": "0202ff80",
    "empty bit string": "0300",
    "unused bits in nothing": "030101",
    "eight unused bits": "03020800",
    "unused bits that are set": "030201ff",
    "null with a value": "050100",
    "empty oid": "0600",
    "oid that does not end": "06022a86",
    "oid with a padded first arc": "0602802a",
    "oid with a padded arc": "06032a8001",
    "broken UTF-8": "0c02c328",
    "overlong UTF-8": "0c02c080",
    "at sign in a printable string": "130140",
    "control in IA5": "160107",
    "time without seconds": "170b323631313234303030305a",
    "time with an offset": "17113236313132343030303030302b30383030",
    "time with fractions": "181132303236313132343030303030302e355a",
    "set out of order": "3106020102020101",
    "member twice": "3106020101020101",
    "constructed octet string": "2403040101",
    "constructed utf8": "2c030c0161",
    "high tag": "1f0100",
    "application tag": "4100",
    "private tag": "c000",
    "real number": "0900",
    "end of contents": "0000",
}


@pytest.mark.parametrize("what", NOT_DER)
def test_refused(what: str) -> None:
    with pytest.raises(DerError):
        read_der(bytes.fromhex(NOT_DER[what]))


@pytest.mark.parametrize(
    "data", ["3000", "0101ff", "020100", "020180", "02020080", "0303010102", "03020780", "0500", "06032a8648", "0c00"]
)
def test_read(data: str) -> None:
    assert read_der(bytes.fromhex(data)).raw == bytes.fromhex(data)


def test_values() -> None:
    assert read_der(bytes.fromhex("0202ff7f")).integer() == -129
    assert read_der(bytes.fromhex("06082a8648ce3d040302")).oid() == "1.2.840.10045.4.3.2"
    assert read_der(bytes.fromhex("0603550406")).oid() == "2.5.4.6"
    big = read_fields(certificate("station").der).extensions
    assert "2.5.29.37" in {one.oid for one in big}
    with pytest.raises(DerError, match="part 0"):
        _ = read_der(bytes.fromhex("3000"))[0]
    with pytest.raises(DerError, match="belongs"):
        read_der(bytes.fromhex("0500")).integer()


def test_depth_and_size_end() -> None:
    deep = b""
    for _ in range(DEPTH_MAX + 2):
        deep = tlv(0x30, deep)
    with pytest.raises(DerError, match="nested"):
        read_der(deep)
    assert read_der(deep[4:]).tag == 0x30
    with pytest.raises(DerError, match="at most"):
        read_der(tlv(4, bytes(SIZE_MAX)))
    with pytest.raises(CertificateError, match="at most"):
        parse_certificate(certificate("station").der + bytes(SIZE_MAX))
    with pytest.raises(CertificateError, match="at most"):
        parse_certificate(b"-----BEGIN CERTIFICATE-----" + b"\n" * SIZE_MAX * 2)


BER = {
    "default version": Forged(version=bytes.fromhex("a003020100"), extensions={}),
    "criticality FALSE": Forged(
        extensions=extensions(eku=tlv(0x30, oid("2.5.29.37"), tlv(1, b"\x00"), tlv(4, tlv(0x30, oid(ROLE)))))
    ),
    "padded serial": Forged(serial=b"\x02\x16\x00\x00" + bytes([0x40]) + bytes(19)),
    "empty extensions": Forged(more=tlv(0xA3, tlv(0x30)), extensions={}),
    "a field too many": Forged(more=tlv(0x30)),
    "UTCTime without seconds": Forged(validity=tlv(0x30, tlv(0x17, b"2611232355Z"), utc(NOW + timedelta(days=9)))),
    "31 November": Forged(validity=tlv(0x30, tlv(0x17, b"261131235500Z"), utc(NOW + timedelta(days=9)))),
    "two attributes in one part of the name": Forged(
        subject=tlv(
            0x30,
            tlv(0x31, tlv(0x30, bytes.fromhex("0603550403"), tlv(12, b"a")), tlv(0x30, bytes.fromhex("060355040b"))),
        )
    ),
    "an extension with a byte behind it": Forged(
        extensions=extensions(usage=extension("2.5.29.15", bytes.fromhex("0302078000"), critical=True))
    ),
}


@pytest.mark.parametrize("what", BER)
def test_a_signed_certificate_that_is_not_der(what: str) -> None:
    der = BER[what].der()
    assert [one.rule for one in lint(der, wanted())] in (["der"], ["subject"], ["key-usage"]), lint(der, wanted())
    try:
        parsed = parse_certificate(der)
    except CertificateError:
        return
    assert judge(parsed, ISSUING.certificate, ROOT.certificate, NOW) == "certificate-unknown"


@pytest.mark.parametrize("at", ["after", "inside"])
def test_trailing_garbage(at: str) -> None:
    right = Forged().der()
    padded = right + b"\x00" if at == "after" else tlv(0x30, right[4:], b"\x05\x00")
    assert {one.rule for one in lint(padded, wanted())} == {"der"}
    with pytest.raises(CertificateError):
        parse_certificate(padded)


def test_outer_length_in_ber() -> None:
    right = Forged().der()
    loose = b"\x30\x83\x00" + right[2:4] + right[4:]
    assert [one.rule for one in lint(loose, wanted())] == ["der"]
    with pytest.raises(CertificateError):
        parse_certificate(loose)


@given(st.binary(max_size=64))
def test_anything_is_read_or_refused(data: bytes) -> None:
    with suppress(DerError):
        assert read_der(data).raw == data


@given(st.integers(0, len(certificate("station").der) - 1), st.integers(1, 255))
def test_one_byte_changed_never_passes(at: int, flip: int) -> None:
    der = bytearray(Forged().der())
    der[at % len(der)] ^= flip
    assert lint(bytes(der), wanted()) != ()
