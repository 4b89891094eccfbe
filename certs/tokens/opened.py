"""One USB key that is logged in: work is done on it, and after it was unplugged and is back, on it again."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pkcs11.exceptions import PKCS11Error
from pkcs11.types import Session

from certs.tokens.codes import fault_of
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.library import Held, Library, TokenSeen, TokenSpec, library, serial_of
from certs.tokens.pins import PinAsk, PinSource, PinWarning

T = TypeVar("T")

ANSWER_WITHIN_S = 60.0
"""How long a token may take by default: some wait for a person to press a button."""
_PIN_REFUSALS = frozenset(
    {Trouble.PIN_WRONG, Trouble.PIN_FEW_TRIES, Trouble.PIN_LAST_TRY, Trouble.PIN_LOCKED, Trouble.PIN_TO_BE_CHANGED}
)
# With these the session may be dead too: many drivers have no better word for a key that was pulled.
_SUSPICIOUS = frozenset({Trouble.DEVICE_ERROR, Trouble.DEVICE_BUSY})


class OpenToken:
    """A token of this process, found once, and by its serial number ever after. Methods block; any thread may call.

    A PIN is asked for at opening, and again when the token was unplugged and is back; each answer is tried once. After
    a refused PIN nothing is tried any more: open a new one. label, key_serial: the token's own. warnings: what it told
    of its PIN at the last login.
    """

    def __init__(self, home: Library, spec: TokenSpec, pin: PinSource, *, writable: bool, within_s: float) -> None:
        self._library, self._spec, self._pin = home, spec, pin
        self._writable, self._within_s = writable, within_s
        self._entering = threading.Lock()
        self._held: Held | None = None
        self._generation = 0
        self._over: TokenFault | None = None
        self.label, self.key_serial = "", spec.key_serial
        self.warnings: tuple[PinWarning, ...] = ()

    @classmethod
    def open(
        cls, spec: TokenSpec, pin: PinSource, *, writable: bool = False, within_s: float = ANSWER_WITHIN_S
    ) -> "OpenToken":
        """Find the token and log in. Raises TokenFault; then nothing of it stays open."""
        token = cls(library(spec.module), spec, pin, writable=writable, within_s=within_s)
        try:
            token._enter(again=False)
        except BaseException:  # boundary: closed here, raised on
            token.close()
            raise
        return token

    def run(self, work: Callable[[Session], T], *, repeatable: bool = True) -> T:
        """Do some work on a live session, in the module's thread.

        A token that is gone is looked for once, under its serial number, with the PIN asked for again. The work may
        then run twice, unless it is not repeatable. Raises TokenFault: REMOVED while the token is not there.
        """
        held, generation = self._held, self._generation
        try:
            return self._library.run(lambda: self._do(held, generation, work), self._within_s)
        except TokenFault as fault:
            if fault.trouble is not Trouble.REMOVED or not repeatable:
                raise
        self._return(generation)
        held, generation = self._held, self._generation
        return self._library.run(lambda: self._do(held, generation, work), self._within_s)

    def close(self) -> None:
        """Log out where nobody else in this process uses the token. Safe to call twice, and for a token that is gone.

        Does nothing in a forked child: the session is the parent's.
        """
        self._over = self._over or TokenFault(Trouble.CLOSED)
        held, self._held = self._held, None
        if os.getpid() != self._library.pid:
            return

        def leave() -> None:
            if held is not None:
                self._library.leave(self.key_serial, self._generation)
            self._library.rest()

        try:
            self._library.run(leave, self._within_s)
        except TokenFault as fault:
            if fault.trouble is not Trouble.NO_ANSWER:  # a driver that hangs cannot be closed
                raise
        self._library.end_thread()

    def _do(self, held: Held | None, generation: int, work: Callable[[Session], T]) -> T:
        if self._over is not None:
            raise self._over.again()
        if held is None or generation != self._library.generation:
            raise TokenFault(Trouble.REMOVED, f"key {self.key_serial}")
        try:
            return work(held.session)
        except PKCS11Error as error:
            fault = fault_of(error)
            if fault.trouble in _SUSPICIOUS and not self._is_there(held.session):
                raise TokenFault(Trouble.REMOVED, type(error).__name__) from error
            raise fault from error

    def _is_there(self, session: Session) -> bool:
        try:
            return serial_of(session.token.slot.get_token()) == self.key_serial
        except PKCS11Error:
            return False

    def _return(self, generation: int) -> None:
        """After the token was unplugged: the module anew, the same token, a new session."""
        with self._entering:
            if self._held is not None and generation != self._generation == self._library.generation:
                return  # another thread has been here
            self._held = None
            self._library.run(lambda: self._library.restart(generation), self._within_s)
            try:
                self._enter(again=True)
            except TokenFault as fault:
                if fault.trouble is Trouble.NO_TOKEN:
                    raise TokenFault(Trouble.REMOVED, f"key {self.key_serial}; {fault.detail}") from fault
                if fault.trouble in _PIN_REFUSALS:
                    self._over = fault
                raise

    def _enter(self, *, again: bool) -> None:
        seen = self._library.run(lambda: self._library.look(self._spec), self._within_s)
        spec = replace(self._spec, key_serial=seen.key_serial)
        pin = self._pin(self._ask(seen, again)) if seen.needs_pin and PinWarning.LOCKED not in seen.warnings else None

        def enter() -> tuple[Held, int]:
            return self._library.enter(spec, pin, writable=self._writable), self._library.generation

        try:
            self._held, self._generation = self._library.run(enter, self._within_s)
        except TokenFault as fault:
            if fault.trouble is not Trouble.NO_ANSWER:
                self._library.run(self._library.rest, self._within_s)
            raise
        self.label, self.key_serial, self.warnings = seen.label, seen.key_serial, seen.warnings
        self._spec = spec

    @staticmethod
    def _ask(seen: TokenSeen, again: bool) -> PinAsk:
        return PinAsk(label=seen.label, key_serial=seen.key_serial, warnings=seen.warnings, again=again)
