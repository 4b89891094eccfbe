"""Bugs to plant, one at a time: in the adapter (its answers bent on their way), in the core's tables and rules.

A plant takes a MonkeyPatch, does its harm, and returns what to put between flow and adapter (None: nothing).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from adapters.telecom import fields, wire
from adapters.telecom.simulator.gate import Gate
from contracts.biller import Biller, Notice
from contracts.outcomes import (
    Absent,
    Accepted,
    Declined,
    NeverPaid,
    NotSent,
    NotUndone,
    Paid,
    Pending,
    Reason,
    StillPaid,
    Undone,
    Unknown,
)
from contracts.states import OrderEvent, OrderKind, OrderState, State
from gateway.core import cancel, judge, outcome, resolve, states
from gateway.core.judge import Judging

Wrap = Callable[[Biller], Biller]
Plant = Callable[[pytest.MonkeyPatch], Wrap | None]
Change = Callable[[Any, Any], Any]
DECLINED = Declined(resp_code="", reason=Reason.BILLER_REFUSED)
NOT_SENT = NotSent(cause="planted", retry_after_s=1)
PLAT_NO = "TP" + "0" * 22


def _bent(biller: Biller, name: str, change: Change) -> None:
    plain = getattr(biller, name)

    async def later(order: Any) -> Any:
        return change(await plain(order), order)

    def at_once(headers: Any, body: bytes) -> Any:
        return change(plain(headers, body), biller)

    setattr(biller, name, at_once if name == "read_notice" else later)


def bend(**changes: Change) -> Plant:
    """Change what the adapter's methods answer. change: (answer, order; of a notice: the biller) → answer."""

    def wrap(biller: Biller) -> Biller:
        for name, change in changes.items():
            _bent(biller, name, change)
        return biller

    return lambda _: wrap


def when(kind: type, becomes: Any, *causes: str) -> Change:
    """An answer of this kind (with a cause that begins so) becomes another; callables get answer and order."""

    def change(answer: Any, order: Any) -> Any:
        fits = not causes or getattr(answer, "cause", "").startswith(causes)
        if not isinstance(answer, kind) or not fits:
            return answer
        return becomes(answer, order) if callable(becomes) else becomes

    return change


def _all_paid(answer: Any, order: Any) -> Paid:
    return Paid(biller_serial=getattr(answer, "biller_serial", "") or PLAT_NO, paid=order.amount)


def _paid_whole(answer: Any, order: Any) -> Paid:
    return Paid(biller_serial=answer.biller_serial, paid=order.amount, biller_date=answer.biller_date)


def on_notice(change: Change) -> Plant:
    """Change an authentic notice's evidence. change: (evidence, notice) → evidence."""

    def bent(notice: Any, _: Biller) -> Any:
        if not isinstance(notice, Notice):
            return notice
        evidence = change(notice.evidence, notice)
        return Notice(
            partner_serial=notice.partner_serial,
            biller_account=notice.biller_account,
            amount=notice.amount,
            evidence=evidence,
            ack=notice.ack,
        )

    return bend(read_notice=bent)


def notices_by_guess(*, always: bool) -> Plant:
    """Notices are put to our orders in the order of sending; always: also those that are not authentic."""
    sent: list[Any] = []

    def remember(answer: Any, order: Any) -> Any:
        sent.append(order)
        return answer

    def guess(notice: Any, _: Biller) -> Any:
        order = sent.pop(0) if len(sent) > 1 else sent[0]
        if not isinstance(notice, Notice) and not always:
            return notice
        return Notice(
            partner_serial=order.partner_serial,
            biller_account=notice.biller_account if isinstance(notice, Notice) else order.biller_account,
            amount=order.amount,
            evidence=Paid(biller_serial=PLAT_NO, paid=order.amount),
            ack=b"success",
        )

    return bend(pay=remember, read_notice=guess)


def hasty(monkeypatch: pytest.MonkeyPatch) -> Wrap:
    """The adapter waits less than the biller may take."""

    def wrap(biller: Biller) -> Biller:
        for name in ("pay", "reverse"):
            plain = getattr(biller, name)

            async def quick(order: Any, plain: Any = plain) -> Any:
                try:
                    async with asyncio.timeout(0.1):
                        return await plain(order)
                except TimeoutError:
                    return Unknown(cause="planted")

            setattr(biller, name, quick)
        return biller

    return wrap


def patched(*changes: tuple[Any, str, Any]) -> Plant:
    """Put other functions in the place of the product's."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        for owner, name, value in changes:
            monkeypatch.setattr(owner, name, value)

    return plant


def moves(changes: Mapping[tuple[OrderEvent, OrderState], OrderState | states.Verdict]) -> Plant:
    """Other cells in the table of orders, for PAY, and whatever a payment's table would refuse allowed."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        for (event, state), to in changes.items():
            monkeypatch.setitem(states.ORDER_MOVES, (OrderKind.PAY, state, event), to)
        monkeypatch.setattr(Judging, "_verdict", _blind)

    return plant


def counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeat of what is known posts once more."""

    def post_again(self: Judging, piece: Any, order: Any, payment: Any) -> None:
        self._mover._post(State.FAILED, State.SUCCESS, payment, piece.facts(), order)

    monkeypatch.setattr(Judging, "compare_repeat", post_again)


def forgets_to_sign_new_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the members that the document knows are included in the signature check."""
    plain = wire.is_signed
    monkeypatch.setattr(
        wire, "is_signed", lambda agent, members: plain(agent, {k: v for k, v in members.items() if k != "zzNote"})
    )


_blind: Callable[..., None] = lambda *_, **__: None  # noqa: E731 - stands in for a check
_yes: Callable[..., bool] = lambda *_, **__: True  # noqa: E731
_no: Callable[..., bool] = lambda *_, **__: False  # noqa: E731


def _absent_never_void(order: Any, facts: Any, now: int, asked_at: int | None = None) -> bool:
    return order.send_by is not None and now - order.send_by >= facts.absent_final_after_s * 1000


READY, SENT, DONE, UNKNOWN = OrderState.READY, OrderState.SENT, OrderState.DONE, OrderState.UNKNOWN
KEEP = states.Verdict.KEEP
_CUT = ("ServerDisconnected", "ClientOSError", "ClientConnectionReset", "ConnectionReset")
_NO_ANSWER = (*_CUT, "TimeoutError", "http.", "code.9003")

PLANTS: Mapping[str, Plant] = {
    # the call that pays
    "paid is in doubt": bend(pay=when(Paid, Unknown(cause="planted"))),
    "accepted is paid": bend(pay=when(Accepted, _all_paid)),
    "accepted is in doubt": bend(pay=when(Accepted, Unknown(cause="planted"))),
    "declined is in doubt": bend(pay=when(Declined, Unknown(cause="planted"))),
    "not sent is declined": bend(pay=when(NotSent, DECLINED)),
    "not sent is in doubt": bend(pay=when(NotSent, Unknown(cause="planted"))),
    "cut is not sent": bend(pay=when(Unknown, NOT_SENT, *_CUT)),
    "no answer is declined": bend(pay=when(Unknown, DECLINED, *_NO_ANSWER)),
    "time-out is declined": bend(pay=when(Unknown, DECLINED, "TimeoutError")),
    "5xx is not sent": bend(pay=when(Unknown, NOT_SENT, "http.5")),
    "busy is not sent": bend(pay=when(Unknown, NOT_SENT, "code.9003")),
    "busy is declined": bend(pay=when(Unknown, DECLINED, "code.9003")),
    "unmapped is declined": bend(pay=when(Unknown, DECLINED, "code.unmapped")),
    "unreadable is declined": bend(pay=when(Unknown, DECLINED, "reply.")),
    "hasty": hasty,
    "new members are not signed": forgets_to_sign_new_members,
    "signature is not checked": patched((wire, "is_signed", _yes)),
    "amount is not compared": patched((fields, "same_amount", _blind)),
    "serial is not compared": patched((fields, "same", _blind)),
    "a part is the whole": on_notice(when(Paid, _paid_whole)),
    # questions
    "questions tell nothing": bend(query_result=lambda *_: Unknown(cause="planted")),
    "no answer to a question is a failure": bend(query_result=when(Unknown, DECLINED)),
    "undecided is failed": bend(query_result=when(Pending, DECLINED)),
    "not found is nothing": bend(query_result=when(Absent, Unknown(cause="planted"))),
    "not found is believed at once": patched((judge, "absent_is_final", _yes)),
    "not found is believed for ever": patched((judge, "absent_is_final", _absent_never_void)),
    "the biller takes what is too old": patched((Gate, "_timely", _yes)),
    # undoing
    "undone is in doubt": bend(reverse=when(Undone, Unknown(cause="?")), cancel=when(Undone, Unknown(cause="?"))),
    "no answer to a reversal is done": bend(reverse=when(Unknown, Undone())),
    "no answer to a cancel is done": bend(cancel=when(Unknown, Undone())),
    "no answer to a cancel is a refusal": bend(cancel=when(Unknown, NotUndone(resp_code="", reason="planted"))),
    "not sent is undone": bend(reverse=when(NotSent, Undone()), cancel=when(NotSent, Undone())),
    "not found is undone": bend(reverse=when(NeverPaid, Undone()), cancel=when(NeverPaid, Undone())),
    "still paid is undone": bend(reverse=when(StillPaid, Undone()), cancel=when(StillPaid, Undone())),
    "paid against reversed is dropped": patched((Judging, "_against", _blind)),
    "a late answer is dropped": patched((outcome, "_late", _no)),
    "every cancel is granted": patched((cancel, "_gate", _blind)),
    "the window never ends": patched((cancel, "window_is_open", _yes), (resolve, "window_is_open", _yes)),
    "giving up does nothing": patched((Judging, "give_up", _blind)),
    # notices
    "notices are not read": bend(read_notice=lambda *_: wire.BadOrder("planted")),
    "notices go by turns": notices_by_guess(always=False),
    "all notices count": notices_by_guess(always=True),
    "a contradiction is paid": on_notice(when(Unknown, _all_paid)),
    "a repeat counts again": counts_again,
    # order of evidence
    "accepted undoes paid": moves({(OrderEvent.ACCEPTED, DONE): SENT}),
    "lost undoes paid": moves({(OrderEvent.LOST, DONE): UNKNOWN}),
    "declined undoes paid": moves({(OrderEvent.DECLINED, DONE): OrderState.REFUSED}),
    "not sent undoes paid": moves({(OrderEvent.NOT_SENT, DONE): READY}),
    "paid on refused is kept": moves({(OrderEvent.PAID, OrderState.REFUSED): KEEP}),
    "paid on void is kept": moves({(OrderEvent.PAID, OrderState.VOID): KEEP}),
    "paid on ready is kept": moves({(OrderEvent.PAID, READY): KEEP}),
    "paid on unknown is kept": moves({(OrderEvent.PAID, UNKNOWN): KEEP}),
}
"""Every bug by name."""
