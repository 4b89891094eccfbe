"""Is this the day file the platform vouched for? (s5.6, s11) Pure; its lines are settlement's to read."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date

from adapters.telecom import fields
from adapters.telecom.fields import BadField, Mismatch
from adapters.telecom.wire import VERSION, Agent, Answer
from adapters.transport.codes import CodeTable, Means
from contracts.biller import NoReconFile

ASK_AGAIN_S = 600
"""After whatever went wrong on the way: the platform wants to be asked every 10 minutes (s8.7)."""
_SIZE = re.compile(r"[1-9][0-9]{0,9}")
_ISSUE = re.compile(r"[0-9]{2}")
_TARGET = re.compile(r"/v3/recon/download\?token=[0-9a-f]{32}")
_EOL = b"\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A file the signed reply names. size: bytes. sha256: lower-case hex. target: path and query to GET."""

    day: date
    name: str
    issue: str
    size: int
    sha256: str
    target: str


def recon_reply(answer: Answer, agent: Agent, day: date, codes: CodeTable) -> Offer | NoReconFile:
    """Read an authentic reply to recon/file. Never raises: what is not understood is asked again later."""
    row = codes.find("recon", answer.code)
    if row is not None and row.means is Means.NO_FILE:
        return NoReconFile(cause=f"code.{row.code}", retry_after_s=None if row.retry_after_s < 0 else row.retry_after_s)
    if row is None or row.means is not Means.FOUND:
        return NoReconFile(cause="code.unmapped" if row is None else f"code.{row.code}", retry_after_s=ASK_AGAIN_S)
    members = answer.members
    stamp = day.strftime("%Y%m%d")
    try:
        fields.same(members, "acctDate", stamp)
        issue = fields.text(members, "issueNo", _ISSUE)
        name = f"TEL_{agent.agent_no}_{stamp}_{issue}.csv"
        fields.same(members, "fileName", name)
        return Offer(
            day=day,
            name=name,
            issue=issue,
            size=int(fields.text(members, "fileSize", _SIZE)),
            sha256=fields.text(members, "fileSha256", fields.SHA256_HEX),
            target=fields.text(members, "downloadPath", _TARGET),
        )
    except (BadField, Mismatch) as failure:
        return NoReconFile(cause=f"reply.malformed.{failure}", retry_after_s=ASK_AGAIN_S)


def fault(offer: Offer, agent: Agent, content: bytes) -> str | None:
    """None if content is the whole file offered: size, hash, header of that day and issue, hash in the trailer.

    Else a slug saying which of them failed. content: the bytes as downloaded, GB18030, lines ended by CR LF.
    """
    if len(content) != offer.size:
        return "file.size"
    if hashlib.sha256(content).hexdigest() != offer.sha256:
        return "file.sha256"
    header = content[: content.find(_EOL)].split(b",")
    expected = ["H", "TEL", agent.agent_no, offer.day.strftime("%Y%m%d"), offer.issue]
    if len(header) != 7 or header[:5] != [part.encode("ascii") for part in expected] or header[6] != VERSION.encode():
        return "file.header"
    if not content.endswith(_EOL):
        return "file.trailer"
    start = content.rfind(_EOL, 0, -len(_EOL)) + len(_EOL)
    trailer = content[start : -len(_EOL)].split(b",")
    if len(trailer) != 10 or trailer[0] != b"T":
        return "file.trailer"
    if trailer[9] != hashlib.sha256(memoryview(content)[:start]).hexdigest().encode("ascii"):
        return "file.trailer_sha256"
    return None
