"""Which process does what now: leases of jobs, and shares of what a biller takes."""

from typing import ClassVar

from gateway.core.rows.base import Row


class Lease(Row, frozen=True, kw_only=True):
    """Who does a job now, until when. fence: its epoch, one more with each change of owner; memo: what the job carries
    on."""

    TABLE: ClassVar[str] = "leases"
    KEY: ClassVar[tuple[str, ...]] = ("name",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("owner", "until", "fence", "memo")
    GUARD: ClassVar[tuple[str, ...]] = ("fence",)
    name: str
    owner: str
    until: int
    fence: int
    memo: bytes | None = None


class Allowance(Row, frozen=True, kw_only=True):
    """How much of a biller one process may use until `expires_at`. share: `calls` or `questions`.

    worker "" is the pool itself: it holds nothing, and whoever deals locks it first. concurrency: calls at once.
    closed_until: its breaker lets nothing through before.
    """

    TABLE: ClassVar[str] = "allowances"
    KEY: ClassVar[tuple[str, ...]] = ("biller", "share", "worker")
    MUTABLE: ClassVar[tuple[str, ...]] = ("concurrency", "rate_per_s", "expires_at", "closed_until")
    biller: str
    share: str
    worker: str
    concurrency: int
    rate_per_s: int
    expires_at: int
    closed_until: int = 0


class Calling(Row, frozen=True, kw_only=True):
    """Read only: how many orders one process has in flight at one biller, by the book."""

    TABLE: ClassVar[str] = ""
    KEY: ClassVar[tuple[str, ...]] = ("biller", "worker")
    biller: str
    worker: str
    calls: int


class BillerControl(Row, frozen=True, kw_only=True):
    """What a person has set for one biller, or for the whole gateway (biller EVERYTHING); no row: nothing.

    state: OPEN, PAUSED (no call that moves money, no new payment), DRAINING (of EVERYTHING: no new payment, calls go
    on). reopens_at: what the shop is told; only a person opens. concurrency, rate_per_s: below the manifest's, or None.
    changed_by, changed_at, reason, record_id: of the signed deed that set the state with its text and time;
    limits_…: of the one that set the limits; None: nobody has.
    """

    TABLE: ClassVar[str] = "biller_controls"
    KEY: ClassVar[tuple[str, ...]] = ("biller",)
    MUTABLE: ClassVar[tuple[str, ...]] = (
        "state",
        "reason",
        "shop_text",
        "reopens_at",
        "concurrency",
        "rate_per_s",
        "changed_by",
        "changed_at",
        "record_id",
        "limits_by",
        "limits_at",
        "limits_reason",
        "limits_record_id",
        "version",
    )
    GUARD: ClassVar[tuple[str, ...]] = ("version",)
    biller: str
    state: str = "OPEN"
    reason: str | None = None
    shop_text: str | None = None
    reopens_at: int | None = None
    concurrency: int | None = None
    rate_per_s: int | None = None
    changed_by: str | None = None
    changed_at: int | None = None
    record_id: str | None = None
    limits_by: str | None = None
    limits_at: int | None = None
    limits_reason: str | None = None
    limits_record_id: str | None = None
    version: int = 1


EVERYTHING = "*"
"""Stands for the whole gateway among billers; no adapter has this name."""
