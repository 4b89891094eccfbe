"""Issues of the day file and their manifest (interface 1.2 s8). An issue once made never changes."""

import gzip
import hashlib
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

import msgspec

from adapters.kit.book import Journal
from adapters.kit.clock import BEIJING, SimulatorClock
from adapters.tv.simulator.messages import Answer, customer, refuse, write_moment
from adapters.tv.simulator.records import Book, Record

_FAMILY = "file"
_READY = time(6, 0)
_KEPT_DAYS = 180
_NAME = re.compile(r"tv-([0-9]{4}-[0-9]{2}-[0-9]{2})-([0-9]{2})\.jsonl\.gz")

Bend = Callable[[list[Record]], list[Record]]
"""What a faulty issue makes of the right lines."""


class Issue(msgspec.Struct, frozen=True):
    """One issue of one date. text: what the gzip file holds."""

    day: str
    issue: int
    manifest: bytes
    text: bytes

    def packed(self) -> bytes:
        """The file as served; the same bytes each time."""
        return gzip.compress(self.text, mtime=0)


class DayFiles:
    """Makes, keeps and hands out day files; other content makes the next issue."""

    def __init__(self, book: Book, journal: Journal, clock: SimulatorClock) -> None:
        self._book, self._journal, self._clock = book, journal, clock
        self._issues: dict[str, list[Issue]] = {}

    def load(self) -> None:
        """Read the issues of earlier runs."""
        for body in self._journal.load(_FAMILY):
            issue = msgspec.json.decode(body, type=Issue)
            self._issues.setdefault(issue.day, []).append(issue)

    def fetch(self, day: str, name: str, bend: Bend | None = None) -> Answer:
        """3.6. bend: shown with the manifest."""
        try:
            when = date.fromisoformat(day)
        except ValueError:
            return refuse(404, "not_found")
        now = self._clock.local()
        ready = now >= _ready_at(when) or day in self._issues
        if not ready or (now.date() - when).days > _KEPT_DAYS:
            return refuse(404, "file_not_ready")
        if name == "manifest.json":
            return Answer(200, raw=self.issue(day, bend).manifest)
        found = [one for one in self._issues.get(day, []) if name == f"tv-{day}-{one.issue:02d}.jsonl.gz"]
        return Answer(200, raw=found[0].packed()) if found else refuse(404, "file_not_ready")

    def issue(self, day: str, bend: Bend | None = None) -> Issue:
        """The newest issue of a date; the next one where the content differs, whatever the hour."""
        issues, text = self._issues.get(day, []), self.render(day, bend)
        if issues and issues[-1].text == text:
            return issues[-1]
        number = len(issues) + 1
        ready = int(_ready_at(date.fromisoformat(day)).timestamp())
        # The first issue comes from the nightly run; a correction bears the time at which it was made.
        made = Issue(day, number, b"", text)
        created = ready if not issues else max(ready, self._clock.now_s())
        made = msgspec.structs.replace(made, manifest=_manifest(made, self._lines(day, bend), created))
        self._issues.setdefault(day, []).append(made)
        self._journal.put(_FAMILY, day, number, made)
        return made

    def render(self, day: str, bend: Bend | None = None) -> bytes:
        """The text as it would be issued now, without issuing it."""
        return b"".join(_line(record) for record in self._lines(day, bend))

    def _lines(self, day: str, bend: Bend | None) -> list[Record]:
        chosen = [record for record in self._book if record.account_date == day]
        chosen.sort(key=lambda record: (record.final, record.platform_no))
        return chosen if bend is None else bend(chosen)


def _ready_at(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), _READY, BEIJING)


def _line(record: Record) -> bytes:
    members = {
        "type": "refund" if record.order_id else "order",
        "client_order_id": record.order_id or record.number,
        "client_refund_id": record.number if record.order_id else "",
        "order_no": record.platform_no,
        "account_no": record.account_no,
        "product": record.product,
        "name_masked": customer(record.account_no)["name_masked"],
        "amount_fen": record.amount_fen,
        "shop_no": record.shop_no,
        "final_at": write_moment(record.final),
    }
    return msgspec.json.encode(members) + b"\n"


def _manifest(issue: Issue, lines: list[Record], created: int) -> bytes:
    orders = [record.amount_fen for record in lines if not record.order_id]
    refunds = [record.amount_fen for record in lines if record.order_id]
    packed = issue.packed()
    members = {
        "date": issue.day,
        "issue": issue.issue,
        "created_at": write_moment(created),
        "file": f"tv-{issue.day}-{issue.issue:02d}.jsonl.gz",
        "gzip_size": len(packed),
        "gzip_sha256": hashlib.sha256(packed).hexdigest(),
        "plain_size": len(issue.text),
        "plain_sha256": hashlib.sha256(issue.text).hexdigest(),
        "lines": len(lines),
        "orders": len(orders),
        "orders_fen": sum(orders),
        "refunds": len(refunds),
        "refunds_fen": sum(refunds),
    }
    return msgspec.json.encode(members) + b"\n"
