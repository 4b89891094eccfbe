"""What the growth runs of both engines share: how much is stored, the times, and the result they make."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.books import BATCH
from tests.bench.percentiles import percentile
from tests.bench.quiet import Window, mark
from tests.bench.results import Reference, Result, Setting

FEW = 10_000
MANY, MANY_FULL = 300_000, 10_000_000
BATCHES = 400
MEASURE_LIMIT_S = 25.0
FILL_LIMIT_S = 30.0
"""The short run stops filling then: it tells a trend, `--full` the budget."""


@dataclass(slots=True)
class Times:
    """Milliseconds of batches and of their commits; wal_mib: the largest log seen (SQLite)."""

    batches: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    wal_mib: float = 0.0

    @property
    def per_s(self) -> float:
        """Payments a second within these batches."""
        return BATCH * len(self.batches) / sum(self.batches) * 1000


def growth_result(
    few: tuple[Times, Window], many: tuple[Times, Window], stored: int, settings: Mapping[str, Setting]
) -> Result:
    """The result: p99 with many stored against p99 with few; marked by the louder of the two windows."""
    (then, at_few), (now, at_many) = few, many
    commit_ratio = percentile(now.commits, 99) / percentile(then.commits, 99)
    result = Result(
        name="growth_10m",
        settings={
            **settings,
            "stored": stored,
            "compared_with": FEW,
            "batch": BATCH,
            "p99_ms_few": percentile(then.batches, 99),
            "commit_p99_ms": percentile(now.commits, 99),
            "commit_p99_ms_few": percentile(then.commits, 99),
            "commit_ratio": commit_ratio,
            "p50_ms_few": percentile(then.batches, 50),
        },
        per_s=now.per_s,
        p50_ms=percentile(now.batches, 50),
        p99_ms=percentile(now.batches, 99),
        cpu_s_per_1000=at_many.spent.ours_s / (len(now.batches) * BATCH) * 1000,
    )
    louder = max((at_few.spent, at_many.spent), key=lambda spent: max(spent.foreign_cores, spent.steal_cores))
    ratio = percentile(now.batches, 99) / percentile(then.batches, 99)
    return mark(result, louder).compared(Reference(name="few_stored", per_s=then.per_s)).with_ratio(ratio)
