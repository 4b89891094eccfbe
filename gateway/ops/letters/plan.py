"""Writing a plan file: canonical bytes, letter by letter, so that ten thousand need no more memory than one."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import BinaryIO

from contracts.strict_json import canonical
from gateway.core.letters import JudgedLetter
from gateway.core.replays import SCHEMA, PlanItem, PlanTotal, plan_item
from gateway.core.verdicts import Verdict


class PlanWriter:
    """Writes canonical JSON of gateway.core.replays.PlanFile: members by name, so the letters come before their totals.

    Afterwards: sha256 (hex), totals, letters, amount_fen, size.
    """

    def __init__(self, out: BinaryIO, filters: Mapping[str, str]) -> None:
        self._out, self._filters = out, dict(filters)
        self._hash = hashlib.sha256()
        self._totals: dict[Verdict, list[int]] = {}
        self.size = 0

    async def write(self, letters: AsyncIterator[JudgedLetter], book_at: Callable[[], int]) -> None:
        """All of it. letters: by their ids. book_at: known once the first of them is."""
        found = await anext(letters, None)
        self._put(b'{"book_at":%d,"filter":%s,"letters":[' % (book_at(), canonical(self._filters)))
        while found is not None:
            self._add(plan_item(found))
            found = await anext(letters, None)
        self._put(b'],"schema":%s,"totals":%s}' % (canonical(SCHEMA), canonical(self.totals)))

    def _add(self, item: PlanItem) -> None:
        self._put((b"," if self._totals else b"") + canonical(item))
        total = self._totals.setdefault(item.verdict, [0, 0])
        total[0] += 1
        total[1] += item.amount_fen

    @property
    def totals(self) -> list[PlanTotal]:
        """By verdict, in the order of their names."""
        found = self._totals
        return [PlanTotal(verdict=v, letters=found[v][0], amount_fen=found[v][1]) for v in sorted(found)]

    @property
    def letters(self) -> int:
        """How many."""
        return sum(total.letters for total in self.totals)

    @property
    def amount_fen(self) -> int:
        """Their amounts together."""
        return sum(total.amount_fen for total in self.totals)

    @property
    def sha256(self) -> str:
        """The plan's name."""
        return self._hash.hexdigest()

    def _put(self, data: bytes) -> None:
        self._out.write(data)
        self._hash.update(data)
        self.size += len(data)
