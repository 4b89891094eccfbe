"""What passes between a test and a gateway in a process of its own: pickled frames over one socket."""

import asyncio
import pickle
from dataclasses import dataclass
from typing import Any

from gateway.core.env import Env
from gateway.store.postgres.config import PostgresConfig

OPENED, CLOSED = -1, -2
"""Numbers of replies to a Plan and to the verb `close`."""
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A gateway that also calls billers. base_url: of the telecom simulator. stop_after_claim: the process stops
    itself (SIGSTOP) between the commit of its first claim of a payment and the call."""

    base_url: str
    key_file: str
    agent_no: str
    stop_after_claim: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the process is from now on, until it is told to close."""

    config: PostgresConfig
    env: Env
    worker: Worker | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """verb: run, look, resolve, close. number: the reply carries it too."""

    number: int
    verb: str
    item: Any = None


@dataclass(frozen=True, slots=True)
class Told:
    """The reply to an Ask; a BaseException is raised where it was asked."""

    number: int
    reply: Any


def write(writer: asyncio.StreamWriter, frame: Any) -> None:
    """Queue a frame."""
    body = pickle.dumps(frame)
    writer.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)


async def read(reader: asyncio.StreamReader) -> Any:
    """The next frame. Raises IncompleteReadError or ConnectionError where the other side has gone."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
    return pickle.loads(await reader.readexactly(length))
