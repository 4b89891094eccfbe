"""The Store on SQLite: writes through the writer process, reads on connections of this one."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from gateway.store.port import Listener, Snapshot, Units
from gateway.store.sqlite.address import socket_path
from gateway.store.sqlite.client import WriterClient
from gateway.store.sqlite.frames import Wire
from gateway.store.sqlite.readers import Readers, take_snapshot

T = TypeVar("T")
QUEUE_MAX = 8_192
READERS = 2
LOOK_MAX = 64


class SqliteStore:
    """A Store whose WriterProcess someone has started on the same path."""

    def __init__(
        self, path: Path, units: Units, env: Any, *, queue_max: int = QUEUE_MAX, readers: int = READERS
    ) -> None:
        self._path = path.absolute()
        self._client = WriterClient(socket_path(self._path), Wire(units), queue_max=queue_max)
        self._readers = Readers(self._path, units, env, connections=readers, batch_max=LOOK_MAX, queue_max=queue_max)

    async def open(self) -> None:
        """See Store.open."""
        await self._client.open()
        try:
            self._readers.open()
        except BaseException:  # boundary: lets go what was opened and raises on
            await self._client.close()
            raise

    async def close(self) -> None:
        """See Store.close."""
        await self._client.close()
        await self._readers.close()

    async def run(self, item: Any) -> Any:
        """See Store.run."""
        return await self._client.run(item)

    async def look(self, item: Any) -> Any:
        """See Store.look."""
        return await self._readers.look(item)

    def listen(self, callback: Listener) -> None:
        """See Store.listen."""
        self._client.listen(callback)

    def lost(self) -> str | None:
        """See Store.lost: whoever has the file open holds the lock that `bianmin db restored` needs."""
        return None

    def depth(self) -> int:
        """See Store.depth."""
        return self._client.depth()

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        """See Store.snapshot."""
        return await take_snapshot(self._path, use)
