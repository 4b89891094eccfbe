"""One thread for one module: in order, within its time, and gone when it is closed."""

import threading
import time

import pytest

from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.worker import Worker


def test_all_work_is_done_by_one_other_thread() -> None:
    worker = Worker("w")
    names = {worker.run(threading.get_ident, 1) for _ in range(5)}
    assert len(names) == 1
    assert threading.get_ident() not in names
    worker.close()


def test_what_it_raises_is_raised_here() -> None:
    worker = Worker("w")

    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        worker.run(fail, 1)
    assert worker.run(lambda: 1, 1) == 1
    worker.close()


def test_late_work_is_given_up_and_what_waits_never_begins() -> None:
    worker, done, go = Worker("w"), [], threading.Event()
    first = threading.Thread(target=lambda: worker.run(go.wait, 5))
    first.start()
    time.sleep(0.05)
    with pytest.raises(TokenFault) as caught:
        worker.run(lambda: done.append(1), 0.05)
    assert caught.value.trouble is Trouble.NO_ANSWER
    go.set()
    first.join()
    assert worker.run(lambda: 2, 1) == 2
    assert done == []
    worker.close()


def test_while_one_is_late_nobody_waits() -> None:
    worker, go = Worker("w"), threading.Event()
    with pytest.raises(TokenFault):
        worker.run(go.wait, 0.05)
    with pytest.raises(TokenFault, match="has not come back"):
        worker.run(lambda: 1, 5)
    go.set()
    while True:
        try:
            assert worker.run(lambda: 3, 1) == 3
            break
        except TokenFault:
            time.sleep(0.01)
    worker.close()


def test_closed_and_used_again() -> None:
    worker = Worker("w")
    before = threading.active_count()
    assert worker.run(lambda: 1, 1) == 1
    assert threading.active_count() == before + 1
    worker.close()
    worker.close()
    assert threading.active_count() == before
    assert worker.run(lambda: 2, 1) == 2
    worker.close()


def test_its_own_thread_may_not_wait_for_itself() -> None:
    worker = Worker("w")
    with pytest.raises(RuntimeError):
        worker.run(lambda: worker.run(lambda: 1, 1), 1)
    worker.close()
