"""What the people who watch it ask: `/healthz` `/readyz` `/metrics`, on a port of its own, loopback by default."""

from gateway.http.answers import Answer, Written, json_answer, write
from gateway.http.protocol import Front, Incoming
from gateway.http.services import Services

TEXT = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"


class AdminServer:
    """The three pages. Unsigned, and not for the outside world."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._front = Front(self.handle, self._refuse, services.limits)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port."""
        return await self._front.start(host, port)

    async def stop(self, drain_s: float = 1) -> None:
        """Close."""
        await self._front.stop(drain_s)

    async def handle(self, incoming: Incoming) -> Written:
        """One request."""
        head = incoming.head
        answer = await self._answer(head.path) if head.method in ("GET", "HEAD") else _NOT_FOUND
        # Whoever sends a body here is not answered twice on one connection.
        keep_alive = not head.should_close and incoming.payload.is_eof()
        return self._write(answer, keep_alive=keep_alive, head_only=head.method == "HEAD")

    async def _answer(self, path: str) -> Answer:
        match path:
            case "/healthz":
                return Answer(200, b"ok\n", TEXT)
            case "/readyz":
                reasons = await self._services.ready()
                # A bus that is away makes nobody unready: requests are accepted, and delivered when it is back.
                found = {"ready": not reasons, "reasons": reasons, "bus": self._services.bus()}
                return json_answer(503 if reasons else 200, found)
            case "/metrics":
                return Answer(200, self._services.render_metrics(), METRICS)
        return _NOT_FOUND

    def _refuse(self, slug: str, detail: str) -> Written:
        return self._write(Answer(400, f"{slug}: {detail}\n".encode(), TEXT), keep_alive=False)

    def _write(self, answer: Answer, *, keep_alive: bool, head_only: bool = False) -> Written:
        now_s = int(self._services.clock.now().timestamp())
        headers = (("Content-Type", answer.content_type),)
        return write(answer, headers, now_s=now_s, keep_alive=keep_alive, head_only=head_only)


_NOT_FOUND = Answer(404, b"not found\n", TEXT)
