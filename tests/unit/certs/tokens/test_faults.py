"""Every trouble has its own words, in both languages; every return code is one of them."""

import re

import pytest
from pkcs11 import exceptions as p11
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error

from certs.tokens.codes import fault_of, pin_fault, warnings_of
from certs.tokens.faults import TEXTS, TokenFault, Trouble
from certs.tokens.pins import WARNING_TEXTS, PinWarning

F = TokenFlag
W = PinWarning


@pytest.mark.parametrize("trouble", Trouble)
def test_words_in_both_languages(trouble: Trouble) -> None:
    words = TEXTS[trouble]
    assert re.search(r"[\u4e00-\u9fff]{4}", words.shop_text)
    assert words.hint.isascii()
    assert len(words.hint.split()) > 3
    fault = TokenFault(trouble, "detail")
    assert fault.shop_text == words.shop_text
    assert fault.hint == f"{words.hint} (detail)"
    assert (fault.again().trouble, fault.again().detail) == (trouble, "detail")


def test_no_two_troubles_read_alike() -> None:
    assert (
        len({words.shop_text for words in TEXTS.values()})
        == len({words.hint for words in TEXTS.values()})
        == len(Trouble)
    )
    assert set(WARNING_TEXTS) == set(PinWarning)


def test_every_return_code_is_a_trouble() -> None:
    kinds = [one for one in vars(p11).values() if isinstance(one, type) and issubclass(one, PKCS11Error)]
    assert len(kinds) > 60
    for kind in kinds:
        assert fault_of(kind()).trouble in Trouble
    assert fault_of(PKCS11Error("vendor 0x80000001")).trouble is Trouble.DEVICE_ERROR


@pytest.mark.parametrize(
    ("warnings", "expected"),
    [
        ((), Trouble.PIN_WRONG),
        ((W.FEW_TRIES,), Trouble.PIN_FEW_TRIES),
        ((W.LAST_TRY, W.FEW_TRIES), Trouble.PIN_LAST_TRY),
        ((W.LOCKED, W.LAST_TRY, W.FEW_TRIES), Trouble.PIN_LOCKED),
        ((W.TO_BE_CHANGED,), Trouble.PIN_WRONG),
    ],
)
def test_a_wrong_pin_tells_what_is_left(warnings: tuple[PinWarning, ...], expected: Trouble) -> None:
    assert pin_fault(p11.PinIncorrect(), warnings).trouble is expected
    assert pin_fault(p11.DeviceError(), warnings).trouble is Trouble.DEVICE_ERROR


def test_flags_as_warnings_the_gravest_first() -> None:
    assert warnings_of(F.RNG | F.LOGIN_REQUIRED | F.SO_PIN_LOCKED) == ()
    everything = F.USER_PIN_COUNT_LOW | F.USER_PIN_FINAL_TRY | F.USER_PIN_LOCKED | F.USER_PIN_TO_BE_CHANGED
    assert warnings_of(everything) == (W.LOCKED, W.LAST_TRY, W.FEW_TRIES, W.TO_BE_CHANGED)
