"""Dead messages on their way into the book."""

from collections.abc import Sequence

from gateway.core.items import Kept
from gateway.core.letters import BODY_MAX, FoundLetter, KeepLetters
from gateway.flow.parts import Parts

BATCH = 100
BATCH_BYTES = 2 * BODY_MAX
"""Of bodies in one commit: others wait for it."""


class Letters:
    """Implements gateway.bus.port.Keep."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, found: Sequence[FoundLetter]) -> None:
        """See Keep."""
        batch: list[FoundLetter] = []
        for letter in found:
            if batch and (len(batch) >= BATCH or _bytes(batch) + len(letter.body) > BATCH_BYTES):
                await self._keep(batch)
                batch = []
            batch.append(letter)
        if batch:
            await self._keep(batch)

    async def _keep(self, batch: list[FoundLetter]) -> None:
        reply = await self._parts.store.run(KeepLetters(letters=batch, entropy=self._parts.entropy()))
        if not isinstance(reply, Kept):
            raise TypeError(type(reply).__name__)


def _bytes(batch: Sequence[FoundLetter]) -> int:
    return sum(len(letter.body) for letter in batch)
