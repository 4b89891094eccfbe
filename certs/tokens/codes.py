"""What a PKCS#11 return code or flag means for a person."""

from collections.abc import Mapping

from pkcs11 import exceptions as p11
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error

from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.pins import PinWarning

_FLAGS = (
    (TokenFlag.USER_PIN_LOCKED, PinWarning.LOCKED),
    (TokenFlag.USER_PIN_FINAL_TRY, PinWarning.LAST_TRY),
    (TokenFlag.USER_PIN_COUNT_LOW, PinWarning.FEW_TRIES),
    (TokenFlag.USER_PIN_TO_BE_CHANGED, PinWarning.TO_BE_CHANGED),
)
# After each of these the session is over: whoever goes on must find the token and log in again.
_GONE = (
    p11.DeviceRemoved,
    p11.TokenNotPresent,
    p11.TokenNotRecognised,
    p11.SlotIDInvalid,
    p11.SessionClosed,
    p11.SessionHandleInvalid,
    p11.ObjectHandleInvalid,
    p11.KeyHandleInvalid,
    p11.UserNotLoggedIn,
    p11.OperationActive,  # an operation that nobody can end any more
)
_CODES: Mapping[type[PKCS11Error], Trouble] = {
    **dict.fromkeys(_GONE, Trouble.REMOVED),
    p11.PinIncorrect: Trouble.PIN_WRONG,
    p11.PinLocked: Trouble.PIN_LOCKED,
    p11.PinExpired: Trouble.PIN_TO_BE_CHANGED,
    p11.UserPinNotInitialized: Trouble.PIN_NOT_SET,
    p11.PinInvalid: Trouble.PIN_MALFORMED,
    p11.PinLenRange: Trouble.PIN_MALFORMED,
    p11.MechanismInvalid: Trouble.MECHANISM_UNSUPPORTED,
    p11.MechanismParamInvalid: Trouble.MECHANISM_UNSUPPORTED,
    p11.FunctionNotSupported: Trouble.MECHANISM_UNSUPPORTED,
    p11.KeyTypeInconsistent: Trouble.MECHANISM_UNSUPPORTED,
    p11.KeySizeRange: Trouble.MECHANISM_UNSUPPORTED,
    p11.TokenWriteProtected: Trouble.WRITE_PROTECTED,
    p11.SessionReadOnly: Trouble.WRITE_PROTECTED,
    p11.SessionCount: Trouble.DEVICE_BUSY,
    p11.SessionExists: Trouble.DEVICE_BUSY,
}
"""Everything else is DEVICE_ERROR."""


def fault_of(error: PKCS11Error) -> TokenFault:
    """The fault of a return code outside a login."""
    trouble = _CODES.get(type(error), Trouble.DEVICE_ERROR)
    return TokenFault(trouble, f"{type(error).__name__} {error}".rstrip())


def pin_fault(error: PKCS11Error, warnings: tuple[PinWarning, ...]) -> TokenFault:
    """The fault of a login, with what the token says of the tries that are left after it."""
    fault = fault_of(error)
    if fault.trouble is not Trouble.PIN_WRONG:
        return fault
    if PinWarning.LOCKED in warnings:
        return TokenFault(Trouble.PIN_LOCKED, "this wrong PIN was one too many")
    if PinWarning.LAST_TRY in warnings:
        return TokenFault(Trouble.PIN_LAST_TRY, "wrong PIN; it was tried once")
    return TokenFault(Trouble.PIN_FEW_TRIES if PinWarning.FEW_TRIES in warnings else Trouble.PIN_WRONG)


def warnings_of(flags: TokenFlag) -> tuple[PinWarning, ...]:
    """What a token's flags say of its user PIN, the gravest first."""
    return tuple(warning for flag, warning in _FLAGS if flags & flag)
