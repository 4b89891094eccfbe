"""Whether the files a configuration names are there and what they should be."""

from collections.abc import Iterator
from pathlib import Path

from certs.core.certificates import Role, stands_as_issuer
from certs.core.chains import judge_among
from certs.keys import KeyFileError, PemSigner, load_certificate, load_certificates, load_password
from gateway.clock import SystemClock
from gateway.config import Config, ConfigError, KafkaBus, kafka_config
from gateway.ops.enrol import load_issuing


def check_files(config: Config) -> None:
    """Load every key and certificate, judge them under the pinned root. Raises ConfigError naming key and form."""
    keys = config.keys
    for key in ("partner_client_certs", "partner_server_certs"):
        for name in getattr(config.http, key):
            if name not in config.billers:
                raise ConfigError(config.file, f"http.{key}", f"names of [billers], not {name}")
    try:
        root, issuings = load_certificate(keys.root_cert_file), load_certificates(keys.issuing_cert_file)
        if not all(stands_as_issuer(one, root) for one in issuings):
            raise ConfigError(
                config.file, "keys.issuing_cert_file", "issuing CAs under keys.root_cert_file, each of them"
            )
        signers = [("reply", Role.REPLY, keys.reply_cert_file, keys.reply_key_file, keys.reply_key_password_file)]
        if keys.archive_cert_file and keys.archive_key_file and keys.archive_key_password_file:
            archive = (keys.archive_cert_file, keys.archive_key_file, keys.archive_key_password_file)
            signers.append(("archive", Role.ARCHIVE, *archive))
        for name, role, certificate_file, key_file, password_file in signers:
            certificate = PemSigner.load(certificate_file, key_file, password_file).certificate
            refused = judge_among(certificate, issuings, root, SystemClock().now())
            if refused or certificate.role is not role:
                form = f"a valid {role} certificate under {keys.issuing_cert_file.name}: {refused or certificate.role}"
                raise ConfigError(config.file, f"keys.{name}_cert_file", form)
        if keys.issuing_key_file and keys.issuing_key_password_file:
            load_issuing(config)
        for file in _passwords(config):
            load_password(file)
    except KeyFileError as wrong:
        raise ConfigError(config.file, _key_of(config, wrong.file), f"{wrong.expected} in {wrong.file}") from wrong
    for key, file in _others(config):
        if not file.is_file():
            raise ConfigError(config.file, key, f"a file; there is none at {file}")
    if isinstance(config.bus, KafkaBus):
        kafka_config(config)


def _passwords(config: Config) -> Iterator[Path]:
    for key in ("password_file", "client_key_password_file"):
        if (file := getattr(config.bus, key, None)) is not None:
            yield file
    if (file := getattr(config.store, "password_file", None)) is not None:
        yield file
    if config.http.tls_key_password_file:
        yield config.http.tls_key_password_file


def _others(config: Config) -> Iterator[tuple[str, Path]]:
    if config.http.tls_cert_file and config.http.tls_key_file:
        yield "http.tls_cert_file", config.http.tls_cert_file
        yield "http.tls_key_file", config.http.tls_key_file
    for key in ("ca_file", "client_cert_file", "client_key_file"):
        if (file := getattr(config.bus, key, None)) is not None:
            yield f"bus.{key}", file
    for name, settings in config.billers.items():
        for key in settings.__struct_fields__:
            value = getattr(settings, key)
            if key.endswith("_file") and value:
                yield f"billers.{name}.{key}", Path(value)
            elif key.endswith("_files"):
                for path in value.values():
                    yield f"billers.{name}.{key}", Path(path)


def _key_of(config: Config, file: Path) -> str:
    """The configuration key that names this file."""
    for name in ("keys", "http", "store", "bus"):
        section = getattr(config, name)
        for key in section.__struct_fields__:
            if getattr(section, key) == file:
                return f"{name}.{key}"
    return ""
