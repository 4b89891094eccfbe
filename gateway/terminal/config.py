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


class TerminalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one terminal reaches its gateway. Paths are used as given; `load_config` makes them absolute.

    url: where to connect, scheme and host only. authority: what the gateway calls itself (`@authority`, TLS name).
    journal_file: what was asked and what became of it; a `.lock` file lies beside it. tls_ca_file: PEM of whom to trust
    for TLS, None for the system's. reply_timeout_ms: for one reply, beside the seconds a call is held.
    pay_wait_s: how long the gateway may hold a payment's call. pay_deadline_s, read_deadline_s: all tries together.
    Raises ValueError, beginning with the key, for values out of form.
    """

    url: str
    authority: str
    terminal_id: str
    cert_file: str
    key_file: str
    key_password_file: str
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
        for key, value in structs.asdict(self).items():
            if key.endswith("_file") and value == "":
                yield f"{key}: expected a path"
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
    if path:
        return path.rstrip("`"), detail.removeprefix("Expected ")
    if found := re.fullmatch(r"Object (?:missing required|contains unknown) field `(.+)`", detail):
        return found[1], "this key" if "missing" in detail else "no such key"
    key, parted, expected = detail.partition(": expected ")
    return (key, expected) if parted else ("", detail)


def render_config(config: TerminalConfig) -> str:
    """The configuration as TOML text that load_config reads back; keys at their default are left out."""
    fields = {field.name: field.default for field in structs.fields(TerminalConfig)}
    given = structs.asdict(config).items()
    # A TOML basic string takes every escape that JSON writes.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in given if value != fields[key])
