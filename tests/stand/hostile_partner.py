"""A telecom platform that writes canaries into everything it sends: members, codes, headers, status lines, chunks."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import cycle
from typing import Self

from adapters.telecom.fields import write_moment
from adapters.telecom.signing import SignType, sign, write_object
from tests.stand.canaries import ACCOUNT, BROADBAND, CARD, LATIN_NAME, NAME, SECRET, TOKEN

Members = Mapping[str, str]
Say = Callable[[Members], bytes]
AGENT = {"agentNo": "8801000123", "keyNo": "01", "signType": "HMAC-SHA256"}


def signed(secret: str, members: Mapping[str, str]) -> bytes:
    """A body as the platform signs it."""
    return write_object({**members, "sign": sign(SignType.HMAC, secret, members)})


def notice(secret: str, **changes: str) -> bytes:
    """A result notice of a top-up of the canary's account."""
    now = write_moment(datetime.now(UTC))
    members = {
        **AGENT,
        "version": "3.4",
        "timestamp": now,
        "nonce": "0123456789abcdef01",
        "orderNo": "20261124000000000201",
        "platNo": "TP2026112410150000000012",
        "accNo": ACCOUNT,
        "faceValue": "50.00",
        "succAmount": "0.00",
        "state": "4",
        "failCode": BROADBAND,
        "finishTime": now,
        "msg": NAME,
    }
    return signed(secret, {**members, **changes})


class HostilePartner:
    """Listens on a port of 127.0.0.1 while used as a context manager. asked: paths that were called."""

    def __init__(self, port: int, secret: str) -> None:
        self._port, self._secret = port, secret
        self._modes: Iterator[Say] = cycle(self.modes())
        self._results: Iterator[Say] = cycle(self.results())
        self._orders: dict[str, Members] = {}
        self._lock = threading.Lock()
        self.asked: list[str] = []

    def modes(self) -> list[Say]:
        """Every way it answers; a signed refusal between the others keeps the breaker closed."""
        refusal = self._signed(code="1001", msg=NAME)
        bad: list[Say] = [
            self._signed(code="9999", msg=f"{ACCOUNT} {NAME}"),
            self._signed(code=BROADBAND, msg=SECRET),
            self._signed(code="0000", accNo=BROADBAND, platNo=CARD),
            self._signed(code="0000", orderNo=ACCOUNT, platNo=TOKEN),
            self._signed(code="0000", state="4", succAmount="0.00", failCode=BROADBAND, failMsg=NAME),
            lambda _: _http(json.dumps({"code": "0000", "msg": CARD, "sign": SECRET}).encode()),
            lambda _: _http(f"{{{NAME}:{ACCOUNT}".encode("gbk")),
            lambda _: _http(b"x", status=f"500 {ACCOUNT} {LATIN_NAME}"),
            lambda _: _http(
                b"x", more=f"Location: http://{ACCOUNT}/\r\nSet-Cookie: {TOKEN}={SECRET}\r\n", status="302 F"
            ),
            lambda _: f"{ACCOUNT} {SECRET} nonsense\r\n\r\n".encode(),
            lambda _: f"HTTP/1.1 200 OK\r\n{LATIN_NAME}\0{CARD}: {TOKEN}\r\n\r\n".encode(),
            lambda _: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{ACCOUNT}z\r\n{TOKEN}\r\n".encode(),
            lambda _: f"HTTP/1.1 200 OK\r\nContent-Length: {CARD}\r\n\r\n{BROADBAND}".encode(),
            lambda _: b"",
        ]
        return [say for pair in zip(bad, [refusal] * len(bad), strict=True) for say in pair]

    def results(self) -> list[Say]:
        """How it answers questions: a refusal whose own code is an account, a code of no list, garbage."""
        declined = self._signed(code="0000", state="4", succAmount="0.00", failCode=BROADBAND, failMsg=NAME)
        return [declined, self._signed(code="9999", msg=TOKEN), lambda _: _http(CARD.encode())]

    def _signed(self, **members: str) -> Say:
        def say(asked: Members) -> bytes:
            now = write_moment(datetime.now(UTC))
            order: dict[str, str] = {**self._orders.get(asked.get("orderNo", ""), {}), **asked}
            names = ("orderNo", "accNo", "nonce", "orderType", "ispCode")
            base: dict[str, str] = {name: order[name] for name in names if name in order}
            about = {"platNo": "TP2026112410150000000012", "amount": order.get("faceValue", "10.00"), "custName": NAME}
            return _http(signed(self._secret, {**AGENT, **about, **base, "respTime": now, **members}))

        return say

    def answer(self, path: str, body: bytes) -> bytes:
        """The next way's bytes."""
        with self._lock:
            self.asked.append(path)
            say = next(self._results if path == "/v3/order/query" else self._modes)
            asked: dict[str, str] = json.loads(body)
            if "faceValue" in asked:
                self._orders[asked["orderNo"]] = asked
        return say(asked)

    def __enter__(self) -> Self:
        partner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                head, length = self.rfile.readline(), 0
                for line in iter(self.rfile.readline, b"\r\n"):
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                path = head.split(b" ")[1].decode() if head else ""
                self.wfile.write(partner.answer(path, self.rfile.read(length)))

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _http(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
