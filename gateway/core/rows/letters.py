"""Messages that nobody could use, and plans to replay them."""

from typing import ClassVar

from gateway.core.rows.base import Row


class DeadLetter(Row, frozen=True, kw_only=True):
    """A dead message as it came. state: OPEN, QUARANTINED (nothing may run), CLOSED.

    origin: where it was found, unique: kept once. key, headers, body: cut where they were too long. headers: JSON, name
    and text. body_sha256: hex, of the body as it is kept. message: `order` or `bill-query`, NULL: unreadable.
    gateway_serial to amount_fen: what can be read out of it, the last four from the book. corrects: letter_id of the
    original. runs: how often a replay did something since it was last released. record_id: of the last deed about it.
    """

    TABLE: ClassVar[str] = "dead_letters"
    KEY: ClassVar[tuple[str, ...]] = ("letter_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "runs", "record_id")
    GUARD: ClassVar[tuple[str, ...]] = ("state", "runs")
    letter_id: str
    origin: str
    topic: str
    key: str
    headers: str
    body: bytes
    body_sha256: str
    reason: str
    buried_at: int
    kept_at: int
    worker: str
    message: str | None = None
    gateway_serial: str | None = None
    order_serial: str | None = None
    order_kind: str | None = None
    biller: str | None = None
    institution_code: str | None = None
    biller_account: str | None = None
    amount_fen: int | None = None
    state: str = "OPEN"
    corrects: str | None = None
    runs: int = 0
    record_id: str | None = None


class LetterHead(Row, frozen=True, kw_only=True):
    """Read only: a dead letter without what may be long."""

    TABLE: ClassVar[str] = ""
    KEY: ClassVar[tuple[str, ...]] = ("letter_id",)
    letter_id: str
    origin: str
    topic: str
    body_sha256: str
    reason: str
    buried_at: int
    kept_at: int
    message: str | None = None
    gateway_serial: str | None = None
    order_serial: str | None = None
    order_kind: str | None = None
    biller: str | None = None
    institution_code: str | None = None
    biller_account: str | None = None
    amount_fen: int | None = None
    state: str = "OPEN"
    corrects: str | None = None
    runs: int = 0


class ReplayPlan(Row, frozen=True, kw_only=True):
    """A plan file that is kept. state: KEPT, APPROVED, RUNNING, DONE.

    spread: how many of its items have their step; done: how many of these have ended. approval: the plan of the deed
    that was approved (approvals.plan_sha256). run_record: of the deed under which it runs now; another takes it over.
    """

    TABLE: ClassVar[str] = "replay_plans"
    KEY: ClassVar[tuple[str, ...]] = ("plan_sha256",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "spread", "done", "approval", "run_record")
    GUARD: ClassVar[tuple[str, ...]] = ("state", "spread", "done")
    plan_sha256: str
    items: int
    fen: int
    kept_at: int
    state: str = "KEPT"
    spread: int = 0
    done: int = 0
    approval: str | None = None
    run_record: str | None = None


class ReplayFile(Row, frozen=True, kw_only=True):
    """The bytes of a plan, by their SHA-256 (hex)."""

    TABLE: ClassVar[str] = "replay_files"
    KEY: ClassVar[tuple[str, ...]] = ("plan_sha256",)
    plan_sha256: str
    body: bytes


class ReplayStep(Row, frozen=True, kw_only=True):
    """One item of a plan, numbered from 1; what became of it is written once, in the commit that did it.

    outcome: sent-again, asked, call-running (nothing to do now), nothing, skipped (the verdict is another one now).
    """

    TABLE: ClassVar[str] = "replay_steps"
    KEY: ClassVar[tuple[str, ...]] = ("plan_sha256", "number")
    MUTABLE: ClassVar[tuple[str, ...]] = ("verdict_now", "outcome", "run_record", "at")
    plan_sha256: str
    number: int
    letter_id: str
    biller: str | None
    verdict_planned: str
    verdict_now: str | None = None
    outcome: str | None = None
    run_record: str | None = None
    at: int | None = None
