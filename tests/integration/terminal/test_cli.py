"""`bianmin terminal …` against a real server: what a shop reads, what a script gets, and the exit codes."""

import asyncio
import json
import traceback
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from contracts.states import State
from gateway.terminal import Terminal, render_config
from gateway.terminal.cli import cli
from tests.integration.terminal.clocks import FastClock
from tests.integration.terminal.double import QUERY_TOKEN, SERIAL, Double

PAY = ("pay", "mobile.topup", "13805790001", "100.00", "--param", "carrier=cmcc")


async def run(double: Double, *words: str, typed: str | None = None, **change: object) -> Result:
    """One command with a configuration file for this gateway; no user's mistake may end in a traceback."""
    file = double.keys.folder / "terminal.toml"
    file.write_text(render_config(double.config(**({"pay_deadline_s": 4, "read_deadline_s": 2} | change))))
    return await invoke(*words, "--config", str(file), typed=typed)


async def invoke(*words: str, typed: str | None = None) -> Result:
    """The command group as it is mounted: with a context object that has a clock."""
    given = SimpleNamespace(clock=FastClock(20))
    result = await asyncio.to_thread(CliRunner().invoke, cli, words, input=typed, obj=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        pytest.fail("".join(traceback.format_exception(result.exception)))
    return result


async def test_pay_reads_well(double: Double) -> None:
    result = await run(double, *PAY)
    assert result.exit_code == 0
    for text in ("状态：缴费成功", "金额：100.00元", "手续费：1.00元", f"平台流水号：{SERIAL}", "提示：缴费成功"):
        assert text in result.stdout


async def test_pay_as_json(double: Double) -> None:
    result = await run(double, *PAY, "--json", "--cash", "200")
    assert json.loads(result.stdout)["gateway_serial"] == SERIAL
    assert b'"cash_received_fen":20000' in double.arrivals[-1].body


@pytest.mark.parametrize("state", sorted(set(State) - {State.CREATED}))
async def test_only_what_is_paid_is_done(double: Double, state: State) -> None:
    """`pay && print a receipt` must not print one for a result that is not known."""
    double.state = state
    paid, looked, last = await run(double, *PAY), await run(double, "status", SERIAL), await run(double, "last")
    code = 0 if state in {"SUCCESS", "PAID_WAIT_WRITE", "WRITTEN", "WRITE_FAILED"} else 1
    assert (paid.exit_code, looked.exit_code, last.exit_code) == (code, code, code)
    assert ("失败" in paid.stdout) == (state in {"FAILED", "WRITE_FAILED"})
    if state in {"RESERVED", "SENT", "UNKNOWN", "REVERSING", "CANCELLING"}:
        assert "处理中" in paid.stdout or "待查" in paid.stdout


async def test_an_undecided_payment_is_never_a_failure(double: Double) -> None:
    double.plan = ["taken-cut"] * 99
    result = await run(double, *PAY)
    assert result.exit_code == 2
    assert "结果待查" in result.stdout
    assert "请勿重复收款" in result.stdout
    assert "失败" not in result.stdout
    double.plan = []
    last = await run(double, "last")
    assert last.exit_code == 0
    assert "末笔交易：缴费 mobile.topup 13805790001 100.00元" in last.stdout
    assert "缴费成功" in last.stdout


async def test_last_of_a_tombstone_and_of_nothing(double: Double) -> None:
    nothing = await run(double, "last")
    assert (nothing.exit_code, nothing.stdout) == (1, "本终端没有交易记录\n")
    double.plan = ["cut"] * 99
    await run(double, *PAY)
    double.plan = []
    last = await run(double, "last", "--json")
    assert last.exit_code == 1
    told = json.loads(last.stdout)
    assert (told["kind"], told["tombstone"], told["request"]["amount_fen"]) == ("pay", True, 10000)
    assert "可以退还现金" in (await run(double, "last")).stdout


async def test_a_repeat_in_doubt_is_explained(double: Double) -> None:
    double.plan = ["repeat-in-doubt"]
    result = await run(double, *PAY)
    assert result.exit_code == 1
    assert "--confirm-repeat repeat-token-000001" in result.stdout
    assert "可能重复扣款" in result.stdout
    again = await run(double, *PAY, "--confirm-repeat", "repeat-token-000001")
    assert again.exit_code == 0
    assert b'"confirm_repeat":"repeat-token-000001"' in double.arrivals[-1].body


async def test_last_leads_to_the_payment_in_doubt(double: Double) -> None:
    """Paid twice, the second try refused because the first is in doubt: `last` shows both, and how the first ends."""
    double.state = "UNKNOWN"
    doubtful = await run(double, *PAY)
    assert (doubtful.exit_code, "结果待查" in doubtful.stdout) == (1, True)
    double.plan = ["repeat-in-doubt"]
    refused = await run(double, *PAY)
    assert "请先运行 terminal last" in refused.stdout
    last = await run(double, "last")
    assert last.exit_code == 1
    shown, _, earlier = last.stdout.partition("\n此前未定的交易 1/1：缴费 mobile.topup 13805790001 100.00元\n")
    assert "未办理" in shown
    assert "状态：结果待查" in earlier
    told = json.loads((await run(double, "last", "--json")).stdout)
    assert (told["problem"]["status"], [one["payment"]["state"] for one in told["also"]]) == (409, ["UNKNOWN"])
    double.state = "SUCCESS"
    assert "状态：缴费成功" in (await run(double, "last")).stdout
    assert "此前未定的交易" not in (await run(double, "last")).stdout


async def test_a_bill_that_is_not_there_yet_is_no_payment(double: Double) -> None:
    double.bill_pending = 99
    result = await run(double, "pay", "power.bill", "4600123456", "--query", "--yes")
    assert (result.exit_code, double.sent()) == (1, [])


def test_help_speaks_to_the_shop() -> None:
    assert isinstance(cli, click.Group)
    for words in ((), *((name,) for name in cli.commands)):
        shown = CliRunner().invoke(cli, [*words, "--help"]).stdout
        for developers in ("context", "object", "clock", "print JSON"):
            assert developers not in shown
    assert "结果未定" in CliRunner().invoke(cli, ["--help"]).stdout


async def test_a_bill_is_shown_and_confirmed(double: Double) -> None:
    bill = await run(double, "query", "power.bill", "4600123456")
    assert bill.exit_code == 0
    for text in ("户名：*三", "2026-10  120.00元  违约金3.45元", "应缴合计：123.45元", QUERY_TOKEN):
        assert text in bill.stdout
    paid = await run(double, "pay", "power.bill", "4600123456", "--query", typed="y\n")
    assert paid.exit_code == 0
    assert "*三" in paid.stderr
    assert "123.45元" in paid.stderr
    body = json.loads(double.arrivals[-1].body)
    assert (body["amount_fen"], body["query_token"]) == (12345, QUERY_TOKEN)


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("", 2)])
async def test_without_a_yes_nothing_is_sent(double: Double, typed: str, code: int) -> None:
    result = await run(double, "pay", "power.bill", "4600123456", "--query-token", QUERY_TOKEN, typed=typed)
    assert result.exit_code == code
    assert not double.sent()


async def test_yes_skips_the_question(double: Double) -> None:
    result = await run(double, "pay", "power.bill", "4600123456", "50", "--query-token", QUERY_TOKEN, "--yes")
    assert result.exit_code == 0
    assert "确认" not in result.stderr
    assert json.loads(double.arrivals[-1].body)["amount_fen"] == 5000


async def test_the_other_reads(double: Double) -> None:
    await run(double, *PAY)
    balance = await run(double, "balance")
    assert "可用余额：4899.00元" in balance.stdout
    assert "请及时充值" in balance.stdout
    services = await run(double, "services")
    assert "carrier=cmcc(移动)/cucc(联通)" in services.stdout
    listed = await run(double, "list", "--limit", "5")
    assert SERIAL in listed.stdout
    assert "--cursor next_1" in listed.stdout
    for command in (("balance",), ("services",), ("list",), ("status", SERIAL), ("query", "power.bill", "4600123456")):
        result = await run(double, *command, "--json")
        assert result.exit_code == 0
        assert isinstance(json.loads(result.stdout), dict)


@pytest.mark.parametrize(("state", "code"), [("CANCELLED", 0), ("CANCELLING", 1), ("FAILED", 0), ("SUCCESS", 1)])
async def test_cancel(double: Double, state: str, code: int) -> None:
    """Cash may be given back after 0 only; a payment that stayed paid does not look like success."""
    await run(double, *PAY)
    double.state = state
    cancelled, last = await run(double, "cancel", SERIAL, "--reason", "户号错误"), await run(double, "last")
    assert (cancelled.exit_code, last.exit_code) == (code, code)
    for result in (cancelled, last):
        assert ("撤销结果：已撤销" in result.stdout) == (code == 0)
        assert ("撤销结果：未成功，原缴费仍然有效，请勿退款" in result.stdout) == (state == "SUCCESS")
        assert ("撤销结果：结果未定，暂不退款" in result.stdout) == (state == "CANCELLING")


async def test_a_refused_cancel_and_a_payment_of_nobody(double: Double) -> None:
    double.plan = ["state-conflict"]
    refused = await run(double, "cancel", SERIAL, "--reason", "户号错误", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["type"] == "urn:bianmin:problem:state-conflict"
    assert (await run(double, "status", SERIAL)).exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("pay", "mobile.topup", "13805790001", "12.345"),
        ("pay", "mobile.topup", "13805790001", "１２"),
        ("pay", "mobile.topup", "13805790001", "0"),
        ("pay", "mobile.topup", "13805790001", "99999999999"),
        ("pay", "mobile.topup", "13805790001", "--", "-5"),
        ("pay", "mobile.topup", "13805790001"),
        ("pay", "mobile.topup", "13805790001", "5", "--param", "carrier"),
        ("pay", "mobile.topup", "138 0579", "5"),
        ("status", "nonsense"),
        ("list", "--date", "yesterday"),
        ("nonsense",),
    ],
)
async def test_wrong_use_is_one_clear_line(double: Double, words: tuple[str, ...]) -> None:
    at = len(words) - 2 if "--" in words else len(words)
    file = double.keys.folder / "terminal.toml"
    file.write_text(render_config(double.config()))
    result = await invoke(*words[:1], "--config", str(file), *words[1:at], *words[at:])
    assert result.exit_code == 2
    assert result.stderr
    assert not double.sent()


async def test_nobody_listens(double: Double) -> None:
    result = await run(double, *PAY, url="http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "请求没有发出，没有扣款" in result.stdout
    assert "hint: no connection" in result.stderr
    assert (await run(double, "balance", url="http://127.0.0.1:9")).exit_code == 2


async def test_configuration_mistakes(double: Double, tmp_path: Path) -> None:
    missing = await invoke("balance", "--config", str(tmp_path / "nowhere.toml"))
    assert missing.exit_code == 2
    assert "终端配置有误" in missing.stderr
    bad = await run(double, "balance", key_file=str(tmp_path / "nowhere.key"))
    assert bad.exit_code == 2
    assert "nowhere.key" in bad.stderr
    Path(double.config().key_password_file).write_text("wrong\n")
    wrong = await run(double, "balance")
    assert wrong.exit_code == 2
    assert "口令" in wrong.stderr
    assert "hint:" in wrong.stderr


async def test_a_set_clock_is_said(double: Double) -> None:
    double.plan = ["signature-expired"]
    result = await run(double, *PAY)
    assert result.exit_code == 0
    assert "校准本机时间" in result.stderr


async def test_an_interrupt_is_in_doubt(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Terminal, "pay", interrupted)
    result = await run(double, *PAY)
    assert result.exit_code == 2
    assert "结果待查" in result.stderr


async def test_what_comes_from_outside_cannot_move_the_cursor(double: Double) -> None:
    double.state = "\x1b[2JSENT\u202e"
    result = await run(double, *PAY)
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "处理中" in result.stdout


def test_the_commands_are_those_of_the_api() -> None:
    assert isinstance(cli, click.Group)
    assert set(cli.commands) == {
        "query",
        "pay",
        "status",
        "last",
        "cancel",
        "balance",
        "services",
        "list",
        "enroll",
        "renewal",
    }
