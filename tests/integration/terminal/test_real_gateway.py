"""The terminal against the real thing: `init`, `sim`, `serve` as processes, and a bad wire between them."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import structs

from contracts import api
from contracts.money import Fen
from gateway.terminal import Refused, Terminal, TerminalConfig, Tombstone, Undecided, load_config
from tests.integration.terminal.clocks import FastClock
from tests.stand.ports import free_port
from tests.stand.proxy import Cut, FaultProxy
from tests.stand.windows import never_closed

BIANMIN = (sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())")
PARAMS = {"carrier": "cmcc"}


@dataclass(frozen=True)
class Installation:
    """A pilot that runs."""

    config: TerminalConfig
    file: Path
    port: int

    def terminal(self, folder: Path, *, port: int = 0, speed: int = 5, **change: object) -> Terminal:
        """A terminal with a journal of its own, connecting straight or through a proxy's port."""
        values = {"journal_file": str(folder / "journal"), "url": f"http://127.0.0.1:{port or self.port}"}
        return Terminal(structs.replace(self.config, **(values | change)), FastClock(speed))


@contextmanager
def running(*words: str, cwd: Path) -> Iterator[None]:
    """A command in the background, stopped in order at the end."""
    with (cwd / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen((*BIANMIN, *words), cwd=cwd, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(*words: str, cwd: Path) -> None:
    """A command to its end."""
    subprocess.run((*BIANMIN, *words), cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def wait_until_ready(url: str, folder: Path) -> None:
    """Until it answers 200."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=1) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail((folder / "serve.log").read_text()[-2000:])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A gateway, a telecom platform, and a station with 5000.00."""
    folder = tmp_path_factory.mktemp("pilot")
    listen, admin, partner, sim = (free_port() for _ in range(4))
    ports = ("--listen", f"127.0.0.1:{listen}", "--admin-port", str(admin), "--partner-port", str(partner))
    run("init", "pilot", *ports, "--telecom-url", f"http://127.0.0.1:{sim}", cwd=folder)
    pilot = folder / "pilot"
    never_closed(pilot / "bianmin.toml")
    config = ("--config", "bianmin.toml")
    deposit: Sequence[str] = ("--voucher", "V0001", "--outlet", "370001", "--by", "0001")
    run("station", "deposit", "33078200017", "5000", *deposit, *config, cwd=pilot)
    notices = f"http://127.0.0.1:{partner}/notices/telecom"
    with ExitStack() as stack:
        stack.enter_context(running("sim", "telecom", "--port", str(sim), "--notice-url", notices, cwd=pilot))
        stack.enter_context(running("serve", *config, cwd=pilot))
        wait_until_ready(f"http://127.0.0.1:{admin}/readyz", pilot)
        yield Installation(load_config(pilot / "terminal.toml"), pilot / "terminal.toml", listen)


async def test_a_shops_day(installation: Installation, tmp_path: Path) -> None:
    async with installation.terminal(tmp_path) as terminal:
        services = await terminal.services()
        assert isinstance(services, api.ServiceList)
        assert "mobile.topup" in {one.service for one in services.items if one.open}
        before = await terminal.balance()
        assert isinstance(before, api.AccountBalance)
        bill = await terminal.query_bill("mobile.bill", "13805790001", PARAMS)
        assert isinstance(bill, api.BillAnswer)
        paid = await terminal.pay(
            "mobile.bill", "13805790001", Fen(bill.total_fen), params=PARAMS, query_token=bill.query_token
        )
        assert isinstance(paid, api.Payment)
        assert paid.state == "SUCCESS"
        again = await terminal.pay(
            "mobile.bill", "13805790001", Fen(bill.total_fen), params=PARAMS, query_token=bill.query_token
        )
        assert isinstance(again, Refused)
        assert again.slug == "query-token-stale"
        after = await terminal.balance()
        assert isinstance(after, api.AccountBalance)
        assert before.available_fen - after.available_fen == paid.amount_fen + paid.fee_fen
        assert await terminal.status(paid.gateway_serial) == paid
        page = await terminal.list(biller_account="13805790001", account_date=paid.account_date, limit=5)
        assert isinstance(page, api.PaymentPage)
        assert page.items == [paid]
        entries = await terminal.entries()
        assert isinstance(entries, api.EntryPage)
        assert {one.gateway_serial for one in entries.items} == {paid.gateway_serial, None}  # None: the deposit
        cancelled = await terminal.cancel(paid.gateway_serial, "户号错误")
        assert isinstance(cancelled, api.Payment | Refused)
        time_now = await terminal.gateway_time()
        assert isinstance(time_now, api.TimeAnswer)
        assert time_now.account_date == paid.account_date


async def test_a_cancel_the_biller_refuses_is_told_as_such(installation: Installation, tmp_path: Path) -> None:
    """The simulator's 13800000014 has used its credit (telecom s8.4, 2012)."""
    async with installation.terminal(tmp_path) as terminal:
        bill = await terminal.query_bill("mobile.bill", "13800000014", PARAMS)
        assert isinstance(bill, api.BillAnswer)
        total = Fen(bill.total_fen)
        paid = await terminal.pay("mobile.bill", "13800000014", total, params=PARAMS, query_token=bill.query_token)
        assert isinstance(paid, api.Payment)
        cancelled = await terminal.cancel(paid.gateway_serial, "顾客要求撤销")
        last = await terminal.last()
    assert isinstance(cancelled, api.Payment)
    assert last is not None
    assert (cancelled.state, cancelled.reason) == ("SUCCESS", "credit-used")
    assert cancelled.shop_text == "撤销未成功：话费已被使用，不能撤销，缴费有效。原缴费仍然有效，请勿退款"
    assert (last.kind, last.fate) == ("cancel", cancelled)


async def test_every_reply_lost(installation: Installation, tmp_path: Path) -> None:
    async with FaultProxy("127.0.0.1", installation.port) as proxy:
        await proxy.set_faults(cut_reply_after=200, cut=Cut.RESET)
        async with installation.terminal(tmp_path, port=proxy.port, pay_deadline_s=8) as terminal:
            answer = await terminal.pay("mobile.topup", "13805790002", Fen(5000), params=PARAMS)
        assert isinstance(answer, Undecided)
        assert answer.sent
        await proxy.clear_faults()
        async with installation.terminal(tmp_path, port=proxy.port) as terminal:
            last = await terminal.last()
            page = await terminal.list(biller_account="13805790002")
    assert last is not None
    assert isinstance(last.fate, api.Payment)
    assert (last.fate.idempotency_key, last.fate.amount_fen) == (answer.key, 5000)
    assert isinstance(page, api.PaymentPage)
    assert [one.gateway_serial for one in page.items] == [last.fate.gateway_serial]


async def test_every_request_lost(installation: Installation, tmp_path: Path) -> None:
    async with FaultProxy("127.0.0.1", installation.port) as proxy:
        await proxy.set_faults(cut_request_after=300, cut=Cut.SILENT)
        terminal = installation.terminal(tmp_path, port=proxy.port, pay_deadline_s=4, reply_timeout_ms=500, speed=2)
        async with terminal:
            answer = await terminal.pay("mobile.topup", "13805790003", Fen(5000), params=PARAMS)
    assert isinstance(answer, Undecided)
    async with installation.terminal(tmp_path) as terminal:
        last = await terminal.last()
        page = await terminal.list(biller_account="13805790003")
    assert last is not None
    assert last.fate == Tombstone(answer.key or "")
    assert page == api.PaymentPage(items=[], next_cursor=None)


async def test_a_lost_first_reply_makes_no_second_payment(installation: Installation, tmp_path: Path) -> None:
    async with FaultProxy("127.0.0.1", installation.port) as proxy:
        await proxy.set_faults(cut_reply_after=50, cut=Cut.FIN)
        async with installation.terminal(tmp_path, port=proxy.port) as terminal:

            async def mend(seconds: float) -> None:
                await proxy.clear_faults()

            terminal._clock.sleep = mend  # type: ignore[method-assign]
            paid = await terminal.pay("mobile.topup", "13805790004", Fen(5000), params=PARAMS)
            page = await terminal.list(biller_account="13805790004")
    assert isinstance(paid, api.Payment)
    assert isinstance(page, api.PaymentPage)
    assert len(page.items) == 1


def test_the_commands(installation: Installation) -> None:
    def terminal(*words: str) -> subprocess.CompletedProcess[str]:
        command = (*BIANMIN, "terminal", *words, "--config", str(installation.file))
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"LANG": "C.UTF-8"}
        )

    paid = terminal("pay", "mobile.topup", "13805790005", "50", "--param", "carrier=cmcc")
    assert paid.returncode == 0, paid.stderr
    assert "状态：缴费成功" in paid.stdout
    serial = re.search(r"平台流水号：([0-9A-Z]{24})", paid.stdout)
    assert serial is not None
    last = json.loads(terminal("last", "--json").stdout)
    assert last["payment"]["gateway_serial"] == serial[1]
    assert terminal("pay", "mobile.topup", "13805790005", "abc").returncode == 2
    assert terminal("status", "2026112406H0P4QWR2D3RMF7").returncode == 1
