"""One gateway as a process: `python -m tests.integration.interleavings.child <fd>`. It ends when its parent does."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from typing import Any

from gateway.flow.crash_points import CrashPoint, CrashPoints
from gateway.store.postgres.store import PostgresStore
from tests.integration.interleavings import frames
from tests.stand.house import UNITS_OF_THE_HOUSE


class StopsOnce(CrashPoints):
    """Stops this process, as a paused machine would be, the first time it is between claim and call."""

    def __init__(self, armed: bool) -> None:
        super().__init__(None)
        self._armed = armed

    def reach(self, point: CrashPoint) -> None:
        """Stop, and go on from here when continued."""
        if self._armed and point is CrashPoint.CLAIM_AFTER_COMMIT:
            self._armed = False
            os.kill(os.getpid(), signal.SIGSTOP)


class Child:
    """Answers frames; each in a task of its own, so that items meet in one batch."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._tasks: set[asyncio.Task[None]] = set()
        self._verbs: dict[str, Any] = {}

    async def serve(self) -> None:
        """One gateway after the other, as planned by the parent, until it is gone."""
        while True:
            plan: frames.Plan = await self._next()
            await self._serve(plan)

    async def _serve(self, plan: frames.Plan) -> None:
        store = PostgresStore(plan.config, UNITS_OF_THE_HOUSE, plan.env)
        self._verbs = {"run": store.run, "look": store.look}
        async with contextlib.AsyncExitStack() as stack:
            await store.open()
            stack.push_async_callback(store.close)
            if plan.worker is not None:
                from tests.integration.interleavings.calling import calling

                self._verbs["resolve"] = await stack.enter_async_context(
                    calling(store, plan.env, plan.worker, StopsOnce(plan.worker.stop_after_claim))
                )
            frames.write(self._writer, frames.Told(frames.OPENED, None))
            await self._answer_for_ever()
            await asyncio.gather(*self._tasks)
        frames.write(self._writer, frames.Told(frames.CLOSED, None))

    async def _next(self) -> Any:
        try:
            return await frames.read(self._reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            os._exit(0)

    async def _answer_for_ever(self) -> None:
        while True:
            ask: frames.Ask = await self._next()
            if ask.verb == "close":
                return
            task = asyncio.create_task(self._answer(ask))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, ask: frames.Ask) -> None:
        try:
            reply = await self._verbs[ask.verb](ask.item)
        except Exception as error:  # boundary: raised where it was asked
            reply = error
        frames.write(self._writer, frames.Told(ask.number, reply))


async def main(descriptor: int) -> None:
    """Speak over an inherited socket."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    await Child(reader, writer).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
