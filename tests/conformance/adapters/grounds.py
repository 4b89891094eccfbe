"""Where each registered adapter is played: its simulator, a configuration with short time-outs, its stages.

An adapter is registered by its entry point; one without a ground here fails test_matrix.py.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from adapters.kit.stage import Code, Op, Result, Stage, Who
from adapters.telecom.config import Config
from adapters.telecom.simulator import Options, start
from adapters.telecom.simulator.agents import AGENTS, FILE_AGENT
from adapters.tv.config import Config as TvConfig
from adapters.tv.simulator import Options as TvOptions
from adapters.tv.simulator import start as start_tv
from adapters.tv.simulator.tokens import CLIENT_ID, SECRET
from contracts.biller import Adapter
from contracts.money import Fen
from tests.stand.house import NOON


class Simulator(Protocol):
    """A running simulator."""

    @property
    def url(self) -> str: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One adapter's ground.

    start: (folder, notice address) → its simulator, its clock standing at NOON. config: (folder, base address, patience
    in ms) → what the adapter is built with; the time-outs are below what production allows. secrets: texts that no log
    may hold. stages: one per service.
    """

    start: Callable[[Path, str], Awaitable[Simulator]]
    config: Callable[[Path, str, int], Any]
    secrets: tuple[str, ...]
    stages: tuple[Stage, ...]


class _Impatient(Config, frozen=True, kw_only=True):
    """A Config without the limits that production puts on time-outs: a test does not wait a minute for silence."""

    def __post_init__(self) -> None:
        """No limits."""


def _telecom_config(folder: Path, base_url: str, patience_ms: int) -> Config:
    key = folder / "telecom.key"
    key.write_text(AGENTS[FILE_AGENT].keys["01"])
    return _Impatient(
        base_url=base_url,
        agent_no=FILE_AGENT,
        sign_key_file=str(key),
        connect_timeout_ms=patience_ms - 1,
        pay_timeout_ms=patience_ms,
        reply_timeout_ms=patience_ms,
        download_timeout_ms=patience_ms,
    )


async def _telecom_simulator(folder: Path, notice_url: str) -> Simulator:
    return await start(Options(book=folder / "simulator.db", notice_url=notice_url, fixed_at=NOON // 1000))


_TELECOM_CODES = {Code.DECLINED: "2012", Code.NOT_SENT: "9005", Code.UNLISTED: "7777"}
_BILLS = {
    Op.BILL: "bill/query",
    Op.PAY: "bill/pay",
    Op.QUERY: "order/query",
    Op.REVERSE: "bill/reverse",
    Op.CANCEL: "bill/reverse",
}
_MOBILES = {Who.USUAL: "13800000001", Who.OTHER: "13800000002", Who.FIXED: "13800000011"}


def _telecom_stages(adapter: Adapter) -> tuple[Stage, ...]:
    manifest = adapter.manifest
    carrier = {"carrier": "cmcc"}
    return (
        Stage(
            manifest=manifest,
            service="mobile.topup",
            accounts={Who.USUAL: "13900000001", Who.OTHER: "13900000011", Who.BY_HAND: "13900000007"},
            amount=Fen(5_000),
            params=carrier,
            operations={Op.PAY: "topup/order", Op.QUERY: "order/query", Op.NOTICE: "notice"},
            codes=_TELECOM_CODES,
            results={Result.PAID: 2, Result.FAILED: 4},
        ),
        Stage(
            manifest=manifest,
            service="mobile.bill",
            accounts=_MOBILES,
            amount=Fen(3_651),
            params=carrier,
            operations=_BILLS,
            codes=_TELECOM_CODES,
        ),
        Stage(
            manifest=manifest,
            service="broadband.bill",
            accounts={**_MOBILES, Who.USUAL: "jn.home_0042@ps", Who.OTHER: "jn.home_0043@ps"},
            amount=Fen(3_333),
            params={"carrier": "cucc", "line": "broadband", "sms": "1"},
            operations=_BILLS,
            codes=_TELECOM_CODES,
        ),
    )


class _ImpatientTv(TvConfig, frozen=True, kw_only=True):
    """As _Impatient."""

    def __post_init__(self) -> None:
        """No limits."""


def _tv_config(folder: Path, base_url: str, patience_ms: int) -> TvConfig:
    secret = folder / "tv.secret"
    secret.write_text(SECRET)
    return _ImpatientTv(
        base_url=base_url,
        client_id=CLIENT_ID,
        client_secret_file=str(secret),
        connect_timeout_ms=patience_ms - 1,
        reply_timeout_ms=patience_ms,
        download_timeout_ms=patience_ms,
    )


async def _tv_simulator(folder: Path, notice_url: str) -> Simulator:
    return await start_tv(TvOptions(book=folder / "simulator.db", fixed_at=NOON // 1000))


def _tv_stages(adapter: Adapter) -> tuple[Stage, ...]:
    return (
        Stage(
            manifest=adapter.manifest,
            service="tv.bill",
            accounts={Who.USUAL: "00000001", Who.OTHER: "1234567890120042", Who.BY_HAND: "00000008"},
            amount=Fen(2_001),
            operations={Op.BILL: "account", Op.PAY: "order", Op.QUERY: "result"},
            codes={
                Code.DECLINED: "422.account_closed",
                Code.NOT_SENT: "503.maintenance",
                Code.UNLISTED: "422.new_code",
            },
            results={Result.PAID: 2, Result.FAILED: 3},
        ),
    )


def registered() -> Mapping[str, Adapter]:
    """Every adapter by the name of its entry point."""
    return {entry.name: entry.load() for entry in entry_points(group="bianmin.adapters")}


def ground_of(name: str, adapter: Adapter) -> Ground:
    """The ground of a registered adapter; KeyError where it has none yet."""
    stages, start_simulator, config, secrets = _GROUNDS[name]
    return Ground(start=start_simulator, config=config, secrets=secrets, stages=stages(adapter))


_GROUNDS: Mapping[str, tuple[Any, Any, Any, tuple[str, ...]]] = {
    "telecom": (
        _telecom_stages,
        _telecom_simulator,
        _telecom_config,
        tuple(secret for agent in AGENTS.values() for secret in agent.keys.values()),
    ),
    "tv": (_tv_stages, _tv_simulator, _tv_config, (SECRET, "Tv%25Test%3ASecret%2B01")),
}
