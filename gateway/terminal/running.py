"""What the terminal's commands share: their options, a PIN that is asked for once, a run that ends in one line."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from certs.tokens.pins import WARNING_TEXTS, AskedPin, FdPin, PinAsk, PinSource, no_pin
from contracts.clock import Clock
from gateway.terminal import texts
from gateway.terminal.config import TerminalConfig, load_config
from gateway.terminal.faults import TerminalFault
from gateway.terminal.keys import open_token
from gateway.terminal.terminal import Terminal

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="以 JSON 格式输出，供程序读取")


def config_option(command: F) -> F:
    """`--config FILE` and `--pin-fd N`, before or behind the command's name."""
    with_pin = click.option(
        "--pin-fd",
        type=click.IntRange(0),
        expose_value=False,
        callback=_keep_pin_fd,
        help="从这个文件描述符读取U盾口令（一行）；缺省在终端上输入",
    )(command)
    path = click.Path(path_type=Path)
    return click.option("--config", "config_file", type=path, help="终端配置文件 (TOML)")(with_pin)


def _keep_pin_fd(ctx: click.Context, _: click.Parameter, fd: int | None) -> None:
    if fd is not None:
        ctx.meta["pin_fd"] = fd


def read_config(config_file: Path | None) -> TerminalConfig:
    """The configuration a command was given. Raises ConfigFault."""
    return load_config(config_file or click.get_current_context().meta["config_file"])


def clock() -> Clock:
    """The clock of whoever mounted the commands."""
    given: Clock = click.get_current_context().obj.clock
    return given


def pin_source() -> PinSource:
    """Where this command gets a PIN: --pin-fd, else a person at the terminal, once; else nowhere."""
    fd = click.get_current_context().meta.get("pin_fd")
    if fd is not None:
        return FdPin(fd)
    return AskedPin(_prompt, once=True) if sys.stdin.isatty() else no_pin


def _prompt(ask: PinAsk) -> str:
    for warning in ask.warnings:
        click.echo(f"注意：{WARNING_TEXTS[warning]}", err=True)
    about = f"U盾 {texts.clean(ask.label)}（{texts.clean(ask.key_serial)}）口令"
    return str(click.prompt(about, hide_input=True, default="", show_default=False, err=True))


def run_terminal(config_file: Path | None, work: Callable[[Terminal], Awaitable[T]]) -> T:
    """Run one piece of work on an open terminal; a user's mistake ends in one line and exit code 2.

    A USB key is opened before the event loop is, so that Ctrl-C at the prompt ends the command and nothing else.
    """
    with in_one_line():
        config, now = read_config(config_file), clock()
        token = open_token(config, pin_source(), now.now()) if config.signer else None
        with closing(token) if token is not None else nullcontext():
            for warning in token.warnings if token is not None else ():
                click.echo(f"注意：{WARNING_TEXTS[warning]}", err=True)
            return asyncio.run(_work(Terminal(config, now, signer=token), work))


async def _work(terminal: Terminal, work: Callable[[Terminal], Awaitable[T]]) -> T:
    async with terminal:
        try:
            return await work(terminal)
        finally:
            for notice in terminal.notices:
                click.echo(f"注意：{notice}", err=True)


class in_one_line:  # noqa: N801  # a context manager, used as a statement
    """What the user can mend is told in Chinese, with a hint in English; exit code 2."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, wrong: BaseException | None, trace: object) -> None:
        match wrong:
            case TerminalFault():
                fail(wrong.shop_text, wrong.hint)
            case ValueError():
                fail("输入内容不符合格式要求", str(wrong))
            case KeyboardInterrupt():
                fail(
                    "已中断，结果待查：请先运行 terminal last 查询末笔交易",
                    "interrupted: what was sent may have been taken",
                )


def fail(shop_text: str, hint: str) -> NoReturn:
    """One line for the shop, one for who set the terminal up, and exit code 2."""
    click.echo(f"{texts.clean(shop_text)}", err=True)
    click.echo(f"hint: {texts.clean(hint)}", err=True)
    raise SystemExit(2)
