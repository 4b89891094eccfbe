"""The TV platform's test platform as a server of its own, with a durable book and switchable faults.

`start(Options())` runs it on the event loop of a test; `bianmin sim tv` as a process. Source: interface 1.2, the test
platform of s10 included.
"""

from adapters.tv.simulator.cli import main
from adapters.tv.simulator.platform import Limits, Options
from adapters.tv.simulator.server import Running, start

__all__ = ["Limits", "Options", "Running", "main", "start"]
