"""PINs: asked for when they are needed, used once, forgotten. Never from the command line or a configuration."""

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from certs.tokens.faults import TokenFault, Trouble

PIN_MAX_BYTES = 255


class PinWarning(StrEnum):
    """What a token tells about its PIN; PKCS#11 knows no number of tries."""

    FEW_TRIES = "few-tries"
    LAST_TRY = "last-try"
    LOCKED = "locked"
    TO_BE_CHANGED = "to-be-changed"


WARNING_TEXTS = {
    PinWarning.FEW_TRIES: "U盾口令曾经输错，剩余次数不多，请核对后再输",
    PinWarning.LAST_TRY: "U盾口令只剩最后一次机会，再错就会锁住",
    PinWarning.LOCKED: "U盾已锁住",
    PinWarning.TO_BE_CHANGED: "U盾口令是初始口令或已过期，请尽快修改",
}
"""Each warning for the shop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinAsk:
    """For which key a PIN is needed, and what the key warned of. again: it was unplugged and is back."""

    label: str
    key_serial: str
    warnings: tuple[PinWarning, ...]
    again: bool = False


class Pin:
    """A PIN that is given out once. Its text is held by nobody afterwards."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: str | None = text

    def take(self) -> str:
        """The PIN, once; RuntimeError the second time."""
        text, self._text = self._text, None
        if text is None:
            raise RuntimeError("a PIN is used once")
        return text


class PinSource(Protocol):
    """Whoever knows the PIN: a person at a prompt, a file descriptor. Called once per login, in the caller's thread."""

    def __call__(self, ask: PinAsk) -> Pin:
        """The PIN. Raises TokenFault where there is none to be had."""
        ...


class FdPin:
    """The first line of a file descriptor, read once. Nobody watches, so it never uses the last try."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def __call__(self, ask: PinAsk) -> Pin:
        """Raises TokenFault: PIN_NOT_RISKED before anything is read, PIN_NEEDED for the second time or no line."""
        if PinWarning.LAST_TRY in ask.warnings:
            raise TokenFault(Trouble.PIN_NOT_RISKED)
        fd, self._fd = self._fd, None
        if fd is None:
            raise TokenFault(Trouble.PIN_NEEDED, "the file descriptor was read already")
        try:
            if stat.S_ISCHR(os.fstat(fd).st_mode) and os.isatty(fd):
                raise TokenFault(Trouble.PIN_NEEDED, f"file descriptor {fd} is a terminal, which would show the PIN")
            line = _read_line(fd)
            os.close(fd)
        except OSError as wrong:
            raise TokenFault(Trouble.PIN_NEEDED, f"file descriptor {fd}: {wrong.strerror}") from wrong
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise TokenFault(Trouble.PIN_MALFORMED, "not UTF-8") from None
        return checked(text)


class AskedPin:
    """A person at a prompt. prompt(ask): what was typed, "" for nothing. once: later questions are not put.

    A command asks at its start only: it never stops in the middle of a payment to wait for a person.
    """

    def __init__(self, prompt: Callable[[PinAsk], str], *, once: bool = False) -> None:
        self._prompt, self._once = prompt, once
        self._asked = False
        self._guard = threading.Lock()

    def __call__(self, ask: PinAsk) -> Pin:
        """Raises TokenFault PIN_NEEDED where nothing was typed."""
        with self._guard:
            if self._once and self._asked:
                raise TokenFault(Trouble.PIN_NEEDED, "run the command again: it asks for the PIN once")
            self._asked = True
            return checked(self._prompt(ask))


def no_pin(ask: PinAsk) -> Pin:
    """The source of whoever has none. Raises TokenFault PIN_NEEDED."""
    raise TokenFault(Trouble.PIN_NEEDED, f"key {ask.key_serial}")


def checked(text: str) -> Pin:
    """A PIN as typed; what no token takes costs no try. Raises TokenFault PIN_NEEDED, PIN_MALFORMED."""
    if not text:
        raise TokenFault(Trouble.PIN_NEEDED, "an empty line")
    if len(text.encode("utf-8", "replace")) > PIN_MAX_BYTES or not text.isprintable():
        raise TokenFault(Trouble.PIN_MALFORMED)
    return Pin(text)


def _read_line(fd: int) -> bytes:
    line = b""
    while b"\n" not in line and len(line) <= PIN_MAX_BYTES + 1:
        part = os.read(fd, PIN_MAX_BYTES + 2)
        if not part:
            break
        line += part
    return line.partition(b"\n")[0].removesuffix(b"\r")
