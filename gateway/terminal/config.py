"""The terminal's configuration: one TOML file, written by `bianmin init`."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from certs.core.profile import LIFETIME_MAX_S, normal_authority
from gateway.terminal.faults import ConfigFault

_BOUNDS: dict[str, tuple[int, int]] = {
    "connect_timeout_ms": (100, 60_000),
    "reply_timeout_ms": (500, 120_000),
    "pay_wait_s": (0, 30),
    "pay_deadline_s": (1, 600),
    "read_deadline_s": (1, 120),
    "signature_lifetime_s": (30, LIFETIME_MAX_S),
}
_TERMINAL_ID = re.compile(r"[A-Za-z0-9_-]{1,16}")
_KEY_ID = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_PEM_KEYS = ("cert_file", "key_file", "key_password_file")


class SignerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The USB key that signs, instead of a key file. Never a PIN: it is typed, or read from --pin-fd.

    module: absolute path of the PKCS#11 module. token, key_serial, key_id: its label, its serial number, and in hex the
    CKA_ID of the key, where more than one fits. answer_within_s: the longest a token may take for one answer.
    """

    module: str
    token: str = ""
    key_serial: str = ""
    key_id: str = ""
    answer_within_s: int = 60

    def __post_init__(self) -> None:
        if not Path(self.module).is_absolute():
            raise ValueError("module: expected the absolute path of a PKCS#11 module")
        if self.key_id and not _KEY_ID.fullmatch(self.key_id):
            raise ValueError("key_id: expected 1-64 bytes in lower-case hex")
        if not 1 <= self.answer_within_s <= 600:
            raise ValueError("answer_within_s: expected a whole number from 1 to 600")


class TerminalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one terminal reaches its gateway. Paths are used as given; `load_config` makes them absolute.

    url: where to connect, scheme and host only. authority: what the gateway calls itself (`@authority`, TLS name).
    cert_file, key_file, key_password_file: the key as files; with `signer`, a USB key, only cert_file may stand beside
    it, for a certificate that is not in the token. journal_file: what was asked and what became of it; a `.lock` file
    lies beside it. tls_ca_file: PEM of whom to trust for TLS, None for the system's. reply_timeout_ms: for one reply,
    beside the seconds a call is held. pay_wait_s: how long the gateway may hold a payment's call. pay_deadline_s,
    read_deadline_s: all tries together.
    Raises ValueError, beginning with the key, for values out of form.
    """

    url: str
    authority: str
    terminal_id: str
    cert_file: str = ""
    key_file: str = ""
    key_password_file: str = ""
    signer: SignerConfig | None = None
    issuing_cert_file: str
    root_cert_file: str
    journal_file: str
    tls_ca_file: str | None = None
    connect_timeout_ms: int = 3000
    reply_timeout_ms: int = 10_000
    pay_wait_s: int = 10
    pay_deadline_s: int = 60
    read_deadline_s: int = 20
    signature_lifetime_s: int = LIFETIME_MAX_S

    def __post_init__(self) -> None:
        for wrong in self._wrong():
            raise ValueError(wrong)

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return urlsplit(self.url).scheme

    def _wrong(self) -> Iterator[str]:
        if not _is_base(self.url):
            yield "url: expected https://HOST[:PORT] without path (http:// for loopback only)"
        elif normal_authority(self.authority, self.scheme) != self.authority:
            yield "authority: expected HOST[:PORT] in lower case without the scheme's default port"
        if not _TERMINAL_ID.fullmatch(self.terminal_id):
            yield "terminal_id: expected 1-16 of A-Z a-z 0-9 _ -"
        if self.signer is not None and (self.key_file or self.key_password_file):
            yield "signer: expected a USB key or a key file, not both"
        for key, value in structs.asdict(self).items():
            needed = key not in _PEM_KEYS or self.signer is None
            if key.endswith("_file") and value == "" and needed:
                yield f"{key}: expected a path" + (", or a USB key in `signer`" if key in _PEM_KEYS else "")
            low, high = _BOUNDS.get(key, (0, 0))
            if key in _BOUNDS and not low <= value <= high:
                yield f"{key}: expected a whole number from {low} to {high}"


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    known = parts.scheme == "https" or (parts.scheme == "http" and loopback)
    bare = not (parts.path or parts.query or parts.fragment or parts.username or parts.password)
    return bool(known and bare and port_fits and parts.hostname and url.isascii() and not url.endswith(("?", "#")))


def load_config(file: Path) -> TerminalConfig:
    """Read the file; relative paths in it begin at its folder. Raises ConfigFault naming file, key, expected form."""
    try:
        text = file.read_bytes().decode()
        values: dict[str, Any] = tomllib.loads(text)
    except OSError as wrong:
        raise ConfigFault(file, "", f"a readable TOML file; {wrong.strerror}") from wrong
    except ValueError as wrong:
        raise ConfigFault(file, "", f"TOML; {wrong}") from wrong
    for key, value in values.items():
        if key.endswith("_file") and isinstance(value, str) and value:
            values[key] = str(file.absolute().parent / Path(value).expanduser())
    try:
        return msgspec.convert(values, TerminalConfig)
    except msgspec.ValidationError as wrong:
        raise ConfigFault(file, *_place(str(wrong))) from wrong


def _place(message: str) -> tuple[str, str]:
    """msgspec's message as (key, expected form)."""
    detail, _, path = message.partition(" - at `$.")
    outer = path.rstrip("`")
    if found := re.fullmatch(r"Object (?:missing required|contains unknown) field `(.+)`", detail):
        inner, expected = found[1], "this key" if "missing" in detail else "no such key"
    else:
        inner, parted, expected = detail.partition(": expected ")
        if not parted:
            inner, expected = "", detail.removeprefix("Expected ")
    return ".".join(part for part in (outer, inner) if part), expected


def render_config(config: TerminalConfig) -> str:
    """The configuration as TOML text that load_config reads back; keys at their default are left out."""
    fields = {field.name: field.default for field in structs.fields(TerminalConfig)}
    given = structs.asdict(config).items()
    return "".join(f"{key} = {_toml(value)}\n" for key, value in given if value != fields[key])


def _toml(value: Any) -> str:
    if isinstance(value, SignerConfig):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in structs.asdict(value).items())} }}"
    # A TOML basic string takes every escape that JSON writes.
    return json.dumps(value, ensure_ascii=False)
