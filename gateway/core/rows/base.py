"""What every row has."""

from typing import ClassVar

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all rows. Rows hold plain values only, so the collector of cycles need not look at them (gc=False)."""

    TABLE: ClassVar[str] = ""
    KEY: ClassVar[tuple[str, ...]] = ()
    MUTABLE: ClassVar[tuple[str, ...]] = ()
    GUARD: ClassVar[tuple[str, ...]] = ()
