"""One TOML file into frozen structs, read once (style s8). Secrets are only ever paths of files."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import time
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from contracts.biller import Adapter
from contracts.manifest import Manifest
from gateway.roles import ALL, Role
from gateway.sections import Bureau, Bus, Http, KafkaBus, Keys, Log, PostgresStore, Section, SqliteStore

if TYPE_CHECKING:
    from certs.core.certificates import Certificate
    from gateway.bus.kafka.config import KafkaConfig
    from gateway.core.env import Env

__all__ = [
    "ROLES",
    "Bureau",
    "Bus",
    "Config",
    "ConfigError",
    "Http",
    "InstalledAdapters",
    "KafkaBus",
    "Keys",
    "Log",
    "PostgresStore",
    "SqliteStore",
    "build_env",
    "check_roles",
    "find_adapters",
    "kafka_config",
    "load_config",
    "with_ports",
]
ROLES = (ALL, *Role)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_WINDOW = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])")


class ConfigError(Exception):
    """The configuration cannot be used: which file, which key, and the form that was expected there."""

    def __init__(self, file: Path, key: str, expected: str) -> None:
        super().__init__(f"{file}: {key}: expected {expected}" if key else f"{file}: expected {expected}")
        self.file, self.key, self.expected = file, key, expected


class _File(Section, frozen=True, kw_only=True):
    """The file as it is written; `billers` is read by each adapter's own type."""

    bureau: Bureau
    http: Http
    keys: Keys
    store: SqliteStore | PostgresStore
    bus: Bus | KafkaBus = Bus()
    log: Log = Log()
    closed: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    billers: dict[str, Any] = msgspec.field(default_factory=dict)


class Config(Section, frozen=True, kw_only=True):
    """A configuration that was read whole. file: absolute. billers: name → struct of the adapter's config_type.

    closed: biller → its daily windows [from, to) of maintenance, where it keeps others than its document's.
    """

    file: Path
    bureau: Bureau
    http: Http
    keys: Keys
    store: SqliteStore | PostgresStore
    bus: Bus | KafkaBus
    log: Log
    closed: Mapping[str, tuple[tuple[time, time], ...]]
    billers: Mapping[str, Any]


class InstalledAdapters(Mapping[str, Adapter]):
    """The entry-point group `bianmin.adapters`; an adapter is imported when it is first looked up."""

    def __init__(self, points: Collection[EntryPoint]) -> None:
        self._points = {point.name: point for point in points}
        self._loaded: dict[str, Adapter] = {}

    def __getitem__(self, name: str) -> Adapter:
        if name not in self._loaded:
            found = self._points[name].load()
            if not isinstance(found, Adapter) or found.manifest.name != name:
                raise TypeError(f"bianmin.adapters:{name} is not an Adapter of that name")
            self._loaded[name] = found
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._points))

    def __len__(self) -> int:
        return len(self._points)


def find_adapters() -> Mapping[str, Adapter]:
    """Every adapter that is installed, by name; only those looked up are imported."""
    return InstalledAdapters(entry_points(group="bianmin.adapters"))


def load_config(path: Path, adapters: Mapping[str, Adapter]) -> Config:
    """Read the file; relative paths in it count from its folder. Raises ConfigError naming the first error."""
    file = path.absolute()
    found = _convert(file, _read(file), _File, "")
    billers = {name: _read_biller(file, name, raw, adapters) for name, raw in found.billers.items()}
    if unknown := set(found.closed) - set(billers):
        raise ConfigError(file, f"closed.{min(unknown)}", f"one of [billers]: {', '.join(billers) or 'there is none'}")
    closed = {
        name: tuple(_window(file, f"closed.{name}", window) for window in windows)
        for name, windows in found.closed.items()
    }
    for name in found.http.partner_server_certs:
        # Without TLS nobody shows a certificate, and whoever answers is believed.
        if not getattr(billers.get(name), "base_url", "https://").startswith("https://"):
            form = f"an https:// address: http.partner_server_certs holds {name}'s server to its certificate"
            raise ConfigError(file, f"billers.{name}.base_url", form)
    values = {key: getattr(found, key) for key in _File.__struct_fields__}
    return Config(**(values | {"file": file, "billers": billers, "closed": closed}))


def check_roles(config: Config, roles: Collection[str]) -> None:
    """Raises ConfigError for an unknown role, or for several that this store and this bus cannot share."""
    if not roles or not set(roles) <= set(ROLES) or len(set(roles)) < len(roles):
        raise ConfigError(config.file, "--role", f"one of {', '.join(ROLES)}, or several of them, each once")
    if set(roles) == {ALL}:
        return
    if ALL in roles:
        raise ConfigError(config.file, "--role", f"`{ALL}` alone, or a list without it")
    if not isinstance(config.store, PostgresStore):
        raise ConfigError(config.file, "store.engine", "postgresql for any role but `all`: SQLite has one writer")
    if not isinstance(config.bus, KafkaBus):
        text = "kafka for any role but `all`: the embedded bus hands messages to its own process alone"
        raise ConfigError(config.file, "bus.driver", text)


def with_ports(
    config: Config, *, port: int | None = None, partner_port: int | None = None, admin_port: int | None = None
) -> Config:
    """The configuration of one process among several on a machine: other ports than the file's, where given."""
    http = config.http
    changes: dict[str, Any] = {} if port is None else {"listen": f"{http.host}:{port}"}
    changes |= {} if partner_port is None else {"partner_port": partner_port}
    changes |= {} if admin_port is None else {"admin_port": admin_port}
    return msgspec.structs.replace(config, http=msgspec.structs.replace(http, **changes)) if changes else config


def build_env(config: Config, adapters: Mapping[str, Adapter]) -> "Env":
    """What the core needs of the configuration. Raises ConfigError where two billers sell one service."""
    from zoneinfo import ZoneInfo

    from certs.authority.profiles import profiles
    from gateway.core.env import Env
    from gateway.ops.roles import load_rights

    manifests = {name: _with_windows(config, adapters[name].manifest) for name in config.billers}
    root, issuings = _own_ca(config)
    try:
        return Env(
            root=root,
            issuings=issuings,
            profiles=profiles(),
            pilot=config.keys.issuing_key_file is not None,
            zone=ZoneInfo(config.bureau.zone),
            manifests=manifests,
            topic_prefix=config.bus.topic_prefix,
            rights=load_rights(),
            rule_after_s=config.bureau.rule_after_s,
        )
    except ValueError as clash:
        raise ConfigError(config.file, "billers", f"each service at one biller: {clash}") from clash


def _with_windows(config: Config, manifest: Manifest) -> Manifest:
    """The manifest, closed when the installation says so."""
    if manifest.name not in config.closed:
        return manifest
    windows = config.closed[manifest.name]
    flows = {service: replace(facts, closed_local=windows) for service, facts in manifest.flows.items()}
    return replace(manifest, flows=flows)


def _window(file: Path, key: str, text: str) -> tuple[time, time]:
    found = _WINDOW.fullmatch(text)
    if found is None or (begin := time.fromisoformat(found[1])) >= (end := time.fromisoformat(found[2])):
        raise ConfigError(file, key, "windows within one day, as 02:00-02:30")
    return begin, end


def _own_ca(config: Config) -> "tuple[Certificate | None, tuple[Certificate, ...]]":
    """Root and issuing CAs; none where their files cannot be used. Then no deed counts, and what needs none goes on.

    `serve` and `config check` tell what is wrong with the files.
    """
    from certs.keys import KeyFileError, load_certificate, load_certificates

    try:
        return load_certificate(config.keys.root_cert_file), tuple(load_certificates(config.keys.issuing_cert_file))
    except KeyFileError:
        return None, ()


def kafka_config(config: Config) -> "KafkaConfig":
    """What the Kafka driver takes. Raises ConfigError naming the key whose file cannot be used."""
    section = config.bus
    if not isinstance(section, KafkaBus):
        raise ConfigError(config.file, "bus.driver", "kafka")
    for key in ("password_file", "client_key_password_file"):
        file = getattr(section, key)
        if file is not None and not file.is_file():
            raise ConfigError(config.file, f"bus.{key}", f"a file; there is none at {file}")
    try:
        found = section.connection()
    except (OSError, ValueError, IndexError) as wrong:
        raise ConfigError(config.file, "bus.password_file", "a text file of one line") from wrong
    if found.tls is not None:
        try:
            found.tls.context()
        except (OSError, ValueError) as wrong:
            key = "client_key_file" if section.client_cert_file else "ca_file"
            raise ConfigError(config.file, f"bus.{key}", f"PEM that TLS can use: {wrong}") from wrong
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8"))
    except OSError as wrong:
        raise ConfigError(file, "", f"a readable TOML file: {wrong.strerror or wrong}") from wrong
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise ConfigError(file, "", f"TOML in UTF-8: {wrong}") from wrong


def _read_biller(file: Path, name: str, raw: Any, adapters: Mapping[str, Adapter]) -> Any:
    key = f"billers.{name}"
    if not _NAME.fullmatch(name) or name not in adapters:
        raise ConfigError(file, key, f"an installed adapter: {', '.join(adapters) or 'there is none'}")
    if not isinstance(raw, dict):
        raise ConfigError(file, key, "a table")
    return _convert(file, _resolve(file.parent, raw), adapters[name].config_type, key)


def _resolve(folder: Path, raw: dict[str, Any]) -> dict[str, Any]:
    """An adapter's own paths, by the suffix of their keys; an empty text stays one."""
    found = dict(raw)
    for key, value in raw.items():
        if key.endswith("_file") and isinstance(value, str) and value:
            found[key] = str(folder / value)
        elif key.endswith("_files") and isinstance(value, dict):
            found[key] = {
                name: str(folder / path) if isinstance(path, str) and path else path for name, path in value.items()
            }
    return found


def _convert(file: Path, raw: Any, kind: type[Any], prefix: str) -> Any:
    def path_of(wanted: type, value: Any) -> Any:
        if wanted is not Path or not isinstance(value, str) or not value:
            raise ValueError("expected a path")
        return file.parent / value

    try:
        return msgspec.convert(raw, kind, dec_hook=path_of)
    except msgspec.ValidationError as wrong:
        key, expected = _place(str(wrong), prefix)
        if expected == _LISTED:
            expected = _values_of(kind, key.rpartition(".")[2])
        raise ConfigError(file, key, expected or _known(kind, raw, key.removeprefix(prefix).strip("."))) from wrong


_SECTIONS: Mapping[str, type[Any]] = {
    "bureau": Bureau,
    "http": Http,
    "keys": Keys,
    "store": SqliteStore,
    "bus": Bus,
    "log": Log,
}
_CHOICES = {
    "store.engine": "sqlite or postgresql",
    "bus.driver": "embedded or kafka",
    "bus.tls": "off or verify",
    "bus.mechanism": "SCRAM-SHA-512 or PLAIN",
    "log.level": "debug, info, warning, error",
    "store.tls": "off, prefer, require or verify",
}
_LISTED = "one of its listed values"
_MISSING = re.compile(r"Object missing required field `(.+?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+?)`")
_OWN = re.compile(r"(?:(?P<key>[\w.]+): )?expected (?P<form>.+)", re.DOTALL)


def _place(text: str, prefix: str) -> tuple[str, str]:
    """Key and expected form out of a validation error; values are never repeated, they might be secrets.

    No form: a key that is not known.
    """
    detail, _, at = text.partition(" - at `")
    place = ".".join(part for part in (prefix, at.rstrip("`").removeprefix("$").removeprefix(".")) if part)
    if found := _MISSING.fullmatch(detail):
        return _join(place, found[1]), "a value: this key is required"
    if found := _UNKNOWN.fullmatch(detail):
        return _join(place, found[1]), ""
    if found := _OWN.fullmatch(detail):
        own = found["key"] or ""
        return (own if prefix and own.startswith(prefix) else _join(place, own)), found["form"]
    if place in _CHOICES or detail.startswith("Invalid enum value"):
        return place, _CHOICES.get(place, _LISTED)
    return place, detail[:1].lower() + detail[1:] if detail.startswith("Expected") is False else detail[9:]


def _values_of(kind: type[Any], field: str) -> str:
    listed = get_type_hints(kind).get(field)
    if isinstance(listed, type) and issubclass(listed, StrEnum):
        return f"one of {', '.join(listed)}"
    return _LISTED


def _known(kind: type[Any], raw: Any, key: str) -> str:
    section = _SECTIONS.get(key.split(".", maxsplit=1)[0], kind) if kind is _File and "." in key else kind
    if section is SqliteStore and raw["store"]["engine"] == "postgresql":
        section = PostgresStore
    if section is Bus and raw["bus"]["driver"] == "kafka":
        section = KafkaBus
    return f"one of the keys {', '.join(section.__struct_fields__)}"


def _join(place: str, key: str) -> str:
    return ".".join(part for part in (place, key) if part)
