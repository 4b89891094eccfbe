"""Where a shop makes and keeps its own keys: in a SoftHSM token where SoftHSM is installed, else in files."""

import json
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace

from certs.authority.files import write_key, write_new, write_password
from certs.authority.requests import build_csr
from certs.pilot import make_key
from gateway.demo.children import Child
from gateway.demo.faults import DemoFault, Mismatch
from gateway.demo.system import Shop, System
from gateway.terminal import TerminalConfig, load_config, render_config
from gateway.terminal.config import SignerConfig

TOKEN_S = 20.0
_TOOL = "softhsm2-util"
_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/*/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


def find_module() -> Path | None:
    """SoftHSM's PKCS#11 module, where it is installed with its tool."""
    if shutil.which(_TOOL) is None:
        return None
    root = Path("/")
    return next((found for place in _PLACES for found in sorted(root.glob(place[1:])) if found.is_file()), None)


@dataclass(frozen=True, slots=True)
class OwnKey:
    """One key of the shop. request, certificate: what goes to the bureau, what comes back. terminal: the terminal.toml
    that signs with it, once the certificate is there."""

    request: Path
    certificate: Path
    terminal: Path


class OwnKeys(Protocol):
    """The shop's side of the certificates' life, by the terminal's commands."""

    @property
    def serial(self) -> str:
        """The serial number that the bureau registers for what holds the keys."""
        ...

    async def make(self) -> OwnKey:
        """A new key and its request, beside those that are there."""
        ...

    async def install(self, key: OwnKey) -> None:
        """Take the certificate in and try it against the gateway. Raises DemoFault, Mismatch."""
        ...

    async def say(self, key: OwnKey, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """One command of the terminal, signed with this key."""
        ...


class _Holder:
    """What both kinds share: their folder, the terminal's own configuration, numbered files and logs."""

    def __init__(self, system: System, shop: Shop, folder: Path) -> None:
        self._system, self._folder = system, folder
        self._base = load_config(system.layout.installation / shop.terminal)
        self._keys = self._commands = 0

    def _next(self) -> OwnKey:
        self._keys += 1
        names = (f"request-{self._keys}.pem", f"certificate-{self._keys}.pem", f"terminal-{self._keys}.toml")
        return OwnKey(*(self._folder / name for name in names))

    def _write(self, file: Path, **change: Any) -> None:
        journal = str(self._system.layout.journal(f"own-{file.stem}"))
        config: TerminalConfig = replace(self._base, journal_file=journal, **change)
        file.write_text(render_config(config), encoding="utf-8")

    async def _run(
        self,
        config: Path,
        words: Sequence[str],
        *,
        codes: tuple[int, ...] = (0,),
        pin: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        self._commands += 1
        more = ["--config", str(config), *(["--pin-fd", "0"] if pin else [])]
        name = f"shop-{self._commands:02}-{words[0]}"
        return await self._system.command(name, "terminal", *words, *more, codes=codes, stdin=pin, env=env)


class TokenKeys(_Holder):
    """Keys that are made inside a SoftHSM token and never leave it. The PIN goes through a file descriptor."""

    def __init__(self, system: System, shop: Shop, folder: Path, module: Path, serial: str) -> None:
        super().__init__(system, shop, folder)
        self._module, self.serial, self._label = module, serial, shop.code
        self._bare = folder / "terminal.toml"
        self._write_terminal(self._bare)

    async def make(self) -> OwnKey:
        """`terminal enroll --csr`."""
        key = self._next()
        another = ["--another"] if self._keys > 1 else []
        await self._ask(self._bare, "enroll", "--csr", str(key.request), *another)
        return key

    async def install(self, key: OwnKey) -> None:
        """`terminal enroll --certificate`, with its test here and at the gateway."""
        said = await self._ask(self._bare, "enroll", "--certificate", str(key.certificate))
        key_id = re.search(r'key_id = "([0-9a-f]+)"', said)
        if key_id is None or "联机自检通过" not in said:
            raise Mismatch(f"the token's certificate was not tried against the gateway: {said[:300]}")
        self._write_terminal(key.terminal, key_id[1])

    async def say(self, key: OwnKey, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """With the PIN on standard input."""
        return await self._ask(key.terminal, *words, codes=codes)

    async def _ask(self, config: Path, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        return await self._run(config, words, codes=codes, pin=self._folder / "pin", env=_environment(self._folder))

    def _write_terminal(self, file: Path, key_id: str = "") -> None:
        signer = SignerConfig(module=str(self._module), token=self._label, key_serial=self.serial, key_id=key_id)
        self._write(file, cert_file="", key_file="", key_password_file="", signer=signer)


class FileKeys(_Holder):
    """Where there is no SoftHSM: keys in encrypted files. `terminal enroll` is for tokens, so they are made here."""

    serial = "PILOT-DEMO"

    async def make(self) -> OwnKey:
        """A key file, its password, its request."""
        key, made = self._next(), make_key()
        secret = key.certificate.with_suffix(".password")
        file = key.certificate.with_suffix(".key")
        write_key(file, made, write_password(secret))
        write_new(key.request, build_csr(made), 0o644)
        names = {"cert_file": str(key.certificate), "key_file": str(file), "key_password_file": str(secret)}
        self._write(key.terminal, **names)
        return key

    async def install(self, key: OwnKey) -> None:
        """The certificate lies where terminal.toml says; the gateway is asked something."""
        await self.say(key, "balance")

    async def say(self, key: OwnKey, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """With the key's files."""
        return await self._run(key.terminal, words, codes=codes)


async def own_keys(system: System, shop: Shop) -> OwnKeys:
    """The shop's token, personalised with its code and a PIN of its own; files where there is no SoftHSM."""
    folder = system.layout.own_keys
    folder.mkdir()
    if system.ground.module is None:
        return FileKeys(system, shop, folder)
    return TokenKeys(system, shop, folder, system.ground.module, await _personalise(system, shop, folder))


async def _personalise(system: System, shop: Shop, folder: Path) -> str:
    """Make the token as its maker's tool would; its serial number."""
    (folder / "tokens").mkdir()
    lines = f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    (folder / "softhsm2.conf").write_text(lines, encoding="utf-8")
    pin, unlock = (str(secrets.randbelow(10**8)).zfill(8) for _ in range(2))
    write_new(folder / "pin", f"{pin}\n".encode(), 0o600)
    await _tool(system, folder, "--init-token", "--free", "--label", shop.code, "--pin", pin, "--so-pin", unlock)
    slots = (await _tool(system, folder, "--show-slots")).split("Slot ")
    found = [re.search(r"Serial number: +(\S+)", slot) for slot in slots if re.search(rf"Label: +{shop.code}\b", slot)]
    if len(found) != 1 or found[0] is None:
        raise DemoFault("SoftHSM does not show the token that was made", system.layout.log("softhsm"))
    return found[0][1]


async def _tool(system: System, folder: Path, *words: str) -> str:
    command = [str(shutil.which(_TOOL)), *words]
    child = Child(_TOOL, command, system.layout.log("softhsm"), system.clock, env=_environment(folder))
    try:
        return await child.done(TOKEN_S)
    finally:
        child.stop()


def _environment(folder: Path) -> Mapping[str, str]:
    return {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}


def answer_of(said: str) -> dict[str, Any]:
    """The JSON document of a terminal's command, which warns beside it."""
    lines = [line for line in said.splitlines() if line.startswith("{")]
    if len(lines) != 1:
        raise Mismatch(f"a terminal answered with {said[:300]!r}")
    document: dict[str, Any] = json.loads(lines[0])
    return document
