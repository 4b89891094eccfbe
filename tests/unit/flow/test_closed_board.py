"""What one process writes about its breakers, a forked one reads."""

import os

from gateway.clock import SystemClock
from gateway.flow.closed_board import ClosedBoard


def test_a_forked_process_reads_what_was_written_after_the_fork() -> None:
    board = ClosedBoard(["gas", "telecom"], SystemClock())
    ready_in, ready_out = os.pipe()
    told_in, told_out = os.pipe()
    child = os.fork()
    if not child:
        os.read(ready_in, 1)
        os.write(
            told_out, bytes([board.closed_for_s("telecom"), board.closed_for_s("gas"), board.closed_for_s("none")])
        )
        os._exit(0)
    board.close_for("telecom", 9)
    board.close_for("gas", 7)
    board.close_for("gas", 0)
    os.write(ready_out, b".")
    told = list(os.read(told_in, 3))
    os.waitpid(child, 0)
    for descriptor in (ready_in, ready_out, told_in, told_out):
        os.close(descriptor)
    assert told == [9, 0, 0]
