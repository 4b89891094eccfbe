"""Keys towards partners: of files and of a token, with nothing secret in the configuration."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.transport.keys import FilePin, OutboundKey, open_signer
from certs.core.signatures import holds
from certs.keys import KeyFileError
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.pins import PinAsk, PinWarning
from certs.tokens.signer import TokenSigner
from tests.stand.partner_pki import PartnerCa
from tests.stand.softhsm import SoftHsm, softhsm_module

NOW = datetime.now(UTC)


def test_a_key_in_files(tmp_path: Path) -> None:
    held = PartnerCa(NOW).alone("bianmin")
    certificate, key, password = held.write(tmp_path, "out")
    text = f'cert_file = "{certificate}"\nkey_file = "{key}"\nkey_password_file = "{password}"\n'
    signer = open_signer(msgspec.toml.decode(text.encode(), type=OutboundKey), NOW)
    assert holds(held.certificate, signer.alg, b"order", signer.sign(b"order"))
    password.write_text("wrong-password-of-mine\n")
    with pytest.raises(KeyFileError) as told:
        open_signer(msgspec.toml.decode(text.encode(), type=OutboundKey), NOW)
    assert "wrong-password-of-mine" not in str(told.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cert_file": "a", "key_file": "b"},
        {"module": "m", "token": "t"},
        {"module": "m", "token": "t", "pin_file": "p", "key_file": "k"},
        {"cert_file": "a", "key_file": "b", "key_password_file": "c", "key_id": "01"},
    ],
)
def test_half_of_either_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        OutboundKey(**given)


def test_a_pin_has_no_place_in_the_text() -> None:
    with pytest.raises(msgspec.ValidationError, match="pin"):
        msgspec.toml.decode(b'module = "m"\ntoken = "t"\npin = "123456"\n', type=OutboundKey)


def ask(*warnings: PinWarning) -> PinAsk:
    return PinAsk(label="t", key_serial="1", warnings=warnings)


def test_a_pin_file(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text("246810\n")
    assert [FilePin(file)(ask()).take() for _ in range(2)] == ["246810"] * 2, "a token that was unplugged asks again"
    with pytest.raises(TokenFault) as told:
        FilePin(file)(ask(PinWarning.LAST_TRY))
    assert told.value.trouble is Trouble.PIN_NOT_RISKED
    for text in ("", "1\n2\n"):
        file.write_text(text)
        with pytest.raises(TokenFault):
            FilePin(file)(ask())
    with pytest.raises(TokenFault):
        FilePin(tmp_path / "nowhere")(ask())


@pytest.mark.skipif(softhsm_module() is None, reason="SoftHSM is not installed")
def test_a_key_in_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hsm, held = SoftHsm(tmp_path / "hsm"), PartnerCa(NOW).alone("bianmin")
    for name, value in hsm.environment.items():
        monkeypatch.setenv(name, value)
    token = hsm.make_token("OUT")
    hsm.import_key(token, held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), key_id="01")
    certificate, _, _ = held.write(tmp_path, "out")
    pin = tmp_path / "pin"
    pin.write_text(token.pin + "\n")
    key = OutboundKey(module=str(hsm.module), token="OUT", pin_file=str(pin), cert_file=str(certificate))
    signer = open_signer(key, NOW)
    assert isinstance(signer, TokenSigner)
    assert holds(held.certificate, signer.alg, b"order", signer.sign(b"order"))
    signer.close()
    pin.write_text("000000\n")
    with pytest.raises(TokenFault):
        open_signer(key, NOW)
