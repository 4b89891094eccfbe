"""Reading what people look at: payments in doubt, breaks, payments by any text; from one snapshot."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from contracts.states import OrderKind, OrderState, State
from gateway.core.env import Env, rfc3339
from gateway.core.moves import IN_DOUBT
from gateway.core.pieces import PAYING, UNDECIDED
from gateway.core.prices import in_force
from gateway.core.rows import Alarm, Approval, Break, DeadLetter, Order, Payment, ReplayPlan, Row, Tariff
from gateway.core.rulings import LAST_RUNG, REOPENS
from gateway.ops.looking.fields import Broken, Doubt, Found, Hands, Named, Raised, Step
from gateway.ops.tables import mask
from gateway.ops.whole import WholeBook
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

# ruff: noqa: S608 - names of our own structs

R = TypeVar("R", bound=Row)
SHOWN_MAX = 500
SEARCH_MAX = 50
_DOUBTS = " OR ".join(f"t.state = '{state}'" for state in sorted(IN_DOUBT))
_HELD = ("biller_account", "institution_code", "terminal_trace", "trace_id", "biller_serial", "idempotency_key")


async def rows(snapshot: Snapshot, row: type[R], rest: str, **params: Any) -> list[R]:
    """Rows of a table; rest: what follows FROM … t, our own SQL with :names."""
    shape = shape_of(row)
    sql = f"SELECT {', '.join(f't.{name}' for name in shape.names)} FROM {row.TABLE} t {rest}"
    return [shape.build(record) async for part in snapshot.rows(sql, params) for record in part]  # type: ignore[misc]


def hands(env: Env, action: str) -> Hands:
    """Who may do, and who may approve, an action."""
    named = sorted(env.rights.items())
    return Hands(
        may=[name for name, rights in named if action in rights.may],
        approve=[name for name, rights in named if action in rights.approves],
    )


async def doubts(snapshot: Snapshot, env: Env, now: int, serial: str | None = None) -> list[Doubt]:
    """Payments in doubt, the oldest first, at most SHOWN_MAX; serial: this one."""
    only = "" if serial is None else " AND t.gateway_serial = :serial"
    rest = f"WHERE ({_DOUBTS}){only} ORDER BY t.in_doubt_since, t.gateway_serial LIMIT {SHOWN_MAX}"
    found = await rows(snapshot, Payment, rest, **({} if serial is None else {"serial": serial}))
    tariffs = await rows(snapshot, Tariff, "")
    plans = await rows(snapshot, Approval, "WHERE t.state = 'OPEN' AND t.kind = 'payment.rule'")
    open_plans = {plan.subject: plan.plan_sha256 for plan in plans}
    told = []
    for payment in found:
        orders = await rows(
            snapshot, Order, "WHERE t.gateway_serial = :serial ORDER BY t.order_serial", serial=payment.gateway_serial
        )
        told.append(doubt_of(payment, orders, tariffs, open_plans, env=env, now=now))
    return told


def doubt_of(
    payment: Payment,
    orders: Sequence[Order],
    tariffs: Sequence[Tariff],
    plans: Mapping[str, str],
    *,
    env: Env,
    now: int,
) -> Doubt:
    """One payment in doubt as people see it. orders: all of it."""
    since = payment.in_doubt_since or now
    deciding = _deciding(orders)
    rung = max((order.rung for order in orders if order.state in UNDECIDED), default=0)
    reverse_at = _reverse_at(payment, orders, tariffs, env)
    rule_from = since + env.rule_after_s * 1000
    if rung >= LAST_RUNG:
        rule_from = min(rule_from, now)
    return Doubt(
        gateway_serial=payment.gateway_serial,
        state=payment.state,
        kind=payment.kind,
        institution_code=payment.institution_code,
        service=payment.service,
        biller=payment.biller,
        biller_account=mask(payment.biller_account),
        amount_fen=payment.amount_fen,
        fee_fen=payment.fee_fen,
        account_date=payment.account_date,
        since=rfc3339(since),
        age_s=(now - since) // 1000,
        rung=max(1, rung),
        asks=sum(order.asks for order in orders),
        next_step=_next(deciding, reverse_at, rung),
        reverse_at=None if reverse_at is None else rfc3339(reverse_at),
        rule_from=rfc3339(rule_from),
        may_rule_now=rule_from <= now and not any(order.in_flight for order in orders),
        plan=plans.get(payment.gateway_serial),
        rulers=hands(env, "payment.rule"),
    )


def _deciding(orders: Sequence[Order]) -> Order | None:
    """The newest order that is not decided: an undo before what it undoes."""
    return max((one for one in orders if one.state in UNDECIDED), key=lambda one: one.order_serial, default=None)


def _reverse_at(payment: Payment, orders: Sequence[Order], tariffs: Sequence[Tariff], env: Env) -> int | None:
    """When policy lets the resolver reverse by itself; None: never, or it has been tried."""
    own = [one for one in tariffs if one.version == payment.tariff_version]
    tariff, facts = in_force(own, payment.service, payment.account_date), env.facts_of(payment.service)
    tried = any(one.kind == OrderKind.REVERSE for one in orders)
    if tried or not facts.can_reverse or tariff is None or not tariff.reverse_after_s or payment.state != State.UNKNOWN:
        return None
    return (payment.in_doubt_since or 0) + tariff.reverse_after_s * 1000


def _next(order: Order | None, reverse_at: int | None, rung: int) -> Step:
    if order is None:
        return Step(what="nothing", at=None)
    if order.state == OrderState.READY:
        return Step(what="send", at=_time(order.next_try_at))
    due = reverse_at is not None and order.ask_at is not None and reverse_at <= order.ask_at
    if due and OrderKind(order.kind) in PAYING:
        return Step(what="reverse", at=_time(order.ask_at))
    return Step(what="ask" if rung < 3 else "wait-for-file", at=_time(order.ask_at))


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)


async def breaks(
    snapshot: Snapshot, env: Env, now: int, *, break_id: str | None = None, everything: bool = False
) -> list[Broken]:
    """Breaks, the oldest first, at most SHOWN_MAX: open ones, or everything, or this one."""
    where = "t.state = 'OPEN'" if not everything else "1 = 1"
    params = {}
    if break_id is not None:
        where, params = "t.break_id = :break_id", {"break_id": break_id}
    found = await rows(snapshot, Break, f"WHERE {where} ORDER BY t.opened_at, t.break_id LIMIT {SHOWN_MAX}", **params)
    told = []
    for one in found:
        named = {"serial": one.gateway_serial or ""}
        payments = await rows(snapshot, Payment, "WHERE t.gateway_serial = :serial", **named)
        told.append(_broken(one, payments[0] if payments else None, env, now))
    return told


def _broken(one: Break, payment: Payment | None, env: Env, now: int) -> Broken:
    by_ruling = one.code in REOPENS and payment is not None
    return Broken(
        break_id=one.break_id,
        code=one.code,
        state=one.state,
        biller=one.biller,
        gateway_serial=one.gateway_serial,
        payment_state=payment.state if payment else None,
        amount_fen=one.amount_fen,
        opened_at=rfc3339(one.opened_at),
        age_s=((one.closed_at or now) - one.opened_at) // 1000,
        detail=one.detail,
        evidence_id=one.evidence_id,
        ruling=one.ruling,
        closed_at=_time(one.closed_at),
        resolution=one.resolution,
        by_ruling=by_ruling,
        owners=hands(env, "payment.rule"),
    )


async def alarms(snapshot: Snapshot, now: int, *, everything: bool = False) -> list[Raised]:
    """Alarms, the oldest first, at most SHOWN_MAX: those nobody has seen, or everything."""
    where = "1 = 1" if everything else "t.seen_at IS NULL"
    found = await rows(snapshot, Alarm, f"WHERE {where} ORDER BY t.raised_at, t.alarm_id LIMIT {SHOWN_MAX}")
    return [
        Raised(
            alarm_id=one.alarm_id,
            kind=one.kind,
            biller=one.biller,
            gateway_serial=one.gateway_serial,
            detail=one.detail,
            raised_at=rfc3339(one.raised_at),
            age_s=(now - one.raised_at) // 1000,
            seen_at=_time(one.seen_at),
        )
        for one in found
    ]


async def search(snapshot: Snapshot, text: str, since: str) -> list[Found]:
    """Payments of the book and its archive that hold this very text, the newest first, at most SEARCH_MAX.

    text: a serial of ours, of an order, for or of the partner; an account, institution code, terminal trace, trace id
    or idempotency key. since: YYYYMMDD; older payments are not looked through.
    """
    held = " OR ".join(f"t.{name} = :text" for name in ("gateway_serial", *_HELD))
    ordered = (
        "t.gateway_serial IN (SELECT o.gateway_serial FROM orders o"
        " WHERE o.gateway_serial >= :since AND (o.order_serial = :text OR o.partner_serial = :text"
        " OR o.biller_serial = :text))"
    )
    rest = (
        f"WHERE t.gateway_serial >= :since AND ({held} OR {ordered}) ORDER BY t.gateway_serial DESC LIMIT {SEARCH_MAX}"
    )
    found = await rows(WholeBook(snapshot), Payment, rest, text=text, since=since)
    told = []
    for one in found:
        here = await rows(snapshot, Payment, "WHERE t.gateway_serial = :serial", serial=one.gateway_serial)
        matched = [name for name in ("gateway_serial", *_HELD) if getattr(one, name) == text]
        told.append(_found(one, matched or ["order"], archived=not here))
    return told


def _found(one: Payment, matched: list[str], *, archived: bool) -> Found:
    return Found(
        gateway_serial=one.gateway_serial,
        state=one.state,
        kind=one.kind,
        institution_code=one.institution_code,
        terminal_id=one.terminal_id,
        operator_id=one.operator_id,
        terminal_trace=one.terminal_trace,
        service=one.service,
        biller=one.biller,
        biller_account=mask(one.biller_account),
        biller_serial=one.biller_serial,
        amount_fen=one.amount_fen,
        account_date=one.account_date,
        accepted_at=rfc3339(one.accepted_at),
        trace_id=one.trace_id,
        archived=archived,
        matched=matched,
    )


async def named(snapshot: Snapshot, text: str) -> list[Named]:
    """Letters, breaks, alarms, replay plans and plans of two people that have this very id."""
    told = []
    for what, row, at, look in _NAMED:
        key = shape_of(row).key[0]
        for one in await rows(snapshot, row, f"WHERE t.{key} = :text", text=text):
            seen = "OPEN" if getattr(one, "seen_at", None) is None else "SEEN"
            told.append(
                Named(
                    what=what,
                    id=text,
                    state=getattr(one, "state", seen),
                    gateway_serial=getattr(one, "gateway_serial", None),
                    biller=getattr(one, "biller", None),
                    at=rfc3339(getattr(one, at)),
                    look=look.format(text),
                )
            )
    return told


_NAMED: tuple[tuple[str, type[Row], str, str], ...] = (
    ("dead-letter", DeadLetter, "kept_at", "ops dead-letters show {}"),
    ("break", Break, "opened_at", "ops breaks show {}"),
    ("alarm", Alarm, "raised_at", "ops alarms list --all"),
    ("replay-plan", ReplayPlan, "kept_at", "ops replay show {}"),
    ("plan", Approval, "prepared_at", "ops show {}"),
)
