"""What an installation configures for the telecom platform (`billers.telecom`)."""

import re
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from adapters.telecom.signing import SignType
from adapters.transport.sections import HttpSection

_AGENT_NO = re.compile(r"[0-9]{10}")
_KEY_NO = re.compile(r"[0-9]{2}")


class Config(HttpSection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses, key files and time-outs, see HttpSection. Raises ValueError naming key and expected form.

    sign_key_file: the secret of key_no, one line. other_key_files: keyNo → file of further keys valid now: during a
    change of keys the platform signs notices with the lowest (s6). pay_timeout_ms: for bill/pay and bill/reverse (the
    platform takes up to 45 s); reply_timeout_ms: for the rest.
    """

    section: ClassVar[str] = "telecom"
    most_connections: ClassVar[int] = 50
    reply_timeouts_ms: ClassVar[tuple[int, int]] = (11_000, 18_000)

    agent_no: str
    key_no: str = "01"
    sign_type: SignType = SignType.HMAC
    sign_key_file: str
    other_key_files: dict[str, str] = msgspec.field(default_factory=dict)
    pay_timeout_ms: int = 57_000
    reply_timeout_ms: int = 18_000
    connections: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need(_AGENT_NO.fullmatch(self.agent_no), "agent_no", "10 digits")
        self.need(_KEY_NO.fullmatch(self.key_no), "key_no", "2 digits")
        self.need(self.sign_key_file, "sign_key_file", "a path")
        for key_no, path in self.other_key_files.items():
            self.need(_KEY_NO.fullmatch(key_no) and path, "other_key_files", "2 digits = a path")
        self.need(self.key_no not in self.other_key_files, "other_key_files", "keys other than key_no")
        self.within("pay_timeout_ms", 11_000, 58_000)


def read_secrets(config: Config) -> Mapping[str, str]:
    """Read every key file: keyNo → secret. Raises ValueError naming the configuration key, never a secret.

    A file holds one line of 16-128 visible ASCII characters; a line end after it is dropped.
    """
    files = {config.key_no: ("sign_key_file", config.sign_key_file)}
    files |= {key_no: ("other_key_files", path) for key_no, path in config.other_key_files.items()}
    return {key_no: config.read_secret(key, path) for key_no, (key, path) in files.items()}
