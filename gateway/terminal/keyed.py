"""What moves money: journaled before it is sent, repeated under its own key only, inquired about when in doubt."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from certs.core.profile import ReplyProof
from contracts import api
from contracts.clock import Clock
from contracts.problems import URN
from contracts.states import FINAL
from gateway.terminal.answers import Fate, KeyedAnswer, Refused, Tombstone, Undecided
from gateway.terminal.config import TerminalConfig
from gateway.terminal.fates import is_open, read_found, read_plain
from gateway.terminal.faults import JournalFault
from gateway.terminal.journal import Begun, Ended, Entry, Journal, Outcome
from gateway.terminal.tries import Open, Tries, read_problem
from gateway.terminal.verdicts import CLOSED
from gateway.terminal.wire import Ask

PAYMENTS = "/v1/payments"
_OUTCOMES: dict[type[Any], Outcome] = {api.Payment: "payment", Refused: "refused", Tombstone: "tombstone"}


class Keyed:
    """Requests under idempotency keys, over one journal. One per terminal."""

    def __init__(self, config: TerminalConfig, clock: Clock, tries: Tries, *, say: Callable[[str], None]) -> None:
        self._config, self._clock, self._tries, self._say = config, clock, tries, say
        self._journal: Journal | None = None
        self._opening = asyncio.Lock()
        self._running: set[str] = set()
        self._seq = 0

    def close(self) -> None:
        """Release the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    async def journal(self) -> Journal:
        """The journal, opened and locked. Raises JournalFault."""
        async with self._opening:
            if self._journal is None:
                self._journal = await asyncio.to_thread(Journal, Path(self._config.journal_file), keep=is_open)
            return self._journal

    async def trace(self, key: str | None) -> str:
        """The terminal_trace for a new request; of a key that has begun, the one it was sent with."""
        journal = await self.journal()
        entry = journal.find(key) if key else None
        if entry is not None:
            return str(msgspec.json.decode(entry.begun.body).get("terminal_trace", ""))
        self._seq = max(self._seq + 1, journal.next_seq())
        return f"{self._seq:06d}"

    async def submit(self, path: str, body: bytes, *, key: str | None, wait_s: int = 0) -> KeyedAnswer:
        """Journal, send, repeat, journal the result. key: None mints one.

        Raises JournalFault before anything is sent, and ValueError for a key that began as another request or that
        ended without a payment.
        """
        journal = await self.journal()
        key = key or f"{self._config.terminal_id}-{self._clock.now():%Y%m%d}-{secrets.token_hex(12)}"
        entry = journal.find(key)
        if entry is not None:
            _check_resumable(entry, path, body)
        if key in self._running:
            return Undecided(key=key, why="this program is sending this very request")
        self._running.add(key)
        try:
            if entry is None:
                await self._begin(journal, key, path, body)
            ask = Ask(method="POST", target=path, body=body, key=key, wait_s=wait_s)
            deadline_s = self._config.pay_deadline_s
            answer = await self._tries.ask(ask, deadline_s=deadline_s, resumed=entry is not None)
            concluded = await self._conclude(ask, key, answer)
        finally:
            self._running.discard(key)
        return await self._settle_closed(key, concluded)

    async def _settle_closed(self, key: str, concluded: KeyedAnswer) -> KeyedAnswer:
        """A closed biller takes nothing now: the tombstone proves it, and the shop need not wait or wonder."""
        problem = concluded.problem if isinstance(concluded, Undecided) else None
        if problem is None or problem.type != URN + CLOSED:
            return concluded
        fate = await self.inquire(key)
        return Refused(problem) if isinstance(fate, Tombstone) else fate

    async def inquire(self, key: str, *, deadline_s: float | None = None) -> Fate:
        """Ask for the fate of a key and journal it, where it is one of ours. deadline_s: None for the configured."""
        if key in self._running:
            return Undecided(key=key, why="this program is sending this very request")
        entry = (await self.journal()).find(key)
        body = msgspec.json.encode({"idempotency_key": key})
        ask = Ask(method="POST", target="/v1/payment-inquiries", body=body)
        deadline_s = self._config.read_deadline_s if deadline_s is None else deadline_s
        answer = await self._tries.ask(ask, deadline_s=deadline_s)
        if isinstance(answer, Open):
            problem = None if answer.refusal is None else read_problem(answer.refusal)
            return Undecided(key=key, why=answer.why, problem=problem, shop_text=answer.shop_text)
        if answer.status != 200:
            return Undecided(key=key, why=f"the gateway answered {answer.status}", problem=read_problem(answer))
        fate = read_found(key, answer.body)
        if entry is None or isinstance(fate, Undecided):
            return fate
        if isinstance(fate, api.Payment) and _contradicts(entry.begun.path, entry.begun.body, key, fate):
            return Undecided(key=key, why="the gateway's answer is about another payment")
        await self._end(key, _OUTCOMES[type(fate)], answer, inquiry=True)
        return fate

    async def look(self, entry: Entry, known: api.Payment, *, deadline_s: float) -> api.Payment | Refused | Undecided:
        """Look at an entry's payment again, known as last proven; journal it once it has become final."""
        ask = Ask(method="GET", target=f"{PAYMENTS}/{known.gateway_serial}")
        answer = await self._tries.ask(ask, deadline_s=deadline_s)
        seen = read_plain(answer, api.Payment)
        if not isinstance(seen, api.Payment) or isinstance(answer, Open):
            return seen
        if seen.gateway_serial != known.gateway_serial:
            return Undecided(key=entry.begun.key, why="the gateway's answer is about another payment")
        if seen.state in FINAL and known.state not in FINAL:
            await self._end(entry.begun.key, "payment", answer)
        return seen

    async def last_entries(self) -> list[Entry]:
        """The newest entry of which nothing is known, else the newest; then all others that are open, newest first.

        What somebody is sending at this moment is left out.
        """
        entries = [one for one in reversed((await self.journal()).entries()) if one.begun.key not in self._running]
        first = next((one for one in entries if one.ended is None), entries[0] if entries else None)
        return [] if first is None else [first, *(one for one in entries if one is not first and is_open(one))]

    async def _begin(self, journal: Journal, key: str, path: str, body: bytes) -> None:
        self._seq = max(self._seq, journal.next_seq())
        event = Begun(at=self._at(), seq=self._seq, key=key, path=path, body=body.decode())
        try:
            await asyncio.to_thread(journal.begin, event)
        except JournalFault:
            self.close()  # the next request looks at the file afresh
            raise

    async def _conclude(self, ask: Ask, key: str, answer: ReplyProof | Open) -> KeyedAnswer:
        if isinstance(answer, Open):
            if not answer.sent:
                await self._end(key, "unsent")
            problem = None if answer.refusal is None else read_problem(answer.refusal)
            return Undecided(key=key, why=answer.why, sent=answer.sent, problem=problem, shop_text=answer.shop_text)
        problem = read_problem(answer)
        if problem is not None:
            await self._end(key, "refused", answer)
            return Refused(problem)
        try:
            payment = msgspec.json.decode(answer.body, type=api.Payment)
        except msgspec.MsgspecError as wrong:
            return Undecided(key=key, why=f"the gateway's answer is of another version: {wrong}")
        if _contradicts(ask.target, ask.body, key, payment):
            return Undecided(key=key, why="the gateway's answer is about another payment")
        await self._end(key, "payment", answer)
        return payment

    async def _end(self, key: str, outcome: Outcome, proof: ReplyProof | None = None, *, inquiry: bool = False) -> None:
        event = Ended(at=self._at(), key=key, outcome=outcome)
        if proof is not None:
            event = msgspec.structs.replace(
                event,
                status=proof.status,
                body=proof.body.decode(),
                inquiry=inquiry,
                keyid=proof.keyid,
                base=proof.base.decode("ascii"),
                signature=base64.b64encode(proof.signature).decode("ascii"),
            )
        try:
            await asyncio.to_thread((await self.journal()).end, event)
        except JournalFault as fault:
            # The answer is proven and must reach the shop; the key stays open and `last` will ask again.
            self.close()
            self._say(f"{fault.shop_text}：本笔结果未能记入终端流水")

    def _at(self) -> str:
        return f"{self._clock.now():%Y-%m-%dT%H:%M:%S}Z"


def _check_resumable(entry: Entry, path: str, body: bytes) -> None:
    key = entry.begun.key
    if (entry.begun.path, entry.begun.body) != (path, body.decode()):
        raise ValueError(f"the key {key} belongs to another request")
    if entry.ended is not None and entry.ended.outcome != "payment":
        # Sent once more it might be taken while the journal says that it was not.
        raise ValueError(f"the request of key {key} has ended ({entry.ended.outcome}): take a new key")


def _contradicts(path: str, body: bytes | str, key: str, payment: api.Payment) -> bool:
    """Whether a payment cannot be the one that was asked for. Other requests answer with a payment made elsewhere."""
    if path != PAYMENTS:
        return False
    asked: dict[str, Any] = msgspec.json.decode(body)
    names = ("service", "biller_account", "amount_fen")
    return payment.idempotency_key != key or any(asked[name] != getattr(payment, name) for name in names)
