"""What an error of PostgreSQL or of the way to it says about the work."""

from enum import StrEnum

import asyncpg

from gateway.store.plan import Raced
from gateway.store.port import LostRace, StoreBusy, StoreError, StoreFull, StoreRefused, UnitFailed


class Fault(StrEnum):
    """RACE: a guard or unique index refused a row. RETRY: the same batch may pass now. LOCKED: a lock was not had in
    time. LOST: the connection is no more. BUSY, FULL: the server cannot. BUG: the unit's, or a value's."""

    RACE = "race"
    RETRY = "retry"
    LOCKED = "locked"
    LOST = "lost"
    BUSY = "busy"
    FULL = "full"
    BUG = "bug"


# https://www.postgresql.org/docs/current/errcodes-appendix.html; a code before its class.
_CODES: dict[str, Fault] = {
    "23505": Fault.RACE,
    "40001": Fault.RETRY,
    "40P01": Fault.RETRY,
    "55P03": Fault.LOCKED,
    "57014": Fault.BUSY,  # statement_timeout
    "53100": Fault.FULL,  # disk full
    "58030": Fault.FULL,  # I/O error
    "25006": Fault.LOST,  # read-only: no longer the primary, look for the new one
    "25P03": Fault.LOST,  # idle_in_transaction_session_timeout ended the session
    "57P01": Fault.LOST,
    "57P02": Fault.LOST,
    "57P03": Fault.LOST,
    "57P05": Fault.LOST,
    "08": Fault.LOST,
    "53": Fault.BUSY,
}


def classify(error: BaseException) -> Fault:
    """What kind of fault an exception is."""
    if isinstance(error, Raced):
        return Fault.RACE
    if isinstance(error, asyncpg.PostgresError):
        code = error.sqlstate or ""
        return _CODES.get(code) or _CODES.get(code[:2], Fault.BUG)
    # DataError: a value that does not fit its column. All other interface errors are about a dead connection.
    if isinstance(error, asyncpg.DataError) or type(error) is ValueError:
        return Fault.BUG
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)):
        return Fault.LOST
    return Fault.BUG


def as_store_error(error: BaseException, *, in_doubt: bool = False) -> StoreError:
    """The error callers see where there is no other try. in_doubt: an earlier try may have committed."""
    cause = error.cause if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
    if in_doubt or isinstance(error, StoreRefused):
        return StoreBusy(cause, in_doubt=in_doubt)
    if isinstance(error, StoreError):
        return error
    match classify(error):
        case Fault.RACE:
            return LostRace(cause)
        case Fault.FULL:
            return StoreFull(f"PostgreSQL cannot write: {cause}")
        case Fault.BUG:
            return UnitFailed(cause)
        case _:
            return StoreBusy(cause)
