"""The bench's end of a load generator: starts it, measures CPU around what it counts, proves its samples."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from certs.core.profile import Refused, ReplyHead, verify_reply
from tests.bench.installation import ROOT, Installation
from tests.bench.load import Plan, Report, Sample
from tests.bench.percentiles import percentile
from tests.bench.quiet import Spent, Window, mark
from tests.bench.requests import parse
from tests.bench.results import BenchError, Result, Setting


class BadLoadError(BenchError):
    """Refusals, broken connections, unproven replies, too few requests."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one run gave."""

    report: Report
    spent: Spent

    @property
    def good(self) -> int:
        """Replies 201 and 202 within the window."""
        return len(self.report.latencies_ms)

    @property
    def per_s(self) -> float:
        """The same per second."""
        return self.good / self.report.elapsed_s

    def result(self, name: str, **settings: Setting) -> Result:
        """As a result without references."""
        found = Result(
            name=name,
            settings={
                **settings,
                "measured_s": round(self.report.elapsed_s, 2),
                "proven_replies": len(self.report.samples),
            },
            per_s=self.per_s,
            p50_ms=percentile(self.report.latencies_ms, 50),
            p99_ms=percentile(self.report.latencies_ms, 99),
            cpu_s_per_1000=self.spent.ours_s / self.good * 1000,
        )
        return mark(found, self.spent)


class Running:
    """A generator that was started."""

    def __init__(self, plan: Plan, plan_file: Path) -> None:
        self._plan = plan
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load", str(plan_file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    def wait(self, meanwhile: Callable[[], None] | None = None) -> Loaded:
        """Until its end. meanwhile: called once it has begun to count."""
        with Window() as window:
            self._await("begin")
            window.__enter__()  # the warm-up does not count
            if meanwhile is not None:
                meanwhile()
            self._await("end")
        if self._process.wait():
            raise BadLoadError(f"the load generator ended with {self._process.returncode}")
        report = msgspec.msgpack.decode(Path(self._plan.out).read_bytes(), type=Report)
        return Loaded(report, window.spent)

    def stop(self) -> None:
        """End it at once if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _await(self, word: str) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != word:
            raise BadLoadError("the load generator has died")


@contextmanager
def start(plan: Plan) -> Iterator[Running]:
    """A generator, ended with the block."""
    file = Path(plan.out).with_suffix(".plan")
    file.write_bytes(msgspec.json.encode(plan))
    running = Running(plan, file)
    try:
        yield running
    finally:
        running.stop()


def drive(plan: Plan) -> Loaded:
    """A whole run."""
    with start(plan) as running:
        return running.wait()


def check(loaded: Loaded, house: Installation | None, *, may_run_dry: bool = False) -> Loaded:
    """The same, if every reply was good and every sample is proven; house None: of a server that signs nothing."""
    report = loaded.report
    bad = {status: count for status, count in report.statuses.items() if status not in (201, 202)}
    if bad or report.broken or not loaded.good:
        raise BadLoadError(f"refused {bad}, broken {report.broken}, good {loaded.good}: {report.first_refusal[:600]}")
    if report.ran_dry and not may_run_dry:
        raise BadLoadError("there were too few requests")
    if house is not None:
        if not report.samples:
            raise BadLoadError("no reply was kept for proof")
        for sample in report.samples:
            prove(sample, house)
    return loaded


def prove(sample: Sample, house: Installation) -> None:
    """Check the gateway's signature over a kept reply. BadLoadError where it proves nothing."""
    head, _, body = sample.reply.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("ascii").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    signature = dict(parse(sample.request).headers)["Signature"].removeprefix("bm=")
    proof = verify_reply(
        ReplyHead(int(status_line.split(" ")[1]), headers, body),
        request_signature_field=signature,
        certificate=house.reply.certificate,
        issuings=(house.issuing,),
        root=house.root,
        now=datetime.now(UTC),
    )
    if isinstance(proof, Refused):
        raise BadLoadError(f"a reply proves nothing: {proof.slug}, {proof.detail}: {sample.reply[:1500]!r}")
