"""Which of several servers is the primary: the one that accepts writes, on the highest timeline (M4).

PostgreSQL raises the timeline at every promotion. So an old primary that comes back and still accepts writes is told
from the new one, wherever both are seen; and a promotion shows, which without synchronous replication may have lost
what was acknowledged. The newest transaction that was acknowledged here is remembered: a server that does not know it
as committed is an older copy, or a stand-by that had fallen behind.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import asyncpg

from gateway.store.port import StoreBusy, StoreRefused
from gateway.store.postgres.config import PostgresConfig

STATEMENTS_KEPT = 1_024
OTHERS_MS = 300
"""How long the other servers may take to speak once one that accepts writes has spoken."""
RUN_RESTORED = "run `bianmin db restored` before anything is served"
# Wrong password, unknown role or database, no permission: waiting mends none of them.
_REFUSED_CLASSES = frozenset({"28", "3D", "42"})
_LOOK = """
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS closed,
       CASE WHEN pg_is_in_recovery() THEN 0
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint END AS timeline
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An open connection and what its server says of itself. closed: it takes no writes."""

    connection: Any
    place: str
    closed: bool
    timeline: int


class Servers:
    """The servers of one store, and what this process has seen of them. place: the primary's.

    known: the book must be the one that was written here, and is looked at on every connection.
    lost: why what this process was told by the book cannot be trusted any more, once it is so; it must begin anew.
    """

    def __init__(self, config: PostgresConfig, *, known: bool) -> None:
        self._config, self.known = config, known
        self._addresses = list(zip(*config.addresses(), strict=True))
        self._timeline = 0
        self._life: int | None = None
        self.newest = 0
        self.place = ""
        self.lost: str | None = None

    def acknowledged(self, transaction: int) -> None:
        """A commit is safe: its transaction (PostgreSQL's xid8)."""
        self.newest = max(self.newest, transaction)

    def lacks_what_was_acknowledged(self) -> NoReturn:
        """The newest transaction is not committed where we are. Raises StoreRefused."""
        self._lose(
            f"{self.place} lacks what was acknowledged: an older copy, or a stand-by that had fallen behind;"
            f" {RUN_RESTORED}"
        )

    def same_life(self, restores: int) -> None:
        """Raises StoreRefused where the book was restored since this process first looked."""
        if self._life is None:
            self._life = restores
        elif self._life != restores:
            self._lose("the book was restored while this process had it open: start it anew")

    def _lose(self, why: str) -> NoReturn:
        self.lost = why
        raise StoreRefused(why)

    async def connect(self, settings: dict[str, str], command_s: float | None) -> Any:
        """A connection to the primary. Raises StoreRefused, StoreBusy."""
        dials = [asyncio.ensure_future(self._dial(*address, settings, command_s)) for address in self._addresses]
        try:
            found, errors = await _gather(dials)
        except BaseException:  # boundary: lets go what was dialled and raises on
            await _let_go(dials)
            raise
        chosen = max((one for one in found if not one.closed), key=lambda one: one.timeline, default=None)
        for one in found:
            if one is not chosen:
                one.connection.terminate()
        if chosen is None:
            raise self._none(found, errors)
        try:
            self._check_timeline(chosen)
        except StoreRefused:
            chosen.connection.terminate()
            raise
        self._timeline, self.place = chosen.timeline, chosen.place
        return chosen.connection

    def _check_timeline(self, chosen: Found) -> None:
        if chosen.timeline < self._timeline:
            raise StoreRefused(
                f"{chosen.place} accepts writes on timeline {chosen.timeline}, and timeline {self._timeline} was seen:"
                " an old primary that must be rebuilt (pg_rewind) as a stand-by; nothing is written to it"
            )
        if self._timeline and chosen.timeline > self._timeline and not self._config.standby_hosts:
            raise StoreRefused(
                f"{chosen.place} was promoted and store.standby_hosts names no stand-by: acknowledged payments may be"
                f" missing there; {RUN_RESTORED}"
            )

    def _none(self, found: Sequence[Found], errors: Sequence[BaseException]) -> StoreBusy | StoreRefused:
        said = [f"{type(error).__name__}: {error}" for error in errors]
        said += [f"{one.place} takes no writes" for one in found]
        codes = {(getattr(error, "sqlstate", None) or "")[:2] for error in errors}
        # One server that is merely away may be the primary; only where all of them refuse is waiting useless.
        kind = StoreRefused if errors and not found and codes <= _REFUSED_CLASSES else StoreBusy
        return kind(f"no connection to PostgreSQL: {'; '.join(said)}")

    async def _dial(self, host: str, port: int, settings: dict[str, str], command_s: float | None) -> Found:
        config = self._config
        connection = await asyncpg.connect(
            host=host,
            port=port,
            user=config.user,
            password=config.password,
            database=config.database,
            ssl=config.ssl,
            timeout=config.connect_ms / 1000,
            command_timeout=command_s,
            statement_cache_size=STATEMENTS_KEPT,
            max_cached_statement_lifetime=0,
            # One statement writes a whole batch; its text is long and is wanted again.
            max_cacheable_statement_size=0,
            server_settings=settings,
        )
        try:
            seen = await connection.fetchrow(_LOOK, timeout=config.connect_ms / 1000)
        except BaseException:  # boundary: a connection nobody has looked at is let go
            connection.terminate()
            raise
        return Found(connection, f"{host}:{port}", bool(seen["closed"]), int(seen["timeline"]))


async def _gather(dials: Sequence["asyncio.Future[Found]"]) -> tuple[list[Found], list[BaseException]]:
    """What the servers said: all of them, or those that speak soon after one that accepts writes.

    Raises what is no fault of the way to a server.
    """
    pending = set(dials)
    while pending:
        open_ = any(not dial.exception() and not dial.result().closed for dial in set(dials) - pending)
        done, pending = await asyncio.wait(
            pending, timeout=OTHERS_MS / 1000 if open_ else None, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            break
    await _let_go(pending)
    over = [dial for dial in dials if dial not in pending]
    errors = [error for dial in over if (error := dial.exception()) is not None]
    for error in errors:
        if not isinstance(
            error, (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
        ):
            raise error
    return [dial.result() for dial in over if dial.exception() is None], errors


async def _let_go(dials: Iterable["asyncio.Future[Found]"]) -> None:
    for dial in dials:
        dial.cancel()
    for answer in await asyncio.gather(*dials, return_exceptions=True):
        if isinstance(answer, Found):
            answer.connection.terminate()
