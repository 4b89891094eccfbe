"""Our signed replies on their way into the book: behind the terminals' backs, many in one commit (decision 0022)."""

from collections.abc import Callable

from certs.core.messages import SignedReply
from contracts.clock import Clock
from contracts.routes import CALLER, LOAD, SIGNING
from contracts.serials import Serials
from gateway.core.env import Env
from gateway.core.kept_replies import KeepReplies, Told
from gateway.http.answers import Answer
from gateway.store.port import Store, StoreError

UNDER_WAY = 202
"""Tells that nothing is decided yet: the book has what was reserved, and a later reply tells the end."""
UNKEPT = frozenset({*SIGNING, *CALLER, *LOAD, "nonce-replayed"})
"""Refusals whose request is not kept either: else whoever may not speak would fill the book."""
TURN_S = 0.25
AT_ONCE = 128
WAITING_MAX = 20_000
"""Replies that wait for a book that does not take them; what comes beyond is lost, and that is told."""


class LostReplies(Exception):
    """Replies that nobody kept."""


class KeptReplies:
    """The replies of one process. keep() never waits; turn() writes, flush() writes the rest.

    What was told and not yet written when the process dies is lost: the book has the payment it told of.
    """

    def __init__(
        self, store: Store, env: Env, clock: Clock, entropy: Callable[[], int], failed: Callable[[str, Exception], None]
    ) -> None:
        self._store, self._env, self._clock, self._entropy, self._failed = store, env, clock, entropy, failed
        self._waiting: list[Told] = []
        self._lost = 0

    def keep(self, answer: Answer, signed: SignedReply, institution_code: str) -> None:
        """A reply to a request that is no pure read."""
        if answer.status == UNDER_WAY or answer.slug in UNKEPT:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._lost += 1
            return
        now_ms = int(self._clock.now().timestamp() * 1000)
        told = Told(
            record_id=Serials(now_ms, self._env.zone, self._entropy()).mint(),
            institution_code=institution_code,
            gateway_serial=answer.gateway_serial,
            keyid=signed.keyid,
            base=signed.base,
            signature=signed.signature,
            body=answer.body,
        )
        self._waiting.append(told)

    async def turn(self) -> float:
        """Write what waits; the seconds until the next turn. Raises StoreError: it goes on waiting."""
        if self._lost:
            lost, self._lost = self._lost, 0
            self._failed("replies", LostReplies(f"{lost} signed replies were not kept: the book does not take them"))
        while self._waiting:
            part = tuple(self._waiting[:AT_ONCE])
            await self._store.run(KeepReplies(replies=part))
            del self._waiting[: len(part)]
        return TURN_S

    async def flush(self) -> None:
        """Write the rest, once; what cannot be written now is lost, and that is told."""
        try:
            await self.turn()
        except StoreError as error:
            self._failed("replies", error)
