"""Where an authority's private keys are: `NAME.key.pem` in its folder, encrypted, or `NAME.key.toml`, which names a
token and the key in it. A key is made there and opened there; nothing else reads it."""

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from certs.authority.files import write_key, write_new
from certs.authority.issuing import make_key
from certs.authority.signing import as_private_key
from certs.keys import KeyFileError, PrivateKey, load_private_key

if TYPE_CHECKING:
    from certs.tokens.pins import Pin, PinAsk

_PLACE_FORM = "module, token, key_serial and key_id as strings, nothing else"
_HEX = re.compile(r"(?:[0-9a-f]{2}){1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """A key in a token. module: absolute path of the PKCS#11 module. token: its label. key_serial: the token's serial
    number. key_id: hex of CKA_ID; "" for a key still to be made."""

    module: Path
    token: str
    key_serial: str = ""
    key_id: str = ""


class Unlock(Protocol):
    """Whoever knows the secrets: files, descriptors, a person at a prompt."""

    def password(self, name: str, *, fresh: bool) -> bytes:
        """The password of a key file. name: root, issuing, issuing-2. fresh: for a file that is written now."""
        ...

    def pin(self, ask: "PinAsk") -> "Pin":
        """The PIN of a token. Raises TokenFault."""
        ...


@contextmanager
def made_key(folder: Path, name: str, place: TokenPlace | None, unlock: Unlock) -> Iterator[PrivateKey]:
    """A fresh P-256 key, in a file of `folder` or, with a place, inside that token; open until the block ends.

    Raises FileExistsError where there is a key of that name, OSError, TokenFault.
    """
    refuse_known(folder, name)
    if place is None:
        key = make_key()
        write_key(_pem(folder, name), key, unlock.password(name, fresh=True))
        yield key
        return
    # The driver is only there where tokens are used.
    from certs.tokens.enrol import NewKey
    from certs.tokens.enrol import make_key as make_key_inside
    from certs.tokens.library import TokenSpec
    from certs.tokens.opened import OpenToken

    spec = TokenSpec(module=place.module, token=place.token, key_serial=place.key_serial)
    token = OpenToken.open(spec, unlock.pin, writable=True)
    try:
        inside = make_key_inside(token, NewKey.EC_P256, name)
        found = {"module": str(place.module), "token": token.label, "key_serial": token.key_serial}
        text = _toml(found | {"key_id": inside.place.key_id.hex()})
        write_new(_toml_file(folder, name), text.encode(), 0o600)
        yield as_private_key(inside)
    finally:
        token.close()


@contextmanager
def opened_key(folder: Path, name: str, unlock: Unlock, *, writable: bool = False) -> Iterator[PrivateKey]:
    """The key of that name, open until the block ends. writable: so that keys can be made in its token meanwhile.

    Raises KeyFileError, TokenFault.
    """
    place = place_of(folder, name)
    if place is None:
        yield load_private_key(_pem(folder, name), unlock.password(name, fresh=False))
        return
    from certs.tokens.key import find_key
    from certs.tokens.library import TokenSpec
    from certs.tokens.opened import OpenToken

    spec = TokenSpec(module=place.module, token=place.token, key_serial=place.key_serial, key_id=place.key_id)
    token = OpenToken.open(spec, unlock.pin, writable=writable)
    try:
        yield as_private_key(find_key(token, place.key_id))
    finally:
        token.close()


def place_of(folder: Path, name: str) -> TokenPlace | None:
    """The token that holds the key of that name, None where it is a file. Raises KeyFileError for a malformed one."""
    file = _toml_file(folder, name)
    if not file.exists():
        return None
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise KeyFileError(file, _PLACE_FORM, str(wrong)) from wrong
    right = set(table) == {"module", "token", "key_serial", "key_id"} and all(
        type(one) is str for one in table.values()
    )
    if not right or not _HEX.fullmatch(table["key_id"]):
        raise KeyFileError(file, _PLACE_FORM, "found something else")
    return TokenPlace(**table | {"module": Path(table["module"])})


def refuse_known(folder: Path, name: str) -> None:
    """Raises FileExistsError where there is a key of that name."""
    for file in (_pem(folder, name), _toml_file(folder, name)):
        if file.exists() or file.is_symlink():
            raise FileExistsError(17, "it exists; nothing is overwritten", str(file))


def _pem(folder: Path, name: str) -> Path:
    return folder / f"{name}.key.pem"


def _toml_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.key.toml"


def _toml(table: dict[str, str]) -> str:
    # A JSON string of these characters is a TOML basic string.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in table.items())
