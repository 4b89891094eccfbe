"""What rotates: heavy cases of which each run takes a seeded part, and names it in its report (tests/conftest.py)."""

from collections.abc import Callable

ROTATED = "rotated"
"""record_property(ROTATED, what and by which seed)."""
Record = Callable[[str, object], None]
"""pytest's record_property."""
