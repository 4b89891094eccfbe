"""A shop whose USB key is before a gateway: the terminal's double, with the station's key in a token."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.core.profile import SignedRequest
from certs.keys import load_password
from contracts.problems import PROBLEMS
from gateway.terminal import Terminal, TerminalConfig, render_config
from gateway.terminal.config import SignerConfig
from tests.integration.terminal.clocks import FastClock
from tests.integration.terminal.double import Double, Keys, problem
from tests.integration.tokens.material import KEY_ID, PinBook, pem, put_certificate
from tests.stand.softhsm import SoftHsm, SoftToken, UsbKey


@dataclass
class WatchedDouble(Double):
    """A gateway beside whose door something happens when a request comes."""

    on_arrival: list[Callable[[], None]] = field(default_factory=list)
    read_refusal: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """As Double, after what is to happen first."""
        if request.method == "POST" and self.on_arrival:
            self.on_arrival.pop(0)()
        return await super().handle(request)

    def _read(self, signed: SignedRequest) -> tuple[int, dict[str, Any]]:
        slug = self.read_refusal
        return (PROBLEMS[slug].status, problem(slug)) if slug else super()._read(signed)


@dataclass(frozen=True)
class Shopfront:
    """The gateway, the token with the station's key, and the key's misfortunes."""

    double: WatchedDouble
    usb: UsbKey
    token: SoftToken

    def config(self, **change: Any) -> TerminalConfig:
        """terminal.toml with a USB key."""
        files = {"cert_file": "", "key_file": "", "key_password_file": ""}
        signer = SignerConfig(module=str(self.usb.module), token=self.token.label, key_serial=self.token.serial)
        return self.double.config(**(files | {"signer": signer, "pay_deadline_s": 4, "read_deadline_s": 2} | change))

    def terminal(self, book: PinBook, **change: Any) -> Terminal:
        """A terminal that asks the book for its PIN."""
        return Terminal(self.config(**change), FastClock(20), pin=book)

    def write(self, **change: Any) -> Path:
        """terminal.toml as a file."""
        file = self.double.keys.folder / "terminal.toml"
        file.write_text(render_config(self.config(**change)), encoding="utf-8")
        return file


def make_keys(folder: Path) -> Keys:
    """The bureau, and a station whose key lies in files for now."""
    folder.mkdir()
    return Keys(folder, datetime.now(UTC))


def move_in(hsm: SoftHsm, keys: Keys, label: str = "shop") -> SoftToken:
    """The station's key and certificate into a token; the key files are deleted."""
    token = hsm.make_token(label)
    password = load_password(keys.folder / "station.password")
    key = load_pem_private_key((keys.folder / "station.key.pem").read_bytes(), password)
    hsm.import_key(token, pem(key), key_id=KEY_ID)
    put_certificate(hsm, token, keys.station)
    for name in ("station.key.pem", "station.password", "station.cert.pem"):
        (keys.folder / name).unlink()
    return token
