"""Every ask and the unit that answers it: what a store is given at its construction."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

from gateway.core import (
    accept,
    allowances,
    archive,
    attachments,
    audited,
    bills,
    cancel,
    card_write,
    chores,
    claim,
    controls,
    deeds,
    inquire,
    items,
    items_deeds,
    kept_replies,
    leases,
    letters,
    outcome,
    partner_keys,
    refund,
    registry,
    replays,
    resolve,
    restored,
    revocations,
    views,
)
from gateway.core.env import Env
from gateway.core.items import Item, Reply
from gateway.core.steps import Work

Unit = Callable[[Sequence[Any], Env], Work[list[Reply]]]


def once(unit: Unit) -> Unit:
    """A unit of signed items that decides an arrival once, however often it stands in one batch.

    Whoever lost a commit's answer may send the same arrival again while the first still waits in the queue.
    """

    def decide(items: Sequence[Any], env: Env) -> Work[list[Reply]]:
        distinct: dict[str, Any] = {}
        for item in items:
            distinct.setdefault(item.arrival.arrival_id, item)
        replies = yield from unit(list(distinct.values()), env)
        by_id = dict(zip(distinct, replies, strict=True))
        return [by_id[item.arrival.arrival_id] for item in items]

    return decide


UNITS: Mapping[type[Item], Unit] = {
    items.Accept: once(accept.accept),
    items.Cancel: once(cancel.cancel),
    items.Refund: once(refund.refund),
    items.ReportWrite: once(card_write.report_write),
    items.Inquire: once(inquire.inquire),
    items.KeepRefused: once(inquire.keep_refused),
    items.AskBill: once(bills.ask_bill),
    items.AnswerBill: bills.answer_bill,
    items.Claim: claim.claim,
    items.Judge: outcome.judge,
    items.Sweep: resolve.sweep,
    items.TakeQuestions: resolve.take_questions,
    items.TakeOutbox: chores.take_outbox,
    items.MarkPublished: chores.mark_published,
    items.Seal: chores.seal,
    chores.SignDay: chores.sign_day,
    chores.ForgetOld: chores.forget_old,
    leases.HoldLeases: leases.hold_leases,
    leases.DropLeases: leases.drop_leases,
    allowances.Renew: allowances.renew,
    audited.KeepAudit: audited.keep_audit,
    kept_replies.KeepReplies: kept_replies.keep_replies,
    archive.ArchivePayments: archive.archive_payments,
    archive.ArchiveRecords: archive.archive_records,
    archive.ArchiveMessages: archive.archive_messages,
    restored.BeginRestore: restored.begin_restore,
    restored.RestoreOrders: restored.restore_orders,
    restored.EndRestore: restored.end_restore,
    revocations.KeepList: revocations.keep_list,
    partner_keys.FindPartnerKeys: partner_keys.find_partner_keys,
    attachments.KeepAttachment: attachments.keep_attachment,
    letters.KeepLetters: letters.keep_letters,
    replays.KeepPlan: replays.keep_plan,
    replays.SpreadPlan: replays.spread_plan,
    replays.ReplayLetters: replays.replay_letters,
    items.AddStation: registry.add_station,
    items.RegisterCertificate: registry.register_certificate,
    items.SetPrices: registry.set_prices,
    items.Deposit: registry.deposit,
    items_deeds.Act: deeds.act,
    items_deeds.ExpireCertificates: deeds.expire_certificates,
}
"""Units that write."""

READ_UNITS: Mapping[type[Item], Unit] = {
    views.ViewPayment: views.view_payment,
    views.ViewPayments: views.view_payments,
    views.ViewAccount: views.view_account,
    views.ViewEntries: views.view_entries,
    views.ViewServices: views.view_services,
    views.ViewQuery: views.view_query,
    views.PeekPayment: views.peek_payment,
    views.PeekQuery: views.peek_query,
    views.PeekOrders: views.peek_orders,
    views.PeekCertificate: views.peek_certificate,
    views.PeekDay: views.peek_day,
    allowances.PeekClosed: allowances.peek_closed,
    controls.PeekControls: controls.peek_controls,
    archive.CheckMonths: archive.check_months,
    archive.CountPayments: archive.count_payments,
    letters.JudgeLetters: letters.judge_letters,
    replays.PeekReplay: replays.peek_replay,
    restored.PeekRestoring: restored.peek_restoring,
    revocations.PeekList: revocations.peek_list,
}
"""Units that only read."""

_REPLIES = (
    items.Refusal,
    items.Taken,
    items.Inquired,
    items.Asked,
    items.Kept,
    items.Granted,
    items.NotNow,
    items.Judged,
    items.Swept,
    items.Questions,
    items.Outbox,
    items.Sealed,
    leases.LeasesHeld,
    allowances.Dealt,
    restored.Restored,
    archive.Archived,
    letters.LettersJudged,
    replays.Replayed,
    replays.ReplaySeen,
    partner_keys.PartnerKeys,
    items_deeds.Acted,
)

ITEM_TYPE: Any = reduce(or_, UNITS)
"""Union of all writing items, for decoding what crossed the socket."""
REPLY_TYPE: Any = reduce(or_, _REPLIES)
"""Union of their replies."""
