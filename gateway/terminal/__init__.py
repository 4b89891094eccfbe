"""A shop's side of the gateway: the terminal SDK, and the commands over it. Speaks only the terminal API."""

from gateway.terminal.answers import Fate, KeyedAnswer, Last, Refused, Tombstone, Undecided
from gateway.terminal.config import TerminalConfig, load_config, render_config
from gateway.terminal.faults import ConfigFault, JournalBusy, JournalFault, TerminalFault
from gateway.terminal.terminal import Terminal

__all__ = [
    "ConfigFault",
    "Fate",
    "JournalBusy",
    "JournalFault",
    "KeyedAnswer",
    "Last",
    "Refused",
    "Terminal",
    "TerminalConfig",
    "TerminalFault",
    "Tombstone",
    "Undecided",
    "load_config",
    "render_config",
]
