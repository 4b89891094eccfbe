"""bianmin.toml of a new installation, and what is printed about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Value = str | int | bool | list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `init` was asked for. store, bus, billers: tables of the configuration. Amounts in fen."""

    folder: Path
    bureau: str
    listen: str
    authority: str
    admin_port: int
    partner_port: int
    store: Mapping[str, Value]
    bus: Mapping[str, Value]
    billers: Mapping[str, Mapping[str, Value]]
    secrets: Mapping[str, str]
    tls: Mapping[str, Value] = field(default_factory=dict)
    station: str
    station_name: str
    terminal: str
    operator: str
    operator_name: str
    staff: tuple[str, str]
    fee_fen: int
    rate_ppm: int


def config_text(plan: Plan) -> str:
    """The configuration as TOML; every path in it is relative to its folder."""
    http: dict[str, Value] = {
        "listen": plan.listen,
        "authorities": [plan.authority],
        "admin_port": plan.admin_port,
        "partner_port": plan.partner_port,
    }
    keys: dict[str, Value] = {
        "root_cert_file": "keys/root.cert.pem",
        "issuing_cert_file": "keys/issuing.cert.pem",
        "issuing_key_file": "keys/issuing.key.pem",
        "issuing_key_password_file": "secrets/issuing-key.password",
        "reply_cert_file": "keys/reply.cert.pem",
        "reply_key_file": "keys/reply.key.pem",
        "reply_key_password_file": "secrets/reply-key.password",
        "archive_cert_file": "keys/archive.cert.pem",
        "archive_key_file": "keys/archive.key.pem",
        "archive_key_password_file": "secrets/archive-key.password",
    }
    tables: list[tuple[str, Mapping[str, Value]]] = [
        ("bureau", {"name": plan.bureau, "zone": "Asia/Shanghai", "policy": "default"}),
        ("http", http | dict(plan.tls)),
        ("keys", keys),
        ("store", plan.store),
        ("bus", plan.bus),
        ("log", {"level": "info"}),
        *((f"billers.{name}", table) for name, table in plan.billers.items()),
    ]
    head = "# Bianmin Gateway. `bianmin config check` tells the first error. Secrets are only ever named as files.\n"
    return head + "".join(f"\n[{name}]\n{_table(table)}" for name, table in tables)


def _table(table: Mapping[str, Value]) -> str:
    # A TOML basic string, number, boolean and array of strings are written as JSON writes them.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in table.items())


def summary(plan: Plan, folder: Path) -> str:
    """What was made and what to do next, for people, in Chinese and English."""
    config, terminal = folder / "bianmin.toml", folder / "terminal.toml"
    deposit = f"station deposit {plan.station} 5000 --voucher V0001 --outlet 370001 --by {plan.operator}"
    notices = f"http://127.0.0.1:{plan.partner_port}/notices/telecom"
    topics = ("建立消息主题", "make the topics of the bus", f"bus init --config {config}")
    steps = (
        *((topics,) if plan.bus["driver"] == "kafka" else ()),
        ("充值：给服务站记一笔预存款", "put money on the station", f"{deposit} --config {config}"),
        ("启动收费单位模拟器", "run the biller's simulator", f"sim telecom --port 7401 --notice-url {notices}"),
        ("启动有线电视模拟器", "run the TV platform's simulator", "sim tv --port 7501"),
        ("启动网关", "run the gateway", f"serve --config {config}"),
        ("在终端查余额", "ask as the shop", f"terminal balance --config {terminal}"),
        ("核对账本", "check the book", f"audit --config {config}"),
    )
    lines = [
        f"已建立 {folder}：配置、试点CA、数据库、服务站 {plan.station}（{plan.station_name}）",
        f"Made {folder}: configuration, pilot CA, database, station {plan.station}.",
        "",
        "接下来 / Next:",
    ]
    for number, (chinese, english, command) in enumerate(steps, 1):
        lines += [f" {number}. {chinese} / {english}", f"    bianmin {command}"]
    lines += [
        "",
        "keys/root.key.pem 与其口令只用于签发下级CA，以及可审批的人不足两名时恢复人员：请移到离线介质保存。",
        "Move keys/root.key.pem and secrets/root-key.password off this machine; only a new issuing CA needs them, and",
        "`bianmin certs staff restore`, when fewer than two people can approve any more.",
    ]
    return "\n".join(lines)
