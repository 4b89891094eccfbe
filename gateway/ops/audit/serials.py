"""Orders against their payment: whose account, under which serials of ours and of the biller (M7, M8)."""

from collections.abc import Iterator

from contracts.states import OrderKind
from gateway.core.rows import Order
from gateway.ops.audit.dossier import PAYING, Dossier, Rules
from gateway.ops.audit.report import Findings
from gateway.ops.audit.streams import records
from gateway.store.port import Snapshot

_TWICE = (
    "SELECT MIN(order_serial), count(*) || ' orders have the partner serial ' || partner_serial FROM orders"
    " GROUP BY biller, partner_serial HAVING count(*) > 1"
)
_COUNTERS = "SELECT biller, day, next_number FROM partner_counters"
Counters = dict[tuple[str, str], int]
"""Per biller and day (`YYYYMMDD`), the next number to be handed out."""


async def read_counters(snapshot: Snapshot) -> Counters:
    """Every counter: one row per biller and day."""
    return {(biller, day.replace("-", "")): number async for biller, day, number in records(snapshot, _COUNTERS)}


async def find_twice(snapshot: Snapshot, found: Findings) -> None:
    """Partner serials that two orders of one biller have."""
    async for serial, detail in records(snapshot, _TWICE):
        found.add(serial, detail)


def judge(dossier: Dossier, rules: Rules) -> Iterator[str]:
    """All orders of one payment."""
    payment = dossier.payment
    for order in dossier.orders:
        name = f"{order.kind} {order.order_serial}"
        if (order.biller, order.biller_account) != (payment.biller, payment.biller_account):
            yield f"{name} is for {order.biller} {order.biller_account}, its payment for another account"
        if OrderKind(order.kind) in PAYING and order.order_serial != payment.gateway_serial:
            yield f"{name} pays it and has another serial"
        for detail in judge_partner_serial(order, dossier, rules):
            yield f"{name}: {detail}"
    yield from _judge_biller_serial(dossier)


def judge_partner_serial(order: Order, dossier: Dossier, rules: Rules) -> Iterator[str]:
    """Our own serial, or the day and a number that the day's counter has handed out, as the manifest says."""
    serial = order.partner_serial
    manifest = rules.env.manifests.get(order.biller) if rules.env is not None else None
    if serial == order.order_serial:
        # A write that was told and never sent has no number of the partner's.
        if manifest is not None and manifest.serial_digits and order.attempts:
            yield f"partner serial {serial}, the partner takes {manifest.serial_digits} digits"
        return
    digits = manifest.serial_digits if manifest is not None else len(serial)
    if digits is None or len(serial) != digits or digits <= 8 or not (serial.isascii() and serial.isdigit()):
        yield f"partner serial {serial} has not the form that the partner takes"
        return
    day, number = serial[:8], int(serial[8:])
    handed_out = rules.counters.get((order.biller, day))
    if handed_out is None or not number < handed_out:
        yield f"partner serial {serial}: number {number} of {day} was never handed out"
    if OrderKind(order.kind) in PAYING and day != dossier.payment.account_date.replace("-", ""):
        yield f"partner serial {serial} is not of the payment's day {dossier.payment.account_date}"


def _judge_biller_serial(dossier: Dossier) -> Iterator[str]:
    payment, primary = dossier.payment, dossier.primary()
    if primary is None:
        return
    named = payment.biller_serial
    if named != primary.biller_serial:
        yield f"biller_serial is {named}, that of its order {primary.biller_serial}"
    told = {row.biller_serial for row in dossier.evidence if row.biller_serial}
    # Without any evidence it is `evidence` that is wrong.
    if named is not None and dossier.evidence and named not in told:
        yield f"biller_serial is {named}, no evidence names it"
    proof = dossier.success_proof()
    if proof is not None and proof.biller_serial not in (None, named):
        yield f"biller_serial is {named}, the evidence that proved it says {proof.biller_serial}"
