"""What an installation configures for the TV platform (`billers.tv`)."""

import re
from typing import ClassVar

from adapters.transport.sections import HttpSection


class Config(HttpSection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses, credentials and time-outs, see HttpSection. Raises ValueError naming key and expected form.

    client_id: as the platform gave it. client_secret_file: one line. reply_timeout_ms: the platform answers within 10 s
    or not at all (s1).
    """

    section: ClassVar[str] = "tv"
    most_connections: ClassVar[int] = 100
    reply_timeouts_ms: ClassVar[tuple[int, int]] = (11_000, 15_000)

    client_id: str
    client_secret_file: str
    reply_timeout_ms: int = 15_000
    connections: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need(re.fullmatch(r"[!-~]{1,64}", self.client_id), "client_id", "1 to 64 visible ASCII characters")
        self.need(self.client_secret_file, "client_secret_file", "a path")
