"""TLS towards one partner: who it must be, and who we are. Files only; nothing secret stands in a configuration."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths, "" where there is none.

    ca_file: PEM of the CAs that its server may stand under, "" for the system's. pinned_cert_file: PEM of its server's
    own certificates instead, one or two of them (the one in use and its successor): then nothing else is its server,
    whatever CA signed it and whatever name it bears. client_*: our certificate, key (encrypted) and the key's
    password, one line, where it asks for them.
    """

    ca_file: str = ""
    pinned_cert_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    client_key_password_file: str = ""

    def wrong(self) -> str | None:
        """The first key that does not go with the others, and what is expected; None if all is right."""
        if self.ca_file and self.pinned_cert_file:
            return "tls_pinned_cert_file: expected instead of tls_ca_file, not beside it"
        client = {bool(self.client_cert_file), bool(self.client_key_file), bool(self.client_key_password_file)}
        if len(client) > 1:
            return "tls_client_key_file: expected certificate, key and password file together, or none of them"
        return None


_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def client_context(files: TlsFiles, pinned: "Sequence[bytes] | None" = None) -> "ssl.SSLContext | None":
    """What connects to that partner; None where the system's defaults are meant.

    pinned: DER of its server's certificates, instead of ca_file and pinned_cert_file; none at all: no server is
    believed. What it shows must be one of them byte by byte: nothing that they have signed. TLS 1.2 at least. Raises
    ValueError naming the file that cannot be used, never a secret.
    """
    if files == TlsFiles() and pinned is None:
        return None
    import ssl  # here: an installed adapter is imported light

    pins = pinned if pinned is not None or not files.pinned_cert_file else _read_pins(files.pinned_cert_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if pins is not None:
        # A certificate that is no authority's counts as the end of a chain, and the chain is that certificate.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
        _hold_to(context, frozenset(pins))
    elif not files.ca_file:
        context.load_default_certs()
    try:
        for der in pins or ():
            context.load_verify_locations(cadata=der)
        if pins is None and files.ca_file:
            context.load_verify_locations(cafile=files.ca_file)
    except (OSError, ssl.SSLError) as wrong:
        file = "the pinned certificates" if pinned is not None else files.pinned_cert_file or files.ca_file
        raise ValueError(f"{file}: expected PEM certificates: {_why(wrong)}") from None
    if files.client_cert_file:
        password = _password(files.client_key_password_file)
        try:
            context.load_cert_chain(files.client_cert_file, files.client_key_file, password)
        except (OSError, ssl.SSLError) as wrong:
            raise ValueError(f"{files.client_key_file}: expected the key of our certificate: {_why(wrong)}") from None
    return context


def _read_pins(file: str) -> "list[bytes]":
    import ssl

    try:
        found = [ssl.PEM_cert_to_DER_cert(one) for one in _PEM.findall(Path(file).read_text("ascii"))]
    except (OSError, ValueError) as wrong:
        why = _why(wrong) if isinstance(wrong, OSError) else "it is none"
        raise ValueError(f"{file}: expected PEM certificates: {why}") from None
    if not found:
        raise ValueError(f"{file}: expected PEM certificates: there is none")
    return found


def _hold_to(context: "ssl.SSLContext", pins: "frozenset[bytes]") -> None:
    """Its handshakes fail where the peer shows another certificate than these: a pinned one may sign others."""
    import ssl

    class Held(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if self.getpeercert(binary_form=True) not in pins:
                raise ssl.SSLCertVerificationError("the peer's certificate is not pinned")

    # Only connections over memory, as asyncio makes them.
    context.sslobject_class = Held


def _password(file: str) -> bytes:
    try:
        lines = Path(file).read_bytes().splitlines()
    except OSError as wrong:
        raise ValueError(f"{file}: expected one line with the password: {_why(wrong)}") from None
    if len(lines) != 1 or not lines[0]:
        raise ValueError(f"{file}: expected one line with the password")
    return lines[0]


def _why(wrong: OSError) -> str:
    return getattr(wrong, "reason", None) or wrong.strerror or type(wrong).__name__
