"""Several processes share the public port and one book (store.http_processes); none dies unnoticed."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.stand.gateway import Stand, burst


@pytest.mark.timeout(120)
def test_three_fronts_share_one_book_and_one_flow(tmp_path: Path) -> None:
    """Held calls of every front wake; every payment is taken once and ends; both books agree."""
    with Stand(tmp_path, fronts=3) as stand:
        stand.deposit("5000", "V1")
        stand.start()
        told = asyncio.run(burst(stand.shop(), 30, wait=20))
        assert set(told.values()) == {"SUCCESS"}
        stand.stop()
        stand.check()


@pytest.mark.timeout(120)
def test_a_dead_front_ends_the_serve_for_a_supervisor_to_restart(tmp_path: Path) -> None:
    with Stand(tmp_path, fronts=2) as stand:
        stand.deposit("5000", "V1")
        stand.start()
        children = Path(f"/proc/{stand.pid}/task/{stand.pid}/children").read_text().split()
        writer = (stand.folder / "pilot" / "var" / "bianmin.db.serve").read_text().strip()
        (front,) = [int(child) for child in children if child != writer]
        os.kill(front, signal.SIGKILL)
        assert stand.died(20)


@pytest.mark.timeout(60)
def test_a_taken_port_is_told_in_one_line_and_leaves_nothing_running(tmp_path: Path) -> None:
    with Stand(tmp_path) as stand, socket.socket() as taken:
        taken.bind(("127.0.0.1", stand.partner))
        taken.listen()
        for _ in range(3):
            with pytest.raises(RuntimeError, match="serve ended with 512"):
                stand.start(full=True)
        log = stand.log()
    assert log.count("address already in use") == 3
    assert "Traceback" not in log
    assert "Unclosed" not in log


@pytest.mark.timeout(120)
def test_every_front_knows_that_a_biller_is_closed(tmp_path: Path) -> None:
    """The biller is gone; once the breaker is open no front takes a payment that could only expire."""
    with Stand(tmp_path, fronts=3) as stand:
        stand.deposit("5000", "V1")
        stand.start()
        stand.stop_simulator()
        asyncio.run(burst(stand.shop(), 8))
        time.sleep(1)
        told = asyncio.run(burst(stand.shop(), 24))
        ((count,),) = stand.sql("SELECT count(*) FROM payments")
    assert set(told.values()) == {""}, "a refusal tells no state"
    assert count == 8
