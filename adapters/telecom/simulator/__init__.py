"""The telecom platform's test platform as a server of its own, with a durable book and switchable faults.

`start(Options())` runs it on the event loop of a test; `python -m adapters.telecom.simulator` as a process.
Source: telecom interface 3.4, the test platform of s12 included.
"""

from adapters.telecom.simulator.cli import main
from adapters.telecom.simulator.gate import Limits
from adapters.telecom.simulator.premises import Options
from adapters.telecom.simulator.server import Running, start

__all__ = ["Limits", "Options", "Running", "main", "start"]
