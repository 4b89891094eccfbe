"""A dead letter as people see it: masked, with its age, what happens next by itself, and who may do what."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any

from contracts.money import Fen
from contracts.states import OrderState
from gateway.core.env import rfc3339
from gateway.core.letter_deeds import CLOSE, CORRECT, RELEASE
from gateway.core.letters import JudgedLetter
from gateway.core.replay_deeds import RUN, START
from gateway.core.rows import Order
from gateway.core.verdicts import ACTS, SENTENCES, Verdict
from gateway.ops.roles import load_rights
from gateway.ops.tables import escape, mask, mask_digits

_SPELLED = re.compile(r"\\u(00[3][0-9])")
_DOES: Mapping[Verdict, tuple[str, ...]] = {
    **dict.fromkeys(ACTS, (RUN, START, CLOSE)),
    Verdict.LOOPED: (RELEASE, CLOSE),
}


def _does(verdict: Verdict, message: str | None) -> tuple[str, ...]:
    """What people may do about a letter. message: None: nobody can read it."""
    if verdict is Verdict.MALFORMED:
        return (CORRECT if message is None else RELEASE, CLOSE)
    return _DOES.get(verdict, (CLOSE,))


def who_may(actions: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Departments whose people may do, or prepare, an action; and whose approve it."""
    rights = load_rights()
    return {
        action: {
            "may": [name for name, given in rights.items() if action in given.may],
            "approves": [name for name, given in rights.items() if action in given.approves],
        }
        for action in actions
    }


def masked_filter(filters: Mapping[str, str]) -> dict[str, str]:
    """A plan's filter, its account masked."""
    return {name: mask(value) if name == "account" else value for name, value in filters.items()}


def next_step(order: Order | None) -> tuple[str, int | None]:
    """What happens to the order by itself, and when (ms)."""
    if order is None or order.state in (OrderState.DONE, OrderState.REFUSED, OrderState.VOID):
        return "nothing", None
    if order.in_flight:
        return "the call ends", order.call_deadline
    if order.hold:
        return "a second person decides", None
    if order.state == OrderState.READY:
        return "sent by itself, until", order.send_before
    return "the biller is asked", order.ask_at


def as_json(one: JudgedLetter, now: int) -> dict[str, Any]:
    """Stable: members are added, never changed. Times RFC 3339, amounts fen, the account masked."""
    letter, order, verdict = one.letter, one.order, Verdict(one.verdict)
    chinese, english = SENTENCES[verdict]
    step, at = next_step(order)
    return {
        "letter_id": letter.letter_id,
        "state": letter.state,
        "reason": letter.reason,
        "buried_at": rfc3339(letter.buried_at),
        "age_s": max(0, now - letter.buried_at) // 1000,
        "biller": letter.biller,
        "institution_code": letter.institution_code,
        "biller_account": None if letter.biller_account is None else mask(letter.biller_account),
        "amount_fen": letter.amount_fen,
        "gateway_serial": letter.gateway_serial,
        "order_serial": letter.order_serial,
        "order_kind": letter.order_kind,
        "order_state": None if order is None else order.state,
        "payment_state": one.payment_state,
        "verdict": verdict,
        "says": english,
        "says_zh": chinese,
        "next_step": step,
        "next_step_at": None if at is None else rfc3339(at),
        "runs": letter.runs,
        "corrects": letter.corrects,
        "origin": letter.origin,
        "topic": letter.topic,
        "message": letter.message,
        "body_sha256": letter.body_sha256,
        "actions": who_may(_does(verdict, letter.message)),
    }


def age(seconds: int) -> str:
    """42s, 7m, 5h, 12d."""
    for size, sign in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{sign}"
    return f"{seconds}s"


def yuan(fen: int | None) -> str:
    """An amount for people; "" where it is not known."""
    return "" if fen is None else Fen(fen).to_yuan()


def clock_time(at: str | None, zone: tzinfo, now: int) -> str:
    """The bureau's time of day, with the date where it is another day's than `now` (ms)."""
    if at is None:
        return ""
    here, today = datetime.fromisoformat(at).astimezone(zone), datetime.fromtimestamp(now / 1000, zone).date()
    return here.strftime("%H:%M:%S" if here.date() == today else "%m-%d %H:%M")


def table_of(found: Iterable[dict[str, Any]], zone: tzinfo, now: int, title: str) -> Any:
    """A table of 100 columns of what `as_json` gave."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", expand=False, pad_edge=False)
    table.add_column("letter", no_wrap=True, min_width=24)
    for name in ("age", "reason", "biller, station"):
        table.add_column(name)
    table.add_column("account, yuan", justify="right")
    table.add_column("verdict, next by itself")
    for one in found:
        step = f"{one['next_step']} {clock_time(one['next_step_at'], zone, now)}".strip()
        state = "" if one["state"] == "OPEN" else f"\n{one['state']}"
        table.add_row(
            one["letter_id"],
            age(one["age_s"]),
            one["reason"] + state,
            f"{escape(one['biller'] or '?')}\n{one['institution_code'] or ''}",
            f"{one['biller_account'] or '?'}\n{yuan(one['amount_fen'])}",
            f"{one['verdict']}\n{step}",
        )
    return table


def totals_table(totals: Iterable[tuple[str, int, int]], title: str) -> Any:
    """Verdict, letters, fen: with what each verdict says."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", pad_edge=False)
    table.add_column("verdict")
    table.add_column("letters", justify="right")
    table.add_column("yuan", justify="right")
    table.add_column("")
    for verdict, letters, fen in totals:
        chinese, english = SENTENCES[Verdict(verdict)]
        table.add_row(verdict, f"{letters:,}", yuan(fen), f"{english}\n{chinese}")
    return table


def tell(*what: Any) -> None:
    """Print tables and lines: 100 columns where it is no terminal."""
    import sys

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False, emoji=False)
    for one in what:
        console.print(one)


def headers_of(text: str) -> list[list[str]]:
    """A letter's headers, names and values, masked."""
    return [[mask_digits(part) for part in one] for one in json.loads(text)]


def body_of(body: bytes, most: int) -> str:
    """The beginning of a letter's body as text, masked: before it is cut, so that no half of an account stands there.

    Spelled another way an account is hidden too: what JSON writes as \\u0031 is a digit.
    """
    text = _SPELLED.sub(lambda one: chr(int(one[1], 16)), body.decode("utf-8", "replace"))
    return mask_digits(text)[:most]


def line(value: Any) -> str:
    """A value on one line, every character of it printable."""
    if isinstance(value, str) and value.isprintable():
        return value
    return "" if value is None else escape(json.dumps(value, ensure_ascii=False))
