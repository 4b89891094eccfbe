"""What people who watch the gateway see of the flow: log lines and metrics, made in one place."""

from typing import TYPE_CHECKING

from contracts.breaker import BreakerState
from contracts.clock import Clock
from contracts.serials import is_serial
from gateway.core.items import Answer, Granted, Judge, Judged, Question, Refusal, Swept, Taken
from gateway.flow.answers import answered
from gateway.flow.engine import FlowEngine
from gateway.log import configure, logger, refusals
from gateway.metrics import Metrics
from gateway.store.port import Snapshot, Store, StoreError

if TYPE_CHECKING:
    from gateway.app import Ports

WATCH_S = 15.0
_IN_DOUBT = """
SELECT o.biller, o.rung, p.in_doubt_since FROM orders o JOIN payments p ON p.gateway_serial = o.gateway_serial
WHERE o.state = 'UNKNOWN' AND p.in_doubt_since IS NOT NULL ORDER BY o.order_serial
"""
_ALARMS = "SELECT kind, count(*) FROM alarms WHERE seen_at IS NULL GROUP BY kind ORDER BY kind"
_UNSEALED = "SELECT min(received_at) FROM records WHERE day IS NULL"


class Observer:
    """Implements gateway.flow.notes.Notes. The attempt's commit comes before its line (style s8)."""

    def __init__(self, level: str) -> None:
        configure(level)
        # Bound once: else each line makes a logger of its own.
        self._log, self.metrics = logger().bind(), Metrics()
        self._alarms: dict[str, int] = {}

    # the process

    def serving(self, ports: "Ports") -> None:
        """Listening."""
        # Numbers, not text: a text shows no more than four digits.
        cause = ("public", ports.public, "partner", ports.partner, "admin", ports.admin)
        self._log.info("serve.started", cause=cause)

    def draining(self) -> None:
        """A signal came: no new work."""
        self._log.info("serve.draining")

    def render(self, engine: FlowEngine | None, store: Store) -> bytes:
        """The metrics page: gauges are read now, counters are as they are."""
        self.metrics.store_depth.set(store.depth())
        self.metrics.log_refused.set(refusals.count)
        if engine is not None:
            now = engine.now()
            self.metrics.set_breakers({name: lane.breaker.state(now) for name, lane in engine.lanes.items()})
            self.metrics.set_in_flight({name: lane.in_flight() for name, lane in engine.lanes.items()})
        return self.metrics.render()

    async def watch(self, store: Store, clock: Clock) -> None:
        """Look at the book from time to time: what is in doubt and how old, and how far the sealer is behind."""
        while True:
            try:
                await store.snapshot(lambda snapshot: self._look(snapshot, int(clock.now().timestamp() * 1000)))
            except StoreError as error:
                self.chore_failed("watch", error)
            await clock.sleep(WATCH_S)

    async def _look(self, snapshot: Snapshot, now: int) -> None:
        found = [
            (str(biller), int(rung), (now - int(since)) // 1000)
            async for page in snapshot.rows(_IN_DOUBT)
            for biller, rung, since in page
        ]
        self.metrics.set_in_doubt(found)
        alarms = {str(kind): int(count) async for page in snapshot.rows(_ALARMS) for kind, count in page}
        risen = sorted(kind for kind, count in alarms.items() if count > self._alarms.get(kind, 0))
        self._alarms = alarms
        self.metrics.set_alarms(alarms)
        for kind in risen:
            self._log.warning("alarm.raised", cause=(f"{kind}:", alarms[kind], "not seen by anybody yet"))
        async for page in snapshot.rows(_UNSEALED):
            for (oldest,) in page:
                self.metrics.seal_lag.set(0 if oldest is None else max(0, now - int(oldest)) / 1000)

    # the front

    def accepted(self, reply: Taken | Refusal, trace_id: str, seconds: float) -> None:
        """A payment request was decided; its commit is durable."""
        if isinstance(reply, Refusal):
            result = reply.slug
            self._log.info("pay.refused", trace_id=trace_id, outcome=result)
        else:
            result, payment = "replayed" if reply.replayed else "taken", reply.payment
            self._log.info(
                "pay.accepted",
                trace_id=trace_id,
                institution_code=payment.institution_code,
                terminal_id=payment.terminal_id,
                biller=payment.biller,
                gateway_serial=payment.gateway_serial,
                amount_fen=payment.amount_fen,
                outcome=result,
            )
        self.metrics.accepts.labels(result).inc()
        self.metrics.accept.observe(seconds)

    # the flow (Notes)

    def call_ended(self, granted: Granted, answer: Answer, elapsed_s: float) -> None:
        """A call to a biller is over, whatever it said."""
        order = granted.order
        self.metrics.outcomes.labels(order.biller, answer.kind).inc()
        self.metrics.call.labels(order.biller).observe(elapsed_s)
        self._log.info(
            "pay.ended",
            biller=order.biller,
            gateway_serial=order.gateway_serial,
            trace_id=granted.payment.trace_id,
            attempt=granted.attempt,
            outcome=f"{order.kind} {answer.kind} {answer.resp_code}".rstrip(),
            elapsed_ms=round(elapsed_s * 1000),
            cause=answer.cause or None,
        )

    def question_answered(self, question: Question, answer: Answer) -> None:
        """A question about an order in doubt was asked, and this came."""
        order = question.order
        self.metrics.questions.labels(order.biller, answer.kind).inc()
        self._log.info(
            "question.answered",
            biller=order.biller,
            gateway_serial=order.gateway_serial,
            outcome=f"{order.kind} {answer.kind} {answer.resp_code}".rstrip(),
            cause=answer.cause or (None if answered(answer) else "no answer"),
        )

    def judged(self, biller: str, evidence: Judge, judged: Judged) -> None:
        """Evidence is in the book."""
        payment = judged.payment
        if payment is None:
            self._log.warning("evidence.judged", biller=biller, cause="names no order of ours")
            return
        was, _, to = judged.effect.partition("->")
        if to:
            self.metrics.moves.labels(biller, str(payment.state)).inc()
        self._log.info(
            "evidence.judged",
            biller=biller,
            gateway_serial=payment.gateway_serial,
            state_from=was if to else None,
            state_to=str(payment.state),
            outcome=f"{evidence.source} {evidence.answer.kind}",
            cause=None if to else judged.effect,
        )

    def breaker_moved(self, biller: str, was: BreakerState, now: BreakerState) -> None:
        """A biller's breaker changed."""
        event = "breaker.closed" if now is BreakerState.CLOSED else "breaker.opened"
        self._log.warning(event, biller=biller, state_from=was, state_to=now)

    def swept(self, swept: Swept) -> None:
        """A sweep is over; only one that did something is worth a line."""
        self.metrics.sweeps.inc()
        for what, count in (("expired", swept.expired), ("overdue", swept.overdue)):
            if count:
                self.metrics.swept.labels(what).inc(count)
                self._log.warning("sweep.ended", cause=(count, what))

    def sealed(self, count: int) -> None:
        """Records were chained."""
        self.metrics.sealed.inc(count)

    def claim_failed(self, biller: str, gateway_serial: str, error: Exception) -> None:
        """The book did not take a claim: nobody calls."""
        self._fault("claim.failed", error, biller=biller, gateway_serial=gateway_serial)

    def save_failed(self, biller: str, gateway_serial: str, error: Exception) -> None:
        """The book did not take evidence; it is tried again."""
        self._fault("save.failed", error, biller=biller, gateway_serial=gateway_serial)

    def adapter_failed(self, biller: str, gateway_serial: str, error: Exception) -> None:
        """An adapter raised: its bug, and the payment stays in doubt."""
        self._fault("adapter.failed", error, biller=biller, gateway_serial=gateway_serial)

    def chore_failed(self, chore: str, error: BaseException) -> None:
        """A background task failed."""
        self._fault("chore.failed", error, about=chore)

    def _fault(
        self,
        event: str,
        error: BaseException,
        *,
        biller: str | None = None,
        gateway_serial: str | None = None,
        about: str | None = None,
    ) -> None:
        self.metrics.failures.labels(event).inc()
        # It may be a notice's number (the partner's word) or a query token (it buys): only a serial of ours is told.
        ours = gateway_serial if gateway_serial and is_serial(gateway_serial) else None
        self._log.error(event, biller=biller, gateway_serial=ours, cause=(about, error))
