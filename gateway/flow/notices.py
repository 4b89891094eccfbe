"""A partner's notice is evidence like any other: answered only after its commit, whatever it said (style s5)."""

from collections.abc import Mapping

from contracts.biller import BadNotice, TakesNotices
from gateway.core.items import Judge
from gateway.flow.answers import flatten
from gateway.flow.crash_points import CrashPoint
from gateway.flow.parts import Parts
from gateway.store.port import StoreError

Answered = tuple[int, str, bytes]


class Notices:
    """Takes notices of one biller; the answer is status, content type and body."""

    def __init__(self, name: str, biller: TakesNotices, parts: Parts) -> None:
        self._name, self._biller, self._parts = name, biller, parts

    async def take(self, headers: Mapping[str, str], body: bytes) -> Answered:
        """Authenticate, judge, commit, then answer as the partner's document says."""
        parts = self._parts
        notice = self._biller.read_notice(headers, body)
        if isinstance(notice, BadNotice):
            return notice.status, "text/plain", b""
        evidence = Judge(
            source="notice",
            entropy=parts.entropy(),
            answer=flatten(notice.evidence),
            biller=self._name,
            partner_serial=notice.partner_serial,
            biller_account=notice.biller_account,
            amount_fen=notice.amount.value,
            sent=(notice.ack,) if notice.ack else (),
        )
        parts.crash.reach(CrashPoint.NOTICE_BEFORE_COMMIT)
        try:
            judged = await parts.store.run(evidence)
        except StoreError as error:
            parts.note.save_failed(self._name, notice.partner_serial, error)
            return 503, "text/plain", b""  # not acknowledged: the partner sends it again
        parts.crash.reach(CrashPoint.NOTICE_AFTER_COMMIT)
        parts.note.judged(self._name, evidence, judged)
        return 200, notice.ack_type, notice.ack
