"""What a person sees: a line for each step and each story as it ends, then the whole day on one page."""

from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from contracts.clock import Clock
from contracts.money import Fen
from gateway.demo.faults import DemoFault
from gateway.demo.folder import Layout
from gateway.demo.stage import Row, Title
from gateway.demo.system import Ground, Process

if TYPE_CHECKING:
    from gateway.demo.day import Result
    from gateway.demo.proofs import Proof

PLAIN_WIDTH = 140
"""Where the output is no terminal but a file."""
WIDE = 132
_MEDIA = {"softhsm": "SoftHSM U盾", "pem": "没有 SoftHSM，用密钥文件 no SoftHSM: key files"}
_GOOD, _BAD = "[green]✓[/]", "[bold red]✗[/]"


class Screen:
    """Writes to one console. The only module of the demo that knows what it looks like."""

    def __init__(self, clock: Clock, console: Console | None = None) -> None:
        self._clock = clock
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = PLAIN_WIDTH
        self._running: dict[str, Title] = {}
        self._status: Status | None = None

    def opening(self, ground: Ground, layout: Layout) -> None:
        """The first lines."""
        self._console.rule("[bold]便民缴费网关 · 演示营业日    Bianmin Gateway · a short business day[/]")
        self._console.print(
            f"引擎 engine [bold]{ground.engine}[/]    总线 bus [bold]{ground.bus}[/]"
            f"    密钥 keys [bold]{_MEDIA[ground.keys]}[/]    目录 {_short(layout.root)}"
        )
        self._console.print(
            "真实进程、真实 HTTP、真实签名；模拟器按指令出错。 Real processes; the biller fails on demand."
        )
        self._console.print("\n[bold]准备 Setting up[/]")

    async def step(self, chinese: str, english: str, work: Awaitable[object]) -> None:
        """Run one step and say how long it took."""
        begun = self._clock.monotonic()
        with self.running(Title(chinese, chinese, english)):
            try:
                await work
            except DemoFault:
                self._console.print(f" {_BAD} {chinese}  [dim]{escape(english)}[/]")
                raise
        seconds = self._clock.monotonic() - begun
        self._console.print(f" {_GOOD} {set_cell_size(chinese, 42)}{seconds:5.1f} s  [dim]{escape(english)}[/]")

    def stories(self, count: int) -> None:
        """Before the first story."""
        self._console.print(
            f"\n[bold]营业 The day[/]  {count} 个场景同时进行，各自严格核对 stories side by side, each strictly checked"
        )

    @contextmanager
    def running(self, title: Title) -> Iterator[None]:
        """Show that this goes on now, where somebody watches."""
        self._running[title.name] = title
        self._spin()
        try:
            yield
        finally:
            del self._running[title.name]
            self._spin()

    def told(self, title: Title, row: Row | None, failure: str, seconds: float, layout: Layout) -> None:
        """A story has ended."""
        mark = _GOOD if row is not None else _BAD
        if self._console.width >= WIDE:
            name, chinese = set_cell_size(title.name, 33), set_cell_size(title.chinese, 46)
            self._console.print(f" {mark} {name}{chinese}{seconds:5.1f} s  [dim]{escape(title.english)}[/]")
        else:
            self._console.print(f" {mark} {set_cell_size(title.chinese, 48)}{seconds:5.1f} s")
            self._console.print(f"   [dim]{title.name} · {escape(title.english)}[/]")
        if row is not None and row.note:
            self._console.print(f"   [dim]└ {escape(row.note)}[/]")
        if failure:
            self._console.print(f"     [red]{escape(failure)}[/]")
            self._console.print(f"     [dim]{_short(layout.log('gateway'))}  {_short(layout.log('simulator'))}[/]")

    def closing(self) -> None:
        """The stories are over."""
        self._console.print("\n[bold]收市 Closing[/]  对账、查余额、审计、取证 books, balances, audit, evidence")
        self._console.print(" [dim]为当日出具证据，提前按零点关账。 The day is closed early, as its midnight would.[/]")

    def summary(self, result: "Result", layout: Layout) -> None:
        """The whole day on one page."""
        self._end_spinning()
        if result.told:
            self._console.print()
            self._console.print(_stories(result, serials=self._console.width >= WIDE))
        if result.books:
            self._console.print(_money(result))
            for name, book in result.books.items():
                for difference in book.differences:
                    self._console.print(f" {_BAD} {name} {escape(difference)}")
        checks = result.audit["checks"]
        if checks:
            self._audit(checks)
        for proof in sorted(result.proofs, key=lambda proof: proof.name, reverse=True):
            self._proof(proof, layout)
        if result.fault:
            self._console.print(f"\n {_BAD} [red]{escape(result.fault)}[/]")
        self._console.print(" [dim]日终结算（对账文件、酬金）不在本次演示中。 The night is not part of this day.[/]")
        word = "[bold green]全部符合 all as it must be[/]" if result.ok else "[bold red]有不符 NOT as it must be[/]"
        self._console.print(f"\n {word}   {result.elapsed_s:.1f} s   {_short(layout.summary)}")
        if not result.ok:
            self._console.print(f" 日志 logs: {_short(layout.root / 'logs')}")

    def hold(self, result: "Result", layout: Layout, *, program: Path, biller_url: str, admin_url: str) -> None:
        """The system goes on running: what one may try now."""
        serial = next((told.row.gateway_serial for told in result.told if told.row), "SERIAL")
        proof = _short(layout.root / "proof")
        terminal, config = f"--config {_short(layout.terminal)}", f"--config {_short(layout.config)}"
        bianmin, account = _short(program), "--param carrier=cmcc"
        self._console.print("\n[bold]系统继续运行，按 Ctrl-C 结束。 Everything keeps running until Ctrl-C. Try:[/]")
        self._commands(
            ("查余额 the shop's balance", f"{bianmin} terminal balance {terminal}"),
            (
                "查欠费并缴 query and pay",
                f"{bianmin} terminal pay mobile.bill 13812345678 --query {account} {terminal}",
            ),
            ("充值 top a phone up", f"{bianmin} terminal pay mobile.topup 13812345679 30 {account} {terminal}"),
            ("待查的一笔 what is in doubt", f"{bianmin} terminal list --state UNKNOWN {terminal}"),
            ("全部服务站 all stations", f"{bianmin} station list {config}"),
            ("一笔的全部证据 all proof of one", f"{bianmin} evidence {serial} --out {proof} {config}"),
            ("审计 audit", f"{bianmin} audit {config}"),
            ("收费单位的账 the biller's book", f"curl {biller_url}/_control/book"),
            ("指标 metrics", f"curl {admin_url}/metrics"),
        )

    def cluster(
        self, result: "Result", layout: Layout, processes: Sequence[Process], *, program: Path, bootstrap: str
    ) -> None:
        """Who runs where, and what one may do to them."""
        table = Table(title="\n进程 The processes", title_justify="left", header_style="bold")
        for heading in ("进程 process", "角色 role", "pid", "管理端口 admin port"):
            table.add_column(heading, no_wrap=True, min_width=cell_len(heading))
        table.add_column("日志 log", overflow="fold")
        for each in processes:
            table.add_row(each.name, each.role, str(each.pid), str(each.admin), _short(each.log))
        self._console.print(table)
        serial = next((told.row.gateway_serial for told in result.told if told.row), "SERIAL")
        bianmin, config = _short(program), f"--config {_short(layout.config)}"
        worker = next(each for each in processes if each.role == "worker")
        self._commands(
            ("Kafka", bootstrap),
            ("一笔的全过程 one payment's life", f"{bianmin} ops trace {serial} {config}"),
            ("消息主题 the topics", f"{bianmin} bus check {config}"),
            (f"让 {worker.name} 突然死亡 let it die", f"kill -9 {worker.pid}"),
        )
        self._console.print(
            " 另一个 worker 接手，几秒后原进程重新启动；随后再缴费、审计。"
            " The other worker takes over and it is started again; then pay, then audit."
        )

    def revived(self, process: Process, code: int) -> None:
        """One of the processes had ended and was started again."""
        self._console.print(
            f" [yellow]↻[/] {process.name} 已退出（{code}）并重新启动 had ended with {code}, started again:"
            f" pid [bold]{process.pid}[/]"
        )

    def _commands(self, *commands: tuple[str, str]) -> None:
        for text, command in commands:
            self._console.print(f" {set_cell_size(text, 34)}[cyan]{escape(command)}[/]", soft_wrap=True)

    def ending(self) -> None:
        """Children are being ended."""
        self._end_spinning()
        self._console.print("\n正在结束各进程… ending every process …")

    def fault(self, text: str) -> None:
        """Nothing could be begun."""
        self._end_spinning()
        self._console.print(f"{_BAD} [red]{escape(text)}[/]", soft_wrap=True)

    def _audit(self, checks: list[dict[str, object]]) -> None:
        bad = [check for check in checks if not check["ok"]]
        mark, rows = (_BAD if bad else _GOOD), sum(int(str(check["rows"])) for check in checks)
        word = (
            f"违反 violated: {', '.join(str(check['name']) for check in bad)}" if bad else "账本完好 the book is sound"
        )
        self._console.print(f" {mark} 审计 audit: {len(checks)} 项检查 checks, {rows} 行 rows: {word}")

    def _proof(self, proof: "Proof", layout: Layout) -> None:
        """What a stranger finds out, in the words of the script that he was given."""
        told = {"payment": "一笔 one payment", "day": "全日 the whole day"}[proof.name]
        mark = "[yellow]－[/]" if proof.code is None else _GOOD if proof.ok else _BAD
        self._console.print(f" {mark} 证据 evidence, {told} {proof.subject}: {proof.records} 条 records")
        ended = "" if proof.code is None else f" (exit {proof.code})"
        self._console.print(f"   [dim]└ sh {_short(proof.folder / 'verify.sh')}: {escape(proof.word)}{ended}[/]")
        if not proof.ok:
            self._console.print(f"     [dim]{_short(layout.log(f'verify-{proof.name}'))}[/]")

    def _spin(self) -> None:
        if not self._console.is_terminal:
            return
        names = "、".join(title.name for title in self._running.values())
        if not names:
            self._end_spinning()
        elif self._status is None:
            self._status = self._console.status(escape(names))
            self._status.start()
        else:
            self._status.update(escape(names))

    def _end_spinning(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def _stories(result: "Result", *, serials: bool) -> Table:
    table = Table(title="营业日小结 The day", title_justify="left", header_style="bold", row_styles=["", "dim"])
    table.add_column("")
    table.add_column("场景 story", no_wrap=True)
    table.add_column("经过 states")
    table.add_column("依据 evidence", no_wrap=True)
    if serials:
        table.add_column("平台流水号 gateway serial", no_wrap=True)
    for told in result.told:
        row = told.row
        path = " → ".join(row.states) if row and row.states else "[dim]没有缴费 no payment[/]" if row else ""
        proof = (row.evidence or (row.note if not row.states else "—")) if row else ""
        cells = [_GOOD if row else _BAD, told.title.name, path, escape(proof)]
        table.add_row(*cells, *([(row.gateway_serial or "—") if row else ""] if serials else []))
    return table


def _money(result: "Result") -> Table:
    """Both books, and each shop's prepaid account."""
    table = Table(title="账目（元） Money, in yuan", title_justify="left", header_style="bold")
    for heading in ("", "账户 account"):
        table.add_column(heading, no_wrap=True)
    for heading in ("应为 must be", "实为 is", "差 difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, book in result.books.items():
        title = f"{name}：我方应付 = 对方应收 ours = theirs"
        _compare(table, title, book.theirs_fen, book.ours_fen, ok=book.equal)
    for purse in result.purses:
        name, left = f"{purse.shop.code} {purse.shop.name}", purse.shop.deposit.value - purse.spent_fen - purse.held_fen
        _compare(table, f"{name} 可用 available", left if purse.judged else None, purse.available_fen)
        _compare(table, f"{name} 冻结 reserved", purse.held_fen if purse.judged else None, purse.reserved_fen)
    return table


def _compare(table: Table, title: str, wanted: int | None, found: int, *, ok: bool = True) -> None:
    """wanted None: not known, because a story failed."""
    if wanted is None:
        table.add_row(_BAD, title, "—", Fen(found).to_yuan(), "—")
        return
    good = ok and wanted == found
    difference = Fen(found - wanted).to_yuan()
    table.add_row(_GOOD if good else _BAD, title, Fen(wanted).to_yuan(), Fen(found).to_yuan(), difference)


def _short(path: Path) -> str:
    """Relative to where the user is, if it lies there."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
