"""One thread that makes every call into one PKCS#11 module."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from queue import SimpleQueue
from typing import Any, TypeVar

from certs.tokens.faults import TokenFault, Trouble

T = TypeVar("T")
_Jobs = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class Worker:
    """A thread of its own, started with the first job, ended by close().

    The module is initialised without locks, so nobody else may call into it. The thread is a daemon: a driver that
    never returns does not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: _Jobs = SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._late: Future[Any] | None = None

    def run(self, work: Callable[[], T], within_s: float) -> T:
        """Do it there and wait; what it raises is raised here. Blocks: call it off the event loop.

        Raises TokenFault NO_ANSWER after within_s seconds; what has not begun by then never will. While a job is late
        every other one is refused at once.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the token's own thread may not wait for itself")
        future: Future[T] = Future()
        with self._guard:
            if self._late is not None and not self._late.done():
                raise TokenFault(Trouble.NO_ANSWER, "an earlier call has not come back")
            self._late = None
            if self._thread is None:
                self._jobs = SimpleQueue()  # a thread that is ending keeps its own
                self._thread = threading.Thread(target=_loop, args=(self._jobs,), name=self._name, daemon=True)
                self._thread.start()
            self._jobs.put((future, work))
        try:
            return future.result(within_s)
        except FutureTimeoutError:
            if not future.cancel():
                if future.done():  # it came this very moment, or the time-out is the job's own error
                    return future.result(0)
                with self._guard:
                    self._late = future
            raise TokenFault(Trouble.NO_ANSWER, f"nothing came within {within_s:g} s") from None

    def close(self) -> None:
        """End the thread once its queue is done; a later run() starts another."""
        with self._guard:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._jobs.put(None)
            # Under the guard: no second thread may start while this one can still call the module.
            if self._late is None or self._late.done():
                thread.join()


def _loop(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        future, work = job
        # Nothing of a finished job may stay referenced until the next one comes: it may have held a PIN.
        del job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as wrong:  # boundary: handed to whoever waits
                future.set_exception(wrong)
        del future, work
