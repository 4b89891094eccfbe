"""The partners' zone."""

from datetime import timedelta, timezone

BEIJING = timezone(timedelta(hours=8))
"""Beijing time has had no other offset since 1991."""
