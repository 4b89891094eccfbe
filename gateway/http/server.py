"""The terminal API: head, signature, body, book, signed reply, in this order (design s6, api s1)."""

import ssl
from collections.abc import Mapping, Sequence

from aiohttp import HttpVersion11

from certs.core.headers import content_digest
from certs.core.messages import Refused, RequestHead, SignedRequest
from certs.core.profile import read_request, sign_reply, verify
from certs.core.targets import BadTarget, read_target
from contracts import traces
from contracts.strict_json import Malformed, decode_both
from gateway.core.items import KeepRefused, Kept, Refusal
from gateway.http.answers import JSON, Answer, Written, write
from gateway.http.bodies import read_body
from gateway.http.buckets import Buckets
from gateway.http.calls import Call, Route
from gateway.http.certificates import Speaker, StationCertificates
from gateway.http.holding import Deciding, Holding
from gateway.http.problems import BadRequest, malformed, refuse, refuse_error
from gateway.http.protocol import Front, Incoming
from gateway.http.queries import read_query, read_segments, wait_of
from gateway.http.routes import ROUTES, Router
from gateway.http.services import Services
from gateway.store.port import StoreError

Found = tuple[Route, Mapping[str, str]] | None


class TerminalServer:
    """One process' terminal API. start() listens, stop() drains; nothing before start() opens anything."""

    def __init__(self, services: Services, routes: Sequence[Route] = ROUTES) -> None:
        self._services, self._limits = services, services.limits
        self._read_max = max(services.limits.read_bytes, services.limits.body_bytes)
        self._router = Router(routes)
        self._certificates = StationCertificates(services.store, services.clock, services.issuings, services.root)
        self._buckets = Buckets(services.limits.station_rate, services.limits.station_burst)
        self._deciding = Deciding()
        self.holding = Holding(services.clock, services.limits)
        self._front = Front(self.handle, self.refuse_connection, services.limits)

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False) -> int:
        """Listen, and return the port."""
        return await self._front.start(host, port, tls=tls, reuse_port=reuse_port)

    async def stop(self, drain_s: float = 10) -> None:
        """Let held calls answer what is known, finish what runs, close."""
        self.holding.drain()
        await self._front.stop(drain_s)

    def refuse_connection(self, slug: str, detail: str) -> Written:
        """The reply to what is no request."""
        return self._unsigned(refuse(Refusal(slug=slug, detail=detail), self._trace()), keep_alive=False)

    def connections(self) -> int:
        """Open connections."""
        return self._front.connections()

    async def handle(self, incoming: Incoming) -> Written:
        """One request."""
        head = incoming.head
        trace_id = traces.trace_of(head.headers.getall(traces.HEADER, ())) or self._trace()
        keep_alive = not head.should_close
        try:
            if head.version != HttpVersion11 or head.upgrade or head.chunked:
                raise BadRequest("malformed", "Only HTTP/1.1 without upgrade, its body by Content-Length.")
            body = await read_body(incoming, limit=self._read_max, seconds=self._limits.body_s)
        except BadRequest as error:
            # What follows on this connection may be the rest of a body: it is not read as a request.
            return self._unsigned(refuse_error(error, trace_id), keep_alive=False)
        try:
            found = self._router.find(head.method, head.path.partition("?")[0])
            if found is not None and not found[0].contract.signed:
                return self._unsigned(await self._open(incoming, body, found, trace_id), keep_alive=keep_alive)
            signed = await self._verified(incoming, body)
        except Exception as error:  # boundary: nothing is proven, so nothing is signed
            answer = refuse_error(error, trace_id)
            return self._unsigned(answer, keep_alive=keep_alive, head_only=head.method == "HEAD")
        answer = await self._signed(incoming, signed, trace_id)
        return self._reply(answer, signed, found, keep_alive=keep_alive)

    async def _open(
        self, incoming: Incoming, body: bytes, found: tuple[Route, Mapping[str, str]], trace: str
    ) -> Answer:
        """An operation that anybody may ask for; its target is held to the same rules."""
        route, values = found
        target = read_target(incoming.head.path)
        if isinstance(target, BadTarget):
            raise BadRequest("malformed", f"request target: {target.reason}")
        if body:
            raise BadRequest("malformed", f"{incoming.head.method} takes no body")
        if self.holding.full():
            raise BadRequest("overloaded", "The gateway cannot decide this now.")
        read_query(target.query, route.contract.query)
        read_segments(values, route.contract.segments)
        return await self._run(self._call(None, trace, values), route)

    async def _verified(self, incoming: Incoming, body: bytes) -> tuple[SignedRequest, Speaker]:
        """The request and its signer, proven. Raises BadRequest, StoreError."""
        head = incoming.head
        lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.raw_headers]
        request = RequestHead(head.method, head.path, lines, body)
        signed = read_request(request, self._services.authorities, scheme=self._services.scheme)
        if isinstance(signed, Refused):
            raise BadRequest(signed.slug, signed.detail)
        speaker = await self._certificates.find(signed.keyid)
        if speaker is None:
            raise BadRequest("certificate-unknown", "This certificate is not registered here.")
        if not verify(signed, speaker.certificate):
            raise BadRequest("signature-invalid", "The signature is not by this certificate over this request.")
        return signed, speaker

    async def _signed(self, incoming: Incoming, verified: tuple[SignedRequest, Speaker], trace_id: str) -> Answer:
        """The answer to a verified request, whatever happens."""
        signed, speaker = verified
        found = self._router.find(signed.method, signed.path)
        call = self._call(signed, trace_id, found[1] if found else {})
        keyed = found is not None and found[0].contract.keyed
        try:
            refusal = self._overload(speaker)
            if refusal is not None:
                return refuse(refusal, trace_id)
            return await self._decide(call, found, incoming)
        except BadRequest as error:
            return await self._keep(call, found, error)
        except Exception as error:  # boundary: the terminal gets a signed 500 with a trace_id, the log the rest
            return refuse_error(error, trace_id, keyed=keyed)

    def _overload(self, speaker: Speaker) -> Refusal | None:
        if not self._certificates.chain_is_valid(speaker):
            return Refusal(slug="certificate-expired", detail="The authority behind this certificate is not valid now.")
        seconds = self._buckets.take(speaker.certificate.institution_code, self._services.clock.monotonic())
        if seconds:
            return Refusal(slug="too-many-requests", detail="Too many requests.", retry_after_s=seconds)
        if self.holding.full():
            return Refusal(slug="overloaded", detail="The gateway cannot decide this now.", retry_after_s=1)
        return None

    async def _decide(self, call: Call, found: Found, incoming: Incoming) -> Answer:
        if found is None:
            raise BadRequest("not-found", "There is no such operation.")
        route, values = found
        signed, contract = call.request, route.contract
        call.query = read_query(signed.query, contract.query)
        read_segments(values, contract.segments)
        if contract.keyed:
            call.key  # noqa: B018  (refused before the body is looked at)
        if contract.request is not None:
            self._read_json(call, contract.request)
        if contract.waits:
            call.wait_s = wait_of(incoming.head.headers.getall("Prefer", ()))
        return await self._run(call, route)

    def _read_json(self, call: Call, kind: type) -> None:
        signed = call.request
        if len(signed.body) > self._limits.body_bytes:
            raise BadRequest("too-large", f"A body of more than {self._limits.body_bytes} bytes.")
        if signed.body and not _is_json(signed.content_type):
            raise BadRequest("unsupported-media-type", "The body must be application/json.")
        try:
            call.body, call.plain = decode_both(signed.body, kind)
        except Malformed as error:
            raise malformed(error) from None

    async def _run(self, call: Call, route: Route) -> Answer:
        self.holding.in_flight += 1
        try:
            return await route.handle(call)
        finally:
            self.holding.in_flight -= 1

    async def _keep(self, call: Call, found: Found, error: BadRequest) -> Answer:
        """A refusal of the content: nonce and evidence stay, unless it was a read."""
        refused = error.refusal()
        if not _pure_read(found, call.request.method):
            try:
                kept = await call.run(KeepRefused(arrival=call.arrival), Kept)
            except (StoreError, TypeError) as failed:
                return refuse_error(failed, call.trace_id)
            # Who may not speak at all is told so, and nothing about the content.
            refused = kept if isinstance(kept, Refusal) else refused
        return refuse(refused, call.trace_id)

    def _call(self, signed: SignedRequest | None, trace_id: str, values: Mapping[str, str]) -> Call:
        return Call(
            services=self._services,
            holding=self.holding,
            deciding=self._deciding,
            trace_id=trace_id,
            signed=signed,
            values=values,
        )

    def _trace(self) -> str:
        entropy = self._services.entropy
        return f"{entropy():016x}{entropy():016x}"

    def _reply(
        self, answer: Answer, verified: tuple[SignedRequest, Speaker], found: Found, *, keep_alive: bool
    ) -> Written:
        signed, now_s = verified[0], int(self._services.clock.now().timestamp())
        reply = sign_reply(
            self._services.reply_signer,
            status=answer.status,
            body=answer.body,
            content_type=answer.content_type,
            created=now_s,
            request_signature_field=signed.signature_field,
        )
        if not _pure_read(found, signed.method):
            self._services.replied(answer, reply, verified[1].certificate.institution_code)
        head_only = signed.method == "HEAD"
        return write(answer, reply.headers.items(), now_s=now_s, keep_alive=keep_alive, head_only=head_only)

    def _unsigned(self, answer: Answer, *, keep_alive: bool, head_only: bool = False) -> Written:
        headers = (("Content-Type", answer.content_type), ("Content-Digest", content_digest(answer.body)))
        now_s = int(self._services.clock.now().timestamp())
        return write(answer, headers, now_s=now_s, keep_alive=keep_alive, head_only=head_only)


def _pure_read(found: Found, method: str) -> bool:
    """Whether nothing of this request is kept, nor of what it was told."""
    return found[0].pure_read if found is not None else method in ("GET", "HEAD")


def _is_json(content_type: str) -> bool:
    if content_type == JSON:
        return True
    kind, *parameters = (part.strip(" ").lower() for part in content_type.split(";"))
    return kind == JSON and parameters in ([], ["charset=utf-8"], ['charset="utf-8"'])
