"""The gates a payment passes before its money is reserved (issue A s4; M7; TRN, SVC, FEE in requirements)."""

import hashlib
import re
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from contracts.manifest import BillModel, FlowFacts
from contracts.money import Fen
from contracts.states import OPEN, OrderKind, State
from gateway.core.admit import Admission
from gateway.core.authorisations import find_over_limit
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Accept, Refusal
from gateway.core.prices import in_force
from gateway.core.rows import (
    Authorization,
    Balance,
    Caller,
    CommissionPlan,
    Payment,
    QueryToken,
    StationService,
    Tariff,
    Training,
)


def check_form(biller_account: str, params: str, facts: FlowFacts) -> Refusal | None:
    """Whether account and params have the form the service declares (400 otherwise)."""
    if not re.fullmatch(facts.account_pattern, biller_account):
        return Refusal(slug="malformed", detail="Not an account of this service.", field="$.biller_account")
    given: dict[str, str] = msgspec.json.decode(params, type=dict[str, str])
    declared = {param.name: param for param in facts.params}
    for name, value in given.items():
        param = declared.get(name)
        if param is None or (param.choices and value not in param.choices):
            return Refusal(
                slug="malformed", detail=f"{name} is not a choice of this service.", field=f"$.params.{name}"
            )
        if param.pattern and not re.fullmatch(param.pattern, value):
            return Refusal(slug="malformed", detail=f"{name} does not have its form.", field=f"$.params.{name}")
    for param in facts.params:
        if param.required and param.name not in given:
            return Refusal(slug="malformed", detail=f"{param.name} is missing.", field=f"$.params.{param.name}")
    return None


def check_open(seconds: int) -> Refusal | None:
    """503 while the biller is closed: by its daily window or by our breaker."""
    if seconds <= 0:
        return None
    return Refusal(slug="biller-closed", detail="The biller takes no payments now.", retry_after_s=seconds)


def repeat_token(institution_code: str, open_payments: Sequence[Payment]) -> str:
    """Names exactly the open payments a confirmation is about; another one appearing makes it void (M7)."""
    named = "\n".join(sorted(payment.gateway_serial for payment in open_payments))
    return hashlib.sha256(f"{institution_code}\n{named}".encode()).hexdigest()[:40]


def is_card(service: str, env: Env) -> bool:
    """Whether the service loads a card meter."""
    return service in env.billers and env.facts_of(service).card_meter


class Gates:
    """Judges one item after the other against what was read and what the items before it did.

    Every refusal here is final for its key (403, 409, 422). held: serials of open payments that were locked before
    the book was read: those a confirmation may be about.
    """

    def __init__(self, admission: Admission, book: Book, env: Env, day: str, held: frozenset[str]) -> None:
        self._admission, self._book, self._env, self._day, self._held = admission, book, env, day, held
        self._open: dict[tuple[str, str, int], list[Payment]] = {}
        self._cards: dict[tuple[str, str], Payment] = {}
        self._tokens: set[str] = set()
        for payment in book.all(Payment):
            self.note(payment)
        self._tariffs, self._plans = book.all(Tariff), book.all(CommissionPlan)
        self._above: dict[str, Authorization] = {}
        self._prices: dict[str, tuple[Tariff, CommissionPlan] | None] = {}
        self._trainings: dict[tuple[str, str], list[Training]] = {}
        for training in book.all(Training):
            self._trainings.setdefault((training.institution_code, training.operator_id), []).append(training)

    def prices(self, service: str) -> tuple[Tariff, CommissionPlan] | None:
        """The rules in force on the open day, found once a batch."""
        if service not in self._prices:
            tariff, plan = in_force(self._tariffs, service, self._day), in_force(self._plans, service, self._day)
            self._prices[service] = (tariff, plan) if tariff and plan else None
        return self._prices[service]

    def note(self, payment: Payment) -> None:
        """A payment that later items of the batch must see."""
        if State(payment.state) in OPEN and payment.kind != OrderKind.REFUND:
            place = (payment.biller, payment.biller_account, payment.amount_fen)
            rivals = self._open.setdefault(place, [])
            if payment.gateway_serial not in {rival.gateway_serial for rival in rivals}:
                rivals.append(payment)
        if payment.state in (State.PAID_WAIT_WRITE, State.WRITE_FAILED):
            self._cards[payment.biller, payment.biller_account] = payment
        if payment.query_token:
            self._tokens.add(payment.query_token)

    def station(self, item: Accept, caller: Caller) -> Refusal | None:
        """Station, service, training (TRN-01, TRN-02, SVC-05)."""
        if caller.station_state == "SUSPENDED":
            return Refusal(slug="station-suspended", detail=caller.station_reason or "The station is suspended.")
        balance = self._book.need(Balance, str(caller.institution_code))
        if balance.receivable_fen:
            yuan = Fen(balance.receivable_fen).to_yuan()
            return Refusal(
                slug="station-suspended",
                detail=f"An open receivable of {balance.receivable_fen} fen must be covered by a deposit or"
                " top-up first.",
                shop_text=f"本站有欠款{yuan}元，暂停收费。请先充值，到账后自动恢复。",
            )
        offer = self._book.get(StationService, caller.institution_code, item.service)
        if item.service not in self._env.billers or offer is None or offer.state != "OPEN":
            return Refusal(
                slug="service-not-open", detail="This service is not open at this station.", field="$.service"
            )
        now = self._admission.now
        if not any(
            training.service in ("*", item.service) and training.valid_from <= now < training.valid_until
            for training in self._trainings.get((str(caller.institution_code), str(caller.operator_id)), ())
        ):
            return Refusal(slug="operator-not-trained", detail="The operator has no valid training for this service.")
        return None

    def amount(self, item: Accept) -> Refusal | None:
        """Amount limits of tariff, biller and bill; the query token (PAY-02)."""
        facts = self._env.facts_of(item.service)
        prices = self.prices(item.service)
        if prices is None:
            return Refusal(slug="service-not-open", detail="No tariff is in force for this service.", field="$.service")
        tariff, _ = prices
        low, high = max(tariff.min_fen, facts.amount_min.value), min(tariff.max_fen, facts.amount_max.value)
        if facts.amounts and item.amount_fen not in {amount.value for amount in facts.amounts}:
            return _amount(f"The biller sells only {', '.join(amount.to_yuan() for amount in facts.amounts)} yuan.")
        if not low <= item.amount_fen <= high and not self._is_authorised(item, low, facts):
            return _amount(f"Between {low} and {high} fen.")
        if item.query_token is None:
            if facts.bill_model is BillModel.FETCH_PAY:
                return _stale("This service needs a bill query first.")
            return None
        token = self._book.get(QueryToken, item.query_token)
        if token is None or not self._fits(token, item):
            return _stale("No such answered query for this account, or it is too old.")
        if item.query_token in self._tokens:
            return _stale("This query has been used.")
        if not (token.min_fen or 0) <= item.amount_fen <= (token.max_fen or 0):
            return _amount(f"The bill allows between {token.min_fen} and {token.max_fen} fen.")
        return None

    def _is_authorised(self, item: Accept, low: int, facts: FlowFacts) -> bool:
        """Above our own limit, not the biller's, with head office's one-off permission for exactly this."""
        if not low <= item.amount_fen <= facts.amount_max.value:
            return False
        given = find_over_limit(self._place(item), self._book)
        if given is not None:
            self._above[item.arrival.arrival_id] = given
        return given is not None

    def _place(self, item: Accept) -> tuple[str, str, str, int, str]:
        station = str(self._admission.callers[item.arrival.arrival_id].institution_code)
        return station, item.service, item.biller_account, item.amount_fen, self._day

    def use_up(self, item: Accept, payment: Payment) -> None:
        """The permission that this payment needed is used (guarded update: of two payments one gets it)."""
        given = self._above.get(item.arrival.arrival_id)
        if given is not None:
            self._book.put(replace(given, used_by=payment.gateway_serial))

    def _fits(self, token: QueryToken, item: Accept) -> bool:
        station = self._admission.callers[item.arrival.arrival_id].institution_code
        same = (token.institution_code, token.service, token.biller_account, token.params)
        return (
            token.state == "ANSWERED"
            and same == (station, item.service, item.biller_account, item.params)
            and self._admission.now < token.expires_at
        )

    def repeat(self, item: Accept, station: str) -> Refusal | None:
        """M7: another open payment of this account and amount, from any station; an unwritten card."""
        biller = self._env.billers[item.service].name
        card = self._cards.get((biller, item.biller_account))
        if card is not None and is_card(item.service, self._env):
            return Refusal(
                slug="state-conflict",
                detail="This card has a purchase that is not written yet.",
                gateway_serial=card.gateway_serial if card.institution_code == station else None,
            )
        rivals = self._rivals(item)
        if not rivals:
            if item.confirm_repeat is None:
                return None
            return Refusal(
                slug="repeat-in-doubt",
                detail="There is nothing to confirm any more: look what became of it, then pay without confirmation.",
                shop_text="原待查的一笔已有结果，请先查询那一笔；如需再缴，请不带确认重新提交",
            )
        token = repeat_token(station, rivals)
        # One that is not held opened again after the lock: it may end, or be confirmed elsewhere, at this moment.
        if item.confirm_repeat == token and all(rival.gateway_serial in self._held for rival in rivals):
            return None
        own = [rival.gateway_serial for rival in rivals if rival.institution_code == station]
        return Refusal(
            slug="repeat-in-doubt",
            detail="A payment of this account and amount is not decided yet.",
            gateway_serial=max(own, default=None),
            repeat_token=token,
        )

    def beside(self, item: Accept) -> str:
        """The serials, with commas, of the open payments of the item's account and amount."""
        return ",".join(sorted(rival.gateway_serial for rival in self._rivals(item)))

    def _rivals(self, item: Accept) -> list[Payment]:
        return self._open.get((self._env.billers[item.service].name, item.biller_account, item.amount_fen), [])


def _amount(detail: str) -> Refusal:
    return Refusal(slug="amount-out-of-range", detail=detail, field="$.amount_fen")


def _stale(detail: str) -> Refusal:
    return Refusal(slug="query-token-stale", detail=detail, field="$.query_token")
