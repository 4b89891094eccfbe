"""Migrations: forward only, the same sequence for both engines, run by command and never by a start."""

from gateway.store.migrations.check import check
from gateway.store.migrations.upgrade import upgrade

__all__ = ["check", "upgrade"]
