"""Plays one scenario against a whole payment flow and a partner's simulator, and says what went wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from adapters.kit.agreement import disagreements
from adapters.kit.control import Control
from adapters.kit.faults import Fault
from adapters.kit.scenario import (
    SETTLING_S,
    Advance,
    Age,
    Begin,
    Booked,
    Cancel,
    Decide,
    End,
    Expect,
    Pause,
    Pay,
    Reverse,
    Scenario,
    Settle,
    Show,
    Spent,
    Step,
    Trouble,
    Undo,
)
from adapters.kit.stage import Stage
from contracts.ports import Flow, Seen

WAIT_S = 10
"""Most real seconds that anything is waited for."""
_LOOK_S = 0.02
_LADDER_S = (1, 4, 10, 20, 30, 60, 60, 120, 300)
_AFTERWARDS_S = 90


@dataclass(frozen=True, slots=True)
class Report:
    """What a scenario showed: sentences about what went wrong; none: it passed."""

    scenario: str
    service: str
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing went wrong."""
        return not self.failures


async def play(scenario: Scenario, stage: Stage, flow: Flow, control: Control) -> Report:
    """Play it on a flow and a simulator that nobody has used before. Nothing is left running.

    The steps first; then time passes until the end is reached; then some more, which must change nothing; then both
    books are compared, and ours is audited. A step that fails ends the steps, not the comparison.
    Raises ControlError where the simulator cannot show what the service's declared facts make it show.
    """
    played = _Play(scenario, stage, flow, control)
    try:
        for number, step in enumerate(scenario.steps, 1):
            if played.failures and not isinstance(step, Pause):
                continue  # what was staged is waited for all the same: the simulator must be there to be compared
            sound = not played.failures
            await played.do(step)
            if sound and played.failures:
                played.failures[-1] = f"step {number} ({type(step).__name__}): {played.failures[-1]}"
    finally:
        await played.end()
    await played.finish()
    return Report(scenario.name, stage.service, tuple(played.failures))


@dataclass(slots=True)
class _Play:
    scenario: Scenario
    stage: Stage
    flow: Flow
    control: Control
    failures: list[str] = field(default_factory=list)
    serials: list[str] = field(default_factory=list)
    background: asyncio.Task[None] | None = None

    async def do(self, step: Step) -> None:
        """One step."""
        match step:
            case Show(troubles):
                await self.control.set_faults(*(fault for each in troubles for fault in self._faults(each)))
            case Pay(who):
                stage = self.stage
                account, params = stage.accounts[who], dict(stage.params)
                self.serials.append(await self.flow.pay(stage.service, account, stage.amount, params))
            case Settle():
                await self.flow.settle()
            case Begin():
                self.background = asyncio.get_running_loop().create_task(self.flow.settle())
            case End():
                await self.end()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Advance(by, settle):
                await self.flow.advance(self._seconds(by))
                if settle:
                    await self.flow.settle()
            case Reverse():
                await self.flow.reverse(self.serials[-1])
            case _:
                await self._act(step)

    async def _act(self, step: Booked | Cancel | Decide | Expect | Spent | Undo) -> None:
        match step:
            case Spent():
                await self._spend()
            case Booked():
                await self._booked()
            case Cancel(granted):
                if await self.flow.cancel(self.serials[-1]) is not granted:
                    self.failures.append(f"a cancel must {'' if granted else 'not '}be granted")
            case Decide(result):
                seen = await self._seen()
                await self.control.decide(seen.partner_serial, self.stage.results[result])
            case Expect():
                await self._expect(step)
            case Undo(state):
                seen = await self._seen()
                if seen.undo != state:
                    self.failures.append(f"the undo order is {seen.undo}, required is {state}")

    async def end(self) -> None:
        """Wait for what runs beside the steps."""
        task, self.background = self.background, None
        if task is not None:
            await task

    async def finish(self) -> None:
        """Time passes, then everything is compared."""
        if not self.failures:
            await self._settle_down()
        for seen in await self.flow.all_seen():
            if seen.state not in self.scenario.end:
                self.failures.append(f"ends {seen.state}, required is {_names(self.scenario.end)}")
            broken = frozenset(seen.breaks)
            if not self.scenario.breaks <= broken <= self.scenario.breaks | self.scenario.may_break:
                self.failures.append(f"breaks {sorted(broken)}, required are {sorted(self.scenario.breaks)}")
            if seen.in_doubt and not self.scenario.silent:
                self.failures.append(f"{seen.state} is still in doubt")
        book = await self.control.book()
        self.failures += disagreements(book, await self.flow.all_seen(), silent=self.scenario.silent)
        self.failures += await self.flow.violations()

    async def _settle_down(self) -> None:
        await self.flow.settle()
        await self._pass_time(self.scenario.settling_s, self._reached)
        await self.flow.advance(_AFTERWARDS_S)
        await self.flow.settle()

    async def _spend(self) -> None:
        async def shown() -> bool:
            return not any(fault["left"] for fault in await self.control.faults())

        if not await self._pass_time(SETTLING_S, shown):
            self.failures.append("the flow never met what was staged")

    async def _pass_time(self, at_most_s: int, there: Callable[[], Awaitable[bool]]) -> bool:
        """Let the flow's time pass in growing steps until it is so; False where it never was."""
        passed_s, step_s = 0, iter(_LADDER_S)
        while not await there():
            if passed_s >= at_most_s:
                return False
            by = next(step_s, _LADDER_S[-1])
            await self.flow.advance(by)
            await self.flow.settle()
            passed_s += by
        return True

    async def _reached(self) -> bool:
        return all(seen.state in self.scenario.end for seen in await self.flow.all_seen())

    async def _seen(self) -> Seen:
        return await self.flow.seen(self.serials[-1])

    async def _booked(self) -> None:
        partner_serial = (await self._seen()).partner_serial

        async def there() -> bool:
            return bool(await self.control.book(partner_serial))

        if not await _soon(there, WAIT_S):
            self.failures.append("the simulator never got the payment")

    async def _expect(self, step: Expect) -> None:
        allowed = step.states | (step.or_later if self.stage.facts.ask_after_s else frozenset())

        async def there() -> bool:
            return (await self._seen()).state in allowed

        if not await _soon(there, step.patience_s):
            self.failures.append(f"{(await self._seen()).state}, allowed is {_names(allowed)}")

    def _seconds(self, by: int | Age) -> int:
        facts = self.stage.facts
        match by:
            case Age.OVERDUE:
                return facts.call_deadline_s + 1
            case Age.ASK:
                return facts.ask_after_s + 1
            case Age.ABSENT_FINAL:
                # The age counts from the moment the last byte might have left: some seconds after the claim.
                return facts.absent_final_after_s + 30
            case Age.ABSENT_VOID:
                assert facts.absent_void_after_s is not None, "the scenario needs Need.FORGETS"
                # The partner may forget a little later than the adapter stops believing: go well past both.
                return facts.absent_void_after_s + 3600
            case Age.RESULT_DUE:
                return facts.result_due_s + 30
        return by

    def _faults(self, trouble: Trouble) -> list[Fault]:
        stage = self.stage
        if trouble.only is not None and trouble.only not in stage.declared():
            return []
        fault = Fault(
            on=stage.operations[trouble.on],
            kind=trouble.kind,
            times=trouble.times,
            account=None if trouble.who is None else stage.accounts[trouble.who],
            delay_s=trouble.delay_s,
            code=None if trouble.code is None else stage.codes[trouble.code],
        )
        return [fault]


async def _soon(there: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether it is so within real seconds; looked at once where they are 0."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not await there():
        if loop.time() >= until:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


def _names(states: frozenset[str]) -> str:
    return " or ".join(sorted(states))
