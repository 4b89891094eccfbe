"""One connection and its loop: take a batch of one unit, one transaction, one commit, answer."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from gateway.store.driver import drive_async, replies_for
from gateway.store.lanes import Lanes, loop_ms, tell
from gateway.store.port import Listener, StoreBusy, StoreError, Unit
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.connection import connect
from gateway.store.postgres.faults import Fault, as_store_error, classify
from gateway.store.postgres.servers import Servers
from gateway.store.postgres.steps import Mint, Steps

TRIES = 3
PAUSE_MS = 30
# Of what is left of lock_ms, an item that is done alone may wait so small a part for its locks, or the least.
PATIENCE = 4
PATIENCE_LEAST_MS = 5
BEGIN_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# PostgreSQL's statement_timeout does not run while a commit waits for its stand-by; ours does.
COMMIT = "COMMIT"


# A commit that has written nothing waits for no stand-by; this writes the least there is.
WRITE_SOMETHING = "SELECT pg_logical_emit_message(true, 'bianmin', '')"
_log = logging.getLogger("bianmin.store")


class CommitInDoubt(Exception):
    """The answer to COMMIT did not come (again: it may be asked for by doing the items again), or a stand-by may
    lack what it committed."""

    def __init__(self, cause: str, *, again: bool) -> None:
        super().__init__(cause)
        self.again = again


class Worker:
    """Serves one set of lanes with one connection. mint None: it only reads.

    A batch that meets a guard, an index or a unit's own error is done again item by item, each in a transaction of
    its own. All of them together wait for locks no longer than the batch did: one locked station in it must not cost
    a wait for each of its items, while its neighbours and the connection wait too. A COMMIT without answer is done
    again as well: units recognise what they have written (arrival id, attempt id), and the locks of a transaction
    that is still ending make the second wait for it.
    """

    def __init__(
        self,
        config: PostgresConfig,
        lanes: Lanes,
        units: Mapping[type, Unit],
        env: Any,
        *,
        mint: Mint | None,
        servers: Servers,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._config = config
        self._servers = servers
        self._lanes = lanes
        self._units = units
        self._env = env
        self._mint = mint
        self._listeners = listeners
        self._connection: Any = None
        self._warned = False

    async def serve(self) -> None:
        """Run until cancelled."""
        while True:
            batch = await self._lanes.take(self._config.batch_max)
            try:
                replies = await self._answer([waiting.item for waiting in batch], in_doubt=False)
            except asyncio.CancelledError:
                replies = [StoreBusy("the store was closed", in_doubt=self._mint is not None)] * len(batch)
                raise
            except Exception as error:  # boundary: no fault may end the only hand of its connection
                _log.exception("worker.failed")
                replies = [as_store_error(error, in_doubt=True)] * len(batch)
            finally:
                for waiting, reply in zip(batch, replies, strict=True):
                    waiting.settle(reply)
                self._lanes.done(batch)

    async def open(self) -> Any:
        """The open connection, a new one where there is none. Raises StoreRefused, StoreBusy."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._config, "read" if self._mint is None else "write", self._servers)
            self._connection.add_log_listener(self._heard)
        return self._connection

    def backend(self) -> int | None:
        """The server's process of the open connection."""
        open_ = self._connection is not None and not self._connection.is_closed()
        return int(self._connection.get_server_pid()) if open_ else None

    async def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=self._config.connect_ms / 1000)

    async def _answer(self, items: Sequence[Any], *, in_doubt: bool, lock_ms: int | None = None) -> list[Any]:
        """One reply or StoreError per item. in_doubt: an earlier try may have committed. lock_ms: not as configured."""
        last: BaseException = StoreBusy("not tried")
        for attempt in range(TRIES):
            # Who won a race has committed: no pause. Else an uneven one, so that who met does not meet again.
            if attempt and classify(last) is not Fault.RACE:
                await asyncio.sleep((PAUSE_MS + secrets.randbelow(PAUSE_MS)) * attempt / 1000)
            try:
                replies, steps = await self._transact(items, in_doubt=in_doubt, lock_ms=lock_ms)
            except CommitInDoubt as error:
                last, in_doubt = error, True
                if not error.again:
                    break
            except Exception as error:  # boundary: whatever a unit or the engine raised is sorted by kind
                last = error
                if len(items) > 1 and self._is_of_one(error, attempt):
                    return await self._one_by_one(items, in_doubt=in_doubt)
                if not _may_pass(error):
                    break
            else:
                tell(self._listeners, steps.outbox)
                return replies
        if not isinstance(last, (StoreError, CommitInDoubt)) and classify(last) is Fault.BUG:
            _log.error("unit.failed", exc_info=last)
        return [as_store_error(last, in_doubt=in_doubt)] * len(items)

    async def _one_by_one(self, items: Sequence[Any], *, in_doubt: bool) -> list[Any]:
        """The same, each item in a transaction of its own."""
        loop = asyncio.get_running_loop()
        left_ms, replies = self._config.lock_ms, []
        for item in items:
            began_ms = loop_ms(loop)
            patience_ms = max(PATIENCE_LEAST_MS, left_ms // PATIENCE)
            (reply,) = await self._answer([item], in_doubt=in_doubt, lock_ms=patience_ms)
            if isinstance(reply, StoreError):
                left_ms -= loop_ms(loop) - began_ms
            replies.append(reply)
        return replies

    def _is_of_one(self, error: BaseException, attempt: int) -> bool:
        """Whether the fault may be one item's, so that the others pass without it."""
        fault = classify(error)
        if isinstance(error, StoreError):
            return False
        return fault in (Fault.RACE, Fault.BUG, Fault.LOCKED) or (fault is Fault.RETRY and attempt == TRIES - 1)

    async def _transact(self, items: Sequence[Any], *, in_doubt: bool, lock_ms: int | None) -> tuple[list[Any], Steps]:
        connection = await self.open()
        steps = Steps(connection, self._mint)
        unit = self._units[type(items[0])]
        step = steps.look if self._mint is None else steps.answer
        try:
            begin = BEGIN_READ if self._mint is None else BEGIN_WRITE
            await connection.execute(begin if lock_ms is None else f"{begin}; SET LOCAL lock_timeout = {lock_ms}")
            replies = replies_for(len(items), await drive_async(unit(items, self._env), step))
            if in_doubt:
                # The rows it found as its own may be on this server's disk alone: wait for them as for new ones.
                await connection.execute(WRITE_SOMETHING)
        except BaseException as error:  # boundary: rolls back and raises on
            await self._roll_back(connection, error)
            raise
        await self._commit(connection)
        self._servers.acknowledged(steps.transaction)
        return replies, steps

    async def _roll_back(self, connection: Any, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError) and classify(error) is not Fault.LOST:
            try:
                await connection.execute("ROLLBACK")
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                # The connection is gone, and with it the transaction.
                connection.terminate()
        else:
            connection.terminate()

    async def _commit(self, connection: Any) -> None:
        self._warned = False
        try:
            await connection.execute(COMMIT)
        except BaseException as error:  # boundary: a connection of unknown state is let go
            connection.terminate()
            if not isinstance(error, Exception) or self._mint is None or classify(error) is not Fault.LOST:
                raise
            # A time-out cancels the wait for a stand-by: another try would wait as long for the same.
            again = not isinstance(error, TimeoutError)
            raise CommitInDoubt(f"{type(error).__name__}: {error}", again=again) from error
        if self._warned and self._mint is not None:
            raise CommitInDoubt("committed here, perhaps not on a stand-by", again=False)

    def _heard(self, _: Any, message: Any) -> None:
        # "The transaction has already committed locally, but might not have been replicated to the standby."
        self._warned = self._warned or getattr(message, "severity_en", "") == "WARNING"


def _may_pass(error: BaseException) -> bool:
    """Whether the same items may pass at another try."""
    if isinstance(error, StoreError):
        return isinstance(error, StoreBusy)
    return classify(error) in (Fault.RACE, Fault.RETRY, Fault.LOST)
