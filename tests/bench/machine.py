"""Facts of the machine, and how fast its disk makes things durable."""

import os
import platform
import tempfile
import time
from pathlib import Path

from tests.bench.results import Machine

PAGE = bytes(4096)


def fsyncs_per_s(folder: Path, seconds: float = 1.0) -> float:
    """Appends of one page, each made durable, for so long."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        done, begun = 0, time.perf_counter()
        while (spent := time.perf_counter() - begun) < seconds:
            file.write(PAGE)
            file.flush()
            os.fdatasync(file.fileno())
            done += 1
    return done / spent


def look_at_machine(folder: Path) -> Machine:
    """The machine as it is now. folder: on the disk that the bench uses."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        python=platform.python_version(),
        disk_fsync_per_s=fsyncs_per_s(folder),
    )
