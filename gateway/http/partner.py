"""Partners' notices: `POST /notices/{biller}`, answered after the evidence's commit with what the adapter names."""

import asyncio
import logging
import ssl

from gateway.http.answers import Answer, Written, write
from gateway.http.bodies import read_body
from gateway.http.partner_tls import PartnerDoor
from gateway.http.problems import BadRequest
from gateway.http.protocol import Front, Incoming
from gateway.http.services import NoticeHandler, Services

PREFIX = "/notices/"
TEXT = "text/plain"
_STATUS = {"too-large": 413, "malformed": 400}
_log = logging.getLogger("bianmin.http")


class PartnerServer:
    """The port partners call. An adapter authenticates; here only size, time and number are kept in bounds.

    door: who must show a client certificate; None: nobody.
    """

    def __init__(self, services: Services, door: PartnerDoor | None = None) -> None:
        self._services, self._limits, self._door = services, services.limits, door
        self._running = 0
        self._front = Front(self.handle, self._refuse, services.limits)

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False) -> int:
        """Listen, and return the port."""
        return await self._front.start(host, port, tls=tls, reuse_port=reuse_port)

    async def stop(self, drain_s: float = 10) -> None:
        """Finish what runs, close."""
        await self._front.stop(drain_s)

    async def handle(self, incoming: Incoming) -> Written:
        """One notice. Whatever fails is not acknowledged, so the partner sends it again."""
        head = incoming.head
        notice = self._services.notices.get(head.path.removeprefix(PREFIX)) if head.path.startswith(PREFIX) else None
        if notice is None or head.method != "POST" or head.upgrade:
            return self._write(Answer(404, b"", TEXT), keep_alive=False)
        if self._running >= self._limits.in_flight:
            return self._write(Answer(503, b"", TEXT, (("Retry-After", "1"),)), keep_alive=False)
        self._running += 1
        try:
            if self._door is not None and not await self._door.admits(head.path.removeprefix(PREFIX), incoming):
                return self._write(Answer(403, b"", TEXT), keep_alive=False)
            body = await read_body(incoming, limit=self._limits.notice_bytes, seconds=self._limits.body_s)
            answer = await self._ask(notice, incoming, body)
        except BadRequest as error:
            return self._write(Answer(_STATUS[error.slug], b"", TEXT), keep_alive=False)
        except Exception:  # boundary: an adapter's bug answers nothing that could be taken for an acknowledgement
            _log.exception("notice.failed")
            answer = Answer(500, b"", TEXT)
        finally:
            self._running -= 1
        return self._write(answer, keep_alive=not head.should_close)

    async def _ask(self, notice: NoticeHandler, incoming: Incoming, body: bytes) -> Answer:
        async with asyncio.timeout(self._limits.notice_s):
            status, content_type, content = await notice(incoming.head.headers, body)
        return Answer(status, content, content_type)

    def _refuse(self, slug: str, detail: str) -> Written:
        return self._write(Answer(_STATUS.get(slug, 500), b"", TEXT), keep_alive=False)

    def _write(self, answer: Answer, *, keep_alive: bool) -> Written:
        now_s = int(self._services.clock.now().timestamp())
        return write(answer, (("Content-Type", answer.content_type),), now_s=now_s, keep_alive=keep_alive)
