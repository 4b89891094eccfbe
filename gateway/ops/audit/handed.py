"""What people have set or permitted is what they signed: one-off authorisations, hands on billers (M12, ROLE-06)."""

from collections.abc import Iterator, Mapping, Sequence

from contracts.states import OrderKind
from gateway.core.controls import DRAINING, OPEN, PAUSED
from gateway.core.rows import Authorization, BillerControl, Payment, RegisteredCertificate
from gateway.ops.audit.about import About
from gateway.ops.audit.deeds import Done, read_deeds
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import all_rows
from gateway.store.port import Snapshot

_STATES = {
    "biller.pause": PAUSED,
    "biller.resume": OPEN,
    "drain.begin": DRAINING,
    "drain.end": OPEN,
}
_USED = "WHERE t.gateway_serial IN (SELECT a.used_by FROM authorizations a WHERE a.used_by IS NOT NULL)"
_LIMITS = frozenset({"biller.limits"})
_RACE_MS = 10_000
"""Two deeds so close may have been done in either order: each takes its moment before it locks the row."""
_GONE = Done(wrong="its record is gone")


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """hands."""
    found = Findings("hands")
    given, controls = await all_rows(snapshot, Authorization), await all_rows(snapshot, BillerControl)
    if not given and not controls:
        return [found.checked()]
    certificates = {row.keyid: row for row in await all_rows(snapshot, RegisteredCertificate)}
    root = about.env.root if about.env is not None else None
    deeds = await read_deeds(snapshot, certificates, root)
    used = {row.gateway_serial: row for row in await all_rows(snapshot, Payment, _USED)}
    for one in given:
        found.take(one.authorization_id, judge_authorization(one, deeds.get(one.record_id, _GONE), used))
    revoked = {done.subject: done.who for done in deeds.values() if done.action == "authorization.revoke"}
    for one in given:
        if one.revoked_by is not None and revoked.get(one.authorization_id) != one.revoked_by:
            found.add(one.authorization_id, f"revoked by {one.revoked_by}, who never signed that")
    for row in controls:
        found.take(row.biller, judge_state(row, deeds))
        found.take(row.biller, judge_limits(row, deeds))
    return [found.checked()]


def judge_authorization(one: Authorization, done: Done, used: Mapping[str, Payment]) -> Iterator[str]:
    """One permission against the deed that gave it and the payment that used it up (one in the archive is let be)."""
    if done.wrong:
        yield f"issued: {done.wrong}"
        return
    said = (done.action, done.subject, done.who, *(done.fields.get(name) for name in ("kind", "service", "account")))
    wanted = ("authorization.issue", one.institution_code, one.issued_by, one.kind, one.service, one.biller_account)
    if said != wanted or (done.fields.get("amount_fen"), done.fields.get("date")) != (
        str(one.amount_fen),
        one.valid_on,
    ):
        yield f"it is not what {done.who} signed"
    payment = used.get(str(one.used_by))
    if payment is not None:
        made = (payment.institution_code, payment.service, payment.biller_account, payment.amount_fen, payment.kind)
        if made != (one.institution_code, one.service, one.biller_account, one.amount_fen, OrderKind.PAY):
            yield f"it was used up by {payment.gateway_serial}, for which it was not given"


def judge_state(row: BillerControl, deeds: Mapping[str, Done]) -> Iterator[str]:
    """What a biller is now, and what shops are told, against the latest deed that paused or opened it."""
    done = deeds.get(row.record_id, _GONE) if row.record_id is not None else None
    yield from _judge_latest("state", row, (row.changed_by, done), frozenset(_STATES), deeds)
    if done is None:
        if (row.state, row.shop_text, row.reopens_at) != (OPEN, None, None):
            yield f"it is {row.state}, which nobody signed"
    elif done.action in _STATES:
        reopens = str(row.reopens_at) if row.reopens_at is not None else None
        if _STATES[done.action] != row.state:
            yield f"it is {row.state}, {done.who} signed {done.action}"
        elif (done.fields.get("shop_text"), done.fields.get("reopens_at")) != (row.shop_text, reopens):
            yield f"shops are told another text or time than {done.who} signed"


def judge_limits(row: BillerControl, deeds: Mapping[str, Done]) -> Iterator[str]:
    """What a biller is held at now, against the latest deed about its limits."""
    done = deeds.get(row.limits_record_id, _GONE) if row.limits_record_id is not None else None
    yield from _judge_latest("limits", row, (row.limits_by, done), _LIMITS, deeds)
    held = (row.concurrency, row.rate_per_s)
    if done is None:
        if held != (None, None):
            yield f"held at {row.concurrency} and {row.rate_per_s}, which nobody signed"
    elif done.action in _LIMITS:
        said = tuple(int(done.fields[name]) if name in done.fields else None for name in ("concurrency", "rate_per_s"))
        if said != held:
            yield f"held at {row.concurrency} and {row.rate_per_s}, {done.who} signed {said}"


def _judge_latest(
    what: str,
    row: BillerControl,
    named: tuple[str | None, Done | None],
    actions: frozenset[str],
    deeds: Mapping[str, Done],
) -> Iterator[str]:
    """Whether the deed that the row names is one of these actions, by that person, and none came after it."""
    by, done = named
    if done is not None and done.wrong:
        yield f"{what}: {done.wrong}"
        return
    if done is not None and (done.subject, done.who, done.action in actions) != (row.biller, by, True):
        yield f"{what}: it is not what {done.who} signed"
        return
    since = done.at + _RACE_MS if done is not None else 0
    for other in deeds.values():
        # Done is any state but "": what opens a biller leaves it OPEN, and none of these waits for a second person.
        if other.state and other.action in actions and other.subject == row.biller and other.at > since:
            yield f"{what}: {other.who} signed {other.action} later, and that does not stand"
