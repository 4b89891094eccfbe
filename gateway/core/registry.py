"""Stations and what they may do (JOIN-16), prices (FEE-01), counter deposits (ACC-02, ACC-03)."""

from collections.abc import Sequence

from contracts.serials import Serials
from gateway.core.book import Book
from gateway.core.days import open_day
from gateway.core.env import Env
from gateway.core.items import (
    AddStation,
    Deposit,
    Kept,
    Refusal,
    RegisterCertificate,
    Reply,
    SetPrices,
)
from gateway.core.ledger import Cause, legs_of, post
from gateway.core.provisioned import Word, provision
from gateway.core.rows import (
    Balance,
    Binding,
    CommissionPlan,
    Operator,
    RegisteredCertificate,
    StaffMember,
    Station,
    StationService,
    Tariff,
    Terminal,
    Training,
    Voucher,
)
from gateway.core.steps import Now, Read, Scan, Work


def add_station(items: Sequence[AddStation], env: Env) -> Work[list[Reply]]:
    """Provision stations whole, before there is staff: `bianmin init`. Where there is, it is the deed `station.add`.

    Replies: Kept, or Refusal: there is staff, or code or certificate exist already.
    """
    now: int = yield Now()
    book = Book()
    book.load((yield Read("stations", sorted({(item.institution_code,) for item in items}))))
    book.load((yield Read("certificates", sorted({(item.keyid,) for item in items}))))
    book.load((yield Scan("staff_any")))
    replies: list[Reply] = []
    for item in items:
        unsold = [service for service in item.services if service not in env.billers]
        if book.all(StaffMember):
            replies.append(
                Refusal(
                    slug="state-conflict", detail="Staff exists here already: two of its people add a station (M12)."
                )
            )
        elif book.get(Station, item.institution_code):
            replies.append(Refusal(slug="state-conflict", detail=f"Station {item.institution_code} exists."))
        elif book.get(RegisteredCertificate, item.keyid):
            replies.append(Refusal(slug="state-conflict", detail="This certificate is registered already."))
        elif unsold:
            replies.append(Refusal(slug="service-not-open", detail=f"No adapter sells {', '.join(unsold)}."))
        else:
            provision_station(item, book, now, Word(reason=item.by or None))
            replies.append(Kept(count=1))
    yield book.write()
    return replies


def provision_station(item: AddStation, book: Book, now: int, word: Word) -> None:
    """Everything a station begins with; whether it may be is judged before."""
    provision_place(item, book, now)
    provision(book, item, item.certificate_der, now, role="station", key_serial=item.key_serial, word=word)
    book.add(
        Binding(
            keyid=item.keyid,
            institution_code=item.institution_code,
            terminal_id=item.terminal_id,
            operator_id=item.operator_id,
            key_serial=item.key_serial,
            bound_at=now,
            prepared_by=word.prepared_by,
            approved_by=word.staff,
        )
    )


def provision_place(item: AddStation, book: Book, now: int) -> None:
    """The station itself, with terminal, operator and services, and no certificate yet."""
    code = item.institution_code
    book.add(
        Station(
            institution_code=code,
            name=item.name,
            overdraft_limit_fen=item.overdraft_limit_fen,
            low_balance_fen=item.low_balance_fen,
            created_at=now,
        )
    )
    book.add(Balance(institution_code=code))
    book.add(Terminal(institution_code=code, terminal_id=item.terminal_id, created_at=now))
    book.add(Operator(institution_code=code, operator_id=item.operator_id, name=item.operator_name, created_at=now))
    book.add(
        Training(
            institution_code=code,
            operator_id=item.operator_id,
            service="*",
            valid_from=now,
            valid_until=item.trained_until,
        )
    )
    for service in item.services:
        book.add(StationService(institution_code=code, service=service, opened_at=now))


def register_certificate(items: Sequence[RegisterCertificate], env: Env) -> Work[list[Reply]]:
    """Make the gateway's own certificates known. Replies: Kept (count 0: known already)."""
    now: int = yield Now()
    book = Book()
    book.load((yield Read("certificates", sorted({(item.keyid,) for item in items}))))
    replies: list[Reply] = []
    for item in items:
        known = book.get(RegisteredCertificate, item.keyid) is not None
        if not known:
            provision(book, item, item.der, now, role=item.role, word=Word())
        replies.append(Kept(count=int(not known)))
    yield book.write()
    return replies


def set_prices(items: Sequence[SetPrices], env: Env) -> Work[list[Reply]]:
    """Add price rules; a version of a service is written once. Replies: Kept or Refusal."""
    yield Now()
    book = Book()
    services = sorted({(item.service,) for item in items})
    book.load((yield Read("tariffs", services)))
    book.load((yield Read("commission_plans", services)))
    replies: list[Reply] = []
    for item in items:
        if book.get(Tariff, item.version, item.service) or book.get(CommissionPlan, item.version, item.service):
            replies.append(Refusal(slug="state-conflict", detail=f"{item.version} of {item.service} exists."))
            continue
        book.add(
            Tariff(
                version=item.version,
                service=item.service,
                effective_from=item.effective_from,
                fee_fen=item.fee_fen,
                min_fen=item.min_fen,
                max_fen=item.max_fen,
                send_before_s=item.send_before_s,
                reverse_after_s=item.reverse_after_s,
            )
        )
        book.add(
            CommissionPlan(
                version=item.version,
                service=item.service,
                effective_from=item.effective_from,
                rate_ppm=item.rate_ppm,
            )
        )
        replies.append(Kept(count=1))
    yield book.write()
    return replies


def deposit(items: Sequence[Deposit], env: Env) -> Work[list[Reply]]:
    """Credit counter deposits (R13), sweeping an open receivable first. Replies: Kept, or Refusal of a used voucher."""
    now: int = yield Now()
    book = Book()
    day = yield from open_day(now, env)
    book.load((yield Read("balances_locked", sorted({(item.institution_code,) for item in items}))))
    book.load((yield Read("vouchers", sorted({(item.voucher_number,) for item in items}))))
    replies: list[Reply] = []
    for item in items:
        if book.get(Balance, item.institution_code) is None:
            replies.append(Refusal(slug="not-found", detail=f"There is no station {item.institution_code}."))
            continue
        if item.amount_fen < 1:
            replies.append(Refusal(slug="amount-out-of-range", detail="A deposit is at least 1 fen.", field="amount"))
            continue
        if (used := book.get(Voucher, item.voucher_number)) is not None:
            detail = f"Voucher {item.voucher_number} was used for {used.institution_code}."
            replies.append(Refusal(slug="state-conflict", detail=detail, field="voucher"))
            continue
        _credit(item, book, now, day, Serials(now, env.zone, item.entropy))
        replies.append(Kept(count=1))
    yield book.write()
    return replies


def _credit(item: Deposit, book: Book, now: int, day: str, serials: Serials) -> None:
    txn_id = serials.mint()
    cause = Cause(cause="deposit", cause_id=item.voucher_number, posting_date=day, now=now)
    legs = legs_of("R13", {"D": item.amount_fen})
    post(book, txn_id, "R13", legs, cause, station=item.institution_code)
    book.add(
        Voucher(
            voucher_number=item.voucher_number,
            institution_code=item.institution_code,
            amount_fen=item.amount_fen,
            outlet=item.outlet,
            taken_by=item.taken_by,
            txn_id=txn_id,
            created_at=now,
        )
    )
