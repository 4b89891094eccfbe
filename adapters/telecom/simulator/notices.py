"""Result notices of top-ups, with their tries (telecom interface 3.4 s6)."""

import asyncio
from collections.abc import Coroutine
from secrets import token_hex

import aiohttp
import msgspec

from adapters.kit.faults import NOTICE_KINDS, Fault, FaultBoard, Kind
from adapters.telecom.signing import sign
from adapters.telecom.simulator.agents import AGENTS, FILE_AGENT
from adapters.telecom.simulator.clock import stamp
from adapters.telecom.simulator.desk import Desk
from adapters.telecom.simulator.messages import TOP_UP, yuan
from adapters.telecom.simulator.records import Record, State

NOTICE = "notice"
"""The name of this operation for faults."""
RETRY_AFTER_S = (15, 60, 300, 900, 3600)
"""Seconds from the end of a try to the next one; after the last the platform gives up (s6)."""
_ANSWER_S = 5
_HELD_S = 30
_BENT = frozenset(
    {Kind.BAD_SIGNATURE, Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL, Kind.EXTRA_MEMBER, Kind.GARBAGE, Kind.SLOW}
)
KINDS = _BENT | NOTICE_KINDS
"""The faults a notice can show."""
_FRESH = aiohttp.ClientTimeout(total=_ANSWER_S)


class Notifier:
    """Tells the agent how its top-ups ended. Without a notice address it tells nobody.

    A record whose notice is due carries the time in the book, so a restart goes on where the run before ended.
    """

    def __init__(self, desk: Desk, board: FaultBoard, url: str | None) -> None:
        self._desk = desk
        self._board = board
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, Record] = {}
        self._sending: set[str] = set()

    def open(self) -> None:
        """Take up the notices an earlier run still owed."""
        if self._url is None:
            return
        self._session = aiohttp.ClientSession(
            timeout=_FRESH, connector=aiohttp.TCPConnector(force_close=True), trust_env=False
        )
        for record in self._desk.book:
            if record.notice_due:
                self._watch(record)

    async def close(self) -> None:
        """Break off what is being sent."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def final(self, record: Record) -> None:
        """A top-up has ended: its notice is due now, unless it is one of those that get lost."""
        if self._url is None or record.agent_no != FILE_AGENT or record.acc_no.endswith("0008"):
            return
        if self._draw(record, Kind.NO_NOTICE) is not None:
            return
        held = self._draw(record, Kind.OUT_OF_ORDER_NOTICE)
        wait = (held.delay_s or _HELD_S) if held is not None else 0
        if held is not None:
            self._held[record.plat_no] = record
        record.notice_due = self._desk.clock.timer() + wait
        self._desk.book.changed(record)
        self._watch(record)

    def told_first(self, record: Record) -> bool:
        """Whether a fault wants the notice of this order before the reply to it."""
        return self._draw(record, Kind.NOTICE_BEFORE_REPLY) is not None

    async def tell_now(self, record: Record) -> None:
        """Send the first try now and wait until it has ended: for a notice that comes before the reply."""
        if record.notice_due and record.plat_no not in self._sending:
            await self._try(record)

    def _draw(self, record: Record, kind: Kind) -> Fault | None:
        """Such a fault may be set on the notice or on the order it tells of."""
        among = frozenset({kind})
        return self._board.take(NOTICE, record.acc_no, among) or self._board.take(TOP_UP, record.acc_no, among)

    def _watch(self, record: Record) -> None:
        due = record.notice_due

        def send() -> None:
            if record.notice_due == due and record.plat_no not in self._sending:
                self._spawn(self._try(record))

        self._desk.timers.at(due, send)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try(self, record: Record) -> None:
        # notice_due stays in the book while the try runs: a platform killed meanwhile tries again.
        self._sending.add(record.plat_no)
        try:
            await self._desk.book.durable()
            record.notice_tries += 1
            taken = await self._send(record)
            if taken and self._draw(record, Kind.DUPLICATE_NOTICE) is not None:
                record.notice_tries += 1
                await self._send(record)
        finally:
            self._sending.discard(record.plat_no)
        again = not taken and record.notice_tries <= len(RETRY_AFTER_S)
        record.notice_due = self._desk.clock.timer() + RETRY_AFTER_S[record.notice_tries - 1] if again else 0
        self._desk.book.changed(record)
        if again:
            self._watch(record)
        self._release(record)

    def _release(self, sent: Record) -> None:
        """What was held back until another order's notice had gone out may go now."""
        self._held.pop(sent.plat_no, None)
        held, self._held = self._held, {}
        for record in held.values():
            record.notice_due = self._desk.clock.timer()
            self._watch(record)

    async def _send(self, record: Record) -> bool:
        fault = self._board.take(NOTICE, record.acc_no, _BENT)
        if fault is not None and fault.kind is Kind.SLOW:
            await asyncio.sleep(fault.delay_s)
        assert self._session is not None, "a notice is due only with an address"
        assert self._url is not None
        try:
            async with self._session.post(
                self._url,
                data=self._body(record, fault),
                headers={"Content-Type": "application/json; charset=utf-8"},
                allow_redirects=False,
            ) as reply:
                return reply.status == 200 and await _whole(reply.content) == b"success"
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _body(self, record: Record, fault: Fault | None) -> bytes:
        kind = None if fault is None else fault.kind
        if kind is Kind.GARBAGE:
            return b"\x1f\x8b\x00garbage"
        agent = AGENTS[record.agent_no]
        members = {
            "agentNo": agent.agent_no,
            "keyNo": agent.lowest_key,
            "signType": agent.sign_type.value,
            "version": "3.4",
            "timestamp": self._desk.clock.now_stamp(),
            "nonce": token_hex(12),
            "noticeNo": f"N{stamp(record.created)}{record.serial % 10**9:09d}",
            "tryNo": str(record.notice_tries),
            "orderNo": other(record.order_no) if kind is Kind.WRONG_SERIAL else record.order_no,
            "orderSeq": str(record.order_seq),
            "platNo": record.plat_no,
            "ispCode": record.isp_code,
            "accNo": record.acc_no,
            "faceValue": yuan(record.amount),
            "succAmount": yuan(record.charged + (kind is Kind.WRONG_AMOUNT)),
            "state": str(int(record.state)),
            "acctDate": record.acct_date if record.state is not State.FAILED else "",
            "finishTime": stamp(record.finished),
            "failCode": record.fail_code,
            "failMsg": record.fail_msg,
        }
        if kind is Kind.EXTRA_MEMBER:
            members["zzNote"] = "a=b&c"
        right = sign(agent.sign_type, agent.keys[agent.lowest_key], members)
        members["sign"] = bent(right) if kind is Kind.BAD_SIGNATURE else right
        return msgspec.json.encode(members)


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """The body where it is shorter than 8 bytes, else its first 8."""
    try:
        return await content.readexactly(8)
    except asyncio.IncompleteReadError as short:
        return short.partial


def other(number: str) -> str:
    """Another number of the same form."""
    return number[:-1] + str((int(number[-1]) + 1) % 10)


def bent(signature: str) -> str:
    """A signature of the same form that is wrong."""
    return ("0" if signature[0] != "0" else "1") + signature[1:]
