"""The form of var/bench/latest.json (api s3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

NAMES = (
    "accept_sqlite",
    "accept_postgres",
    "end_to_end_embedded",
    "end_to_end_kafka_postgres",
    "in_flight_100ms",
    "dead_neighbour",
    "growth_10m",
    "idle_memory",
    "start_up",
    "token_sign",
    "tv_adapter",
    "verify_signature",
    "audit_verify",
)
"""Results of this release, in the order they are measured."""
Setting = str | int | float | bool


class BenchError(Exception):
    """A run is worth nothing: its result is left out, the others go on."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured. disk_fsync_per_s: appends of one page with fsync, on the disk of the bench."""

    cores: int
    memory_mib: int
    python: str
    disk_fsync_per_s: float


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Something measured in the same run, to compare with."""

    name: str
    per_s: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement; null where a figure makes no sense for it. settings: what it was measured with, and findings
    that have no field of their own. ratio: to what the name promises (its floor, its target), see budgets."""

    name: str
    settings: Mapping[str, Setting]
    per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_s_per_1000: float | None = None
    references: Sequence[Reference] = ()
    ratio: float | None = None

    def with_settings(self, **more: Setting) -> "Result":
        """The same with more settings."""
        return msgspec.structs.replace(self, settings={**self.settings, **more})

    def with_ratio(self, ratio: float) -> "Result":
        """The same with another ratio than that to a reference."""
        return msgspec.structs.replace(self, ratio=ratio)

    def compared(self, *references: Reference) -> "Result":
        """The same beside references; ratio: to the last one."""
        ratio = self.per_s / references[-1].per_s if self.per_s is not None and references else None
        return msgspec.structs.replace(self, references=references, ratio=ratio)


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. at: RFC 3339, UTC."""

    at: str
    machine: Machine
    results: Sequence[Result]


def rounded(value: float | None) -> float | None:
    """Four significant digits: more would only look exact."""
    return None if value is None else float(f"{value:.4g}")


def tidy(result: Result) -> Result:
    """A result with all its figures rounded."""
    settings = {key: rounded(it) or 0.0 if type(it) is float else it for key, it in result.settings.items()}
    references = [Reference(name=it.name, per_s=rounded(it.per_s) or 0.0) for it in result.references]
    figures = {key: rounded(getattr(result, key)) for key in ("per_s", "p50_ms", "p99_ms", "cpu_s_per_1000", "ratio")}
    return msgspec.structs.replace(result, settings=settings, references=references, **figures)


def write(latest: Latest, path: Path) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_bytes(msgspec.json.format(msgspec.json.encode(latest), indent=1) + b"\n")
    half.replace(path)
