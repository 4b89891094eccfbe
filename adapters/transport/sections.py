"""What every partner over HTTP is configured with (`billers.<name>`), and the checks of single keys."""

import re
from pathlib import Path
from typing import ClassVar

import msgspec

from adapters.transport.tls import TlsFiles

_BASE_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/-]*)?")
_SECRET = re.compile(r"[!-~]{1,128}")


class HttpSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Address, TLS files, time-outs and sizes; every number has a limit. Raises ValueError naming key and form.

    section: where it stands in the configuration. base_url: http only in test. tls_*: see TlsFiles. Times in
    milliseconds; each begins with the call and, with the send window, stays below the flow's call_deadline_s.
    connections: at most `most_connections`, what the partner allows. recon_max_bytes: largest day file taken, held in
    memory.
    """

    section: ClassVar[str]
    most_connections: ClassVar[int]
    reply_timeouts_ms: ClassVar[tuple[int, int]]

    base_url: str
    tls_ca_file: str = ""
    tls_pinned_cert_file: str = ""
    tls_client_cert_file: str = ""
    tls_client_key_file: str = ""
    tls_client_key_password_file: str = ""
    connect_timeout_ms: int = 2_000
    reply_timeout_ms: int
    download_timeout_ms: int = 300_000
    connections: int
    recon_max_bytes: int = 268_435_456

    def __post_init__(self) -> None:
        self.need(_BASE_URL.fullmatch(self.base_url), "base_url", "http(s)://host[:port][/path], without query")
        wrong = self.tls.wrong()
        self.need(wrong is None, *(wrong or ": expected ").split(": expected ", 1))
        self.within("connect_timeout_ms", 100, 10_000)
        self.within("reply_timeout_ms", *self.reply_timeouts_ms)
        self.within("download_timeout_ms", 11_000, 1_800_000)
        self.within("connections", 1, self.most_connections)
        self.within("recon_max_bytes", 1_024, 1_073_741_824)

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

    def need(self, ok: object, key: str, form: str) -> None:
        """Raises ValueError naming the key and the form that is expected unless ok."""
        if not ok:
            raise ValueError(f"billers.{self.section}.{key}: expected {form}")

    def within(self, key: str, least: int, most: int) -> None:
        """As need(), for a number and its bounds, both allowed."""
        self.need(least <= getattr(self, key) <= most, key, f"{least} to {most}")

    def read_secret(self, key: str, path: str, least: int = 16) -> str:
        """A file of one line of `least` to 128 visible ASCII characters; a line end after it is dropped.

        Raises ValueError naming the configuration key, never the secret.
        """
        try:
            secret = Path(path).read_bytes().decode("ascii").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as failure:
            raise ValueError(f"billers.{self.section}.{key}: cannot read {path}: {type(failure).__name__}") from None
        form = f"one line of {least} to 128 visible ASCII characters in {path}"
        self.need(_SECRET.fullmatch(secret) and len(secret) >= least, key, form)
        return secret
