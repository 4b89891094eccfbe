"""A day of shops, workers and billers, every step chosen from outside: by a seed, or by a property's search.

Several workers share one book over two connections. What is asked of the book is queued and committed in batches of
any mixture; a commit's answer may get lost, and what the shells would send again is sent again. Calls go on at the
biller whatever happens to the worker that made them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from contracts.states import OrderKind, OrderState
from gateway.core import chores, items, leases, rows
from gateway.core.held import SEALER
from gateway.store.port import StoreError
from tests.integration.simulation.truth import Mind, Said, Truth
from tests.stand.house import House, code

ACCOUNTS = tuple(f"100{number:02d}" for number in range(1, 11))
AMOUNTS = (1_000, 2_500)
SERVICES = ("acme.bill", "acme.bill", "acme.topup", "acme.once", "meters.card")
WAITS_MS = (1,) * 9 + (300,) * 10 + (1_000,) * 6 + (3_000,) * 5 + (15_000,) * 3 + (61_000,) * 2 + (400_000, 1_900_000)
ONCE_PARAMS = '{"carrier":"a"}'


@dataclass
class Call:
    """One call on its way: still here, at the biller (answer held), or over."""

    worker: int
    granted: items.Granted
    said: Said | None = None
    arrived: bool = False
    gone: bool = False  # nobody waits for the answer any more


@dataclass
class World:
    """Everything that may happen, as methods taking one number that picks among what is possible."""

    folder: Path
    seed: int = 1
    workers: int = 3
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.house = House(self.folder, seed=self.seed, deposit_fen=90_000, durable=False)
        self.engines = [self.house.engine, self.house.open_engine()]
        self.truth = {"acme": Truth(), "meters": Truth()}
        self.calls: list[Call] = []
        self.queue: list[tuple[Any, Callable[[Any], None]]] = []
        self.sent: list[items.Accept] = []
        self.ready: dict[str, rows.Order] = {}
        self.repeats: dict[str, rows.Order] = {}
        self.payments: dict[str, rows.Payment] = {}
        self.news: list[tuple[str, str]] = []  # (biller, partner serial) of what may be noticed
        self.tokens: list[tuple[items.Accept, str]] = []
        self.sendings: dict[str, int] = {}

    def close(self) -> None:
        for engine in self.engines:
            engine.close()

    # the book

    def ask(self, item: Any, then: Callable[[Any], None] = lambda reply: None) -> None:
        """Queue for the next commit."""
        self.queue.append((item, then))

    def commit(self, pick: int) -> None:
        """One commit of what is queued. One in eight loses its answers: what must not get lost is asked again."""
        queued, self.queue = self.queue, []
        if not queued:
            return
        if pick % 3 == 0:
            queued.reverse()
        engine = self.engines[pick % 2]
        replies = engine.execute([item for item, _ in queued]).replies
        if pick % 8 == 7:
            queued = [entry for entry in queued if not isinstance(entry[0], items.Claim | items.TakeQuestions)]
            replies = engine.execute([item for item, _ in queued]).replies
        for (_, then), reply in zip(queued, replies, strict=True):
            if isinstance(reply, StoreError):
                raise reply
            then(reply)

    def crash(self, pick: int) -> None:
        """A worker dies: its calls are nobody's, what it had queued is gone; the book is opened anew."""
        dead = pick % self.workers
        for call in self.calls:
            call.gone |= call.worker == dead
        self.queue = [entry for entry in self.queue if not isinstance(entry[0], items.Judge)]
        self.ready.clear()
        self.repeats.clear()
        self.house.engine.close()
        self.house.engine = self.engines[0] = self.house.open_engine()

    # shops

    def pay(self, pick: int) -> None:
        """A shop pays; sometimes it sends what it sent before, or confirms a repeat."""
        if pick % 7 == 0 and self.sent:
            old = self.sent[pick % len(self.sent)]
            item = old if pick % 2 else msgspec.structs.replace(old, arrival=self.house.again(old, station_of(old)))
        elif pick % 11 == 0 and self.tokens:
            old, token = self.tokens.pop()
            item = self.accept(station_of(old), old.service, old.biller_account, old.amount_fen, confirm_repeat=token)
        else:
            service = SERVICES[pick % len(SERVICES)]
            account, amount = ACCOUNTS[pick // 5 % 10], AMOUNTS[pick // 50 % 2]
            item = self.accept(1 + pick % 2, service, account, amount)
        self.sent.append(item)
        self.ask(item, lambda reply: self._taken(item, reply))

    def accept(self, station: int, service: str, account: str, amount: int, **more: Any) -> items.Accept:
        """A fresh request."""
        params = ONCE_PARAMS if service == "acme.once" else "{}"
        return self.house.accept(
            station, service=service, biller_account=account, amount_fen=amount, params=params, **more
        )

    def _taken(self, item: items.Accept, reply: Any) -> None:
        if isinstance(reply, items.Refusal):
            if reply.repeat_token:
                self.tokens.append((item, reply.repeat_token))
            return
        payment = reply.payment
        self.payments[payment.gateway_serial] = payment
        self.ready[payment.gateway_serial] = self.house.order_of(payment, OrderKind.PAY)

    def inquire(self, pick: int) -> None:
        """A shop asks what became of a key, also of one nobody sent."""
        if self.sent and pick % 4:
            old = self.sent[pick % len(self.sent)]
            item = items.Inquire(arrival=self.house.arrival(station_of(old)), key=old.key)
        else:
            late = self.accept(1, "acme.bill", ACCOUNTS[pick % 4], 777)
            self.sent.append(late)
            item = items.Inquire(arrival=self.house.arrival(1), key=late.key)
        self.ask(item)

    def cancel(self, pick: int) -> None:
        """A shop takes back or gives up."""
        self._about(pick, items.Cancel, reason="r")

    def write(self, pick: int) -> None:
        """A card was written, or not."""
        self._about(pick, items.ReportWrite, written=bool(pick % 3))

    def _about(self, pick: int, kind: Any, **fields: Any) -> None:
        if self.payments:
            payment = list(self.payments.values())[-1 - pick % len(self.payments)]
            station = 1 if payment.institution_code == code(1) else 2
            self.ask(self.house.keyed(kind, station, gateway_serial=payment.gateway_serial, **fields))

    def deposit(self, pick: int) -> None:
        """Somebody pays in at a counter; the same voucher may be typed twice."""
        item = items.Deposit(
            institution_code=code(1 + pick % 2),
            amount_fen=500 + pick % 3_000,
            voucher_number=f"V-{pick % 50}",
            outlet="370001",
            taken_by="1",
            entropy=self.house.entropy(),
        )
        self.ask(item)

    # clocks

    def wait(self, pick: int) -> None:
        """Time passes: mostly moments, sometimes hours."""
        self.house.now += WAITS_MS[pick % len(WAITS_MS)] + pick % 37

    def sweep(self, pick: int) -> None:
        """The sweep: also what a lost message would have said."""
        self.ask(items.Sweep(entropy=self.house.entropy()), self._swept)

    def _swept(self, reply: items.Swept) -> None:
        self.ready |= {order.order_serial: order for order in reply.ready}

    def resolve(self, pick: int) -> None:
        """The resolver takes what is due; its questions are answered now, much later, or never."""
        self.ask(items.TakeQuestions(entropy=self.house.entropy()), lambda reply: self._questions(pick, reply))

    def _questions(self, pick: int, reply: items.Questions) -> None:
        self.repeats |= {order.order_serial: order for order in reply.repeats}
        self.ready |= {order.order_serial: order for order in reply.opened}
        for number, question in enumerate(reply.questions):
            fate = (pick + number) % 5
            if fate == 0:
                continue
            order = question.order
            said = self.answer_about(order) if fate != 1 else ("Unknown", {"cause": "timeout"})
            judged = self.evidence(order, said, "query")
            self.ask(msgspec.structs.replace(judged, asked_at=question.asked_at))

    def answer_about(self, order: rows.Order) -> Said:
        """The biller's honest word about an order, now."""
        truth = self.truth[order.biller]
        if order.kind == OrderKind.PAY:
            return truth.query(order.partner_serial)
        if order.kind == OrderKind.WRITE_CONFIRM:
            return "Paid", {}
        return truth.query_undo(order.partner_serial)

    def evidence(self, order: rows.Order, said: Said, source: str) -> items.Judge:
        """What was said, as evidence."""
        kind, fields = said
        return self.house.evidence(order, kind, source=source, **fields)

    def chores(self, pick: int) -> None:
        """Seal, where the lease is to be had, and purge."""
        wanted = leases.HoldLeases(owner=f"w{pick % 2}", names=[SEALER])
        self.ask(wanted, self._seal)
        if pick % 5 == 0:
            self.ask(chores.ForgetOld())

    def _seal(self, reply: leases.LeasesHeld) -> None:
        for held in reply.held:
            self.ask(items.Seal(under=held))

    # calls

    def claim(self, pick: int) -> None:
        """A worker is free for one of the orders that wait."""
        repeat = bool(self.repeats) and pick % 4 == 0
        waiting = self.repeats if repeat else self.ready
        if not waiting:
            self.sweep(pick)
            return
        order = waiting.pop(list(waiting)[pick % len(waiting)])
        self.ask(self.house.claim(order, repeat=repeat), lambda reply: self._granted(pick, reply))

    def _granted(self, pick: int, reply: Any) -> None:
        if isinstance(reply, items.Granted):
            self.calls.append(Call(pick % self.workers, reply))

    def travel(self, pick: int) -> None:
        """A request arrives at its biller, late or early; or it is lost on its way, or never left."""
        waiting = [call for call in self.calls if call.said is None]
        if not waiting:
            return
        call = waiting[pick % len(waiting)]
        fate = pick % 10
        if fate == 0 and not call.gone:
            call.said = ("NotSent", {"cause": "no connection", "retry_after_s": 1})
        elif fate == 1:
            call.said = ("Unknown", {"cause": "lost on its way"})
        else:
            self.arrive(call, pick)

    def arrive(self, call: Call, pick: int) -> None:
        """The biller takes a request."""
        order, payment = call.granted.order, call.granted.payment
        truth, call.arrived = self.truth[order.biller], True
        if order.kind == OrderKind.WRITE_CONFIRM:
            call.said = ("Paid", {})
        elif call.granted.original is not None:
            call.said = truth.undo(order.partner_serial, call.granted.original.partner_serial, refuse=pick % 6 == 0)
        else:
            mind = (Mind.PAY, Mind.PAY, Mind.PAY, Mind.DECLINE, Mind.BUSY)[pick // 10 % 5]
            if payment.service == "acme.topup" and mind is Mind.PAY:
                mind = Mind.ACCEPT
            self.sendings[order.partner_serial] = self.sendings.get(order.partner_serial, 0) + (mind is not Mind.BUSY)
            call.said = truth.pay(
                order.partner_serial, order.biller_account, payment.amount_fen, now=self.house.now, mind=mind
            )
            if mind is not Mind.BUSY:
                self.news.append((order.biller, order.partner_serial))

    def hear(self, pick: int) -> None:
        """The answer of a call comes home, or is lost; a worker that died hears nothing."""
        answered = [call for call in self.calls if call.said is not None]
        if not answered:
            return
        call = answered[pick % len(answered)]
        self.calls.remove(call)
        if call.gone or call.said is None:
            return
        kind, fields = call.said if pick % 5 else ("Unknown", {"cause": "cut"})
        self.ask(self.house.reply_of(call.granted, kind, raw=b"reply", **fields), self._again)
        if pick % 9 == 0:
            self.ask(self.house.reply_of(call.granted, kind, raw=b"reply", **fields))  # told twice

    def time_out(self, pick: int) -> None:
        """A worker stops waiting for a call whose request is still on its way: it may arrive much later."""
        waiting = [call for call in self.calls if call.said is None and not call.gone]
        if waiting:
            call = waiting[pick % len(waiting)]
            call.gone = True
            self.ask(self.house.reply_of(call.granted, "Unknown", cause="timeout"))

    def _again(self, reply: items.Judged) -> None:
        if reply.again is not None:
            self.ready[reply.again.order_serial] = reply.again

    def decide(self, pick: int) -> None:
        """A biller decides what it had accepted: all, a part, or no."""
        truth = self.truth["acme"]
        pending = [serial for serial, entry in truth.entries.items() if entry.pending]
        if pending:
            serial = pending[pick % len(pending)]
            amount = truth.entries[serial].amount_fen
            truth.decide(serial, (amount, amount, amount - 300, 0)[pick % 4])
            self.news.append(("acme", serial))

    def notice(self, pick: int) -> None:
        """A biller tells what it booked, once or twice, in any order; it tells nothing that it did not book."""
        if self.news:
            biller, serial = self.news[pick % len(self.news)]
            entry = self.truth[biller].entries[serial]
            kind, fields = self.truth[biller].query(serial)
            if kind in ("Paid", "Declined"):
                item = items.Judge(
                    source="notice",
                    entropy=self.house.entropy(),
                    answer=items.Answer(kind=kind, raw=b"notice", **fields),
                    biller=biller,
                    partner_serial=serial,
                    biller_account=entry.account,
                    amount_fen=entry.amount_fen,
                )
                self.ask(item)

    # the end

    def settle_down(self) -> None:
        """No more faults: every request arrives or is lost, every question is answered, the partner's file comes."""
        self.commit(2)
        late: list[Call] = []
        for call in [call for call in self.calls if call.said is None]:
            fate = self.house.random.randrange(4)
            if fate < 2:
                self.arrive(call, 20)
            elif fate == 2:
                late.append(call)
        self.calls.clear()
        self.truth_of_late()
        for _ in range(40):
            self.house.now += 3_600_000 if self.house.random.random() < 0.5 else 700_000
            self.sweep(0)
            self.commit(2)
            self.ask(items.TakeQuestions(entropy=self.house.entropy()), lambda reply: self._questions(2, reply))
            self.commit(2)
            self.commit(2)
            if not self.undecided():
                break
            for order in self.undecided():
                if order.kind == OrderKind.WRITE_CONFIRM or order.state == OrderState.UNKNOWN:
                    self.ask(self.evidence(order, self.answer_about(order), "query"))
            self.commit(2)
        for call in late:  # days after everybody gave it up
            self.arrive(call, 20)
        self.truth_of_late()
        self.deliver_file()

    def truth_of_late(self) -> None:
        """What was accepted as late as that is decided before the file is written."""
        truth = self.truth["acme"]
        for serial in [serial for serial, entry in truth.entries.items() if entry.pending]:
            truth.decide(serial, truth.entries[serial].amount_fen)

    def undecided(self) -> Sequence[rows.Order]:
        """Orders that have not ended."""
        return self.house.rows_of(rows.Order, "state IN ('READY', 'SENT', 'UNKNOWN')")

    def deliver_file(self) -> None:
        """The partner's file: every payment it holds, and every undoing."""
        for order in self.house.rows_of(rows.Order):
            said = self.answer_about(order)
            if order.kind == OrderKind.PAY and said[0] == "Paid":
                self.ask(self.evidence(order, said, "file"))
            if order.kind in (OrderKind.REVERSE, OrderKind.CANCEL) and said[0] == "Undone":
                self.ask(self.evidence(order, said, "file"))
        self.commit(2)


def station_of(item: items.Accept) -> int:
    """Who sent it."""
    return int(item.arrival.keyid[:2], 16)
