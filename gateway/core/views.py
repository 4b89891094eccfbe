"""Pure reads: who asks is judged as everywhere, no nonce is taken, nothing is written."""

from collections.abc import Sequence

import msgspec

from gateway.core.admit import NONCE_FLOOR, judge_caller
from gateway.core.book import Book
from gateway.core.controls import read_controls, refuse_new
from gateway.core.days import DAYS_AHEAD
from gateway.core.env import Env, day_after, local
from gateway.core.expiry import days_left
from gateway.core.items import Arrival, Asked, Item, Refusal, Reply, Taken
from gateway.core.keys import PAID, read_archived, taken
from gateway.core.prices import in_force
from gateway.core.rows import (
    Balance,
    Caller,
    Day,
    Order,
    Payment,
    Posting,
    QueryToken,
    RegisteredCertificate,
    Setting,
    StationService,
    Tariff,
    Transaction,
)
from gateway.core.steps import Now, Read, Scan, Work

LAST = "~"  # sorts after every serial


class View(Item, frozen=True, kw_only=True):
    """Base of a terminal's reads."""

    arrival: Arrival


class ViewPayment(View, frozen=True, kw_only=True):
    """One payment of the caller's station."""

    gateway_serial: str


class ViewPayments(View, frozen=True, kw_only=True):
    """The station's payments, newest first; `before` is exclusive."""

    before: str | None = None
    limit: int = 20
    account_date: str | None = None
    biller_account: str | None = None
    state: str | None = None


class ViewAccount(View, frozen=True, kw_only=True):
    """The station's balances."""


class ViewEntries(View, frozen=True, kw_only=True):
    """The station's statement lines, newest first; `before` is a seq, exclusive."""

    before: int | None = None
    limit: int = 50


class ViewServices(View, frozen=True, kw_only=True):
    """What the station may sell."""


class ViewQuery(View, frozen=True, kw_only=True):
    """A bill query of the caller's station."""

    query_token: str


class PeekPayment(Item, frozen=True, kw_only=True):
    """A payment, for the process that holds its call."""

    gateway_serial: str


class PeekQuery(Item, frozen=True, kw_only=True):
    """A bill query, for the process that holds its call or asks the biller."""

    query_token: str


class PeekOrders(Item, frozen=True, kw_only=True):
    """The orders that messages name, for the process that took them from a bus."""

    order_serials: list[str]


class PeekCertificate(Item, frozen=True, kw_only=True):
    """A registered certificate, for verifying a signature or serving it."""

    keyid: str


class PeekDay(Item, frozen=True, kw_only=True):
    """The bureau's open day."""


class Page(Reply, frozen=True, kw_only=True):
    """Payments, each with its open order."""

    items: list[Taken]


class AccountView(Reply, frozen=True, kw_only=True):
    """Balances, limits, the open day. certificate_days_left: of the asking certificate, where it ends soon."""

    balance: Balance
    overdraft_limit_fen: int
    low_balance_fen: int
    account_date: str
    certificate_days_left: int | None = None


class EntriesView(Reply, frozen=True, kw_only=True):
    """Legs on the station's running balances, and the transactions they belong to."""

    postings: list[Posting]
    transactions: list[Transaction]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded service and the price in force."""

    service: StationService
    tariff: Tariff | None


class ServicesView(Reply, frozen=True, kw_only=True):
    """The station's services. closed: by biller, what shops are told while a person has closed it."""

    offers: list[Offer]
    now: int
    closed: dict[str, str] = msgspec.field(default_factory=dict)


class OrdersView(Reply, frozen=True, kw_only=True):
    """The database's clock, and those of the orders that the book knows, in no order."""

    now: int
    orders: list[Order]


class CertificateView(Reply, frozen=True, kw_only=True):
    """A registered certificate, or None."""

    certificate: RegisteredCertificate | None


class DayView(Reply, frozen=True, kw_only=True):
    """The database's clock and the bureau's open day."""

    now: int
    account_date: str


def _callers(items: Sequence[View]) -> Work[tuple[int, dict[str, Caller], dict[str, Refusal]]]:
    now: int = yield Now()
    found: list[Caller] = yield Read("callers", sorted({(item.arrival.keyid,) for item in items}))
    settings: list[Setting] = yield Read("settings", [(NONCE_FLOOR,)])
    floor = settings[0].value if settings else 0
    callers = {caller.keyid: caller for caller in found}
    refusals: dict[str, Refusal] = {}
    for item in items:
        refusal = judge_caller(callers.get(item.arrival.keyid), item.arrival, now=now, floor=floor)
        if refusal is not None:
            refusals[item.arrival.arrival_id] = refusal
    return now, callers, refusals


def current_day(now: int, env: Env) -> Work[str]:
    """The open day without locking or making its row."""
    today = local(now, env.zone).date().isoformat()
    days = [today]
    while len(days) < DAYS_AHEAD:
        days.append(day_after(days[-1]))
    rows: list[Day] = yield Read("days", [(day,) for day in days])
    closed = {row.account_date for row in rows if row.state != "OPEN"}
    return next((day for day in days if day not in closed), today)


def view_payment(items: Sequence[ViewPayment], env: Env) -> Work[list[Reply]]:
    """Replies: Taken or Refusal (404 also for another station's payment)."""
    _, callers, refusals = yield from _callers(items)
    book = Book()
    serials = sorted({(item.gateway_serial,) for item in items})
    book.load((yield Read("payments", serials)))
    book.load((yield Read("orders_of", serials)))
    yield from read_archived(serials, book)
    replies: list[Reply] = []
    for item in items:
        payment = book.get(Payment, item.gateway_serial)
        refusal = refusals.get(item.arrival.arrival_id)
        station = callers[item.arrival.keyid].institution_code if refusal is None else None
        if refusal is None and (payment is None or payment.institution_code != station):
            refusal = Refusal(slug="not-found", detail="This station has no such payment.")
        replies.append(refusal or taken(book.need(Payment, item.gateway_serial), book))
    return replies


def view_payments(items: Sequence[ViewPayments], env: Env) -> Work[list[Reply]]:
    """Replies: Page or Refusal."""
    _, callers, refusals = yield from _callers(items)
    replies: list[Reply] = []
    for item in items:
        refusal = refusals.get(item.arrival.arrival_id)
        if refusal is not None:
            replies.append(refusal)
            continue
        book = Book()
        found: list[Payment] = yield Scan(
            "payments_page",
            {
                "institution_code": callers[item.arrival.keyid].institution_code,
                "before": item.before or LAST,
                "account_date": item.account_date,
                "biller_account": item.biller_account,
                "state": item.state,
                "limit": item.limit,
            },
        )
        telling = sorted((p.gateway_serial,) for p in found if p.in_doubt_since is not None or p.state in PAID)
        orders: list[Order] = (yield Read("orders_of", telling)) if telling else []
        book.load(orders)
        replies.append(Page(items=[taken(payment, book) for payment in found]))
    return replies


def view_account(items: Sequence[ViewAccount], env: Env) -> Work[list[Reply]]:
    """Replies: AccountView or Refusal."""
    now, callers, refusals = yield from _callers(items)
    day = yield from current_day(now, env)
    codes = sorted({(c.institution_code,) for c in callers.values() if c.institution_code})
    found: list[Balance] = (yield Read("balances", codes)) if codes else []
    balances = {balance.institution_code: balance for balance in found}
    replies: list[Reply] = []
    for item in items:
        refusal = refusals.get(item.arrival.arrival_id)
        if refusal is not None:
            replies.append(refusal)
            continue
        caller = callers[item.arrival.keyid]
        replies.append(
            AccountView(
                balance=balances[str(caller.institution_code)],
                overdraft_limit_fen=caller.overdraft_limit_fen or 0,
                low_balance_fen=caller.low_balance_fen or 0,
                account_date=day,
                certificate_days_left=days_left(caller.not_after, now),
            )
        )
    return replies


def view_entries(items: Sequence[ViewEntries], env: Env) -> Work[list[Reply]]:
    """Replies: EntriesView or Refusal."""
    _, callers, refusals = yield from _callers(items)
    replies: list[Reply] = []
    for item in items:
        refusal = refusals.get(item.arrival.arrival_id)
        if refusal is not None:
            replies.append(refusal)
            continue
        params = {
            "institution_code": callers[item.arrival.keyid].institution_code,
            "before": item.before if item.before is not None else 2**62,
            "limit": item.limit,
        }
        legs: list[Posting] = yield Scan("entries_page", params)
        wanted = sorted({(leg.txn_id,) for leg in legs})
        transactions: list[Transaction] = (yield Read("transactions", wanted)) if wanted else []
        replies.append(EntriesView(postings=legs, transactions=transactions))
    return replies


def view_services(items: Sequence[ViewServices], env: Env) -> Work[list[Reply]]:
    """Replies: ServicesView or Refusal."""
    now, callers, refusals = yield from _callers(items)
    day = yield from current_day(now, env)
    controls = Book()
    yield from read_controls(env.manifests, controls)
    told = {name: refuse_new(name, controls, env, now) for name in env.manifests}
    closed = {name: refusal.shop_text or "" for name, refusal in told.items() if refusal is not None}
    replies: list[Reply] = []
    for item in items:
        refusal = refusals.get(item.arrival.arrival_id)
        if refusal is not None:
            replies.append(refusal)
            continue
        code = callers[item.arrival.keyid].institution_code
        loaded: list[StationService] = yield Read("services_of_station", [(code,)])
        tariffs: list[Tariff] = yield Read("tariffs", [(row.service,) for row in loaded])
        offers = [
            Offer(service=row, tariff=in_force(tariffs, row.service, day))
            for row in sorted(loaded, key=lambda row: row.service)
        ]
        replies.append(ServicesView(offers=offers, now=now, closed=closed))
    return replies


def view_query(items: Sequence[ViewQuery], env: Env) -> Work[list[Reply]]:
    """Replies: Asked or Refusal (404 also for another station's query)."""
    _, callers, refusals = yield from _callers(items)
    found: list[QueryToken] = yield Read("query_tokens", sorted({(item.query_token,) for item in items}))
    tokens = {token.query_token: token for token in found}
    replies: list[Reply] = []
    for item in items:
        refusal = refusals.get(item.arrival.arrival_id)
        token = tokens.get(item.query_token)
        if refusal is not None:
            replies.append(refusal)
        elif token is None or token.institution_code != callers[item.arrival.keyid].institution_code:
            replies.append(Refusal(slug="not-found", detail="This station has no such bill query."))
        else:
            replies.append(Asked(query=token))
    return replies


def peek_payment(items: Sequence[PeekPayment], env: Env) -> Work[list[Reply]]:
    """Replies: Taken or Refusal."""
    book = Book()
    serials = sorted({(item.gateway_serial,) for item in items})
    book.load((yield Read("payments", serials)))
    book.load((yield Read("orders_of", serials)))
    yield from read_archived(serials, book)
    return [
        taken(payment, book)
        if (payment := book.get(Payment, item.gateway_serial))
        else Refusal(slug="not-found", detail="There is no such payment.")
        for item in items
    ]


def peek_query(items: Sequence[PeekQuery], env: Env) -> Work[list[Reply]]:
    """Replies: Asked or Refusal."""
    found: list[QueryToken] = yield Read("query_tokens", sorted({(item.query_token,) for item in items}))
    tokens = {token.query_token: token for token in found}
    return [
        Asked(query=tokens[item.query_token])
        if item.query_token in tokens
        else Refusal(slug="not-found", detail="There is no such bill query.")
        for item in items
    ]


def peek_orders(items: Sequence[PeekOrders], env: Env) -> Work[list[Reply]]:
    """Replies: OrdersView."""
    now: int = yield Now()
    wanted = sorted({(serial,) for item in items for serial in item.order_serials})
    found: list[Order] = (yield Read("orders", wanted)) if wanted else []
    orders = {order.order_serial: order for order in found}
    return [
        OrdersView(now=now, orders=[orders[serial] for serial in item.order_serials if serial in orders])
        for item in items
    ]


def peek_certificate(items: Sequence[PeekCertificate], env: Env) -> Work[list[Reply]]:
    """Replies: CertificateView."""
    found: list[RegisteredCertificate] = yield Read("certificates", sorted({(item.keyid,) for item in items}))
    known = {row.keyid: row for row in found}
    return [CertificateView(certificate=known.get(item.keyid)) for item in items]


def peek_day(items: Sequence[PeekDay], env: Env) -> Work[list[Reply]]:
    """Replies: DayView."""
    now: int = yield Now()
    day = yield from current_day(now, env)
    return [DayView(now=now, account_date=day) for _ in items]
