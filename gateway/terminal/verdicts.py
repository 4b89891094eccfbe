"""What a proven reply means for the question it answers (api s1). Pure: a status and a slug in, a verdict out."""

from enum import Enum, auto

from contracts.problems import DECIDES_KEY, LEAVES_KEY_FREE


class Verdict(Enum):
    """DECIDED: this is the answer. AGAIN: ask again, it says nothing. CLOCK: ask again after setting the clock.
    STOP: it says nothing, and asking again will not help soon."""

    DECIDED = auto()
    AGAIN = auto()
    CLOCK = auto()
    STOP = auto()


CLOSED = "biller-closed"
"""Says nothing about the key, and will be said again for minutes: the key is asked about instead."""
_AGAIN = frozenset({"nonce-replayed"}) | LEAVES_KEY_FREE
_SUCCESS = frozenset({200, 201, 202})


def judge_keyed(status: int, slug: str, *, only: bool) -> Verdict:
    """The verdict on a reply to a request under an idempotency key. slug: "" where the reply is no problem.

    only: no other try under this key can have reached the gateway. A refusal that decides no key (400, 404, 413, 415)
    speaks of its own message alone, so it is an answer only then. A 401 never is: a copy of the same message may have
    been taken before (a proxy that repeats, a certificate revoked in between).
    """
    if status in _SUCCESS:
        return Verdict.DECIDED
    if slug == "signature-expired":
        return Verdict.CLOCK
    if slug == CLOSED:
        return Verdict.STOP
    if slug in _AGAIN or status == 429 or status >= 500:
        return Verdict.AGAIN
    if not slug:
        return Verdict.STOP
    if status in DECIDES_KEY:
        return Verdict.DECIDED
    if status in {400, 404, 413, 415} and only:
        return Verdict.DECIDED
    return Verdict.STOP


def judge_plain(status: int, slug: str) -> Verdict:
    """The verdict on a reply to a question without a key: whatever is not worth asking again is the answer."""
    if slug == "signature-expired":
        return Verdict.CLOCK
    if slug in _AGAIN or status == 429 or status >= 500:
        return Verdict.AGAIN
    return Verdict.DECIDED
