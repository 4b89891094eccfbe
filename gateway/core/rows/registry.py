"""Who may do what: stations, terminals, operators, services, prices."""

from typing import ClassVar

from gateway.core.rows.base import Row


class Station(Row, frozen=True, kw_only=True):
    """A shop. `state`: ACTIVE, SUSPENDED, CLOSED. The institution code never changes (CHG-01)."""

    TABLE: ClassVar[str] = "stations"
    KEY: ClassVar[tuple[str, ...]] = ("institution_code",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("name", "state", "reason", "overdraft_limit_fen", "low_balance_fen")
    institution_code: str
    name: str
    state: str = "ACTIVE"
    reason: str | None = None
    overdraft_limit_fen: int = 0
    low_balance_fen: int = 0
    created_at: int


class Terminal(Row, frozen=True, kw_only=True):
    """A device of a station."""

    TABLE: ClassVar[str] = "terminals"
    KEY: ClassVar[tuple[str, ...]] = ("institution_code", "terminal_id")
    MUTABLE: ClassVar[tuple[str, ...]] = ("state",)
    institution_code: str
    terminal_id: str
    state: str = "ACTIVE"
    created_at: int


class Operator(Row, frozen=True, kw_only=True):
    """A person at a station. `service` of a training is one service or `*` (TRN-01, TRN-02)."""

    TABLE: ClassVar[str] = "operators"
    KEY: ClassVar[tuple[str, ...]] = ("institution_code", "operator_id")
    MUTABLE: ClassVar[tuple[str, ...]] = ("name", "state")
    institution_code: str
    operator_id: str
    name: str
    state: str = "ACTIVE"
    created_at: int


class Training(Row, frozen=True, kw_only=True):
    """A training record: the operator may use `service` (or `*`) while valid_from ≤ now < valid_until."""

    TABLE: ClassVar[str] = "trainings"
    KEY: ClassVar[tuple[str, ...]] = ("institution_code", "operator_id", "service", "valid_from")
    institution_code: str
    operator_id: str
    service: str
    valid_from: int
    valid_until: int


class Caller(Row, frozen=True, kw_only=True):
    """Read only: a bound certificate with the state of everything it depends on, as one joined row."""

    TABLE: ClassVar[str] = ""
    KEY: ClassVar[tuple[str, ...]] = ("keyid",)
    keyid: str
    certificate_state: str
    not_before: int
    not_after: int
    institution_code: str | None
    terminal_id: str | None
    operator_id: str | None
    station_state: str | None
    station_reason: str | None
    terminal_state: str | None
    operator_state: str | None
    overdraft_limit_fen: int | None
    low_balance_fen: int | None


class StationService(Row, frozen=True, kw_only=True):
    """A service loaded onto a station (SVC-05)."""

    TABLE: ClassVar[str] = "station_services"
    KEY: ClassVar[tuple[str, ...]] = ("institution_code", "service")
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "reason")
    institution_code: str
    service: str
    state: str = "OPEN"
    reason: str | None = None
    opened_at: int


class Tariff(Row, frozen=True, kw_only=True):
    """A dated price and policy of one service. The newest with effective_from ≤ the account date is in force.

    Amounts in fen, times in seconds. reverse_after_s: how long in doubt before we reverse by ourselves, 0 = never.
    """

    TABLE: ClassVar[str] = "tariffs"
    KEY: ClassVar[tuple[str, ...]] = ("version", "service")
    version: str
    service: str
    effective_from: str
    fee_fen: int
    min_fen: int
    max_fen: int
    send_before_s: int = 120
    reverse_after_s: int = 0
    fee_returns_on_cancel: bool = True
    cancel_needs_authorization: bool = False


class CommissionPlan(Row, frozen=True, kw_only=True):
    """A dated commission of one service (M9).

    K = half-up(paid × rate_ppm ÷ 10⁶), the station's share S = half-up(K × station_tenths ÷ 10).
    """

    TABLE: ClassVar[str] = "commission_plans"
    KEY: ClassVar[tuple[str, ...]] = ("version", "service")
    version: str
    service: str
    effective_from: str
    rate_ppm: int
    station_tenths: int = 7
    rounding: str = "half-up-remainder-post"


class Authorization(Row, frozen=True, kw_only=True):
    """A one-off permission of head office (cancel, over-limit), used up once by a guarded update.

    valid_on: the bureau's day. issued_by, revoked_by: staff ids; record_id: the record of the signed deed.
    """

    TABLE: ClassVar[str] = "authorizations"
    KEY: ClassVar[tuple[str, ...]] = ("authorization_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("used_by", "revoked_by", "revoked_at")
    GUARD: ClassVar[tuple[str, ...]] = ("used_by", "revoked_by")
    authorization_id: str
    kind: str
    institution_code: str
    service: str
    biller_account: str
    amount_fen: int
    valid_on: str
    issued_by: str
    issued_at: int
    reason: str
    record_id: str
    used_by: str | None = None
    revoked_by: str | None = None
    revoked_at: int | None = None
