"""`bianmin terminal …`: a shop's side of the gateway.

Exit codes: 0 done (of a payment: paid; of a cancel: taken back), 1 not so, or not yet known to be so, 2 wrong use,
configuration, or no provable answer. A script may hand out a receipt, or give cash back, after 0 only.

The context's object, given by whoever mounts the group, must have a `clock` (contracts.clock.Clock).
"""

import io
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from contracts import api
from contracts.money import Fen
from contracts.states import FINAL
from gateway.terminal import texts
from gateway.terminal.answers import Fate, Last, Refused, Tombstone, Undecided
from gateway.terminal.enroll_cli import enroll
from gateway.terminal.renewal_cli import renewal
from gateway.terminal.running import config_option, fail, json_option, run_terminal
from gateway.terminal.terminal import Terminal

AMOUNT_MAX = Fen(10**10)
"""The API's own bound."""

_EXIT_CODES = """\b
退出码（供脚本使用）：
  0  已办成：缴费为“已缴”，撤销为“已撤销”
  1  未办成，或结果未定（处理中、待查）：不要给收据，也不要退款
  2  用法或配置有误，或没有得到平台的可靠答复
"""

_param_option = click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="业务附加信息，如 carrier=cmcc"
)


@click.group("terminal", epilog=_EXIT_CODES)
@config_option
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None) -> None:
    """便民服务站终端：查询欠费、缴费、查末笔交易、撤销、查余额。

    \b
    断线、断电或看到“待查”“处理中”时，不要重复收款，也先不要退款，
    请运行 terminal last 查清结果。各命令的用法：terminal 命令 --help
    """
    ctx.meta["config_file"] = config_file or Path("terminal.toml")


cli.add_command(enroll)
cli.add_command(renewal)


@cli.command()
@click.argument("service")
@click.argument("account")
@_param_option
@config_option
@json_option
def query(service: str, account: str, params: tuple[str, ...], config_file: Path | None, as_json: bool) -> None:
    """查询欠费。SERVICE 是业务（见 terminal services），ACCOUNT 是户号。"""
    _finish(run_terminal(config_file, lambda terminal: terminal.query_bill(service, account, _params(params))), as_json)


@cli.command()
@click.argument("service")
@click.argument("account")
@click.argument("amount", required=False)
@_param_option
@click.option("--query", "ask_first", is_flag=True, help="先查询欠费，确认户名和金额后再缴；不写金额则缴合计数")
@click.option("--query-token", help="以前查询得到的查询凭证")
@click.option("--cash", help="实收现金（元）")
@click.option("--yes", is_flag=True, help="不再确认")
@click.option("--confirm-repeat", metavar="TOKEN", help="确认再缴一笔（结果待查时由平台给出）")
@config_option
@json_option
def pay(
    service: str,
    account: str,
    amount: str | None,
    *,
    params: tuple[str, ...],
    ask_first: bool,
    query_token: str | None,
    cash: str | None,
    yes: bool,
    confirm_repeat: str | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """缴费。SERVICE 是业务，ACCOUNT 是户号，AMOUNT 是元，如 123.45。

    \b
    只有“已缴”才返回 0；处理中、结果待查返回 1，此时不要给收据，
    也不要退款，请运行 terminal last 查清结果。
    """
    queried = ask_first or query_token is not None
    if amount is None and not queried:
        raise click.UsageError("请写明金额（元），或加 --query (AMOUNT is needed unless a bill is queried)")
    wanted = None if amount is None else _amount(amount)
    received = None if cash is None else _amount(cash)
    values = _params(params)

    async def run(terminal: Terminal) -> Any:
        token, pays = query_token, wanted
        if queried:
            bill = await (terminal.bill(token) if token else terminal.query_bill(service, account, values))
            if not isinstance(bill, api.BillAnswer):
                return bill
            token, pays = bill.query_token, wanted or _total(bill)
            if not yes:
                _confirm(bill, account, pays)
        assert pays is not None, "without a query the amount was asked for above"
        return await terminal.pay(
            service,
            account,
            pays,
            params=values,
            query_token=token,
            confirm_repeat=confirm_repeat,
            cash_received=received,
        )

    _finish(run_terminal(config_file, run), as_json)


@cli.command()
@click.argument("gateway_serial")
@config_option
@json_option
def status(gateway_serial: str, config_file: Path | None, as_json: bool) -> None:
    """按平台流水号查询一笔。只有“已缴”才返回 0。"""
    _finish(run_terminal(config_file, lambda terminal: terminal.status(gateway_serial)), as_json)


@cli.command()
@config_option
@json_option
def last(config_file: Path | None, as_json: bool) -> None:
    """查询末笔交易和此前所有未定的交易：断线、断电之后先运行它。"""
    _finish(run_terminal(config_file, lambda terminal: terminal.last()), as_json)


@cli.command()
@click.argument("gateway_serial")
@click.option("--reason", required=True, help="撤销原因")
@click.option("--authorization", metavar="TOKEN", help="上级授权码")
@config_option
@json_option
def cancel(
    gateway_serial: str, reason: str, authorization: str | None, config_file: Path | None, as_json: bool
) -> None:
    """撤销当日一笔缴费。只有“已撤销”才返回 0，此时才可退款给顾客。"""
    answer = run_terminal(
        config_file, lambda terminal: terminal.cancel(gateway_serial, reason, authorization=authorization)
    )
    _finish(answer, as_json, kind="cancel")


@cli.command()
@config_option
@json_option
def balance(config_file: Path | None, as_json: bool) -> None:
    """查询预存款余额。"""
    _finish(run_terminal(config_file, lambda terminal: terminal.balance()), as_json)


@cli.command()
@config_option
@json_option
def services(config_file: Path | None, as_json: bool) -> None:
    """本站可办理的业务。"""
    _finish(run_terminal(config_file, lambda terminal: terminal.services()), as_json)


@cli.command("list")
@click.option("--date", "account_date", metavar="YYYY-MM-DD", help="账务日期")
@click.option("--account", help="户号")
@click.option("--state", help="状态，如 UNKNOWN")
@click.option("--limit", type=click.IntRange(1, 100), help="每页笔数")
@click.option("--cursor", help="上一页给出的翻页凭证")
@config_option
@json_option
def list_payments(
    *,
    account_date: str | None,
    account: str | None,
    state: str | None,
    limit: int | None,
    cursor: str | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """本站缴费记录，最近的在前。"""

    def run(terminal: Terminal) -> Awaitable[Any]:
        return terminal.list(account_date=account_date, biller_account=account, state=state, limit=limit, cursor=cursor)

    _finish(run_terminal(config_file, run), as_json)


def _finish(answer: Any, as_json: bool, kind: str = "pay") -> NoReturn:
    """Show an answer and leave with its exit code. kind: what was asked for, as in Last."""
    if as_json:
        click.echo(msgspec.json.encode(_as_json(answer)).decode())
    else:
        _show(answer, kind)
    about = answer.fate if isinstance(answer, Last) else answer
    if isinstance(about, Undecided):
        click.echo(f"hint: {texts.clean(about.why)}", err=True)
    raise SystemExit(_code(answer, kind))


def _code(answer: Any, kind: str) -> int:
    match answer:
        case Undecided():
            return 2
        case None | Refused() | Tombstone() | api.BillPending():
            return 1
        case api.Payment():
            return int(answer.state not in (texts.TAKEN_BACK if kind == "cancel" else texts.PAID))
        case Last():
            return _code(answer.fate, answer.kind) or int(any(_unsettled(one.fate) for one in answer.also))
    return 0


def _unsettled(fate: Fate) -> bool:
    """Whether a shop must still ask."""
    payment = fate.state not in FINAL and fate.state not in texts.PAID if isinstance(fate, api.Payment) else False
    return payment or isinstance(fate, Undecided)


def _show(answer: Any, kind: str) -> None:
    match answer:
        case None:
            lines = ["本终端没有交易记录"]
        case Last():
            lines = texts.last_lines(answer)
        case api.BillAnswer():
            lines = texts.bill_lines(answer)
        case api.BillPending():
            lines = ["收费单位尚未答复，请稍后再查", f"查询凭证：{texts.clean(answer.query_token)}"]
        case api.AccountBalance():
            lines = texts.balance_lines(answer)
        case api.ServiceList():
            lines = _table(texts.service_rows(answer))
        case api.PaymentPage():
            more = [f"下一页：--cursor {texts.clean(answer.next_cursor)}"] if answer.next_cursor else []
            lines = [*_table(texts.payment_rows(answer)), *more]
        case _:
            lines = texts.fate_lines(answer, kind)
    click.echo("\n".join(lines))


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns aligned by display width: a Chinese character takes two."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    for heading in rows[0]:
        table.add_column(heading, no_wrap=True)
    for row in rows[1:]:
        table.add_row(*(Text(cell) for cell in row))
    paper = io.StringIO()
    Console(file=paper, width=1000, no_color=True).print(table)
    return [line.rstrip() for line in paper.getvalue().splitlines()]


def _as_json(answer: Any) -> Any:
    match answer:
        case Refused():
            return answer.problem
        case Last():
            return {
                **_request_json(answer),
                "also": [_request_json(one) for one in answer.also],
                "also_undecided": answer.also_undecided,
            }
        case Undecided() | Tombstone():
            return _fate_json(answer)
    return answer


def _request_json(last: Last) -> dict[str, Any]:
    about = {"idempotency_key": last.key, "kind": last.kind, "began_at": last.began_at, "request": last.request}
    return about | _fate_json(last.fate)


def _fate_json(fate: Fate) -> dict[str, Any]:
    match fate:
        case Undecided():
            told = {"idempotency_key": fate.key, "sent": fate.sent, "why": fate.why, "problem": fate.problem}
            return {"undecided": told | ({"shop_text": fate.shop_text} if fate.shop_text else {})}
        case Tombstone():
            return {"tombstone": True}
        case Refused():
            return {"problem": fate.problem}
    return {"payment": fate}


def _amount(text: str) -> Fen:
    try:
        amount = Fen.from_yuan(text)
    except ValueError:
        amount = Fen(0)
    if not Fen(0) < amount <= AMOUNT_MAX:
        # What was typed is not repeated: where arguments are mixed up it is the account.
        hint = "expected more than 0 and at most 100000000.00 yuan, with at most two decimals"
        fail("金额不对，请写元，最多两位小数，如 123.45", hint)
    return amount


def _total(bill: api.BillAnswer) -> Fen:
    if not Fen(0) < Fen(bill.total_fen) <= AMOUNT_MAX:
        fail("该户没有欠费，请写明要缴的金额", "the bill's total is not an amount to pay: give AMOUNT")
    return Fen(bill.total_fen)


def _params(given: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for one in given:
        name, parted, value = one.partition("=")
        if not parted or name in values:
            fail("附加信息应写成 名称=值，每个名称一次", "--param: expected NAME=VALUE once each")
        values[name] = value
    return values


def _confirm(bill: api.BillAnswer, account: str, amount: Fen) -> None:
    """The customer's masked name and the amount, read out before any money moves."""
    name = texts.clean(bill.customer_name)
    try:
        agreed = click.confirm(
            f"户名 {name}  户号 {texts.clean(account)}  缴费 {amount.to_yuan()}元，确认吗？", err=True
        )
    except click.Abort:
        fail("需要人工确认：请在终端上操作，或加 --yes", "no answer to the confirmation: nothing was sent")
    if not agreed:
        click.echo("没有缴费", err=True)
        raise SystemExit(1)
