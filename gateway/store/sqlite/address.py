"""Where the writer of a database listens."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

SOCKET_NAME_MAX = 80


def socket_path(path: Path) -> Path:
    """Where the writer of a database listens: beside it, readable by its owner only."""
    return path.with_name(path.name + ".sock")


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """The address of a socket file while the block runs, short however deep its folder lies (an address holds 107
    bytes)."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
