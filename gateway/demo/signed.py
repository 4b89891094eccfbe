"""A terminal without an SDK: signs once, sends the same bytes when and as often as wanted, also bent ones."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
from yarl import URL

from certs.certificates import Certificate, parse_certificate
from certs.core.profile import ReplyHead, ReplyProof, content_digest, sign_request, verify_reply
from certs.keys import PemSigner, load_certificate, load_certificates
from contracts import api
from contracts.clock import Clock
from contracts.problems import URN
from contracts.signer import Signer
from gateway.demo.faults import DemoFault
from gateway.terminal import TerminalConfig

PAYMENTS = "/v1/payments"
TIMEOUT_S = 20
LIFETIME_S = 300
_PEM_END = b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request as it goes out. headers: what was signed, and the signature."""

    target: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    def bent(self, *, body: bytes | None = None, digest: bool = False, unsigned: bool = False) -> "Message":
        """The message with its content exchanged after it was signed; digest: the forger mends the digest too."""
        headers = dict(self.headers)
        if body is not None and digest:
            headers["Content-Digest"] = content_digest(body)
        if unsigned:
            headers = {name: value for name, value in headers.items() if not name.startswith("Signature")}
        return replace(self, body=self.body if body is None else body, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. slug: of a problem, "" otherwise. proven: by the gateway's signature over this very request."""

    status: int
    slug: str
    proven: bool
    replayed: bool
    body: Any = field(repr=False)

    @property
    def payment(self) -> api.Payment:
        """The payment it carries. msgspec.ValidationError where it carries none."""
        return msgspec.convert(self.body, api.Payment)


class SignedClient:
    """Sends messages to one gateway as one station. Use it as `async with SignedClient(…)`."""

    def __init__(self, config: TerminalConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self.signer = PemSigner.load(Path(config.cert_file), Path(config.key_file), Path(config.key_password_file))
        self._issuings = load_certificates(Path(config.issuing_cert_file))
        self._root = load_certificate(Path(config.root_cert_file))
        self._reply_certificate: Certificate | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def payment(
        self, request: api.PaymentRequest, *, key: str, signer: Signer | None = None, age_s: int = 0
    ) -> Message:
        """A signed payment. signer: somebody else's. age_s: how long ago it claims to have been signed."""
        body = msgspec.json.encode(
            {name: value for name, value in _members(request).items() if value not in (None, {})}
        )
        created = int(self._clock.now().timestamp()) - age_s
        headers = sign_request(
            signer or self.signer,
            method="POST",
            authority=self._config.authority,
            target=PAYMENTS,
            body=body,
            content_type="application/json",
            idempotency_key=key,
            created=created,
            expires=created + LIFETIME_S,
            nonce=secrets.token_urlsafe(24),
            scheme=self._config.scheme,
        )
        return Message(target=PAYMENTS, body=body, headers=headers)

    async def send(self, message: Message) -> Answer:
        """Send it once. Raises DemoFault where nothing comes back."""
        assert self._session is not None, "use `async with`"
        url = URL(self._config.url + message.target, encoded=True)
        headers = {"Host": self._config.authority, **message.headers}
        skipped = ("Content-Type", "User-Agent")
        try:
            async with self._session.post(
                url, data=message.body, headers=headers, skip_auto_headers=skipped, allow_redirects=False
            ) as reply:
                body = await reply.read()
                lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.raw_headers]
                status = reply.status
        except (aiohttp.ClientError, TimeoutError) as failed:
            raise DemoFault(f"the gateway does not answer a signed request: {failed}") from failed
        decoded = msgspec.json.decode(body) if body else {}
        return Answer(
            status=status,
            slug=str(decoded.get("type", "")).removeprefix(URN),
            proven=await self._proven(ReplyHead(status, lines, body), message),
            replayed=any(name.lower() == "idempotent-replayed" and value == "true" for name, value in lines),
            body=decoded,
        )

    async def _proven(self, reply: ReplyHead, message: Message) -> bool:
        signature = message.headers.get("Signature")
        keyid = next((value for name, value in reply.headers if name.lower() == "signature-input"), "")
        if signature is None or 'keyid="' not in keyid:
            return False
        certificate = await self._certificate(keyid.partition('keyid="')[2].partition('"')[0])
        proof = verify_reply(
            reply,
            request_signature_field=signature.removeprefix("bm="),
            certificate=certificate,
            issuings=self._issuings,
            root=self._root,
            now=self._clock.now(),
        )
        return isinstance(proof, ReplyProof)

    async def _certificate(self, keyid: str) -> Certificate:
        assert self._session is not None, "use `async with`"
        if self._reply_certificate is None or self._reply_certificate.keyid != keyid:
            async with self._session.get(f"{self._config.url}/v1/certificates/{keyid}") as reply:
                leaf, end, _ = (await reply.read()).partition(_PEM_END)
            self._reply_certificate = parse_certificate(leaf + end)
        return self._reply_certificate


def _members(request: api.PaymentRequest) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(request)
    return members
