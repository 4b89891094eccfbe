"""Making an installation: files first, in a folder beside the wanted one; its name is given last."""

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from certs.authority.requests import build_csr
from certs.certificates import Certificate, Role
from certs.core.pem import read_pem
from certs.keys import PemSigner
from certs.pilot import (
    Authority,
    issue,
    make_issuing,
    make_key,
    make_root,
    write_certificate,
    write_key,
    write_password,
)
from contracts.biller import Adapter
from gateway.config import Config, SqliteStore, build_env, load_config
from gateway.core.env import Env, local
from gateway.core.items import RegisterCertificate, SetPrices
from gateway.core.items_deeds import Deed
from gateway.core.root_deeds import FOUND
from gateway.init.text import Plan, config_text
from gateway.ops.certs.acting import do_signed
from gateway.ops.certs.by_root import Newcomer, fields_of
from gateway.ops.desk import Desk, open_desk, reachable
from gateway.ops.enrol import Applicant, add_item, make_station_files, ms, operating_user, terminal_text
from gateway.ops.folders import made_whole
from gateway.ops.register import need
from gateway.store.migrations.upgrade import upgrade

TRAINED_DAYS = 365
STAFF_DEPARTMENT = "电子商务中心"
"""Of the first staff: its role hands out keys and watches over certificates (ROLE-06)."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What was made, by the names of the files. root: while its key is at hand. requests: of the staff, DER."""

    certificates: dict[str, Certificate]
    requests: dict[str, bytes]
    root: PemSigner


def make(plan: Plan, adapters: Mapping[str, Adapter], now: datetime) -> Config:
    """Make the whole installation at plan.folder, which must not exist; nothing is left of it where that fails.

    Raises FileExistsError, ConfigError, StoreError, and NotSo where a PostgreSQL database holds this station already.
    """
    with made_whole(plan.folder) as folder:
        _fill(folder, plan, adapters, now)
    return load_config(plan.folder / "bianmin.toml", adapters)


def _fill(folder: Path, plan: Plan, adapters: Mapping[str, Adapter], now: datetime) -> None:
    for name, mode in (("keys", 0o700), ("secrets", 0o700), ("var", 0o700)):
        (folder / name).mkdir(mode=mode)
    for path, secret in plan.secrets.items():
        _write_secret(folder / path, secret)
    (folder / "bianmin.toml").write_text(config_text(plan), encoding="utf-8")
    config = load_config(folder / "bianmin.toml", adapters)
    made = _make_keys(folder, plan, now)
    station = f"stations/{plan.station}/"
    (folder / "terminal.toml").write_text(terminal_text(config, plan.terminal, station=station), encoding="utf-8")
    with reachable(config.store):
        upgrade(config.store.url())
    asyncio.run(_provision(config, build_env(config, adapters), plan, made, now))
    if isinstance(config.store, SqliteStore):
        os.chmod(config.store.path, 0o600)


def _write_secret(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text + "\n")


def _make_keys(folder: Path, plan: Plan, now: datetime) -> _Made:
    """Root, issuing CA, the gateway's own keys, two people of the staff, the station's key."""
    root = make_root(plan.bureau, now)
    issuing = make_issuing(root, now)
    for name, authority in (("root", root), ("issuing", issuing)):
        write_key(
            folder / f"keys/{name}.key.pem", authority.key, write_password(folder / f"secrets/{name}-key.password")
        )
        write_certificate(folder / f"keys/{name}.cert.pem", authority.certificate)
    made = _Made({"issuing": issuing.certificate}, {}, PemSigner(root.certificate, root.key))
    people = people_of(plan)
    roles = {"reply": Role.REPLY, "archive": Role.ARCHIVE} | dict.fromkeys(people, Role.OPERATOR)
    for name, role in roles.items():
        _make_leaf(folder, name, role, people.get(name, f"gateway {name}"), issuing=issuing, now=now, made=made)
    (folder / "stations").mkdir(mode=0o700)
    shop = folder / "stations" / plan.station
    shop.mkdir(mode=0o700)
    made.certificates["station"] = make_station_files(shop, applicant_of(plan), issuing, now)
    return made


def _make_leaf(
    folder: Path, name: str, role: Role, operator: str, *, issuing: Authority, now: datetime, made: _Made
) -> None:
    key = make_key()
    certificate = issue(issuing, role, key.public_key(), operator=operator, now=now)
    write_key(folder / f"keys/{name}.key.pem", key, write_password(folder / f"secrets/{name}-key.password"))
    write_certificate(folder / f"keys/{name}.cert.pem", certificate)
    made.certificates[name] = certificate
    made.requests[name] = read_pem(build_csr(key), "CERTIFICATE REQUEST")


def people_of(plan: Plan) -> dict[str, str]:
    """The first staff: names by staff id, which is also the name of their files."""
    return {f"staff-{number}": name for number, name in enumerate(plan.staff, 1)}


def applicant_of(plan: Plan) -> Applicant:
    """The first station of a plan."""
    return Applicant(
        institution_code=plan.station,
        name=plan.station_name,
        terminal_id=plan.terminal,
        operator_id=plan.operator,
        operator_name=plan.operator_name,
    )


async def _provision(config: Config, env: Env, plan: Plan, made: _Made, now: datetime) -> None:
    async with open_desk(config, env) as desk:
        issuer = made.certificates["issuing"].keyid
        item = add_item(
            applicant_of(plan),
            made.certificates["station"],
            sorted(env.billers),
            issuer_keyid=issuer,
            trained_until_ms=ms(now + timedelta(days=TRAINED_DAYS)),
            by=operating_user(),
        )
        # First of all: it is refused where the database is another installation's, and then nothing is in it.
        need(await desk.run(item))
        await do_signed(desk, made.root, _first_staff(plan, made, now))
        for name in ("reply", "archive"):
            need(await desk.run(_registration(made.certificates[name], issuer)))
        await _set_prices(desk, env, plan, now)


def _first_staff(plan: Plan, made: _Made, now: datetime) -> Deed:
    """What the root's key signs of the two people: who they are, of which department, by which certificates."""
    people = [
        Newcomer(
            staff_id=staff_id,
            name=name,
            department=STAFF_DEPARTMENT,
            certificate=made.certificates[staff_id],
            csr=made.requests[staff_id],
        )
        for staff_id, name in people_of(plan).items()
    ]
    return Deed(
        action=FOUND,
        subject=plan.station,
        reason=f"bianmin init, {operating_user()}",
        at=ms(now),
        nonce=secrets.token_urlsafe(24),
        fields=fields_of(people),
    )


def _registration(certificate: Certificate, issuer_keyid: str) -> RegisterCertificate:
    assert certificate.role is not None
    return RegisterCertificate(
        keyid=certificate.keyid,
        der=certificate.der,
        role=certificate.role,
        public_key_sha256=certificate.public_key_sha256,
        not_before=ms(certificate.not_before),
        not_after=ms(certificate.not_after),
        serial=f"{certificate.serial:x}",
        issuer_keyid=issuer_keyid,
    )


async def _set_prices(desk: Desk, env: Env, plan: Plan, now: datetime) -> None:
    """One dated tariff and commission plan for every service, within the biller's own limits."""
    day = local(ms(now), env.zone).date().isoformat()
    for service in sorted(env.billers):
        facts = env.facts_of(service)
        item = SetPrices(
            version=f"INIT-{day}",
            service=service,
            effective_from=day,
            fee_fen=plan.fee_fen,
            min_fen=facts.amount_min.value,
            max_fen=facts.amount_max.value,
            rate_ppm=plan.rate_ppm,
        )
        need(await desk.run(item))
