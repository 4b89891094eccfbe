"""Access tokens (interface 1.2 s2): at most five live, the sixth revokes the oldest."""

from collections import deque
from secrets import token_hex

from adapters.kit.clock import SimulatorClock
from adapters.tv.simulator.messages import Answer

CLIENT_ID, SECRET = "bm-gateway-test", "Tv%Test:Secret+01"
"""Of the test platform, printed in the document (s10)."""
CREDENTIALS = "Basic Ym0tZ2F0ZXdheS10ZXN0OlR2JTI1VGVzdCUzQVNlY3JldCUyQjAx"
_LIVE = 5
_LIFE_S = 1_800
_NO_STORE = {"Cache-Control": "no-store"}


class Tokens:
    """Gives tokens and knows the live ones; a restart revokes all. per_minute: token requests allowed, 0: any."""

    def __init__(self, clock: SimulatorClock, per_minute: int) -> None:
        self._clock, self._per_minute = clock, per_minute
        self._live: dict[str, float] = {}
        self._asked: deque[float] = deque(maxlen=per_minute or None)

    def give(self, authorization: list[str], content_type: str, body: bytes) -> Answer:
        """Answer a token request."""
        now = self._clock.steady()
        if self._per_minute:
            if len(self._asked) == self._per_minute and now - self._asked[0] < 60:
                return Answer(429, {"error": "slow_down"}, {**_NO_STORE, "Retry-After": "60"})
            self._asked.append(now)
        if authorization != [CREDENTIALS]:
            realm = {"WWW-Authenticate": 'Basic realm="tv"'}
            return Answer(401, {"error": "invalid_client"}, {**_NO_STORE, **realm})
        if content_type != "application/x-www-form-urlencoded" or body != b"grant_type=client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"}, _NO_STORE)
        if len(self._live) >= _LIVE:
            del self._live[next(iter(self._live))]
        token = token_hex(24)
        self._live[token] = self._clock.timer() + _LIFE_S
        return Answer(200, {"access_token": token, "expires_in": _LIFE_S, "token_type": "Bearer"}, _NO_STORE)

    def valid(self, authorization: list[str]) -> bool:
        """Whether one header line names a live token."""
        if len(authorization) != 1 or not authorization[0].startswith("Bearer "):
            return False
        until = self._live.get(authorization[0].removeprefix("Bearer "))
        return until is not None and self._clock.timer() < until

    def revoke(self) -> None:
        """End every token early (s2)."""
        self._live.clear()
