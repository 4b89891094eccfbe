"""The adapter before the real simulator: what the document asks of a client, beyond single messages."""

import asyncio
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from subprocess import run
from typing import Any

import msgspec
import pytest

from adapters.kit.control import Control
from adapters.kit.faults import Fault, Kind
from adapters.tv import ADAPTER, build, load_table
from adapters.tv.adapter import Tv
from adapters.tv.config import Config
from adapters.tv.simulator import Running
from contracts.biller import Bill, BillUnavailable, NoBill, NoReconFile, PayOrder, ReconFile
from contracts.outcomes import Accepted, Declined, NotSent, Paid, Pending, Reason, Unknown
from tests.stand.flow_parts import HandClock
from tests.unit.tv.recorded import bill_query, pay_order, result_query
from tests.unit.tv_sim.conftest import AT

DAY = date(2026, 11, 24)
UNDO_SECONDS = timedelta(seconds=58)


def order(**new: Any) -> PayOrder:
    """Claimed at the moment of the simulator's clock."""
    whole = pay_order(6, **new)
    return replace(whole, send_by=whole.send_by - UNDO_SECONDS, send_deadline=2.0)


async def test_taken_then_paid(tv: Tv, control: Control) -> None:
    """s3.2: "202 means taken, not paid"."""
    taken = await tv.pay(order())
    assert isinstance(taken, Accepted)
    assert isinstance(await tv.query_result(result_query(17)), Pending)
    await asyncio.sleep(1.1)
    paid = await tv.query_result(result_query(17))
    assert isinstance(paid, Paid)
    assert (paid.biller_serial, paid.biller_date) == (taken.biller_serial, "2026-11-24")
    again = await tv.pay(order())
    assert isinstance(again, Paid), "a repeat is a look-up (s4)"
    (line,) = await control.book()
    assert line.charged_fen == 2001


async def test_a_token_revoked_under_way_costs_nothing(tv: Tv, running: Running, control: Control) -> None:
    await tv.query_bill(bill_query("00000001"))
    running.platform.tokens.revoke()
    assert isinstance(await tv.pay(order()), Accepted)
    (line,) = await control.book()
    assert line.received == 1


async def test_without_a_token_no_order_leaves(tv: Tv, control: Control) -> None:
    await control.set_faults(Fault("token", Kind.HTTP_500_UNPAID, times=None))
    outcome = await tv.pay(order())
    assert outcome == NotSent(cause="token.http.500", retry_after_s=2)
    assert isinstance(await tv.query_result(result_query(17)), Unknown)
    assert isinstance(await tv.query_bill(bill_query("00000001")), BillUnavailable)
    assert not await control.book()


async def test_past_its_deadline_nothing_leaves(tv: Tv, control: Control) -> None:
    """Design s3.5: the first byte before send_deadline, or never; the wait for a token is part of it."""
    outcome = await tv.pay(replace(order(), send_deadline=-1.0))
    assert outcome == NotSent(cause="send_deadline", retry_after_s=2)
    assert not await control.book()


async def test_accounts(tv: Tv) -> None:
    stopped = await tv.query_bill(bill_query("00000002"))
    assert isinstance(stopped, Bill)
    assert (stopped.total.value, stopped.max.value) == (0, 500_000)
    closed = await tv.query_bill(bill_query("00000003"))
    assert isinstance(closed, NoBill)
    assert "销户" in closed.shop_text
    assert isinstance(await tv.query_bill(bill_query("10000404")), NoBill)
    assert isinstance(await tv.query_bill(bill_query("1")), BillUnavailable)


async def test_failures_have_their_own_words(tv: Tv) -> None:
    await tv.pay(order(biller_account="00000006"))
    await asyncio.sleep(1.1)
    told = await tv.query_result(result_query(17, biller_account="00000006"))
    assert isinstance(told, Declined)
    assert (told.resp_code, told.reason) == ("over_limit", Reason.BILLER_LIMIT)
    assert "限额" in (ADAPTER.shop_text("tv.bill", told.resp_code) or "")


async def test_the_day_file(tv: Tv, control: Control) -> None:
    assert await tv.fetch_recon(DAY) == NoReconFile(cause="code.404.file_not_ready", retry_after_s=600)
    await tv.pay(order())
    await asyncio.sleep(1.1)
    await control.clock(86_400)
    first = await tv.fetch_recon(DAY)
    assert isinstance(first, ReconFile)
    assert first.name == "tv-2026-11-24-01.jsonl.gz"
    await control.set_faults(Fault("day-file", Kind.ABSENT))
    second = await tv.fetch_recon(DAY)
    assert isinstance(second, ReconFile)
    assert second.name == "tv-2026-11-24-02.jsonl.gz", "a re-issue replaces the file as a whole"
    for kind in (Kind.GARBAGE, Kind.BAD_SIGNATURE, Kind.HTTP_500_PAID, Kind.BUSY_UNPAID):
        await control.set_faults(Fault("day-file", kind))
        assert isinstance(await tv.fetch_recon(DAY), NoReconFile), kind
    await control.set_faults()
    assert await tv.fetch_recon(DAY - timedelta(days=181)) == NoReconFile(
        cause="code.404.file_not_ready", retry_after_s=None
    )


class _NoLimits(Config, frozen=True, kw_only=True):
    """A Config without the limits of production."""

    def __post_init__(self) -> None:
        """No limits."""


async def test_a_file_too_large_for_us_will_not_come(config: Config, control: Control) -> None:
    small = build(_NoLimits(**{**msgspec.structs.asdict(config), "recon_max_bytes": 10}), HandClock(AT * 1000))
    await small.open()
    await control.clock(86_400)
    assert await small.fetch_recon(DAY) == NoReconFile(cause="file.too_large", retry_after_s=None)
    await small.close()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_url", "ftp://x"),
        ("client_id", ""),
        ("client_id", "a b"),
        ("client_secret_file", ""),
        ("reply_timeout_ms", 10_000),
        ("reply_timeout_ms", 15_001),
        ("connections", 101),
        ("tls_client_key_file", "x"),
    ],
)
def test_a_wrong_key_is_named(key: str, value: Any) -> None:
    good: dict[str, Any] = {"base_url": "https://tv.example", "client_id": "a", "client_secret_file": "s"}
    with pytest.raises(ValueError, match=f"billers.tv.{key}: expected "):
        Config(**{**good, key: value})


async def test_an_unreadable_secret_stops_the_start(tmp_path: Path) -> None:
    for content in (b"", b"short", b"two\nlines here", "中文密钥中文密钥".encode()):
        (tmp_path / "s").write_bytes(content)
        config = Config(base_url="http://127.0.0.1:9", client_id="a", client_secret_file=str(tmp_path / "s"))
        with pytest.raises(ValueError, match=r"billers\.tv\.client_secret_file: ") as wrong:
            await build(config, HandClock()).open()
        assert "short" not in str(wrong.value)


def test_importing_it_is_cheap() -> None:
    code = "import sys, adapters.tv; sys.exit(any(name in sys.modules for name in ('aiohttp', 'ssl', 'tomllib')))"
    assert run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_code_of_the_document_has_its_row() -> None:
    """s6 and s5, word by word."""
    rows = {(flow, code, state) for flow, code, state in load_table().rows()}
    for code in (
        "401.invalid_token 429.rate_limited 503.maintenance 400.malformed 405.method_not_allowed 413.too_large"
        " 415.unsupported_media_type 404.not_found 409.order_conflict 422.account_not_found 422.wrong_product"
        " 422.account_closed 422.amount_out_of_range 422.expired 422.not_after_too_far"
    ).split():
        assert ("pay", code, "") in rows
    for state in ("ACCEPTED", "PROCESSING", "SUCCEEDED", "FAILED", "REFUNDED"):
        assert {("pay", "order", state), ("query", "order", state)} <= rows
    assert ("query", "404.order_not_found", "") in rows
    assert ("recon", "404.file_not_ready", "") in rows
