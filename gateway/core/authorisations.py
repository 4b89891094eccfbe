"""One-off permissions of head office: over-limit payments and cancels, each used up once (PAY-03, ROLE-06).

One person of head office signs: the shop asks and cannot give itself one, so two people stand behind each use. What is
used, who used it up and who revoked it stays for ever.
"""

import re
from collections.abc import Sequence
from datetime import date

from msgspec.structs import replace

from contracts.money import FEN_MAX
from gateway.core.book import Book
from gateway.core.env import local
from gateway.core.items import Refusal
from gateway.core.rows import Authorization, Station, StationService
from gateway.core.scene import Scene, conflict, malformed, missing
from gateway.core.steps import Read, Work

CANCEL, OVER_LIMIT = "cancel", "over-limit"
AHEAD_DAYS = 31
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def issue(scene: Scene) -> Work[Refusal | str]:
    """Give one. subject: the institution code. fields: kind, service, account, amount_fen, date (the bureau's day).

    Returns its number, which a cancel names; an over-limit payment is recognised by the other four.
    """
    read = _read(scene)
    if isinstance(read, Refusal):
        return read
    kind, amount_fen, day = read
    code, service = scene.deed.subject, scene.field("service")
    scene.book.load((yield Read("stations", [(code,)])))
    scene.book.load((yield Read("station_services", [(code, service)])))
    station = scene.book.get(Station, code)
    if station is None or station.state == "CLOSED":
        return missing(f"station {code} that is not closed")
    if scene.book.get(StationService, code, service) is None:
        return missing(f"service {service} at station {code}")
    if not re.fullmatch(scene.env.facts_of(service).account_pattern, scene.field("account")):
        return malformed("not an account of this service", "account")
    if kind == OVER_LIMIT and amount_fen > scene.env.facts_of(service).amount_max.value:
        return malformed("the biller itself takes no more than its own limit", "amount_fen")
    number = scene.serials.mint()
    scene.book.add(
        Authorization(
            authorization_id=number,
            kind=kind,
            institution_code=code,
            service=service,
            biller_account=scene.field("account"),
            amount_fen=amount_fen,
            valid_on=day,
            issued_by=scene.by,
            issued_at=scene.now,
            reason=scene.deed.reason,
            record_id=str(scene.record_id),
        )
    )
    return number


def _read(scene: Scene) -> tuple[str, int, str] | Refusal:
    kind, fen, day = scene.field("kind"), scene.field("amount_fen"), scene.field("date")
    if kind not in (CANCEL, OVER_LIMIT):
        return malformed(f"{CANCEL} or {OVER_LIMIT}", "kind")
    if not (fen.isascii() and fen.isdigit() and 0 < int(fen[:16]) <= FEN_MAX):
        return malformed("a number of fen above 0", "amount_fen")
    today = local(scene.now, scene.env.zone).date()
    try:
        ahead = (date.fromisoformat(day) - today).days if _DAY.fullmatch(day) else -1
    except ValueError:
        ahead = -1
    if not 0 <= ahead <= AHEAD_DAYS:
        return malformed(f"a day from today to {AHEAD_DAYS} days ahead, YYYY-MM-DD", "date")
    return kind, int(fen), day


def revoke(scene: Scene) -> Work[Refusal | str]:
    """Take one back that nobody has used. subject: its number."""
    number = scene.deed.subject
    scene.book.load((yield Read("authorizations", [(number,)])))
    given = scene.book.get(Authorization, number)
    if given is None:
        return missing(f"authorisation {number}")
    if given.used_by is not None:
        return conflict(f"It was used up by {given.used_by}.")
    if given.revoked_by is not None:
        return conflict("It is revoked already.")
    scene.book.put(replace(given, revoked_by=scene.by, revoked_at=scene.now))
    return "REVOKED"


def read_over_limit(places: Sequence[tuple[str, str, str, int, str]], book: Book) -> Work[None]:
    """Unused ones for payments above a limit: (institution code, service, account, fen, the bureau's day) each."""
    if places:
        book.load((yield Read("authorizations_for", sorted(set(places)))))


def find_over_limit(place: tuple[str, str, str, int, str], book: Book) -> Authorization | None:
    """One of what was read that fits and that no item before has used up; the oldest first."""
    fits = [
        one
        for one in book.all(Authorization)
        if (one.institution_code, one.service, one.biller_account, one.amount_fen, one.valid_on) == place
        and (one.kind, one.used_by, one.revoked_by) == (OVER_LIMIT, None, None)
    ]
    return min(fits, key=lambda one: one.authorization_id, default=None)
