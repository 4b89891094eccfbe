"""What people who watch the gateway see of the flow: log lines and metrics, made in one place."""

from typing import TYPE_CHECKING

from contracts.breaker import BreakerState
from contracts.serials import is_serial
from gateway.bus.port import Bus
from gateway.bus_watch import BusWatch
from gateway.clock import SystemClock
from gateway.core.items import Answer, Granted, Judge, Judged, Question, Refusal, Swept, Taken
from gateway.flow.answers import answered
from gateway.flow.engine import FlowEngine
from gateway.log import configure, logger, refusals
from gateway.metrics import Metrics
from gateway.store.port import Store

if TYPE_CHECKING:
    from gateway.app import Ports


class Observer:
    """Implements gateway.flow.notes.Notes. The attempt's commit comes before its line (style s8)."""

    def __init__(self, level: str) -> None:
        configure(level)
        # Bound once: else each line makes a logger of its own.
        self._log, self.metrics = logger().bind(), Metrics()
        self.bus = BusWatch(self._log, self.metrics, SystemClock().monotonic)

    # the process

    def serving(self, ports: "Ports") -> None:
        """Listening."""
        # Numbers, not text: a text shows no more than four digits.
        cause = ("public", ports.public, "partner", ports.partner, "admin", ports.admin)
        self._log.info("serve.started", cause=cause)

    def draining(self) -> None:
        """A signal came: no new work."""
        self._log.info("serve.draining")

    def work_lost(self, task: str) -> None:
        """Work without end has ended: this process ends too, and a supervisor starts it again."""
        self._log.error("process.failed", task=task, cause="it has ended and must not")

    def render(self, engine: FlowEngine | None, store: Store, bus: Bus | None = None) -> bytes:
        """The metrics page: gauges are read now, counters are as they are."""
        if bus is not None:
            self.bus.show(bus.view())
        self.metrics.store_depth.set(store.depth())
        self.metrics.log_refused.set(refusals.count)
        if engine is not None:
            now = engine.now()
            self.metrics.set_breakers({name: lane.breaker.state(now) for name, lane in engine.lanes.items()})
            self.metrics.set_allowed(share for lane in engine.lanes.values() for share in lane.shares.values())
            self.metrics.set_leases(engine.leases())
            self.metrics.set_in_flight({name: lane.in_flight() for name, lane in engine.lanes.items()})
        return self.metrics.render()

    def alarms_risen(self, kind: str, count: int) -> None:
        """More alarms of a kind than before that nobody has looked at."""
        self._log.warning("alarm.raised", cause=(f"{kind}:", count, "not seen by anybody yet"))

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
