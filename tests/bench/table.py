"""Results as a person reads them."""

from collections.abc import Iterator, Sequence

from tests.bench.budgets import judge
from tests.bench.results import Machine, Result

_WORDS = {True: "reached", False: "MISSED", None: "no verdict"}
_WIDTH = 118


def render(machine: Machine, results: Sequence[Result]) -> str:
    """The whole table."""
    head = (
        f"{machine.cores} cores, {machine.memory_mib} MiB, Python {machine.python}, "
        f"{machine.disk_fsync_per_s:,.0f} fsyncs/s"
    )
    return "\n".join([head, *(line for result in results for line in _lines(result))])


def _lines(result: Result) -> Iterator[str]:
    verdict = judge(result)
    loud = "" if result.settings.get("quiet", True) else " as measured, but NOISY: no verdict"
    yield ""
    yield f"{result.name}: {verdict.budget}: {_WORDS[verdict.met]}{loud}"
    yield "    " + "  ".join(
        f"{name} {_figure(value)}"
        for name, value in (
            ("per_s", result.per_s),
            ("p50_ms", result.p50_ms),
            ("p99_ms", result.p99_ms),
            ("cpu_s_per_1000", result.cpu_s_per_1000),
            ("ratio", result.ratio),
        )
    )
    yield from _wrapped("settings", [f"{key}={value}" for key, value in result.settings.items()])
    yield from _wrapped("measured beside", [f"{it.name} {it.per_s:,.0f}/s" for it in result.references])


def _wrapped(title: str, parts: Sequence[str]) -> Iterator[str]:
    line = f"    {title}:" if parts else ""
    for part in parts:
        if len(line) + len(part) + 1 > _WIDTH:
            yield line
            line = "     "
        line += f" {part}"
    if line:
        yield line


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"
