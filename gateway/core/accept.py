"""Accept: gates, key, reservation, order, evidence, message; one commit for a whole batch (design s3.1)."""

from collections.abc import Sequence

from contracts.money import Fen
from contracts.serials import Serials
from contracts.states import OrderKind, OrderState, State
from gateway.core import messages
from gateway.core.admit import Admission, admit, record_request
from gateway.core.authorisations import read_over_limit
from gateway.core.book import Book
from gateway.core.controls import read_controls, refuse_new
from gateway.core.days import open_day, open_windows
from gateway.core.env import Env, closed_for_s
from gateway.core.gates import Gates, check_form, check_open, is_card
from gateway.core.items import Accept, Refusal, Reply, Taken
from gateway.core.keys import claim_keys, refuse_key, replay, taken
from gateway.core.ledger import Cause, legs_of, post
from gateway.core.rows import (
    Balance,
    Caller,
    Key,
    Order,
    Payment,
    Tariff,
)
from gateway.core.steps import Numbers, Read, Work


def accept(items: Sequence[Accept], env: Env) -> Work[list[Reply]]:
    """Decide a batch of payments. Replies: Taken or Refusal, in order."""
    book = Book()
    admission = yield from admit(items, book)
    serials = {i.arrival.arrival_id: Serials(admission.now, env.zone, i.arrival.entropy) for i in items}
    yield from read_controls({env.billers[i.service].name for i in items if i.service in env.billers}, book)
    early = {i.arrival.arrival_id: _early(i, admission, book, env) for i in items}
    yield from _let_known_keys_through(items, early, admission)
    runnable = [item for item in items if early[item.arrival.arrival_id] is None]
    minted = {i.arrival.arrival_id: serials[i.arrival.arrival_id].mint() for i in runnable}
    ours = yield from claim_keys([_key(i, admission, minted[i.arrival.arrival_id]) for i in runnable], book)
    decider = yield from _prepare(runnable, admission, book, env, ours)
    replies: list[Reply] = []
    for item in items:
        arrival_id = item.arrival.arrival_id
        reply = early[arrival_id] or decider.decide(item, minted[arrival_id], serials[arrival_id])
        own = isinstance(reply, Taken) and reply.payment.gateway_serial == minted[arrival_id]
        record = record_request(item.arrival, admission, serials[arrival_id], minted[arrival_id] if own else None)
        if record is not None:
            book.add(record)
        replies.append(reply)
    yield book.write()
    return replies


def _let_known_keys_through(
    items: Sequence[Accept], early: dict[str, Refusal | None], admission: Admission
) -> Work[None]:
    """A closed biller refuses new payments; a key that is known answers with what became of it, as ever (M3)."""
    closed: dict[tuple[str, str], list[str]] = {}
    for item in items:
        refusal = early[item.arrival.arrival_id]
        if refusal is not None and refusal.slug == "biller-closed":
            station = str(admission.callers[item.arrival.arrival_id].institution_code)
            closed.setdefault((station, item.key), []).append(item.arrival.arrival_id)
    known: list[Key] = (yield Read("keys", sorted(closed))) if closed else []
    for key in known:
        for arrival_id in closed[key.institution_code, key.key]:
            early[arrival_id] = None


def _key(item: Accept, admission: Admission, serial: str) -> Key:
    caller = admission.callers[item.arrival.arrival_id]
    return Key(
        institution_code=str(caller.institution_code),
        key=item.key,
        kind="PAYMENT",
        request_hash=item.request_hash,
        gateway_serial=serial,
        problem=None,
        arrival_id=item.arrival.arrival_id,
        created_at=admission.now,
    )


def _early(item: Accept, admission: Admission, book: Book, env: Env) -> Refusal | None:
    """Refusals that leave the key free: who speaks, form of the fields, a closed biller."""
    refusal = admission.refusals.get(item.arrival.arrival_id)
    if refusal is not None:
        return refusal
    manifest = env.manifest_of(item.service)
    if manifest is None:
        return None  # decided under the key: service-not-open
    facts = manifest.flows[item.service]
    seconds = max(item.closed_for_s, closed_for_s(admission.now, env.zone, facts.closed_local))
    return (
        check_form(item.biller_account, item.params, facts)
        or refuse_new(manifest.name, book, env, admission.now)
        or check_open(seconds)
    )


def _prepare(
    items: Sequence[Accept], admission: Admission, book: Book, env: Env, ours: set[tuple[str, str]]
) -> Work["_Decider"]:
    """Lock the days and balances, then read everything else the batch decides on."""
    callers = [admission.callers[item.arrival.arrival_id] for item in items]
    stations = sorted({(caller.institution_code,) for caller in callers})
    services = sorted({item.service for item in items if env.manifest_of(item.service)})
    day = yield from open_day(admission.now, env)
    settle = yield from open_windows(services, admission.now, env)
    held: frozenset[str] = frozenset()
    if items:
        book.load((yield Read("balances_locked", stations)))
        held = yield from _hold_rivals(items, env)
        people = sorted({(caller.institution_code, caller.operator_id) for caller in callers})
        book.load((yield Read("trainings", people)))
        offers = sorted({(c.institution_code, i.service) for c, i in zip(callers, items, strict=True)})
        book.load((yield Read("station_services", offers)))
        book.load((yield Read("tariffs", [(service,) for service in services])))
        book.load((yield Read("commission_plans", [(service,) for service in services])))
        yield from _read_rivals(items, book, env)
        yield from read_over_limit(_above(items, callers, book, day), book)
    numbers: dict[str, int] = {}
    for biller in sorted({env.billers[service].name for service in services}):
        if env.manifests[biller].serial_digits:
            count = sum(env.manifest_of(item.service) is env.manifests[biller] for item in items)
            numbers[biller] = yield Numbers(biller, day, count)
    gates = Gates(admission, book, env, day, held)
    return _Decider(admission, book, env, gates=gates, ours=ours, day=day, settle=settle, numbers=numbers)


def _above(
    items: Sequence[Accept], callers: Sequence[Caller], book: Book, day: str
) -> list[tuple[str, str, str, int, str]]:
    """Payments above the lowest limit of their service: few, so that others read nothing more."""
    highest: dict[str, int] = {}
    for tariff in book.all(Tariff):
        highest[tariff.service] = min(highest.get(tariff.service, tariff.max_fen), tariff.max_fen)
    return [
        (str(caller.institution_code), item.service, item.biller_account, item.amount_fen, day)
        for caller, item in zip(callers, items, strict=True)
        if item.amount_fen > highest.get(item.service, item.amount_fen)
    ]


def _hold_rivals(items: Sequence[Accept], env: Env) -> Work[frozenset[str]]:
    """Lock the open payments that a confirmation is about, so that none ends and no other is confirmed beside them.

    Only then they are read: of two confirmations of one set, the second finds the first among its rivals (M7).
    """
    places = {
        (env.billers[item.service].name, item.biller_account, item.amount_fen)
        for item in items
        if item.confirm_repeat is not None and item.service in env.billers
    }
    locked: list[Payment] = (yield Read("payments_open_locked", sorted(places))) if places else []
    return frozenset(payment.gateway_serial for payment in locked)


def _read_rivals(items: Sequence[Accept], book: Book, env: Env) -> Work[None]:
    """Open payments of the same account and amount, unwritten cards, query tokens and who used them."""
    places = {(env.billers[i.service].name, i.biller_account, i.amount_fen) for i in items if i.service in env.billers}
    book.load((yield Read("payments_open", sorted(places))))
    cards = {(env.billers[i.service].name, i.biller_account) for i in items if is_card(i.service, env)}
    if cards:
        book.load((yield Read("payments_of_cards", sorted(cards))))
    tokens = sorted({(item.query_token,) for item in items if item.query_token})
    if tokens:
        book.load((yield Read("query_tokens", tokens)))
        book.load((yield Read("payments_by_token", tokens)))


class _Decider:
    """Decides one item after the other against what was read and what the items before it did."""

    def __init__(
        self,
        admission: Admission,
        book: Book,
        env: Env,
        *,
        gates: Gates,
        ours: set[tuple[str, str]],
        day: str,
        settle: dict[str, str],
        numbers: dict[str, int],
    ) -> None:
        self._admission, self._book, self._env, self._ours = admission, book, env, ours
        self._day, self._settle, self._numbers = day, settle, numbers
        self._gates = gates

    def decide(self, item: Accept, serial: str, serials: Serials) -> Taken | Refusal:
        """Take the payment or refuse it for good."""
        caller = self._admission.callers[item.arrival.arrival_id]
        station = str(caller.institution_code)
        held = self._book.need(Key, station, item.key)
        if (station, item.key) not in self._ours or held.arrival_id != item.arrival.arrival_id:
            return replay(item, held, self._book)
        refusal = self._gates.station(item, caller) or self._gates.amount(item) or self._gates.repeat(item, station)
        if refusal is None:
            made = self._reserve(item, caller, serial, serials)
            if isinstance(made, Payment):
                self._gates.use_up(item, made)
                return taken(made, self._book)
            refusal = made
        refuse_key(held, refusal, self._book)
        return refusal

    def _reserve(self, item: Accept, caller: Caller, serial: str, serials: Serials) -> Payment | Refusal:
        """Balance, then every row of the new payment (R01)."""
        prices = self._gates.prices(item.service)
        if prices is None:
            raise LookupError("gated above")
        tariff, plan = prices
        balance = self._book.need(Balance, str(caller.institution_code))
        need = item.amount_fen + tariff.fee_fen
        if balance.available_fen - need < -(caller.overdraft_limit_fen or 0):
            return Refusal(
                slug="insufficient-balance",
                detail=f"{need} fen are needed, {balance.available_fen} fen are available.",
                shop_text=f"预存余额不足：需{Fen(need).to_yuan()}元，可用{Fen(balance.available_fen).to_yuan()}元，请先充值",
            )
        now, manifest = self._admission.now, self._env.billers[item.service]
        payment = Payment(
            gateway_serial=serial,
            kind=OrderKind.PAY,
            state=State.RESERVED,
            version=1,
            institution_code=str(caller.institution_code),
            terminal_id=str(caller.terminal_id),
            operator_id=str(caller.operator_id),
            terminal_trace=item.terminal_trace,
            idempotency_key=item.key,
            service=item.service,
            biller=manifest.name,
            biller_account=item.biller_account,
            amount_fen=item.amount_fen,
            fee_fen=tariff.fee_fen,
            account_date=self._day,
            settle_date=self._settle[item.service],
            accepted_at=now,
            send_before=now + tariff.send_before_s * 1000,
            tariff_version=tariff.version,
            commission_version=plan.version,
            confirmed_repeat=item.confirm_repeat is not None,
            confirmed_beside=self._gates.beside(item) if item.confirm_repeat is not None else None,
            query_token=item.query_token,
            params=item.params,
            cash_received_fen=item.cash_received_fen,
            trace_id=item.arrival.trace_id,
        )
        order = Order(
            order_serial=serial,
            gateway_serial=serial,
            kind=OrderKind.PAY,
            state=OrderState.READY,
            biller=manifest.name,
            biller_account=item.biller_account,
            partner_serial=self._partner_serial(manifest.name, serial),
            created_at=now,
            send_before=payment.send_before,
            next_try_at=now,
        )
        self._book.add(payment)
        self._book.add(order)
        cause = Cause(
            cause="accept",
            cause_id=item.arrival.arrival_id,
            posting_date=self._day,
            now=now,
            payment=payment,
            order_serial=serial,
        )
        legs = legs_of("R01", {"A": item.amount_fen, "F": tariff.fee_fen})
        post(self._book, serials.mint(), "R01", legs, cause, station=payment.institution_code)
        self._book.add(messages.request(order, payment, serials.mint(), now, self._env))
        self._gates.note(payment)
        return payment

    def _partner_serial(self, biller: str, serial: str) -> str:
        digits = self._env.manifests[biller].serial_digits
        if digits is None:
            return serial
        number = self._numbers[biller]
        self._numbers[biller] = number + 1
        return f"{self._day.replace('-', '')}{number:0{digits - 8}d}"
