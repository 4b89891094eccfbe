"""The key we sign with towards one partner: in files, or in a token. Its section names files only, never a secret."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from certs.tokens.pins import Pin, PinAsk
    from certs.tokens.signer import TokenSigner
    from contracts.signer import Signer

_FILES = "cert_file, key_file and key_password_file"


class OutboundKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a biller's section, e.g. `billers.power.sign_key`. Raises ValueError for half of either kind.

    Either cert_file, key_file (PEM, encrypted) and key_password_file (one line); or module (PKCS#11), token (label),
    pin_file (one line) and, where the certificate is not in the token, cert_file. key_serial, key_id: see TokenSpec.
    """

    cert_file: str = ""
    key_file: str = ""
    key_password_file: str = ""
    module: str = ""
    token: str = ""
    key_serial: str = ""
    key_id: str = ""
    pin_file: str = ""

    def __post_init__(self) -> None:
        inside = (self.module, self.token, self.pin_file)
        if any(inside):
            if not all(inside) or self.key_file or self.key_password_file:
                raise ValueError("expected module, token and pin_file together, without key_file and key_password_file")
        elif not all((self.cert_file, self.key_file, self.key_password_file)):
            raise ValueError(f"expected {_FILES}, or module, token and pin_file")
        elif self.key_serial or self.key_id:
            raise ValueError("expected key_serial and key_id only beside a token")


class FilePin:
    """certs.tokens.pins.PinSource over a file of one line, read at each login. It never uses a token's last try."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, ask: "PinAsk") -> "Pin":
        """Raises TokenFault: PIN_NOT_RISKED before the file is read, PIN_NEEDED, PIN_MALFORMED."""
        from certs.tokens.faults import TokenFault, Trouble
        from certs.tokens.pins import PinWarning, checked

        if PinWarning.LAST_TRY in ask.warnings:
            raise TokenFault(Trouble.PIN_NOT_RISKED)
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as wrong:
            raise TokenFault(Trouble.PIN_NEEDED, f"{self._file}: {type(wrong).__name__}") from None
        if len(lines) != 1:
            raise TokenFault(Trouble.PIN_NEEDED, f"{self._file}: expected one line")
        return checked(lines[0])


def open_signer(key: OutboundKey, now: datetime) -> "Signer | TokenSigner":
    """The signer; of a token it holds a session until close(). now: aware. Blocks, a token for as long as it takes.

    Raises certs.keys.KeyFileError, TokenFault (a wrong PIN is one try).
    """
    from certs.keys import PemSigner, load_certificate

    if not key.module:
        return PemSigner.load(Path(key.cert_file), Path(key.key_file), Path(key.key_password_file))
    from certs.tokens.library import TokenSpec
    from certs.tokens.signer import TokenSigner

    spec = TokenSpec(module=Path(key.module), token=key.token, key_serial=key.key_serial, key_id=key.key_id)
    given = load_certificate(Path(key.cert_file)) if key.cert_file else None
    return TokenSigner.open(spec, FilePin(Path(key.pin_file)), now=now, certificate=given)
