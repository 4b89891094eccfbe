"""What a payment costs and how long it may wait are its rule versions' (M9)."""

from collections.abc import Iterator

from contracts.states import OrderKind
from gateway.ops.audit.dossier import Dossier, Rules


def judge(dossier: Dossier, rules: Rules) -> Iterator[str]:
    """Both versions are in the book; fee and send_before are the tariff's. A refund keeps its original's versions."""
    payment = dossier.payment
    tariff = rules.tariffs.get((payment.tariff_version, payment.service))
    if tariff is None:
        yield f"the book has no tariff {payment.tariff_version} of {payment.service}"
    if (payment.commission_version, payment.service) not in rules.plans:
        yield f"the book has no commission plan {payment.commission_version} of {payment.service}"
    if payment.kind == OrderKind.REFUND and payment.fee_fen:
        yield f"a refund with a fee of {payment.fee_fen} fen"
    if payment.kind != OrderKind.PAY:
        return
    primary = dossier.primary()
    if primary is not None and primary.send_before != payment.send_before:
        yield f"send_before is {payment.send_before}, its order says {primary.send_before}"
    if tariff is None:
        return
    if payment.fee_fen != tariff.fee_fen:
        yield f"fee_fen is {payment.fee_fen}, its tariff says {tariff.fee_fen}"
    if payment.send_before != payment.accepted_at + tariff.send_before_s * 1000:
        yield f"send_before is {payment.send_before}, accepted at {payment.accepted_at} it has {tariff.send_before_s} s"
