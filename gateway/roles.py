"""What one process does for the installation, and its name among the others."""

import os
import re
import secrets
import socket
from collections.abc import Collection
from enum import StrEnum


class Role(StrEnum):
    """api: terminals, partners' notices, held calls. relay: messages out. worker: calls, sweep. resolver: questions
    about what is in doubt. sealer: the chain of the evidence. Of relay, resolver and sealer one acts, however many
    run."""

    API = "api"
    RELAY = "relay"
    WORKER = "worker"
    RESOLVER = "resolver"
    SEALER = "sealer"


ALL = "all"
EVERY = frozenset(Role)


def roles_of(words: Collection[str]) -> frozenset[Role]:
    """The roles that `--role` names. Raises ValueError for a word that is none."""
    return EVERY if ALL in words else frozenset(Role(word) for word in words)


def process_name() -> str:
    """A name that no other process of the installation has or ever had: what it leaves behind bears it."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-")[:24] or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
