"""Where the servers are and how long anything may take."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

DEFAULT_PORT = 5432


class PostgresConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """hosts, standby_hosts: `host` or `host:port`. Times in ms.

    connections: that write, each with one batch at a time; readers: for `look`. wait_ms: an item that nobody has
    taken up for so long is answered StoreBusy. lock_ms, statement_ms, idle_ms: PostgreSQL's own time-outs.
    ssl: as asyncpg takes it (None, `require`, an SSLContext).
    """

    hosts: tuple[str, ...]
    database: str
    user: str
    password: str | None = None
    standby_hosts: tuple[str, ...] = ()
    connections: int = 4
    readers: int = 2
    batch_max: int = 64
    queue_max: int = 8_192
    wait_ms: int = 5_000
    connect_ms: int = 3_000
    lock_ms: int = 1_000
    statement_ms: int = 10_000
    idle_ms: int = 10_000
    ssl: Any = None

    def __post_init__(self) -> None:
        if not self.hosts:
            raise ValueError("store.hosts: at least one `host:port`")
        for name in ("connections", "readers", "batch_max", "queue_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"store.{name}: at least 1")
        for name in ("wait_ms", "connect_ms", "lock_ms", "statement_ms", "idle_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"store.{name}: at least 1 ms; without an end a stuck server would hold every item")

    def addresses(self) -> tuple[list[str], list[int]]:
        """Hosts and ports of the servers that may be the primary, stand-bys included: one of them accepts writes."""
        pairs = [_address(text) for text in self.hosts + self.standby_hosts]
        return [host for host, _ in pairs], [port for _, port in pairs]

    def url(self) -> str:
        """For migrations and tools, which take one URL."""
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        hosts, ports = self.addresses()
        hosts = [f"[{host}]" if ":" in host else host for host in hosts]
        who = f"{quote(self.user, safe='')}{secret}"
        name = quote(self.database, safe="")
        if len(hosts) == 1:
            return f"postgresql://{who}@{hosts[0]}:{ports[0]}/{name}"
        several = "&".join(f"host={host}:{port}" for host, port in zip(hosts, ports, strict=True))
        return f"postgresql://{who}@/{name}?{several}"

    def server_settings(self, role: str) -> Mapping[str, str]:
        """What each connection sets for itself.

        The planner is held to nested loops over indexes: every statement of the drivers is a look-up by key, and a
        plan made while a table was small must not be a scan when it has grown.
        """
        return {
            "application_name": f"bianmin-{role}",
            "lock_timeout": str(self.lock_ms),
            "statement_timeout": str(self.statement_ms),
            "idle_in_transaction_session_timeout": str(self.idle_ms),
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            "jit": "off",
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
        }


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host:
        return text, DEFAULT_PORT
    if not port.isdecimal() or not port.isascii() or not 0 < int(port) < 65536:
        raise ValueError(f"store.hosts: `host:port`, not {text!r}")
    return host.strip("[]"), int(port)
