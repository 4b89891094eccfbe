"""Issues of the day file, and the tokens they are fetched with (telecom interface 3.4 s5.6, s11)."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from secrets import token_hex

import msgspec

from adapters.kit.book import Journal
from adapters.telecom.simulator.agents import FILE_AGENT
from adapters.telecom.simulator.clock import BEIJING, PlatformClock, read_date, stamp
from adapters.telecom.simulator.day_file import file_name, lines_of, render
from adapters.telecom.simulator.messages import RECON_FILE, Answer, answer
from adapters.telecom.simulator.records import Book, Record

_FAMILY = "file"
_READY = time(1, 30)
_KEPT_DAYS = 90
_TOKEN_S = 300

Bend = Callable[[list[Record]], list[Record]]
"""What a faulty issue makes of the right lines."""


class Issue(msgspec.Struct, frozen=True):
    """One issue of one date. content: hash of what its lines say, whatever their issue."""

    acct_date: str
    issue: int
    content: str
    body: bytes


class Recon:
    """Makes, keeps and hands out day files. An issue once made never changes; other content makes the next one."""

    def __init__(self, book: Book, journal: Journal, clock: PlatformClock) -> None:
        self._book = book
        self._journal = journal
        self._clock = clock
        self._newest: dict[str, Issue] = {}
        self._tokens: dict[str, tuple[float, bytes]] = {}

    def load(self) -> None:
        """Read the issues of earlier runs."""
        for body in self._journal.load(_FAMILY):
            issue = msgspec.json.decode(body, type=Issue)
            self._newest[issue.acct_date] = issue

    def ask(self, members: Mapping[str, str], agent_no: str, bend: Bend | None = None) -> Answer:
        """Answer recon/file: the newest issue of the date, made now where the book says something new."""
        acct_date = members["acctDate"]
        day = read_date(acct_date)
        assert day is not None, "the member rules have seen the date"
        now = self._clock.local()
        if (now.date() - day).days > _KEPT_DAYS:
            return answer(RECON_FILE, "2502")
        ready = now >= self._ready_at(acct_date) or acct_date in self._newest
        if agent_no != FILE_AGENT or not ready:
            return answer(RECON_FILE, "2501")
        return answer(RECON_FILE, "0000", self._offer(self.issue(acct_date, bend)))

    def issue(self, acct_date: str, bend: Bend | None = None) -> Issue:
        """The newest issue of a date; the next one where the content differs, whatever the hour."""
        made = self._make(acct_date, bend)
        if self._newest.get(acct_date) is not made:
            self._newest[acct_date] = made
            self._journal.put(_FAMILY, acct_date, made.issue, made)
        return made

    def render(self, acct_date: str) -> bytes:
        """The file as it would be issued now, without issuing it."""
        return self._make(acct_date, None).body

    def download(self, token: str) -> bytes | None:
        """The bytes behind a token, None for one that is unknown or older than 300 s."""
        made, body = self._tokens.get(token, (None, b""))
        return None if made is None or self._clock.timer() - made > _TOKEN_S else body

    def _make(self, acct_date: str, bend: Bend | None) -> Issue:
        lines = lines_of(self._book, FILE_AGENT, acct_date)
        lines = lines if bend is None else bend(lines)
        content = hashlib.sha256(render(lines, FILE_AGENT, acct_date, 0, "")).hexdigest()
        before = self._newest.get(acct_date)
        if before is not None and before.content == content:
            return before
        ready = stamp(int(self._ready_at(acct_date).timestamp()))
        number = 1 if before is None else before.issue + 1
        # The first issue comes from the nightly run; a correction bears the time at which it was made.
        created = ready if before is None else max(ready, self._clock.now_stamp())
        return Issue(acct_date, number, content, render(lines, FILE_AGENT, acct_date, number, created))

    def _offer(self, issue: Issue) -> dict[str, str]:
        now = self._clock.timer()
        self._tokens = {token: kept for token, kept in self._tokens.items() if now - kept[0] <= _TOKEN_S}
        token = token_hex(16)
        self._tokens[token] = (now, issue.body)
        return {
            "acctDate": issue.acct_date,
            "issueNo": f"{issue.issue:02d}",
            "fileName": file_name(FILE_AGENT, issue.acct_date, issue.issue),
            "fileSize": str(len(issue.body)),
            "fileSha256": hashlib.sha256(issue.body).hexdigest(),
            "downloadPath": f"/v3/recon/download?token={token}",
        }

    def _ready_at(self, acct_date: str) -> datetime:
        day = read_date(acct_date)
        assert day is not None, "the caller has seen the date"
        return datetime.combine(day + timedelta(days=1), _READY, BEIJING)
