"""Every ruling rests on a plan that another person approved, says what it did, and leans on files that are here (M12).

And nothing but a ruling moves what a ruling ended: orders and payments name the evidence that two people signed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from contracts.strict_json import Malformed, decode
from gateway.core.attachments import read_names
from gateway.core.items_deeds import Deed
from gateway.core.moves import RULING
from gateway.core.rows import Approval, EvidenceRow
from gateway.core.rulings import NOT_PAID, PAID
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import all_rows, records
from gateway.store.port import Snapshot

_RULES = "payment.rule"
_SAYS = {PAID: frozenset({"PAID", "REFUSED"}), NOT_PAID: frozenset({"DECLINED", "CANCELLED"})}
"""Events of the evidence that a verdict becomes: REFUSED of an undo that did not happen."""
_NAMED = (
    ("SELECT t.gateway_serial, t.order_serial, t.ruling FROM orders t WHERE t.ruling IS NOT NULL"),
    ("SELECT t.gateway_serial, t.gateway_serial, t.ruling FROM payments t WHERE t.ruling IS NOT NULL"),
    ("SELECT t.gateway_serial, t.break_id, t.ruling FROM breaks t WHERE t.ruling IS NOT NULL"),
)


@dataclass(frozen=True, slots=True)
class _Files:
    """Sizes of the attachments whose bytes are what their names say."""

    sizes: Mapping[str, int]


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """rulings."""
    found = Findings("rulings")
    plans = {str(row.decided_record): row for row in await all_rows(snapshot, Approval) if row.kind == _RULES}
    rulings = {row.evidence_id: row for row in await all_rows(snapshot, EvidenceRow, f"WHERE t.source = '{RULING}'")}
    files = await _files(snapshot, found)
    for row in rulings.values():
        found.take(row.gateway_serial, judge(row, plans.get(str(row.record_id)), files))
    told = {row.record_id for row in rulings.values()}
    for record_id, plan in plans.items():
        if plan.state == "DONE" and record_id not in told and await _is_here(snapshot, plan.subject):
            found.add(plan.subject, f"the plan {plan.plan_sha256} was approved, and no evidence of it is here")
    for sql in _NAMED:
        async for serial, what, ruling in records(snapshot, sql):
            row_of = rulings.get(ruling)
            if (row_of is None or row_of.gateway_serial != serial) and await _is_here(snapshot, serial):
                found.add(serial, f"{what} names the ruling {ruling}, which is none of this payment")
    return [found.checked()]


def judge(row: EvidenceRow, plan: Approval | None, files: _Files) -> Iterator[str]:
    """One ruling against the plan that was approved in its commit."""
    if plan is None or plan.state != "DONE":
        yield f"ruled by evidence {row.evidence_id}, and no approved plan says so"
        return
    if plan.subject != row.gateway_serial:
        yield f"its plan {plan.plan_sha256} is about {plan.subject}"
    if plan.decided_by in (None, plan.prepared_by):
        yield f"{plan.prepared_by} prepared and approved its ruling"
    try:
        deed = decode(plan.plan, Deed)
    except Malformed as wrong:
        yield f"its plan cannot be read: {wrong}"
        return
    if row.event not in _SAYS.get(deed.fields.get("verdict", ""), frozenset()):
        yield f"its plan says {deed.fields.get('verdict')}, its evidence {row.event}"
    said = deed.fields.get("paid_fen")
    if said is not None and row.paid_fen != int(said):
        yield f"its plan says that {said} fen were paid, its evidence {row.paid_fen}"
    named = read_names(deed.fields.get("attachments", ""))
    if not named:
        yield "its plan names no file that it leans on"
    for digest, size in named or ():
        if files.sizes.get(digest) != size:
            yield f"its attachment {digest} of {size} bytes is not here"


async def _files(snapshot: Snapshot, found: Findings) -> _Files:
    sizes: dict[str, int] = {}
    async for part in snapshot.rows("SELECT sha256, size, body FROM attachments ORDER BY sha256", {}, 1):
        for digest, size, body in part:
            if hashlib.sha256(body).hexdigest() != digest or len(body) != size:
                found.add(digest, "the attachment's bytes are not those of its name")
            else:
                sizes[digest] = size
    return _Files(sizes)


async def _is_here(snapshot: Snapshot, serial: str | None) -> bool:
    """Whether the payment is in what is read: one in the archive took its evidence along."""
    sql = "SELECT t.gateway_serial FROM payments t WHERE t.gateway_serial = :serial"
    return serial is not None and [row async for row in records(snapshot, sql, {"serial": serial})] != []
