"""A station's key, certificate and terminal configuration, as files (JOIN-16)."""

import os
import pwd
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.x509.oid import NameOID

from certs.certificates import Certificate, Role
from certs.keys import KeyFileError, load_certificates, load_password, load_private_key
from certs.pilot import Authority, issue, make_key, write_certificate, write_key, write_password
from gateway.config import Config, ConfigError
from gateway.core.items import AddStation
from gateway.terminal.config import TerminalConfig, render_config

CODE = re.compile(r"[0-9]{6,14}")
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Who applies for a station: its institution code never changes afterwards (CHG-01)."""

    institution_code: str
    name: str
    terminal_id: str
    operator_id: str
    operator_name: str

    def wrong(self) -> str | None:
        """What is out of form, or None."""
        if not CODE.fullmatch(self.institution_code):
            return "an institution code is 6 to 14 digits"
        if not (IDENTIFIER.fullmatch(self.terminal_id) and IDENTIFIER.fullmatch(self.operator_id)):
            return "terminal and operator are 1 to 16 of A-Z a-z 0-9 _ -"
        if not (0 < len(self.name) <= 64 and 0 < len(self.operator_name) <= 64):
            return "names are 1 to 64 characters"
        return None


def load_issuing(config: Config) -> Authority:
    """The pilot CA of an installation: of the periods in issuing_cert_file, the one whose key is here.

    Raises ConfigError where there is no key, KeyFileError for a bad file.
    """
    keys = config.keys
    if keys.issuing_key_file is None or keys.issuing_key_password_file is None:
        raise ConfigError(config.file, "keys.issuing_key_file", "the issuing key, to issue a certificate here")
    file, password_file = keys.issuing_key_file, keys.issuing_key_password_file
    key = load_private_key(file, load_password(password_file), told=f"of {password_file}")
    periods = [one for one in load_certificates(keys.issuing_cert_file) if one.public_key == key.public_key()]
    if not periods:
        raise KeyFileError(file, f"the key of one of {keys.issuing_cert_file}", "it is of none")
    names = periods[0].parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if not names:
        raise KeyFileError(keys.issuing_cert_file, "an issuing CA that names its organization", "it names none")
    return Authority(periods[0], key, str(names[0].value))


def make_station_files(folder: Path, applicant: Applicant, issuing: Authority, now: datetime) -> Certificate:
    """A fresh key and its certificate: station.key.pem, station-key.password, station.cert.pem in `folder`."""
    key = make_key()
    certificate = issue(
        issuing,
        Role.STATION,
        key.public_key(),
        operator=applicant.operator_name,
        institution_code=applicant.institution_code,
        usb_key_serial=f"PILOT-{secrets.token_hex(4).upper()}",
        now=now,
    )
    write_key(folder / "station.key.pem", key, write_password(folder / "station-key.password"))
    write_certificate(folder / "station.cert.pem", certificate)
    return certificate


def add_item(
    applicant: Applicant,
    certificate: Certificate,
    services: list[str],
    *,
    issuer_keyid: str,
    trained_until_ms: int,
    overdraft_limit_fen: int = 0,
    low_balance_fen: int = 0,
    by: str = "",
) -> AddStation:
    """What registers the station with its terminal, operator, training, services and certificate binding."""
    return AddStation(
        institution_code=applicant.institution_code,
        name=applicant.name,
        terminal_id=applicant.terminal_id,
        operator_id=applicant.operator_id,
        operator_name=applicant.operator_name,
        certificate_der=certificate.der,
        keyid=certificate.keyid,
        public_key_sha256=certificate.public_key_sha256,
        not_before=ms(certificate.not_before),
        not_after=ms(certificate.not_after),
        services=services,
        trained_until=trained_until_ms,
        overdraft_limit_fen=overdraft_limit_fen,
        low_balance_fen=low_balance_fen,
        serial=f"{certificate.serial:x}",
        issuer_keyid=issuer_keyid,
        key_serial=certificate.usb_key_serial,
        by=by,
    )


def operating_user() -> str:
    """Who types: the user of the operating system. Told, not proven; it stands in the steps of what is provisioned."""
    uid = os.getuid()
    try:
        return f"cli:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"cli:uid-{uid}"


def ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch."""
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def terminal_text(config: Config, terminal_id: str, *, station: str = "", trust: str = "keys/") -> str:
    """terminal.toml. station, trust: what to put before the names of the station's and of the CA's files."""
    http = config.http
    scheme = "https" if http.tls or http.plain_http else "http"
    authority = http.authorities[0]
    parts = urlsplit(f"//{authority}")
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return render_config(
        TerminalConfig(
            url=f"{scheme}://{authority}" if scheme == "https" or loopback else f"http://{http.listen}",
            authority=authority,
            terminal_id=terminal_id,
            cert_file=f"{station}station.cert.pem",
            key_file=f"{station}station.key.pem",
            key_password_file=f"{station}station-key.password",
            issuing_cert_file=f"{trust}issuing.cert.pem",
            root_cert_file=f"{trust}root.cert.pem",
            journal_file="terminal.journal",
        )
    )
