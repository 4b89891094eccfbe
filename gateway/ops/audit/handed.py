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
        found.take(row.biller, judge_control(row, deeds.get(row.record_id, _GONE)))
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


def judge_control(row: BillerControl, done: Done) -> Iterator[str]:
    """What is set for a biller now, against the last deed about it."""
    if done.wrong:
        yield f"set: {done.wrong}"
        return
    if (done.subject, done.who) != (row.biller, row.changed_by) or done.action not in {*_STATES, "biller.limits"}:
        yield f"it is not what {done.who} signed"
    elif done.action == "biller.limits":
        said = tuple(int(done.fields[name]) if name in done.fields else None for name in ("concurrency", "rate_per_s"))
        if said != (row.concurrency, row.rate_per_s):
            yield f"held at {row.concurrency} and {row.rate_per_s}, {done.who} signed {said}"
    elif _STATES[done.action] != row.state:
        yield f"it is {row.state}, {done.who} signed {done.action}"
