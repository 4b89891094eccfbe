"""The load generator: one process, raw connections, bytes rendered beforehand. `python -m tests.bench.load PLAN.json`.

It says `begin` and `end` on standard output around what it counts, and writes a Report to the plan's `out`.
Closed loop (per_s None): each connection sends its next request when the last is answered. Open loop: requests are
due at fixed times, and latency counts from when a request was due, whether or not a connection was free.
"""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from tests.bench import requests

HOST = "127.0.0.1"
REPLY_MAX = 2**20


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. warm_up_s and measure_s: seconds, less where the requests run out; measure_s 0: until they do.

    ports: connections take them in turn. sample_every: keep each n-th good reply for proof. patience_s: how long the
    last answers are waited for. repeat: begin again with the first request after the last.
    """

    ports: Sequence[int]
    requests: str
    connections: int
    warm_up_s: float
    measure_s: float
    out: str
    per_s: float | None = None
    sample_every: int = 200
    patience_s: float = 60
    repeat: bool = False

    def on(self, *ports: int) -> "Plan":
        """The same towards these ports."""
        return msgspec.structs.replace(self, ports=ports)


class Sample(msgspec.Struct, frozen=True):
    """A request as sent and its reply as it came."""

    request: bytes
    reply: bytes


class Report(msgspec.Struct, kw_only=True):
    """What came back while it counted. statuses: HTTP status → replies; broken: connections lost in between.

    ran_dry: there were no requests left before the time was over.
    """

    elapsed_s: float
    statuses: dict[int, int]
    latencies_ms: list[float]
    samples: list[Sample]
    broken: int
    ran_dry: bool
    first_refusal: str = ""


class Generator:
    """The state of one run."""

    def __init__(self, plan: Plan, given: Sequence[bytes]) -> None:
        self.plan = plan
        self.given = given
        self.next = 0
        self.running = 0
        self.counting = False
        self.stopping = False
        self.done = asyncio.Event()
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.samples: list[Sample] = []
        self.broken = 0
        self.ran_dry = False
        self.first_refusal = ""
        self.idle: deque[Connection] = deque()
        self.due: deque[float] = deque()

    def take(self) -> bytes | None:
        """The next request, None where there is none or it is over."""
        if self.stopping:
            return None
        if self.next >= len(self.given):
            if not self.plan.repeat:
                self.ran_dry = True
                self._check_end()
                return None
            self.next = 0
        request = self.given[self.next]
        self.next += 1
        return request

    def free(self, connection: "Connection") -> None:
        """A connection has nothing to do."""
        if self.plan.per_s is None:
            request = self.take()
            if request is not None:
                connection.send(request, time.perf_counter())
        elif self.due:
            self._send_due(connection)
        else:
            self.idle.append(connection)

    def fall_due(self, at: float) -> None:
        """Open loop: one more request is due."""
        self.due.append(at)
        if self.idle:
            self._send_due(self.idle.popleft())

    def _send_due(self, connection: "Connection") -> None:
        at, request = self.due.popleft(), self.take()
        if request is None:
            self.idle.append(connection)
        else:
            connection.send(request, at)

    def answered(self, request: bytes, reply: bytes, latency_s: float) -> None:
        """Count one reply."""
        self.running -= 1
        status = int(reply[9:12])
        if self.counting:
            self.statuses[status] += 1
            if status in (201, 202):
                self.latencies.append(latency_s * 1000)
                if len(self.latencies) % self.plan.sample_every == 1:
                    self.samples.append(Sample(request, reply))
            elif not self.first_refusal:
                self.first_refusal = reply.decode("utf-8", "replace")
        self._check_end()

    def lost(self, was_running: bool) -> None:
        """A connection broke."""
        if not self.stopping or was_running:
            self.broken += 1
        if was_running:
            self.running -= 1
        self._check_end()

    def _check_end(self) -> None:
        if self.running == 0 and (self.stopping or self.ran_dry):
            self.done.set()


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request on it."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._request = b""
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, since: float) -> None:
        """Send; since: from when its latency counts."""
        assert self._transport is not None
        self._request, self._since = request, since
        self._generator.running += 1
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        at = buffer.find(b"Content-Length: ", 0, end)
        if end < 0 or len(buffer) < end + 4 + int(buffer[at + 16 : buffer.find(b"\r", at)]):
            self._buffer = buffer
            return
        request, self._request, self._buffer = self._request, b"", b""
        self._generator.answered(request, buffer, time.perf_counter() - self._since)
        self._generator.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._generator.lost(bool(self._request))


async def _pace(generator: Generator, per_s: float) -> None:
    begun, number = time.perf_counter(), 0
    while not generator.stopping:
        now = time.perf_counter()
        while (at := begun + number / per_s) <= now:
            generator.fall_due(at)
            number += 1
        await asyncio.sleep(max(0.0, at - time.perf_counter()))


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def run(plan: Plan, given: Sequence[bytes]) -> Report:
    """Send, count, report."""
    generator, loop = Generator(plan, given), asyncio.get_running_loop()
    ports = [plan.ports[number % len(plan.ports)] for number in range(plan.connections)]
    made = [await loop.create_connection(lambda: Connection(generator), HOST, port) for port in ports]
    for _, connection in made:
        generator.free(connection)
    pacing = loop.create_task(_pace(generator, plan.per_s)) if plan.per_s else None
    await asyncio.sleep(plan.warm_up_s)
    generator.counting = True
    begun = time.perf_counter()
    _say("begin")
    with suppress(TimeoutError):
        async with asyncio.timeout(plan.measure_s or None):
            await generator.done.wait()
    elapsed = time.perf_counter() - begun
    generator.counting = False
    _say("end")
    generator.stopping = True
    if pacing is not None:
        pacing.cancel()
    if generator.running:
        async with asyncio.timeout(plan.patience_s):
            await generator.done.wait()
    for transport, _ in made:
        transport.close()
    await asyncio.sleep(0)  # a closed transport lets go of its socket in the next turn
    return Report(
        elapsed_s=elapsed,
        statuses=dict(generator.statuses),
        latencies_ms=generator.latencies,
        samples=generator.samples,
        broken=generator.broken,
        ran_dry=generator.ran_dry,
        first_refusal=generator.first_refusal,
    )


def main() -> None:
    """Read the plan, run it, write the report."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    report = uvloop.run(run(plan, list(requests.load(Path(plan.requests)))))
    Path(plan.out).write_bytes(msgspec.msgpack.encode(report))


if __name__ == "__main__":
    main()
