"""`bianmin init DIR`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.shared import Shared, pass_shared

if TYPE_CHECKING:
    from gateway.init.text import Plan, Value

_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--engine", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option("--host", "hosts", multiple=True, help="PostgreSQL: host:port, may be repeated.")
@click.option("--database", default="bianmin", show_default=True, help="PostgreSQL: it must exist.")
@click.option("--user", default="bianmin", show_default=True, help="PostgreSQL.")
@click.option("--password-file", type=_FILE, help="PostgreSQL.")
@click.option("--bootstrap", multiple=True, help="Kafka: host:port, may be repeated; without it the bus is embedded.")
@click.option("--partitions", default=12, show_default=True, type=click.IntRange(1, 1000), help="Kafka.")
@click.option("--replication", default=3, show_default=True, type=click.IntRange(1, 9), help="Kafka.")
@click.option("--listen", default="127.0.0.1:8443", show_default=True, help="Where terminals connect to.")
@click.option("--authority", help="HOST[:PORT] as terminals sign it; default: where it listens.")
@click.option("--admin-port", default=9090, show_default=True, type=click.IntRange(0, 65535))
@click.option("--partner-port", default=9443, show_default=True, type=click.IntRange(0, 65535))
@click.option("--tls-cert", type=_FILE, help="PEM; without it only loopback is listened on.")
@click.option("--tls-key", type=_FILE)
@click.option("--tls-key-password", type=_FILE)
@click.option("--plain-http", is_flag=True, help="Listen in the clear: a proxy in front ends TLS.")
@click.option("--bureau", default="示范县邮政局", show_default=True)
@click.option("--station", default="33078200017", show_default=True, help="Institution code of the first station.")
@click.option("--station-name", default="示范便民服务站", show_default=True)
@click.option("--terminal", default="T1", show_default=True)
@click.option("--operator", default="0001", show_default=True)
@click.option("--operator-name", default="张三", show_default=True)
@click.option("--staff", nargs=2, default=("李四", "王五"), show_default=True, help="Two people who approve.")
@click.option("--telecom-url", default="http://127.0.0.1:7401", show_default=True, help="The telecom platform.")
@click.option("--tv-url", default="http://127.0.0.1:7501", show_default=True, help="The TV platform.")
@click.option("--fee", default="1.00", show_default=True, help="Fee per payment, yuan.")
@pass_shared
def command(shared: Shared, /, folder: Path, **given: Any) -> None:
    """Make DIR: configuration, a pilot CA, a database and one station, ready to serve. Never overwrites."""
    from gateway.config import ConfigError
    from gateway.init.make import applicant_of, make
    from gateway.init.text import summary

    plan = plan_of(folder, given)
    if (wrong := applicant_of(plan).wrong()) is not None:
        raise click.UsageError(wrong)
    try:
        make(plan, shared.adapters, shared.clock.now())
    except ConfigError as refused:
        # The file that was refused is gone by now; the user wrote an option.
        raise click.UsageError(f"{_option(refused.key, given)}: expected {refused.expected}") from refused
    click.echo(summary(plan, folder))


_OPTIONS = {
    "bureau.name": "--bureau",
    "http.listen": "--listen",
    "http.authorities": "--authority",
    "http.admin_port": "--admin-port",
    "http.partner_port": "--partner-port",
    "http.tls_cert_file": "--tls-cert",
    "http.tls_key_file": "--tls-key",
    "http.tls_key_password_file": "--tls-key-password",
    "store.hosts": "--host",
    "store.database": "--database or --user",
    "billers.telecom.base_url": "--telecom-url",
    "billers.tv.base_url": "--tv-url",
}


def _option(key: str, given: dict[str, Any]) -> str:
    """The option that a key of the configuration was made from; the key itself where there is none."""
    if key == "http.authorities" and not given["authority"]:
        return "--listen, which is the authority too unless --authority is given"
    return _OPTIONS.get(key, key)


def plan_of(folder: Path, given: dict[str, Any]) -> "Plan":
    """The options as a plan. Raises UsageError for what does not go together."""
    from contracts.money import Fen
    from gateway.init.billers import telecom, tv
    from gateway.init.text import Plan

    try:
        fee = Fen.from_yuan(given["fee"])
    except ValueError as wrong:
        raise click.UsageError(f"--fee: {wrong}") from wrong
    if fee < Fen(0):
        raise click.UsageError("--fee: not negative")
    if given["staff"][0].strip() == given["staff"][1].strip():
        raise click.UsageError("--staff: two people, who never approve their own work")
    partners = {"telecom": telecom(given["telecom_url"]), "tv": tv(given["tv_url"])}
    secrets = {path: content for _, files in partners.values() for path, content in files.items()}
    store, more = _store(given)
    return Plan(
        folder=folder,
        bureau=given["bureau"],
        listen=given["listen"],
        authority=given["authority"] or given["listen"],
        admin_port=given["admin_port"],
        partner_port=given["partner_port"],
        store=store,
        bus=_bus(given),
        billers={name: table for name, (table, _) in partners.items()},
        secrets=secrets | more,
        tls=_tls(given),
        station=given["station"],
        station_name=given["station_name"],
        terminal=given["terminal"],
        operator=given["operator"],
        operator_name=given["operator_name"],
        staff=given["staff"],
        fee_fen=fee.value,
        rate_ppm=15_000,
    )


def _store(given: dict[str, Any]) -> "tuple[dict[str, Value], dict[str, str]]":
    if given["engine"] == "sqlite":
        if given["hosts"]:
            raise click.UsageError("--host goes with --engine postgresql")
        return {"engine": "sqlite", "path": "var/bianmin.db"}, {}
    if not given["hosts"]:
        raise click.UsageError("--engine postgresql needs --host HOST:PORT")
    table: dict[str, Value] = {
        "engine": "postgresql",
        "hosts": list(given["hosts"]),
        "database": given["database"],
        "user": given["user"],
    }
    if given["password_file"] is None:
        return table, {}
    lines = given["password_file"].read_text(encoding="utf-8").splitlines()
    if len(lines) != 1 or not lines[0]:
        raise click.UsageError("--password-file: one line holding the password")
    return table | {"password_file": "secrets/postgresql.password"}, {"secrets/postgresql.password": lines[0]}


def _bus(given: dict[str, Any]) -> "dict[str, Value]":
    if not given["bootstrap"]:
        return {"driver": "embedded"}
    if given["engine"] != "postgresql":
        raise click.UsageError("--bootstrap goes with --engine postgresql: SQLite has one process")
    return {
        "driver": "kafka",
        "bootstrap": list(given["bootstrap"]),
        "partitions": given["partitions"],
        "replication": given["replication"],
        "min_insync_replicas": max(1, given["replication"] - 1),
    }


def _tls(given: dict[str, Any]) -> "dict[str, Value]":
    files = {"tls_cert_file": given["tls_cert"], "tls_key_file": given["tls_key"]}
    if given["plain_http"] and given["tls_cert"]:
        raise click.UsageError("--plain-http or --tls-cert, not both")
    files["tls_key_password_file"] = given["tls_key_password"]
    if (given["tls_cert"] is None) != (given["tls_key"] is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    found: dict[str, Value] = {key: str(path) for key, path in files.items() if path is not None}
    return found | {"plain_http": True} if given["plain_http"] else found
