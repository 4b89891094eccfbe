"""Adapters that only the bench installs, under entry points of a folder on PYTHONPATH.

`bench_telecom` is the telecom adapter without its limits. The plain billers speak JSON over the adapters' own HTTP
transport to `plain_server`. `bench_hold` never answers: payments are accepted and wait.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from adapters import telecom
from adapters.telecom.manifest import MANIFEST as TELECOM_MANIFEST
from adapters.transport.http import HttpCall, HttpCaller, Reply, TimeOuts
from contracts.biller import Adapter, Biller, PayOrder, ResultQuery
from contracts.clock import Clock
from contracts.manifest import BillModel, Can, FlowFacts, Manifest
from contracts.money import Fen
from contracts.outcomes import Evidence, NotSent, Outcome, Paid, Pending, Unknown

NO_LIMIT = 1_000_000
PLAIN = {"bench_100": 100, "bench_150": 150, "bench_2000": 2_000, "bench_near": 100, "bench_far": 100}
"""Plain billers, by how many calls they take at once."""


class HoldConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to configure."""


class PlainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """base_url: of a plain_server."""

    base_url: str


class PlainReply(msgspec.Struct, frozen=True):
    """What a plain server answers to a payment."""

    serial: str
    paid_fen: int
    biller_serial: str


def service_of(biller: str) -> str:
    """The one service that a biller of the bench (other than bench_telecom) sells."""
    return f"{biller.replace('_', '')}.bill"


def _manifest(name: str, concurrency: int) -> Manifest:
    facts = FlowFacts(
        title=name,
        bill_model=BillModel.DIRECT,
        account_pattern=r"[0-9]{4,12}",
        amount_min=Fen(1),
        amount_max=Fen(5_000_000),
        call_deadline_s=60,
        absent_final_after_s=600,
        absent_void_after_s=259_200,
        source="tests/bench",
    )
    return Manifest(
        name=name,
        title=name,
        can=frozenset({Can.QUERY_RESULT}),
        flows={service_of(name): facts},
        concurrency=concurrency,
        rate_per_s=NO_LIMIT,
        serial_digits=20,
        source="tests/bench",
    )


class Hold:
    """Takes a call and never answers."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    async def open(self) -> None:
        """See Biller."""

    async def close(self) -> None:
        """See Biller."""

    async def pay(self, order: PayOrder) -> Outcome:
        """Wait until the lane gives up."""
        await asyncio.Event().wait()
        return Unknown(cause="held")

    async def query_result(self, query: ResultQuery) -> Evidence:
        """Still waiting."""
        return Pending()


class Plain:
    """JSON over HTTP: POST /pay."""

    def __init__(self, manifest: Manifest, config: PlainConfig, clock: Clock) -> None:
        self.manifest = manifest
        self._caller = HttpCaller(clock=clock, base_url=config.base_url, connections=manifest.concurrency)
        self._time_outs = TimeOuts(connect_ms=5_000, total_ms=55_000)

    async def open(self) -> None:
        """See Biller."""
        await self._caller.open()

    async def close(self) -> None:
        """See Biller."""
        await self._caller.close()

    async def pay(self, order: PayOrder) -> Outcome:
        """One POST."""
        body = msgspec.json.encode({"serial": order.partner_serial, "amount_fen": order.amount.value})
        call = HttpCall(
            method="POST",
            target="/pay",
            body=body,
            headers={"Content-Type": "application/json"},
            time_outs=self._time_outs,
            reply_limit=4096,
            send_deadline=order.send_deadline,
        )
        result = await self._caller.call(call)
        if isinstance(result, Reply) and result.status == 200:
            read = msgspec.json.decode(result.body, type=PlainReply)
            if read.serial == order.partner_serial:
                return Paid(biller_serial=read.biller_serial, paid=Fen(read.paid_fen), raw=result.body)
            return Unknown(cause="another serial")
        if isinstance(result, Reply):
            return Unknown(cause=f"http.{result.status}")
        return Unknown(cause=result.cause) if type(result).__name__ == "MayHaveLeft" else NotSent(cause=result.cause)

    async def query_result(self, query: ResultQuery) -> Evidence:
        """The bench leaves nothing in doubt that it would ask about."""
        return Unknown(cause="not asked")


def _no_text(_service: str, _code: str) -> str | None:
    return None


def _adapter(
    manifest: Manifest, config_type: type[msgspec.Struct], build: Callable[[Manifest, object, Clock], Biller]
) -> Adapter:
    return Adapter(
        manifest=manifest,
        config_type=config_type,
        build=lambda config, clock: build(manifest, config, clock),
        simulator="tests.bench.plain_server",
        shop_text=_no_text,
    )


def _build_plain(manifest: Manifest, config: object, clock: Clock) -> Biller:
    assert isinstance(config, PlainConfig)
    return Plain(manifest, config, clock)


def _unlimited_telecom() -> Adapter:
    # Its night window would refuse payments for half an hour a day.
    flows = {name: replace(facts, closed_local=()) for name, facts in TELECOM_MANIFEST.flows.items()}
    manifest = replace(TELECOM_MANIFEST, name="bench_telecom", flows=flows, rate_per_s=NO_LIMIT)
    return replace(telecom.ADAPTER, manifest=manifest)


HOLD = _adapter(_manifest("bench_hold", 1), HoldConfig, lambda manifest, _config, _clock: Hold(manifest))
TELECOM = _unlimited_telecom()
ADAPTERS: Mapping[str, Adapter] = {
    "bench_hold": HOLD,
    "bench_telecom": TELECOM,
    **{name: _adapter(_manifest(name, at_once), PlainConfig, _build_plain) for name, at_once in PLAIN.items()},
}


def __getattr__(name: str) -> Adapter:
    """An entry point's value names an attribute of this module."""
    if name in ADAPTERS:
        return ADAPTERS[name]
    raise AttributeError(name)


def write_entry_points(folder: Path, names: Iterable[str]) -> None:
    """Make `folder` (to be put on PYTHONPATH) a distribution that installs these adapters."""
    info = folder / "bianmin_bench-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bianmin-bench\nVersion: 0\n")
    lines = "".join(f"{name} = tests.bench.billers:{name}\n" for name in names)
    (info / "entry_points.txt").write_text(f"[bianmin.adapters]\n{lines}")
