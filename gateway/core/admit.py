"""Who may speak now (design s6): certificate, binding, window, nonce; and the evidence kept of every signed request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from certs.core import seals
from contracts.serials import Serials
from gateway.core.book import Book
from gateway.core.env import rfc3339
from gateway.core.items import Arrival, Refusal, Signed
from gateway.core.rows import Caller, Nonce, Record, Setting
from gateway.core.steps import Claim, Now, Read, Work

CLOCK_SKEW_S = 60
WINDOW_MAX_S = 300
NONCE_KEPT_S = 720
NONCE_BUCKET_S = 3600
NONCE_FLOOR = "nonce_floor"
"""Setting, in ms: a `created` at or below it is refused, so neither purge nor restore reopens a window."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What admission found: the database's clock, and per arrival id the caller or the refusal.

    redone: arrivals whose nonce lies in the book already as their own: their commit happened, its answer was lost.
    """

    now: int
    callers: Mapping[str, Caller]
    refusals: Mapping[str, Refusal]
    redone: frozenset[str]


def judge_caller(caller: Caller | None, arrival: Arrival, *, now: int, floor: int) -> Refusal | None:
    """Whether this certificate may speak for its station at this moment. Reads nothing but its arguments."""
    if caller is None:
        return Refusal(slug="certificate-unknown", detail="This certificate is not registered here.")
    now_s = now // 1000
    if not arrival.created - CLOCK_SKEW_S <= now_s <= arrival.expires:
        return Refusal(slug="signature-expired", detail=f"The signature's window does not hold {rfc3339(now)}.")
    if arrival.created * 1000 <= floor:
        return Refusal(slug="signature-expired", detail="The signature is older than what this gateway remembers.")
    if caller.certificate_state in ("REVOKED", "FROZEN", "REPLACED"):
        return Refusal(slug="certificate-revoked", detail=f"The certificate is {caller.certificate_state.lower()}.")
    if caller.certificate_state == "EXPIRED" or not caller.not_before <= now < caller.not_after:
        return Refusal(slug="certificate-expired", detail="The certificate is not valid at this moment.")
    states = (caller.certificate_state, caller.terminal_state, caller.operator_state)
    if states != ("ACTIVE",) * 3 or caller.station_state not in ("ACTIVE", "SUSPENDED"):
        return Refusal(
            slug="certificate-not-bound",
            detail="The certificate is not bound to an active station, terminal, operator.",
        )
    return None


def admit(items: Sequence[Signed], book: Book) -> Work[Admission]:
    """Read the callers, take the nonces, keep a record of each request. The first steps of every signed unit."""
    now: int = yield Now()
    arrivals = [item.arrival for item in items]
    callers: dict[str, Caller] = {
        row.keyid: row for row in (yield Read("callers", sorted({(arrival.keyid,) for arrival in arrivals})))
    }
    settings: list[Setting] = yield Read("settings", [(NONCE_FLOOR,)])
    floor = settings[0].value if settings else 0
    known = [arrival for arrival in arrivals if arrival.keyid in callers and arrival.created * 1000 > floor]
    replayed, redone = yield from _take_nonces(known)
    found: dict[str, Caller] = {}
    refusals: dict[str, Refusal] = {}
    for arrival in arrivals:
        caller = callers.get(arrival.keyid)
        refusal = judge_caller(caller, arrival, now=now, floor=floor)
        if refusal is None and arrival.arrival_id in replayed:
            refusal = Refusal(slug="nonce-replayed", detail="This signed request was received before.")
        if refusal is not None:
            refusals[arrival.arrival_id] = refusal
        if caller is not None:
            found[arrival.arrival_id] = caller
    return Admission(now, found, refusals, redone)


def _take_nonces(arrivals: Sequence[Arrival]) -> Work[tuple[set[str], frozenset[str]]]:
    """Arrival ids whose nonce was used by another arrival, and those that had taken it themselves before.

    Neighbouring buckets are asked where `created` is near.
    """
    first: dict[tuple[int, str, str], Nonce] = {}
    replayed: set[str] = set()
    for arrival in arrivals:
        place = (arrival.created // NONCE_BUCKET_S, arrival.keyid, arrival.nonce)
        row = Nonce(
            bucket=place[0],
            keyid=arrival.keyid,
            nonce=arrival.nonce,
            arrival_id=arrival.arrival_id,
            created=arrival.created,
        )
        if first.setdefault(place, row).arrival_id != arrival.arrival_id:
            replayed.add(arrival.arrival_id)
    ours = yield Claim([first[place] for place in sorted(first)])
    elsewhere = sorted(
        {(bucket, row.keyid, row.nonce) for row in first.values() for bucket in _neighbours(row)}
        | {place for place in first if place not in ours}
    )
    holders: dict[tuple[str, str], set[str]] = {}
    for nonce in (yield Read("nonces", elsewhere)) if elsewhere else ():
        holders.setdefault((nonce.keyid, nonce.nonce), set()).add(nonce.arrival_id)
    for arrival in arrivals:
        if holders.get((arrival.keyid, arrival.nonce), {arrival.arrival_id}) != {arrival.arrival_id}:
            replayed.add(arrival.arrival_id)
    redone = frozenset(row.arrival_id for place, row in first.items() if place not in ours)
    return replayed, redone - replayed


def _neighbours(row: Nonce) -> list[int]:
    near = {(row.created + shift) // NONCE_BUCKET_S for shift in (-NONCE_KEPT_S, NONCE_KEPT_S)}
    return sorted(near - {row.bucket})


def record_request(
    arrival: Arrival, admission: Admission, serials: Serials, gateway_serial: str | None
) -> Record | None:
    """The record of a signed request, or None where it may not be kept again (unknown signer, a replay)."""
    refusal = admission.refusals.get(arrival.arrival_id)
    caller = admission.callers.get(arrival.arrival_id)
    if arrival.arrival_id in admission.redone or caller is None:
        return None
    if refusal is not None and refusal.slug in ("nonce-replayed", "signature-expired"):
        return None
    return make_record(
        kind="request",
        record_id=serials.mint(),
        now=admission.now,
        institution_code=caller.institution_code,
        gateway_serial=gateway_serial,
        keyid=arrival.keyid,
        base=arrival.base,
        signature=arrival.signature,
        body=arrival.body,
    )


def make_record(
    *,
    kind: str,
    record_id: str,
    now: int,
    institution_code: str | None,
    gateway_serial: str | None,
    keyid: str = "",
    base: bytes = b"",
    signature: bytes = b"",
    body: bytes = b"",
) -> Record:
    """A record with its leaf (M11)."""
    leaf = seals.leaf(
        seals.Record(
            record_id=record_id,
            kind=kind,
            received_at=rfc3339(now),
            base=base,
            signature=signature,
            body=body,
            keyid=keyid,
        )
    )
    return Record(
        record_id=record_id,
        kind=kind,
        received_at=now,
        institution_code=institution_code,
        gateway_serial=gateway_serial,
        keyid=keyid or None,
        base=base,
        signature=signature,
        body=body,
        leaf=leaf,
    )
