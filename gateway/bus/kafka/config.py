"""What the Kafka driver is told: where the brokers are, who we are to them, and how topics look."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REQUEST_TIMEOUT_MS = 5_000
RETRY_BACKOFF_MS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """ca_file: whom we trust, None: the system's list. cert_file, key_file: who we are, where brokers ask."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = None

    def context(self) -> ssl.SSLContext:
        """Brokers are judged by name and chain. Raises OSError or ssl.SSLError for files that cannot be used."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file, self.key_password or "")
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConfig:
    """mechanism: of SASL, used where there is a user. message_max_bytes: key, value and headers of one request.

    partitions, replication, min_insync: of every topic we create. retention_h: of requests and results.
    metadata_age_ms: new partitions and topics are seen within this time.
    """

    bootstrap: tuple[str, ...]
    prefix: str
    tls: Tls | None = None
    mechanism: str = "SCRAM-SHA-512"
    user: str | None = None
    password: str | None = None
    partitions: int = 12
    replication: int = 3
    min_insync: int = 2
    retention_h: int = 72
    dead_letter_retention_h: int = 2_160
    message_max_bytes: int = 65_536
    metadata_age_ms: int = 10_000

    def __repr__(self) -> str:
        return f"KafkaConfig({', '.join(self.bootstrap)}, {self.prefix})"  # never the password

    def connection(self, client_id: str, *, timeout_ms: int = REQUEST_TIMEOUT_MS) -> dict[str, Any]:
        """What every client of aiokafka is given. Raises OSError or ssl.SSLError for files that cannot be used."""
        found: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap),
            "client_id": client_id,
            "request_timeout_ms": timeout_ms,
            "retry_backoff_ms": RETRY_BACKOFF_MS,
            "metadata_max_age_ms": self.metadata_age_ms,
            "security_protocol": ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT"),
        }
        if self.tls is not None:
            found["ssl_context"] = self.tls.context()
        if self.user:
            found |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password or "",
            }
        return found

    @property
    def group(self) -> str:
        """The one consumer group of all workers."""
        return f"{self.prefix}.workers"

    @property
    def letters_group(self) -> str:
        """The group that brings dead letters into the book."""
        return f"{self.prefix}.dead-letter-desk"

    def request_topic(self, biller: str) -> str:
        """The topic of one biller's requests."""
        return f"{self.prefix}.request.{biller}"

    @property
    def result_topic(self) -> str:
        """The topic that every gateway reads whole."""
        return f"{self.prefix}.result"

    @property
    def dead_letter_topic(self) -> str:
        """Where messages go that nobody can use."""
        return f"{self.prefix}.dead-letter"

    def topics(self, billers: Iterable[str]) -> list[str]:
        """Every topic of an installation with these billers."""
        return [*(self.request_topic(name) for name in sorted(billers)), self.result_topic, self.dead_letter_topic]
