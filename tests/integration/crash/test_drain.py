"""SIGTERM drains; what people watch is true; nothing secret is told (issue A s5, s8)."""

import asyncio
import json
import os
import re
import signal
import threading
import urllib.request
from pathlib import Path

import pytest

from tests.stand.gateway import SECRET, Stand, burst


@pytest.mark.timeout(400)
def test_sigterm_lets_running_calls_end_and_saves_them(tmp_path: Path) -> None:
    """Twelve calls take a second each; the gateway is told to stop in their middle and ends with none in flight."""
    with Stand(tmp_path) as stand:
        stand.deposit("5000", "V1")
        stand.control("faults", {"faults": [{"on": "topup/order", "kind": "slow", "delay_s": 1, "times": None}]})
        stand.start()
        stopping = threading.Timer(0.8, os.kill, [stand.pid, signal.SIGTERM])
        stopping.start()
        told = asyncio.run(burst(stand.shop(), 12))
        stopping.join()
        assert stand.died(20)
        assert stand.sql("SELECT count(*) FROM orders WHERE in_flight = 1") == [(0,)]
        assert stand.sql("SELECT count(*) FROM payments WHERE state = 'UNKNOWN'") == [(0,)]
        sent = stand.sql("SELECT count(*) FROM attempts WHERE outcome = 'Accepted'")[0][0]
        assert sent > 0
        stand.control("faults", {"faults": []})
        stand.start()
        stand.settle()
        stand.stop()
        stand.check()
        assert len([state for state in told.values() if state]) >= sent


@pytest.mark.timeout(400)
def test_metrics_and_logs_tell_what_happened_and_nothing_secret(tmp_path: Path) -> None:
    """The canary: no account number, no partner secret, no key in any line; the counters agree with the book."""
    with Stand(tmp_path) as stand:
        stand.deposit("5000", "V1")
        stand.control("faults", {"faults": [{"on": "topup/order", "kind": "garbage", "times": 3}]})
        stand.start()
        asyncio.run(burst(stand.shop(), 10))
        stand.settle()
        with urllib.request.urlopen(f"http://127.0.0.1:{stand.admin}/metrics", timeout=5) as reply:
            page = reply.read().decode()
        stand.stop()
        log = stand.log()
    assert re.search(r'bianmin_accepts_total\{result="taken"\} 10\.0', page)
    assert re.search(r'bianmin_outcomes_total\{biller="telecom",kind="Unknown"\} 3\.0', page)
    assert 'bianmin_breaker_state{biller="telecom"} 0.0' in page
    # A chore's own item may be on its way at the moment.
    assert re.search(r"bianmin_store_queue_depth [0-3]\.0", page)
    events = {json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")}
    assert {"serve.started", "pay.ended", "evidence.judged", "question.answered", "serve.draining"} <= events
    assert SECRET not in log
    assert not re.search(r"1390001[0-9]{4}", log + page)
    assert "PRIVATE KEY" not in log
