"""What evidence must have raised: a break where it contradicts the book, an alarm where people must look (M5)."""

from collections.abc import Iterator

from contracts.states import Event, OrderKind, OrderState, State
from gateway.core.moves import RULING
from gateway.core.rows import EvidenceRow
from gateway.core.ruled import CONTRADICTED
from gateway.core.states import Verdict
from gateway.ops.audit.dossier import Dossier, Rules

_SHORT = frozenset({"PAID", "ACCEPTED"})
_UNEQUAL = frozenset({"LOST", "ACCEPTED"})
"""What proof of payment is taken for where its amount is not the one that was ordered."""
_SAYS_PAID = {"PAID": True, "ACCEPTED": True, "DECLINED": False}
_RULED_PAID = frozenset({"PAID", "REFUSED"})
"""Of a ruling: paid, or not cancelled."""
_UNDOING = frozenset({OrderKind.REVERSE, OrderKind.CANCEL})
_FROM_FAILED = f"{State.FAILED}->"
_FROM_RESERVED = f"{State.RESERVED}->"


def judge(dossier: Dossier, rules: Rules) -> Iterator[str]:
    """Each piece of evidence of one payment, then each break: none was opened silently."""
    opened = {(row.code, row.opened_at) for row in dossier.breaks}
    alarms = {(alarm.kind, alarm.raised_at) for alarm in dossier.alarms}
    for row in dossier.evidence:
        code = needed_break(row, dossier)
        # One that is open already stands for what comes after it.
        if code is not None and not any(c == code and at <= row.created_at for c, at in opened):
            yield f"evidence {row.evidence_id} ({row.event}) has no break {code}"
        alarm = needed_alarm(row)
        if alarm is not None and (alarm, row.created_at) not in alarms:
            yield f"evidence {row.evidence_id} ({row.event}, {row.effect}) raised no alarm {alarm}"
    for opening in dossier.breaks:
        told = f"break.{opening.code.lower()}" if opening.ruling is None else "ruling.contradicted"
        if opening.evidence_id is not None and (told, opening.opened_at) not in alarms:
            yield f"the break {opening.break_id} raised no alarm {told}"


def needed_break(row: EvidenceRow, dossier: Dossier) -> str | None:
    """The code of the break this evidence must have opened, or found open."""
    if (ruling := _in_force(row, dossier)) is not None:
        return CONTRADICTED if row.effect == Verdict.BREAK or _silenced(row, ruling, dossier) else None
    if row.effect == Verdict.BREAK:
        return "STATUS_DIFF_SHORT" if row.event in _SHORT else "STATUS_DIFF_OVER"
    primary = dossier.primary()
    if (
        row.event in _UNEQUAL
        and row.paid_fen not in (None, dossier.payment.amount_fen)
        and not _asked_about(row, dossier)
    ):
        return "AMOUNT_DIFF"
    if row.effect != Verdict.KEEP or primary is None or primary.order_serial != row.order_serial:
        return None
    if row.event == Event.PAID and primary.state == OrderState.DONE:
        unlike = row.biller_serial and primary.biller_serial and row.biller_serial != primary.biller_serial
        return "DUPLICATE" if unlike or row.paid_fen != dossier.payment.paid_fen else None
    undone = any(OrderKind(o.kind) in _UNDOING and o.state == OrderState.DONE for o in dossier.orders)
    return "UNDONE_BY_BILLER" if row.event == Event.REVERSED and not undone else None


def _in_force(row: EvidenceRow, dossier: Dossier) -> EvidenceRow | None:
    """The newest ruling before this evidence, where it is about an order that a ruling ended."""
    order = next((one for one in dossier.orders if one.order_serial == row.order_serial), None)
    if row.source == RULING or order is None or order.ruling is None:
        return None
    before = [one for one in dossier.evidence if one.source == RULING and one.created_at <= row.created_at]
    return max(before, key=lambda one: (one.created_at, one.evidence_id), default=None)


def _silenced(row: EvidenceRow, ruling: EvidenceRow, dossier: Dossier) -> bool:
    """Evidence about the paying order that was kept and yet says otherwise than the ruling did."""
    primary = dossier.primary()
    if row.effect != Verdict.KEEP or primary is None or primary.order_serial != row.order_serial:
        return False
    says = _SAYS_PAID.get(row.event)
    return says is not None and says is not (ruling.event in _RULED_PAID)


def _asked_about(row: EvidenceRow, dossier: Dossier) -> bool:
    """A call's own answer that names a part of what it asked for is asked about first, with an alarm."""
    return any((a.kind, a.raised_at) == ("answer.contradicts", row.created_at) for a in dossier.alarms)


def needed_alarm(row: EvidenceRow) -> str | None:
    """The alarm this evidence must have raised in its own commit."""
    if row.event == "CONTRADICTS":
        return "notice.contradicts"
    if row.effect.startswith(_FROM_RESERVED) and row.event in _SHORT:
        return "unsent.was.sent"
    if row.effect.startswith(_FROM_FAILED) and not row.effect.endswith(_FROM_FAILED + State.FAILED):
        return "failed.was.paid"
    return None
