"""What an installation configures for the telecom platform (`billers.telecom`)."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from adapters.telecom.signing import SignType
from adapters.transport.tls import TlsFiles

_AGENT_NO = re.compile(r"[0-9]{10}")
_KEY_NO = re.compile(r"[0-9]{2}")
_BASE_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/-]*)?")
_SECRET = re.compile(r"[!-~]{16,128}")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses, key files and time-outs; every number has a limit. Raises ValueError naming key and expected form.

    base_url: the platform's, http only in test. sign_key_file: the secret of key_no, one line. other_key_files: keyNo
    → file of further keys valid now: during a change of keys the platform signs notices with the lowest (s6).
    tls_*: see adapters.transport.tls.TlsFiles. Times in milliseconds: pay_timeout_ms for bill/pay and bill/reverse (the
    platform takes up to 45 s), reply_timeout_ms for the rest; each begins with the call and, with the send window,
    stays below the flow's call_deadline_s. recon_max_bytes: largest day file taken, held in memory.
    """

    base_url: str
    agent_no: str
    key_no: str = "01"
    sign_type: SignType = SignType.HMAC
    sign_key_file: str
    other_key_files: dict[str, str] = {}
    tls_ca_file: str = ""
    tls_pinned_cert_file: str = ""
    tls_client_cert_file: str = ""
    tls_client_key_file: str = ""
    tls_client_key_password_file: str = ""
    connect_timeout_ms: int = 2_000
    pay_timeout_ms: int = 57_000
    reply_timeout_ms: int = 18_000
    download_timeout_ms: int = 300_000
    connections: int = 50
    recon_max_bytes: int = 268_435_456

    def __post_init__(self) -> None:
        _need(_BASE_URL.fullmatch(self.base_url), "base_url", "http(s)://host[:port][/path], without query")
        _need(_AGENT_NO.fullmatch(self.agent_no), "agent_no", "10 digits")
        _need(_KEY_NO.fullmatch(self.key_no), "key_no", "2 digits")
        _need(self.sign_key_file, "sign_key_file", "a path")
        for key_no, path in self.other_key_files.items():
            _need(_KEY_NO.fullmatch(key_no) and path, "other_key_files", "2 digits = a path")
        _need(self.key_no not in self.other_key_files, "other_key_files", "keys other than key_no")
        wrong = self.tls.wrong()
        _need(wrong is None, *(wrong or ": expected ").split(": expected ", 1))
        _within("connect_timeout_ms", self.connect_timeout_ms, 100, 10_000)
        _within("pay_timeout_ms", self.pay_timeout_ms, 11_000, 58_000)
        _within("reply_timeout_ms", self.reply_timeout_ms, 11_000, 18_000)
        _within("download_timeout_ms", self.download_timeout_ms, 11_000, 1_800_000)
        _within("connections", self.connections, 1, 50)
        _within("recon_max_bytes", self.recon_max_bytes, 1_024, 1_073_741_824)

    @property
    def tls(self) -> TlsFiles:
        """Whom we believe, and who we are."""
        return TlsFiles(
            ca_file=self.tls_ca_file,
            pinned_cert_file=self.tls_pinned_cert_file,
            client_cert_file=self.tls_client_cert_file,
            client_key_file=self.tls_client_key_file,
            client_key_password_file=self.tls_client_key_password_file,
        )


def _need(ok: object, key: str, form: str) -> None:
    if not ok:
        raise ValueError(f"billers.telecom.{key}: expected {form}")


def _within(key: str, value: int, least: int, most: int) -> None:
    _need(least <= value <= most, key, f"{least} to {most}")


def read_secrets(config: Config) -> Mapping[str, str]:
    """Read every key file: keyNo → secret. Raises ValueError naming the configuration key, never a secret.

    A file holds one line of 16-128 visible ASCII characters; a line end after it is dropped.
    """
    files = {config.key_no: ("sign_key_file", config.sign_key_file)}
    files |= {key_no: ("other_key_files", path) for key_no, path in config.other_key_files.items()}
    return {key_no: _read_secret(key, path) for key_no, (key, path) in files.items()}


def _read_secret(key: str, path: str) -> str:
    try:
        secret = Path(path).read_bytes().decode("ascii").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as failure:
        raise ValueError(f"billers.telecom.{key}: cannot read {path}: {type(failure).__name__}") from None
    _need(_SECRET.fullmatch(secret), key, f"one line of 16 to 128 visible ASCII characters in {path}")
    return secret
