"""One read of the book for a command: open, look from one snapshot, close."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gateway.ops.shared import Shared

if TYPE_CHECKING:
    from datetime import tzinfo

    from gateway.core.env import Env
    from gateway.store.port import Snapshot

T = TypeVar("T")


def zone_of(shared: Shared, config_file: Path) -> "tzinfo":
    """The bureau's zone."""
    from zoneinfo import ZoneInfo

    return ZoneInfo(shared.load(config_file).bureau.zone)


async def look_at(shared: Shared, config_file: Path, use: "Callable[[Snapshot, Env, int], Awaitable[T]]") -> T:
    """What `use` makes of the snapshot, the configuration's Env and the moment (the machine's clock, ms)."""
    from gateway.clock import now_ms
    from gateway.config import build_env
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    now = now_ms(shared.clock)
    async with open_desk(config, env) as desk:
        return await desk.snapshot(lambda snapshot: use(snapshot, env, now))
