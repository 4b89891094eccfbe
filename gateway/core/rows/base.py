"""What every row has."""

from typing import ClassVar

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all rows."""

    TABLE: ClassVar[str] = ""
    KEY: ClassVar[tuple[str, ...]] = ()
    MUTABLE: ClassVar[tuple[str, ...]] = ()
    GUARD: ClassVar[tuple[str, ...]] = ()
