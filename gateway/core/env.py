"""What decisions lean on besides the book: the bureau's zone and the adapters' declared facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from certs.core.certificate_profiles import CertificateProfile
from certs.core.certificates import Certificate
from contracts.manifest import BillModel, FlowFacts, Manifest
from contracts.money import Fen
from gateway.core.rights import Rights

RETIRED = FlowFacts(
    title="停办业务",
    bill_model=BillModel.DIRECT,
    account_pattern=r"(?!)",
    amount_min=Fen(1),
    amount_max=Fen(1),
    call_deadline_s=60,
    absent_final_after_s=10**9,
    absent_void_after_s=None,
    source="nobody sells it here: nothing is sent, asked, undone or believed; what is unsent expires",
)
"""Facts of a service that is sold no more while payments of it are open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """Constant for the life of a process. send_window_ms: how long after a claim the first byte may still leave.

    rights: what the people of each department may do. root, issuings: the CA under which certificates of our own people
    and stations stand, every period; without them no deed counts. profiles: what its certificates look like, by name.
    rule_after_s: how long a payment must be in doubt before two people may rule.
    pilot: the issuing key lies here in a file, as `bianmin init` makes it; only then may keys of others be files too.
    """

    zone: ZoneInfo
    manifests: Mapping[str, Manifest]
    send_window_ms: int = 2000
    topic_prefix: str = "bianmin"
    rights: Mapping[str, Rights] = field(default_factory=dict)
    root: Certificate | None = None
    issuings: tuple[Certificate, ...] = ()
    profiles: Mapping[str, CertificateProfile] = field(default_factory=dict)
    pilot: bool = False
    rule_after_s: int = 86_400
    billers: Mapping[str, Manifest] = field(init=False)

    def __post_init__(self) -> None:
        by_service: dict[str, Manifest] = {}
        for manifest in self.manifests.values():
            for service in manifest.flows:
                if service in by_service:
                    raise ValueError(f"service {service} is sold by {by_service[service].name} and {manifest.name}")
                by_service[service] = manifest
        object.__setattr__(self, "billers", by_service)

    def manifest_of(self, service: str) -> Manifest | None:
        """The biller that sells a service."""
        return self.billers.get(service)

    def facts_of(self, service: str) -> FlowFacts:
        """The facts of a service; of one whose biller is configured no more, facts that allow and believe nothing."""
        manifest = self.billers.get(service)
        return RETIRED if manifest is None else manifest.flows[service]


def local(now_ms: int, zone: ZoneInfo) -> datetime:
    """The bureau's wall clock at a moment."""
    return datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(zone)


def day_after(day: str) -> str:
    """The next calendar date, YYYY-MM-DD."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def settle_date(now_ms: int, zone: ZoneInfo, cut_off: time) -> str:
    """The biller's date at a moment (M10): D covers [D-1 cut-off, D cut-off); 00:00 is the calendar day."""
    here = local(now_ms, zone)
    day = here.date()
    if cut_off != time(0, 0) and here.time() >= cut_off:
        day += timedelta(days=1)
    return day.isoformat()


def closed_for_s(now_ms: int, zone: ZoneInfo, windows: tuple[tuple[time, time], ...]) -> int:
    """Seconds until a daily no-pay window [from, to) ends, 0 outside of all. A window lies within one day."""
    here = local(now_ms, zone)
    for start, end in windows:
        if start <= here.time() < end:
            until = here.replace(hour=end.hour, minute=end.minute, second=end.second, microsecond=0)
            return max(1, int((until - here).total_seconds()))
    return 0


def rfc3339(ms: int) -> str:
    """2026-11-24T01:02:03.456Z."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
