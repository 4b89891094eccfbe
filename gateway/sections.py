"""The sections of the configuration file, with their limits (worked example s5.1, s5.2)."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from gateway.bus.kafka.config import KafkaConfig
    from gateway.store.postgres.config import PostgresConfig

_AUTHORITY = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-f:]+\](:[0-9]{1,5})?")
_LISTEN = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>[0-9]{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}")
_POLICIES = ("default", "mianyang")
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]")


def _need(ok: object, key: str, form: str) -> None:
    if not ok:
        raise ValueError(f"{key}: expected {form}")


def _within(key: str, value: int, least: int, most: int) -> None:
    _need(least <= value <= most, key, f"{least} to {most}")


def _first_line(file: Path) -> str:
    return file.read_text(encoding="utf-8").splitlines()[0]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections: unknown keys are refused."""


class Bureau(Section, frozen=True, kw_only=True):
    """name: as printed. zone: IANA name. policy: a preset of rules; dated values live in SQL. rule_after_s: how long a
    payment must be in doubt before two people may rule what became of it."""

    name: str
    zone: str = "Asia/Shanghai"
    policy: str = "default"
    rule_after_s: int = 86_400

    def __post_init__(self) -> None:
        _need(0 < len(self.name) <= 64, "name", "1 to 64 characters")
        _need(self.policy in _POLICIES, "policy", " or ".join(_POLICIES))
        _within("rule_after_s", self.rule_after_s, 5, 30 * 86_400)  # not before the biller was asked once
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(self.zone)
        except (ValueError, OSError, LookupError):
            _need(False, "zone", "an IANA time zone, such as Asia/Shanghai")


class Http(Section, frozen=True, kw_only=True):
    """The three listeners. listen: the terminals' (public); partner_port: notices, on the same host; admin_port on
    admin_host. authorities: what a signed `@authority` may be. Without TLS files only loopback is listened on, unless
    plain_http says that a proxy in front ends TLS. partner_client_certs: billers whose notices come only over TLS with
    a client certificate that is pinned for them (`certs partner add --use tls`); partner_server_certs: billers whose
    server is believed by such a certificate alone, instead of by the files in its section. in_flight_max: requests at
    once; station_per_s, station_burst: the token bucket of each station."""

    listen: str = "127.0.0.1:8443"
    authorities: tuple[str, ...]
    admin_host: str = "127.0.0.1"
    admin_port: int = 9090
    partner_port: int = 9443
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    tls_key_password_file: Path | None = None
    partner_client_certs: tuple[str, ...] = ()
    partner_server_certs: tuple[str, ...] = ()
    plain_http: bool = False
    in_flight_max: int = 512
    body_max_bytes: int = 16_384
    request_timeout_ms: int = 10_000
    keepalive_ms: int = 30_000
    station_per_s: int = 50
    station_burst: int = 200

    def __post_init__(self) -> None:
        found = _LISTEN.fullmatch(self.listen)
        _need(found is not None and int(found["port"]) < 65_536, "listen", "host:port")
        _need(self.authorities, "authorities", "at least one host[:port] that terminals sign")
        for authority in self.authorities:
            _need(_AUTHORITY.fullmatch(authority), "authorities", "host[:port] in lower case")
        _within("admin_port", self.admin_port, 0, 65_535)
        _within("partner_port", self.partner_port, 0, 65_535)
        ports = [port for port in (self.port, self.partner_port, self.admin_port) if port]
        _need(len(set(ports)) == len(ports), "admin_port", "another port than listen's and partner_port's")
        both = (self.tls_cert_file is None) == (self.tls_key_file is None)
        _need(both, "tls_key_file", "tls_cert_file and tls_key_file together, or neither")
        _need(
            self.tls or self.plain_http or _LOOPBACK.fullmatch(self.host),
            "listen",
            "a loopback host while there are no TLS files (or plain_http = true behind a proxy that ends TLS)",
        )
        _need(
            self.tls or not self.partner_client_certs,
            "partner_client_certs",
            "no biller while there are no TLS files: a proxy in front would keep the client's certificate to itself",
        )
        default = ":443" if self.tls or self.plain_http else ":80"
        for authority in self.authorities:
            _need(
                not authority.endswith(default), "authorities", f"no {default}: the scheme's default port is left out"
            )
        _within("in_flight_max", self.in_flight_max, 1, 10_000)
        _within("body_max_bytes", self.body_max_bytes, 1_024, 1_048_576)
        _within("request_timeout_ms", self.request_timeout_ms, 100, 60_000)
        _within("keepalive_ms", self.keepalive_ms, 1_000, 300_000)
        _within("station_per_s", self.station_per_s, 1, 100_000)
        _within("station_burst", self.station_burst, 1, 100_000)

    @property
    def host(self) -> str:
        """Host of `listen`; an IPv6 address in its brackets."""
        return self.listen.rpartition(":")[0]

    @property
    def bind_host(self) -> str:
        """Host of `listen` as a socket takes it."""
        return self.host.strip("[]")

    @property
    def bind_admin_host(self) -> str:
        """`admin_host` as a socket takes it."""
        return self.admin_host.strip("[]")

    @property
    def port(self) -> int:
        """Port of `listen`; 0: any free one."""
        return int(self.listen.rpartition(":")[2])

    @property
    def tls(self) -> bool:
        """Whether the public and the partners' listener speak TLS."""
        return self.tls_cert_file is not None


class Keys(Section, frozen=True, kw_only=True):
    """Certificates and key files (PEM; keys encrypted, passwords in files of one line).

    issuing_cert_file: the issuing CAs of every period that still verifies, newest first. reply: signs replies.
    archive: signs the days of the evidence; without it days are sealed and stay unsigned.
    issuing_key: of one of those CAs, only where this installation issues certificates itself (the pilot CA).
    """

    root_cert_file: Path
    issuing_cert_file: Path
    reply_cert_file: Path
    reply_key_file: Path
    reply_key_password_file: Path
    archive_cert_file: Path | None = None
    archive_key_file: Path | None = None
    archive_key_password_file: Path | None = None
    issuing_key_file: Path | None = None
    issuing_key_password_file: Path | None = None

    def __post_init__(self) -> None:
        archive = {self.archive_cert_file, self.archive_key_file, self.archive_key_password_file}
        _need(
            None not in archive or archive == {None},
            "archive_key_file",
            "archive_cert_file, archive_key_file and archive_key_password_file together, or none of them",
        )
        issuing = {self.issuing_key_file, self.issuing_key_password_file}
        _need(
            None not in issuing or issuing == {None},
            "issuing_key_file",
            "issuing_key_file and issuing_key_password_file together, or neither",
        )


class SqliteStore(Section, frozen=True, kw_only=True, tag_field="engine", tag="sqlite"):
    """The embedded default: one file, one writer process. http_processes: processes that verify and sign."""

    path: Path
    batch_max: int = 64
    queue_max: int = 8_192
    http_processes: int = 1

    def __post_init__(self) -> None:
        _within("batch_max", self.batch_max, 1, 512)
        _within("queue_max", self.queue_max, 64, 100_000)
        _within("http_processes", self.http_processes, 1, 8)

    def url(self) -> str:
        """For migrations."""
        return f"sqlite:///{self.path}"


class PostgresStore(Section, frozen=True, kw_only=True, tag_field="engine", tag="postgresql"):
    """hosts: the primary's addresses; standby_hosts: who must hold a commit before it counts (M4).

    tls: `prefer` and `require` encrypt without knowing the server, `verify` judges it by ca_file.
    """

    hosts: tuple[str, ...]
    standby_hosts: tuple[str, ...] = ()
    database: str
    user: str
    password_file: Path | None = None
    tls: Literal["off", "prefer", "require", "verify"] = "prefer"
    ca_file: Path | None = None
    connections: int = 4
    readers: int = 2
    batch_max: int = 64
    queue_max: int = 8_192

    def __post_init__(self) -> None:
        _need(self.hosts, "hosts", "at least one host:port")
        for key, hosts in (("hosts", self.hosts), ("standby_hosts", self.standby_hosts)):
            for host in hosts:
                found = _LISTEN.fullmatch(host)
                _need(found is not None and 0 < int(found["port"]) < 65_536, key, "host:port")
        _need(self.database and self.user, "database", "database and user, not empty")
        _need(self.tls != "verify" or self.ca_file, "ca_file", 'the PEM of the server\'s CA, as tls = "verify" asks')
        _within("connections", self.connections, 1, 64)
        _within("readers", self.readers, 1, 64)
        _within("batch_max", self.batch_max, 1, 512)
        _within("queue_max", self.queue_max, 64, 100_000)

    @property
    def http_processes(self) -> int:
        """Each process of this engine is a gateway of its own."""
        return 1

    def connection(self) -> "PostgresConfig":
        """What the driver takes, with the password read from its file. Raises OSError where it cannot be read."""
        from gateway.store.postgres.config import PostgresConfig

        return PostgresConfig(
            hosts=self.hosts,
            standby_hosts=self.standby_hosts,
            database=self.database,
            user=self.user,
            password=_first_line(self.password_file) if self.password_file else None,
            connections=self.connections,
            readers=self.readers,
            batch_max=self.batch_max,
            queue_max=self.queue_max,
            ssl=self._ssl(),
        )

    def _ssl(self) -> Any:
        if self.tls != "verify":
            return False if self.tls == "off" else self.tls
        import ssl

        return ssl.create_default_context(cafile=str(self.ca_file))

    def url(self) -> str:
        """For migrations; holds the password, so it is never printed."""
        return self.connection().url()


class Bus(Section, frozen=True, kw_only=True, tag_field="driver", tag="embedded"):
    """embedded: the outbox rows themselves, handed to workers of the same process."""

    topic_prefix: str = "bianmin"

    def __post_init__(self) -> None:
        _need(_TOPIC.fullmatch(self.topic_prefix), "topic_prefix", "1 to 64 of A-Z a-z 0-9 _ -")


class KafkaBus(Section, frozen=True, kw_only=True, tag_field="driver", tag="kafka"):
    """Brokers, how we prove ourselves to them, and the form of the topics that `bianmin bus init` makes.

    tls: by default `verify` where there is a ca_file or a user, else `off`; without ca_file the system's list counts.
    mechanism: SASL's, where there is a user; a password goes over TLS only. client_*: who we are, where brokers ask.
    message_max_bytes: of one request, key and headers counted; a longer one is a dead letter.
    """

    bootstrap: tuple[str, ...]
    topic_prefix: str = "bianmin"
    tls: Literal["off", "verify"] | None = None
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    client_key_password_file: Path | None = None
    mechanism: Literal["SCRAM-SHA-512", "PLAIN"] = "SCRAM-SHA-512"
    user: str | None = None
    password_file: Path | None = None
    partitions: int = 12
    replication: int = 3
    min_insync_replicas: int = 2
    retention_hours: int = 72
    dead_letter_retention_hours: int = 2_160
    message_max_bytes: int = 65_536

    def __post_init__(self) -> None:
        _need(_TOPIC.fullmatch(self.topic_prefix), "topic_prefix", "1 to 64 of A-Z a-z 0-9 _ -")
        _need(self.bootstrap, "bootstrap", "at least one host:port")
        for host in self.bootstrap:
            found = _LISTEN.fullmatch(host)
            _need(found is not None and 0 < int(found["port"]) < 65_536, "bootstrap", "host:port")
        both = (self.user is None) == (self.password_file is None)
        _need(both and self.user != "", "password_file", "user and password_file together, or neither")
        _need(self.tls != "off" or not self.user, "tls", "verify where there is a user: a password goes over TLS only")
        _need(self.tls != "off" or not self.ca_file, "tls", "verify where there is a ca_file")
        pair = (self.client_cert_file is None) == (self.client_key_file is None)
        _need(pair, "client_key_file", "client_cert_file and client_key_file together, or neither")
        _need(self.verifies or not self.client_cert_file, "client_cert_file", 'TLS: a ca_file, or tls = "verify"')
        _within("partitions", self.partitions, 1, 1_000)
        _within("replication", self.replication, 1, 9)
        _within("min_insync_replicas", self.min_insync_replicas, 1, self.replication)
        _within("retention_hours", self.retention_hours, 1, 8_760)
        _within("dead_letter_retention_hours", self.dead_letter_retention_hours, 24, 87_600)
        _within("message_max_bytes", self.message_max_bytes, 1_024, 1_048_576)

    @property
    def verifies(self) -> bool:
        """Whether brokers are spoken to over TLS."""
        return self.tls == "verify" or (self.tls is None and bool(self.ca_file or self.user))

    def connection(self) -> "KafkaConfig":
        """What the driver takes, with passwords read from their files. Raises OSError where one cannot be read."""
        from gateway.bus.kafka.config import KafkaConfig, Tls

        key_password = self.client_key_password_file
        tls = Tls(
            ca_file=self.ca_file,
            cert_file=self.client_cert_file,
            key_file=self.client_key_file,
            key_password=_first_line(key_password) if key_password else None,
        )
        return KafkaConfig(
            bootstrap=self.bootstrap,
            prefix=self.topic_prefix,
            tls=tls if self.verifies else None,
            mechanism=self.mechanism,
            user=self.user,
            password=_first_line(self.password_file) if self.password_file else None,
            partitions=self.partitions,
            replication=self.replication,
            min_insync=self.min_insync_replicas,
            retention_h=self.retention_hours,
            dead_letter_retention_h=self.dead_letter_retention_hours,
            message_max_bytes=self.message_max_bytes,
        )


class Log(Section, frozen=True, kw_only=True):
    """Lines below `level` are not written."""

    level: Literal["debug", "info", "warning", "error"] = "info"
