"""Puts dead letters away: whole, or short where their topic does not take them whole.

A letter that could never be written would stop every biller of its process, so the refusal of a size is answered with a
shorter letter. Any other failure is not ours to judge: the same records are read and buried again later.
"""

from collections.abc import Awaitable, Callable, Sequence

from aiokafka.errors import MessageSizeTooLargeError

from contracts.clock import Clock
from gateway.bus.kafka.dead_letters import DEAD_MAX_BYTES, Burial, length_of, letter, name_of, short_letter
from gateway.bus.kafka.records import Record
from gateway.bus.port import BusDown

UNLIMITED = 2 * DEAD_MAX_BYTES
TRUST_S = 600.0
"""How long a limit is believed that was learnt from a refusal: somebody may have mended the topic."""


class Burying:
    """Writes to one dead-letter topic. send: as Producer.send.

    works: whether the last letter could be put away.
    """

    def __init__(
        self, send: Callable[[Sequence[Record]], Awaitable[None]], topic: str, worker: str, clock: Clock
    ) -> None:
        self._send, self._topic, self._worker, self._clock = send, topic, worker, clock
        self._limit, self._until = UNLIMITED, 0.0
        self.works = True

    async def bury(self, burials: Sequence[Burial]) -> None:
        """Return when there is a letter of each. Raises BusDown where one cannot be written now."""
        try:
            await self._bury(burials)
        except BusDown:
            self.works = False
            raise
        self.works = True

    async def _bury(self, burials: Sequence[Burial]) -> None:
        left = list(burials)
        if self._clock.monotonic() >= self._until:
            try:
                await self._send([letter(burial, self._topic, self._worker) for burial in burials])
            except BusDown as down:
                left = [burial for burial in burials if name_of(burial) not in down.taken]
                self._learn(down, UNLIMITED)
            else:
                return
        # Singly: a batch of letters that would fit each may be too large as well.
        for burial in left:
            await self._bury_one(burial)

    async def _bury_one(self, burial: Burial) -> None:
        whole = letter(burial, self._topic, self._worker)
        if length_of(whole) <= self._limit:
            try:
                await self._send([whole])
            except BusDown as down:
                # The refusal does not say how much is allowed: halving it costs few refusals more.
                self._learn(down, length_of(whole) // 2)
            else:
                return
        await self._send([short_letter(burial, self._topic, self._worker)])

    def _learn(self, down: BusDown, limit: int) -> None:
        """Raises what it is given where that was no refusal of a size."""
        if down.failed.get(self._topic) is not MessageSizeTooLargeError:
            raise down
        self._limit, self._until = limit, self._clock.monotonic() + TRUST_S
