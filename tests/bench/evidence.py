"""audit_verify, verify_signature: proving days again by hash and by signature, and what one signature costs."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from certs import pilot
from certs.certificates import Certificate, Role, parse_certificate
from certs.core import seals
from certs.core.chains import judge_among
from certs.core.messages import RequestHead, SignedRequest
from certs.core.profile import read_request, sign_request, verify
from certs.keys import PemSigner
from gateway.core.env import rfc3339
from gateway.ops.audit.days import Span, Trust, verify_days
from gateway.ops.whole import WholeBook
from gateway.store.migrations.upgrade import upgrade
from gateway.store.sqlite.readers import take_snapshot
from tests.bench.options import Options
from tests.bench.percentiles import percentile
from tests.bench.quiet import Window, mark
from tests.bench.results import BenchError, Reference, Result

AUTHORITY = "127.0.0.1:8443"
DAY = "2026-11-24"
AT_MS = 1_795_492_800_000
BODY = b'{"service":"mobile.topup","biller_account":"13900000001","amount_fen":10000,"terminal_trace":"000001"}'
_RECORD = (
    "INSERT INTO records (record_id, kind, received_at, institution_code, gateway_serial, keyid, base, signature,"
    " body, leaf, day, position, chain) VALUES (?, ?, ?, NULL, NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True)
class Ground:
    """A CA and one station."""

    trust: Trust
    station: PemSigner
    archive: PemSigner
    issuing: pilot.Authority


def ground() -> Ground:
    """Made a day before the records."""
    at = datetime.fromtimestamp(AT_MS / 1000, UTC) - timedelta(days=1)
    root = pilot.make_root("Bench", at)
    issuing = pilot.make_issuing(root, at)
    trust = Trust([issuing.certificate], root.certificate)
    return Ground(trust, _signer(issuing, Role.STATION, at), _signer(issuing, Role.ARCHIVE, at), issuing)


def _signer(issuing: pilot.Authority, role: Role, at: datetime) -> PemSigner:
    key, names = pilot.make_key(), {}
    if role is Role.STATION:
        names = {"institution_code": "46000001", "usb_key_serial": "UK1"}
    return PemSigner(pilot.issue(issuing, role, key.public_key(), operator="0001", now=at, **names), key)


def requests(signer: PemSigner, count: int) -> Iterator[SignedRequest]:
    """Payments as the gateway has read them."""
    for number in range(count):
        created = AT_MS // 1000
        headers = sign_request(
            signer, method="POST", authority=AUTHORITY, target="/v1/payments", body=BODY,
            content_type="application/json", idempotency_key=f"key-{number:020d}", created=created,
            expires=created + 300, nonce=f"nonce-{number:020d}", scheme="http",
        )  # fmt: skip
        head = RequestHead("POST", "/v1/payments", [("Host", AUTHORITY), *headers.items()], BODY)
        read = read_request(head, frozenset({AUTHORITY}), scheme="http")
        assert isinstance(read, SignedRequest)
        yield read


def fill(path: Path, made: Ground, kind: str, signed: Sequence[SignedRequest], count: int) -> None:
    """A book with one closed and signed day of so many records; the requests are taken in turn."""
    upgrade(f"sqlite:///{path}")
    end, tree, keyid = seals.GENESIS, seals.Frontier(), made.station.keyid

    def rows() -> Iterator[tuple[object, ...]]:
        nonlocal end
        for number in range(count):
            one, record_id = signed[number % len(signed)], f"20261124{number:016d}"
            record = seals.Record(
                record_id=record_id, kind=kind, received_at=rfc3339(AT_MS), base=one.base,
                signature=one.signature, body=one.body, keyid=keyid,
            )  # fmt: skip
            leaf = seals.leaf(record)
            end = seals.chain(end, leaf)
            tree.add(leaf)
            yield (record_id, kind, AT_MS, keyid, one.base, one.signature, one.body, leaf, DAY, number + 1, end)

    with closing(sqlite3.connect(path)) as book:
        book.execute("PRAGMA synchronous = OFF")
        book.executemany(_RECORD, rows())
        statement = seals.day_statement(date.fromisoformat(DAY), count, tree.root(), end, seals.GENESIS)
        archive = made.archive
        book.execute(
            "INSERT INTO seals (day, count, root, chain_end, statement, keyid, signature, signed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (DAY, count, tree.root(), end, statement, archive.keyid, archive.sign(statement), AT_MS + 1000),
        )
        for signer, role in ((made.station, "station"), (archive, "archive")):
            certificate = signer.certificate
            book.execute(
                "INSERT INTO certificates (keyid, der, role, state, public_key_sha256, not_before, not_after,"
                " registered_at, serial, issuer_keyid, key_serial, state_at) VALUES (?, ?, ?, 'ACTIVE', ?, 1, 2, 1, ?,"
                " '', '', 1)",
                (certificate.keyid, certificate.der, role, certificate.public_key_sha256, f"{certificate.serial:x}"),
            )
        book.commit()


def audit_verify(options: Options) -> list[Result]:
    """Records a second of one process: a day by its hashes, then one whose signatures are verified again."""
    made = ground()
    by_hash, by_signature = (1_000_000, 20_000) if options.full else (100_000, 5_000)
    return [_days(made, "reply", by_hash, signatures=False), _days(made, "request", by_signature, signatures=True)]


def _days(made: Ground, kind: str, count: int, *, signatures: bool) -> Result:
    with tempfile.TemporaryDirectory(prefix="bmb-") as folder:
        path = Path(folder) / "book.db"
        fill(path, made, kind, list(requests(made.station, min(count, 20_000))), count)
        span = Span(first=DAY, last=DAY, signatures=signatures)
        with Window() as window:
            begun, cpu = time.perf_counter(), time.process_time()
            report = asyncio.run(
                take_snapshot(path, lambda snapshot: verify_days(WholeBook(snapshot), span, made.trust))
            )
            spent, cpu = time.perf_counter() - begun, time.process_time() - cpu
        if not report.ok:
            raise BenchError(report.text())
    settings = {"records": count, "signatures": signatures, "bytes_each": len(BODY) + 600}
    result = Result(name="audit_verify", settings=settings, per_s=count / spent, cpu_s_per_1000=cpu / count * 1000)
    return mark(result, window.spent)


CERTIFICATES = 500


def verify_signature(options: Options) -> list[Result]:
    """One request read and verified on one core: with its certificate in memory, and met for the first time (parsed,
    judged under the CA)."""
    made = ground()
    ders = [_signer(made.issuing, Role.STATION, made.trust.root.not_before + timedelta(minutes=6)).certificate.der
            for _ in range(CERTIFICATES)]  # fmt: skip
    (request,) = requests(made.station, 1)
    with Window() as window:
        warm = list(_verified(request, [made.station.certificate] * 20_000))
        cpu, begun = time.process_time(), time.perf_counter()
        cold = list(_met(request, ders, made.trust))
        spent, cpu = time.perf_counter() - begun, time.process_time() - cpu
    fast = Result(
        name="verify_signature", settings={"cache": "warm", "verified": len(warm)}, per_s=1000 / percentile(warm, 50),
        p50_ms=percentile(warm, 50), p99_ms=percentile(warm, 99), cpu_s_per_1000=sum(warm) / len(warm),
    )  # fmt: skip
    slow = Result(
        name="verify_signature", settings={"cache": "cold", "verified": len(cold)}, per_s=len(cold) / spent,
        p50_ms=percentile(cold, 50), p99_ms=percentile(cold, 99), cpu_s_per_1000=cpu / len(cold) * 1000,
    )  # fmt: skip
    beside = Reference(name="warm", per_s=fast.per_s or 0.0)
    return [mark(fast, window.spent), mark(slow.compared(beside), window.spent)]


def _verified(request: SignedRequest, certificates: Sequence[Certificate]) -> Iterator[float]:
    for certificate in certificates:
        begun = time.perf_counter()
        if not verify(request, certificate):
            raise BenchError("a signature of the bench does not hold")
        yield (time.perf_counter() - begun) * 1000


def _met(request: SignedRequest, ders: Sequence[bytes], trust: Trust) -> Iterator[float]:
    now = datetime.fromtimestamp(AT_MS / 1000, UTC)
    for der in ders:
        begun = time.perf_counter()
        certificate = parse_certificate(der)
        if judge_among(certificate, trust.issuings, trust.root, now) is not None or verify(request, certificate):
            raise BenchError("a certificate of the bench does not stand, or signed what it did not")
        # Its keyid is another's, so nothing was verified yet: the same work as for its own request.
        holds_nothing(certificate, request)
        yield (time.perf_counter() - begun) * 1000


def holds_nothing(certificate: Certificate, request: SignedRequest) -> None:
    """One public-key operation that must fail."""
    from certs.core.signatures import holds

    if holds(certificate, certificate.alg, request.base, request.signature):
        raise BenchError("another key's signature holds")
