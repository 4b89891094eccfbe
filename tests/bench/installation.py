"""A whole installation in a temporary folder: CA, keys, stations, configuration, filled book."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

from certs import pilot
from certs.certificates import Certificate, Role
from certs.keys import PemSigner
from gateway.core.env import Env
from gateway.core.items import AddStation, Deposit, Item, RegisterCertificate, SetPrices
from tests.bench import billers

ROOT = Path(__file__).parents[2]
AUTHORITY = "bench.example"
STATIONS = 50
DEPOSIT_FEN = 10**12
ZONE = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class Station:
    """A shop and its key."""

    code: str
    signer: PemSigner


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """folder: of the configuration. names: the billers it configures."""

    folder: Path
    root: Certificate
    issuing: Certificate
    reply: PemSigner
    stations: Sequence[Station]
    names: Sequence[str]

    @property
    def env(self) -> Env:
        """What the core is given."""
        return Env(zone=ZoneInfo(ZONE), manifests={name: billers.ADAPTERS[name].manifest for name in self.names})

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "book.db"

    def environment(self) -> Mapping[str, str]:
        """Of processes that shall find the bench's adapters."""
        return {**os.environ, "PYTHONPATH": f"{self.folder / 'plug'}:{ROOT}"}


@contextmanager
def installation(names: Sequence[str], stations: int = STATIONS) -> Iterator[Installation]:
    """Keys and entry points, deleted afterwards; neither configuration nor book yet."""
    with TemporaryDirectory(prefix="bmb-") as path:
        yield found(Path(path), names, stations)


def found(folder: Path, names: Sequence[str], stations: int) -> Installation:
    """Make keys and entry points in an empty folder."""
    now = datetime.now(UTC)
    root = pilot.make_root("Bench", now)
    issuing = pilot.make_issuing(root, now)
    reply = _signer(issuing, now, Role.REPLY, "reply")
    pilot.write_certificate(folder / "root.pem", root.certificate)
    pilot.write_certificate(folder / "issuing.pem", issuing.certificate)
    pilot.write_certificate(folder / "reply.pem", reply[1].certificate)
    pilot.write_key(folder / "reply.key", reply[0], pilot.write_password(folder / "reply.password"))
    billers.write_entry_points(folder / "plug", names)
    return Installation(
        folder=folder,
        root=root.certificate,
        issuing=issuing.certificate,
        reply=reply[1],
        stations=[_station(issuing, now, f"46{number:06d}") for number in range(1, stations + 1)],
        names=names,
    )


def _signer(issuing: pilot.Authority, now: datetime, role: Role, name: str, code: str = "") -> tuple[Any, PemSigner]:
    key = pilot.make_key()
    certificate = pilot.issue(
        issuing, role, key.public_key(), operator=name, institution_code=code, usb_key_serial=code, now=now
    )
    return key, PemSigner(certificate, key)


def _station(issuing: pilot.Authority, now: datetime, code: str) -> Station:
    return Station(code, _signer(issuing, now, Role.STATION, "0001", code)[1])


def first_items(house: Installation) -> Sequence[Item]:
    """What fills an empty book: prices, stations, their money, the reply certificate; in this order."""
    year = datetime.now(UTC) + timedelta(days=365)
    prices = [
        SetPrices(
            version="B1", service=name, effective_from="2026-01-01", fee_fen=100, min_fen=1, max_fen=5_000_000,
            rate_ppm=15_000,
        )
        for name in house.env.billers
    ]  # fmt: skip
    stations = [_add(station, list(house.env.billers), year) for station in house.stations]
    deposits = [
        Deposit(
            institution_code=station.code, amount_fen=DEPOSIT_FEN, voucher_number=f"V{station.code}", outlet="370001",
            taken_by="0001", entropy=number,
        )
        for number, station in enumerate(house.stations)
    ]  # fmt: skip
    reply = house.reply.certificate
    known = RegisterCertificate(
        keyid=reply.keyid,
        der=reply.der,
        role="reply",
        public_key_sha256=reply.public_key_sha256,
        not_before=_ms(reply.not_before),
        not_after=_ms(reply.not_after),
    )
    return [*prices, *stations, *deposits, known]


def _add(station: Station, services: list[str], until: datetime) -> AddStation:
    certificate = station.signer.certificate
    return AddStation(
        institution_code=station.code,
        name=f"站{station.code}",
        terminal_id="T1",
        operator_id="0001",
        operator_name="张三",
        certificate_der=certificate.der,
        keyid=certificate.keyid,
        public_key_sha256=certificate.public_key_sha256,
        not_before=_ms(certificate.not_before),
        not_after=_ms(certificate.not_after),
        services=services,
        trained_until=_ms(until),
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def write_config(
    house: Installation, name: str, *, ports: Sequence[int], store: str, billers_toml: Mapping[str, str], bus: str
) -> Path:
    """A configuration file. ports: public, admin, partner. store, billers_toml, bus: inline tables."""
    public, admin, partner = ports
    keys = ('root_cert_file = "root.pem", issuing_cert_file = "issuing.pem", reply_cert_file = "reply.pem", '
            'reply_key_file = "reply.key", reply_key_password_file = "reply.password"')  # fmt: skip
    http = (
        f'listen = "127.0.0.1:{public}", authorities = ["{AUTHORITY}"], admin_port = {admin}, '
        f"partner_port = {partner}, in_flight_max = 8192, station_per_s = 100000, station_burst = 100000"
    )
    lines = [
        f'bureau = {{ name = "压测局", zone = "{ZONE}" }}',
        f"http = {{ {http} }}",
        f"keys = {{ {keys} }}",
        f"store = {{ {store} }}",
        f"bus = {{ {bus} }}",
        'log = { level = "error" }',
        "[billers]",
        *(f"{biller} = {{ {text} }}" for biller, text in billers_toml.items()),
    ]
    path = house.folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def command(*arguments: str) -> list[str]:
    """`bianmin …`, by the script that was installed beside this interpreter."""
    return [str(Path(sys.executable).parent / "bianmin"), *arguments]
