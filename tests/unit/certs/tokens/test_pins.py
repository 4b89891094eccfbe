"""A PIN is given once, from a prompt or a file descriptor."""

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.pins import AskedPin, FdPin, Pin, PinAsk, PinWarning, checked, no_pin

ASK = PinAsk(label="shop", key_serial="K1", warnings=())
LAST = PinAsk(label="shop", key_serial="K1", warnings=(PinWarning.LAST_TRY, PinWarning.FEW_TRIES))


@contextmanager
def refused(trouble: Trouble) -> Iterator[None]:
    """The block ends in this trouble."""
    with pytest.raises(TokenFault) as caught:
        yield
    assert caught.value.trouble is trouble


def pipe(content: bytes) -> int:
    """A file descriptor that gives these bytes."""
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    return read


def test_a_pin_is_given_out_once() -> None:
    pin = Pin("1234")
    assert "1234" not in repr(pin)
    assert pin.take() == "1234"
    with pytest.raises(RuntimeError):
        pin.take()


@pytest.mark.parametrize("content", [b"1234\n", b"1234", b"1234\r\n", b"1234\nmore\n"])
def test_the_first_line_of_a_file_descriptor(content: bytes) -> None:
    source = FdPin(pipe(content))
    assert source(ASK).take() == "1234"
    with refused(Trouble.PIN_NEEDED):
        source(ASK)


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"", Trouble.PIN_NEEDED),
        (b"\n1234\n", Trouble.PIN_NEEDED),
        (b"\xff\n", Trouble.PIN_MALFORMED),
        (b"12\x0034\n", Trouble.PIN_MALFORMED),
        (b"1" * 256 + b"\n", Trouble.PIN_MALFORMED),
    ],
)
def test_no_usable_line(content: bytes, trouble: Trouble) -> None:
    fd = pipe(content)
    with refused(trouble):
        FdPin(fd)(ASK)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_the_last_try_is_not_for_a_file_descriptor() -> None:
    fd = pipe(b"1234\n")
    with refused(Trouble.PIN_NOT_RISKED):
        FdPin(fd)(LAST)
    assert os.read(fd, 9) == b"1234\n"
    os.close(fd)


def test_a_closed_descriptor_or_a_terminal_gives_none() -> None:
    ours, theirs = pty.openpty()
    with refused(Trouble.PIN_NEEDED):
        FdPin(theirs)(ASK)
    os.close(ours)
    os.close(theirs)
    with refused(Trouble.PIN_NEEDED):
        FdPin(theirs)(ASK)


def test_asked_once_or_whenever() -> None:
    asked: list[PinAsk] = []

    def prompt(ask: PinAsk) -> str:
        asked.append(ask)
        return "1234"

    once, often = AskedPin(prompt, once=True), AskedPin(prompt)
    assert once(LAST).take() == "1234"
    with refused(Trouble.PIN_NEEDED):
        once(ASK)
    assert [often(ASK).take(), often(ASK).take()] == ["1234", "1234"]
    assert asked == [LAST, ASK, ASK]


def test_nothing_typed_is_no_try() -> None:
    with refused(Trouble.PIN_NEEDED):
        AskedPin(lambda ask: "")(ASK)
    with refused(Trouble.PIN_NEEDED):
        no_pin(ASK)
    with refused(Trouble.PIN_MALFORMED):
        checked("12\x1b34")
    assert checked("口令1234").take() == "口令1234"
