"""The stones of the composed floor: bare POST, verify, sign reply, store batch; each alone, in the same run."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence

from certs.core.profile import SignedRequest, read_request, sign_reply, verify
from gateway.core.items import Accept, Arrival
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from tests.bench import generator
from tests.bench.bare import BODY
from tests.bench.books import BATCH, HOUSE_UNITS, must, open_engine
from tests.bench.installation import AUTHORITY, Installation
from tests.bench.load import Plan
from tests.bench.percentiles import harmonic
from tests.bench.requests import Order, make, parse, save
from tests.bench.results import Reference
from tests.bench.servers import printing_its_port

SECONDS = 3.0
IN_FLIGHT = 64
AUTHORITIES = frozenset({AUTHORITY})


def rate(work: Callable[[], int], seconds: float = SECONDS) -> float:
    """Units a second of work(), which does some and says how many."""
    done, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        done += work()
    return done / spent


def read_signed(request: bytes) -> SignedRequest:
    """A rendered request, read under the profile."""
    signed = read_request(parse(request), AUTHORITIES, scheme="http")
    assert isinstance(signed, SignedRequest)
    return signed


def bare_post(house: Installation, requests: Sequence[bytes]) -> float:
    """The same signed requests to a server that only answers, same generator, same number in flight."""
    plan = Plan(
        ports=[],
        requests=str(save(house.folder / "bare.requests", requests)),
        connections=IN_FLIGHT,
        warm_up_s=0.7,
        measure_s=SECONDS,
        out=str(house.folder / "bare.report"),
        repeat=True,
    )
    with printing_its_port("tests.bench.bare") as port:
        return generator.check(generator.drive(plan.on(port)), None, may_run_dry=True).per_s


def verifying(house: Installation, requests: Sequence[bytes]) -> float:
    """Requests read and verified per second, by one core."""
    certificates = {station.signer.keyid: station.signer.certificate for station in house.stations}
    heads = [parse(request) for request in requests[:1000]]

    def work() -> int:
        for head in heads:
            signed = read_request(head, AUTHORITIES, scheme="http")
            assert isinstance(signed, SignedRequest)
            assert verify(signed, certificates[signed.keyid])
        return len(heads)

    return rate(work, 1.5)


def signing(house: Installation, requests: Sequence[bytes]) -> float:
    """Replies signed per second, by one core."""
    fields = [read_signed(request).signature_field for request in requests[:1000]]

    def work() -> int:
        for field in fields:
            sign_reply(
                house.reply, status=202, body=BODY, content_type="application/json", created=1_795_492_800,
                request_signature_field=field,
            )  # fmt: skip
        return len(fields)

    return rate(work, 1.5)


def arrival_of(signed: SignedRequest) -> Arrival:
    """What the front makes of a verified request; with a nonce of its own, so that it may serve again."""
    trace_id = secrets.token_hex(16)
    return Arrival(
        arrival_id=trace_id,
        entropy=secrets.randbits(64),
        keyid=signed.keyid,
        nonce=secrets.token_hex(16),
        created=signed.created,
        expires=signed.expires,
        base=signed.base,
        signature=signed.signature,
        body=signed.body,
        trace_id=trace_id,
    )


def accept_item(signed: SignedRequest, order: Order, number: int) -> Accept:
    """A payment of an account of its own."""
    return Accept(
        arrival=arrival_of(signed),
        key=secrets.token_hex(16),
        request_hash=secrets.token_bytes(32),
        service=order.service,
        biller_account=str(order.first_account + number),
        amount_fen=order.amount_fen,
        terminal_trace=f"{number:06d}",
    )


class ItemSource:
    """Acceptances without end, each its own account; the signed parts of a few requests serve again."""

    def __init__(self, requests: Sequence[bytes], order: Order, first: int = 0) -> None:
        self._signed = [read_signed(request) for request in requests[:500]]
        self._order, self.number = order, first

    def next(self) -> Accept:
        """One more."""
        self.number += 1
        return accept_item(self._signed[self.number % len(self._signed)], self._order, self.number)

    def batch(self) -> list[Accept]:
        """A batch of them."""
        return [self.next() for _ in range(BATCH)]


def sqlite_batches(house: Installation, source: ItemSource, seconds: float = SECONDS) -> float:
    """Payments accepted per second by the engine alone, full batches, each commit durable."""
    engine = open_engine(house.database, house.env)
    spent, done = 0.0, 0
    try:
        while spent < seconds:
            batch = source.batch()
            begun = time.perf_counter()
            replies = engine.execute(batch).replies
            spent += time.perf_counter() - begun
            done += len(must(replies, "Taken"))
    finally:
        engine.close()
    return done / spent


def postgres_batches(house: Installation, config: PostgresConfig, source: ItemSource) -> float:
    """Payments accepted per second by the store alone, over its connections, each commit durable."""

    async def run() -> float:
        store = PostgresStore(config, HOUSE_UNITS, house.env)
        await store.open()
        done, stop = 0, False

        async def keep_asking() -> None:
            nonlocal done
            while not stop:
                must([await store.run(source.next())], "Taken")
                done += 1

        try:
            tasks = [asyncio.create_task(keep_asking()) for _ in range(IN_FLIGHT)]
            await asyncio.sleep(0.5)
            before, begun = done, time.perf_counter()
            await asyncio.sleep(SECONDS)
            found = (done - before) / (time.perf_counter() - begun)
            stop = True
            await asyncio.gather(*tasks)
        finally:
            await store.close()
        return found

    return asyncio.run(run())


def compose(bare: float, verified: float, signed: float, stored: float) -> list[Reference]:
    """The references of an accept result; the last one is the floor."""
    return [
        Reference(name="bare_post", per_s=bare),
        Reference(name="verify", per_s=verified),
        Reference(name="sign_reply", per_s=signed),
        Reference(name="store_batch", per_s=stored),
        Reference(name="floor", per_s=harmonic([bare, verified, signed, stored])),
    ]


def sample_requests(house: Installation, order: Order, count: int = 2000) -> list[bytes]:
    """Some requests for the stones."""
    return make(house, order, count, first=90_000_000)
