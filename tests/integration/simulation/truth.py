"""A simulated biller with a book of its own: what it booked, under which serial, when; it is the truth of a simulation.

It does not drop repeats: a second sending of one serial is booked a second time, so that paying twice shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Mind(StrEnum):
    """What the biller makes of a payment that arrives."""

    PAY = "pay"
    DECLINE = "decline"
    BUSY = "busy"
    ACCEPT = "accept"


@dataclass
class Entry:
    """One serial in the biller's book. bookings: amounts booked; undone: whether they were taken back."""

    account: str
    amount_fen: int
    arrived_at: int
    bookings: list[int] = field(default_factory=list)
    declined: bool = False
    pending: bool = False
    undone: bool = False

    @property
    def owed_fen(self) -> int:
        """What the biller may claim from us for this serial."""
        return 0 if self.undone else sum(self.bookings)


@dataclass
class Undo:
    """A reversal or cancel in the biller's book."""

    done: bool
    refused: bool


Said = tuple[str, dict[str, Any]]
"""An answer: kind, and fields of `Answer`."""


class Truth:
    """The biller's book by partner serial. Answers are honest; losing them is the transport's business."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.undos: dict[str, Undo] = {}

    def pay(self, serial: str, account: str, amount_fen: int, *, now: int, mind: Mind) -> Said:
        """A payment arrives."""
        if mind is Mind.BUSY:
            return "NotSent", {"cause": "busy", "retry_after_s": 1, "resp_code": "B"}
        entry = self.entries.setdefault(serial, Entry(account, amount_fen, now))
        if mind is Mind.DECLINE and not entry.bookings:
            entry.declined = True
            return "Declined", {"reason": "biller-refused", "resp_code": "D"}
        if mind is Mind.ACCEPT:
            entry.pending = True
            return "Accepted", {"biller_serial": f"T{serial}", "ask_after_s": 60}
        entry.bookings.append(amount_fen)
        return self._paid(serial, entry)

    def decide(self, serial: str, paid_fen: int) -> Said:
        """What was accepted is decided; 0 is no."""
        entry = self.entries[serial]
        entry.pending = False
        if paid_fen:
            entry.bookings.append(paid_fen)
            return self._paid(serial, entry)
        entry.declined = True
        return "Declined", {"reason": "failed-later", "resp_code": "L"}

    def undo(self, serial: str, original: str, *, refuse: bool) -> Said:
        """A reversal or cancel arrives; a repeat of a done one is done."""
        known = self.undos.get(serial)
        if known is not None:
            return ("Undone", {}) if known.done else ("NotUndone", {"reason": "no", "resp_code": "N"})
        entry = self.entries.get(original)
        if entry is None or (not entry.bookings and not entry.pending):
            return "NeverPaid", {"resp_code": "25"}
        if refuse or entry.pending or entry.undone:
            self.undos[serial] = Undo(done=False, refused=True)
            booked = bool(entry.bookings) and not entry.undone
            return ("StillPaid" if booked else "NotUndone"), {"reason": "no", "resp_code": "94"}
        self.undos[serial] = Undo(done=True, refused=False)
        entry.undone = True
        return "Undone", {}

    def query(self, serial: str) -> Said:
        """What became of a payment."""
        entry = self.entries.get(serial)
        if entry is None:
            return "Absent", {}
        if entry.undone:
            return "Undone", {}
        if entry.bookings:
            return self._paid(serial, entry)
        return ("Pending", {}) if entry.pending else ("Declined", {"reason": "biller-refused"})

    def query_undo(self, serial: str) -> Said:
        """What became of a reversal or cancel."""
        known = self.undos.get(serial)
        if known is None:
            return "Absent", {}
        return ("Undone", {}) if known.done else ("NotUndone", {"reason": "no"})

    def owed(self) -> Mapping[str, int]:
        """What is owed by partner serial, where anything is."""
        return {serial: entry.owed_fen for serial, entry in self.entries.items() if entry.owed_fen}

    def _paid(self, serial: str, entry: Entry) -> Said:
        return "Paid", {"biller_serial": f"T{serial}", "paid_fen": entry.bookings[0]}
