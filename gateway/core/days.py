"""The bureau's open day and the biller's open window, under a shared lock until the commit (M10, design s8)."""

from collections.abc import Iterable

from gateway.core.env import Env, day_after, local, settle_date
from gateway.core.rows import Day, Window
from gateway.core.steps import Claim, Read, Work

DAYS_AHEAD = 8


class NoOpenDay(Exception):
    """Eight days in a row are closed: the book or the clock is wrong, nothing may post."""


def open_day(now: int, env: Env) -> Work[str]:
    """The day that postings of this commit belong to: today, or the next one that is not closed.

    Day rows are made when first needed. Closing a day takes its row exclusively, so it waits for us and we for it.
    """
    day = local(now, env.zone).date().isoformat()
    for _ in range(DAYS_AHEAD):
        rows: list[Day] = yield Read("days_shared", [(day,)])
        if not rows:
            yield Claim([Day(account_date=day, opened_at=now)])
            rows = yield Read("days_shared", [(day,)])
        if rows[0].state == "OPEN":
            return day
        day = day_after(day)
    raise NoOpenDay(day)


def open_windows(services: Iterable[str], now: int, env: Env) -> Work[dict[str, str]]:
    """Per service the settle_date of its biller's window that is open now, by the service's own cut-off."""
    wanted = {service: settle_date(now, env.zone, env.facts_of(service).cut_off_local) for service in services}
    found: dict[tuple[str, str], Window] = {}
    for _ in range(DAYS_AHEAD):
        places = sorted({(env.billers[service].name, day) for service, day in wanted.items()} - set(found))
        if places:
            rows: list[Window] = yield Read("windows_shared", places)
            found |= {(row.biller, row.settle_date): row for row in rows}
            missing = [place for place in places if place not in found]
            if missing:
                yield Claim([Window(biller=biller, settle_date=day, opened_at=now) for biller, day in missing])
                rows = yield Read("windows_shared", missing)
                found |= {(row.biller, row.settle_date): row for row in rows}
        closed = [s for s, day in wanted.items() if found[env.billers[s].name, day].state != "OPEN"]
        if not closed:
            return wanted
        for service in closed:
            wanted[service] = day_after(wanted[service])
    raise NoOpenDay(str(wanted))
