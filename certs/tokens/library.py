"""A PKCS#11 module in this process: loaded once, one thread, sessions shared, finalised when nobody is left."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error, TokenNotPresent, TokenNotRecognised, UserAlreadyLoggedIn
from pkcs11.types import PROTECTED_AUTH, Session, Token

from certs.tokens.codes import fault_of, pin_fault, warnings_of
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.pins import Pin, PinWarning
from certs.tokens.worker import Worker

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSpec:
    """Which key. module: absolute path of the PKCS#11 module. token: its label. key_serial: the token's serial number.

    key_id: hex of CKA_ID where one token holds several keys. What is empty is not asked for.
    """

    module: Path
    token: str = ""
    key_serial: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSeen:
    """A token that is plugged in. needs_pin: False on one with a PIN pad, one that needs no login, one logged in."""

    label: str
    key_serial: str
    warnings: tuple[PinWarning, ...]
    needs_pin: bool


@dataclass(slots=True)
class Held:
    """A session that is logged in, shared by everyone in this process who uses that token."""

    session: Session
    writable: bool
    users: int = 0


class Library:
    """One module. Its methods block and may be called from any thread; the module is called from one thread only.

    generation: counts initialisations; a session belongs to one, and is dead after it.
    """

    def __init__(self, module: Path) -> None:
        self.module, self.pid = module, os.getpid()
        self.generation = 0
        self._worker = Worker(f"token {module.name}")
        self._raw: Any = None
        self._held: dict[str, Held] = {}

    def run(self, work: Callable[[], T], within_s: float) -> T:
        """Do it in the module's thread. Raises TokenFault FORKED in a child of the process that made this."""
        if os.getpid() != self.pid:
            raise TokenFault(Trouble.FORKED)
        return self._worker.run(work, within_s)

    def end_thread(self) -> None:
        """End the module's thread where the module is finalised; the next run() starts another."""
        if not self.is_open and os.getpid() == self.pid:
            self._worker.close()

    @property
    def is_open(self) -> bool:
        """Whether the module is initialised."""
        return self._raw is not None

    # What follows runs in the module's thread.

    def look(self, spec: TokenSpec) -> TokenSeen:
        """The one token that fits. Raises TokenFault."""
        token = self._find(spec)
        serial, flags = serial_of(token), token.flags
        login = bool(flags & TokenFlag.LOGIN_REQUIRED) and not flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH
        return TokenSeen(
            label=token.label,
            key_serial=serial,
            warnings=warnings_of(flags),
            needs_pin=login and serial not in self._held,
        )

    def enter(self, spec: TokenSpec, pin: Pin | None, *, writable: bool) -> Held:
        """A session on it; one try with the PIN, or the session that this process already has. Raises TokenFault."""
        token = self._find(spec)
        serial = serial_of(token)
        held = self._held.get(serial)
        if held is None:
            held = self._held[serial] = Held(_open(token, pin, writable=writable), writable)
        elif writable and not held.writable:
            raise TokenFault(Trouble.DEVICE_BUSY, "this process signs with it: close that first")
        held.users += 1
        return held

    def leave(self, serial: str, generation: int) -> None:
        """One user less; the last one logs out and closes, and without any session the module is finalised."""
        held = self._held.get(serial) if generation == self.generation else None
        if held is not None:
            held.users -= 1
            if held.users == 0:
                del self._held[serial]
                with suppress(PKCS11Error):  # a session of a token that is gone ends with the module
                    held.session.close()
        self.rest()

    def rest(self) -> None:
        """Finalise the module if nobody holds a session: what was half opened is gone, logins are over."""
        if not self._held:
            self._finalize()

    def restart(self, generation: int) -> None:
        """After a token was unplugged: finalise, to be initialised anew, unless that has happened since `generation`.

        Sessions of other tokens die with it; theirs to come back too. A module that nobody uses is finalised anyway:
        some (SoftHSM) look for tokens only when they are initialised; behind such a one a token that was unplugged
        twice comes back only when no other is in use.
        """
        if generation == self.generation or not self._held:
            self._held.clear()
            self._finalize()

    def _find(self, spec: TokenSpec) -> Token:
        found = [token for token in self._tokens() if _fits(token, spec)]
        if not found:
            others = ", ".join(sorted(f"{token.label!r} {serial_of(token)}" for token in self._tokens()))
            raise TokenFault(Trouble.NO_TOKEN, f"plugged in: {others or 'none'}")
        if len(found) > 1:
            raise TokenFault(Trouble.SEVERAL_TOKENS, ", ".join(f"{one.label!r} {serial_of(one)}" for one in found))
        return found[0]

    def _tokens(self) -> list[Token]:
        """Every token that has been personalised. One that fails hides no other."""
        found, failed = [], None
        try:
            for slot in self._opened().get_slots(True):
                try:
                    token = slot.get_token()
                except (TokenNotPresent, TokenNotRecognised):
                    continue
                except PKCS11Error as error:
                    failed = error
                    continue
                if token.flags & TokenFlag.TOKEN_INITIALIZED:
                    found.append(token)
        except PKCS11Error as error:
            raise fault_of(error) from error
        if failed is not None and not found:
            raise fault_of(failed) from failed
        return found

    def _opened(self) -> Any:
        if self._raw is None:
            self._raw = _load(self.module)
            self.generation += 1
        return self._raw

    def _finalize(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            self.generation += 1
            # It counts as finalised either way; the next initialisation shows what is left of it.
            with suppress(PKCS11Error):
                raw.finalize()


def serial_of(token: Token) -> str:
    """A token's serial number as text."""
    return token.serial.rstrip(b"\0").decode("utf-8", "replace").strip()


def _fits(token: Token, spec: TokenSpec) -> bool:
    return spec.token in ("", token.label) and spec.key_serial in ("", serial_of(token))


def _load(module: Path) -> Any:
    if not module.is_file():
        raise TokenFault(Trouble.MODULE_MISSING, str(module))
    try:
        return pkcs11.lib(str(module))
    except PKCS11Error as error:
        raise TokenFault(Trouble.MODULE_UNUSABLE, f"{module}: {type(error).__name__} {error}".rstrip()) from error


def _open(token: Token, pin: Pin | None, *, writable: bool) -> Session:
    """One C_OpenSession, one C_Login. What fails leaves a session behind, which rest() ends."""
    flags = token.flags
    if PinWarning.LOCKED in warnings_of(flags):
        raise TokenFault(Trouble.PIN_LOCKED, f"key {serial_of(token)}")
    given: Any = PROTECTED_AUTH if flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH else None
    try:
        if given is None and flags & TokenFlag.LOGIN_REQUIRED:
            if pin is None:
                raise TokenFault(Trouble.PIN_NEEDED, f"key {serial_of(token)}")
            given = pin.take()
        return token.open(rw=writable, user_pin=given)
    except UserAlreadyLoggedIn:
        raise TokenFault(Trouble.DEVICE_BUSY, "somebody else in this process is logged in") from None
    except PKCS11Error as error:
        raise pin_fault(error, _warnings_now(token)) from None  # the error's frames hold the PIN
    finally:
        del given


def _warnings_now(token: Token) -> tuple[PinWarning, ...]:
    try:
        return warnings_of(token.slot.get_token().flags)
    except PKCS11Error:
        return ()  # the PIN's own error says enough


_libraries: dict[Path, Library] = {}
_guard = threading.Lock()
_inherited: set[Path] = set()


def library(module: Path) -> Library:
    """The module's one Library in this process. Raises TokenFault FORKED if it was open when this process was forked:
    the child would share the parent's sessions (tried: it signs with them) and end them when it ends."""
    with _guard:
        if module in _inherited:
            raise TokenFault(Trouble.FORKED, str(module))
        return _libraries.setdefault(module, Library(module))


def _forget() -> None:
    global _guard  # noqa: PLW0603  # another thread may have held it at the fork
    _guard = threading.Lock()
    _inherited.update(module for module, one in _libraries.items() if one.is_open)
    _libraries.clear()


os.register_at_fork(after_in_child=_forget)
