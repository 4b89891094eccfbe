"""Dashboard, alert rules, scrape and balancer files against the code and the compose file."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from gateway.core.held import RELAY, RESOLVER, SEALER
from gateway.metrics import AGES, Metrics
from tests.architecture.test_containers import SERVICES

FOLDER = Path(__file__).parents[2] / "gateway/ops/monitoring"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
FOREIGN = {
    "up": {"role"},
    "node_filesystem_avail_bytes": {"mountpoint"},
    "node_filesystem_size_bytes": {"mountpoint"},
}
"""Series that Prometheus or the node exporter make themselves, with the labels that are asked for. role: prometheus.yml
says it of every process."""


def series() -> dict[str, set[str]]:
    """Every series the gateway can show, with its labels."""
    metrics = Metrics()
    found: dict[str, set[str]] = {}
    for held in vars(metrics).values():
        for family in getattr(held, "describe", list)():
            labels = set(held._labelnames)
            kinds = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[family.type]
            for end in kinds:
                found[family.name + end] = labels | ({"le"} if end == "_bucket" else set())
    return found


SERIES = series()


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


def parts(node: Any) -> Iterator[Any]:
    """An expression and everything inside it."""
    yield node
    for name in ("expr", "lhs", "rhs", "param"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield from parts(inner)
    if isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from parts(argument)
    if isinstance(node, promql_parser.MatrixSelector):
        yield from parts(node.vector_selector)


@pytest.mark.parametrize(("where", "text"), list(expressions()))
def test_every_expression_parses_and_names_series_and_labels_of_ours(where: str, text: str) -> None:
    selectors = [part for part in parts(promql_parser.parse(text)) if isinstance(part, promql_parser.VectorSelector)]
    assert selectors, where
    known: set[str] = {"instance", "job"}
    for selector in selectors:
        assert selector.name in SERIES or selector.name in FOREIGN, f"{where}: nothing shows {selector.name}"
        known |= SERIES.get(selector.name, FOREIGN.get(selector.name, set()))
        for matcher in selector.matchers.matchers:
            assert matcher.name in known, f"{where}: {selector.name} has no label {matcher.name}"
    for labels in re.findall(r"by \(([^)]*)\)", text):
        assert {label.strip() for label in labels.split(",")} <= known, where


def test_ages_an_alert_asks_for_are_ages_the_gauge_has() -> None:
    names = {name for _, name in AGES} | {"older"}
    for _, text in expressions():
        for asked in re.findall(r'age=~"([^"]*)"', text):
            assert set(asked.split("|")) <= names


def test_everything_the_issue_wants_to_be_woken_for() -> None:
    wanted = {
        "InDoubtTooOld",
        "OutboxStalled",
        "BusLag",
        "BreakerOpen",
        "AuditFailed",
        "CertificateNearExpiry",
        "DiskNearlyFull",
        "VolumeNearlyFull",
        "RoleGone",
        "JobUnheld",
        "DeadLettersStuck",
        "ClockSkew",
    }
    assert wanted <= {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "action", "runbook"} == set(rule["annotations"])
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = {label.strip() for found in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in found.split(",")}
        assert used <= kept | {"instance", "role"}, rule["alert"]


def test_every_series_is_on_the_dashboard_or_wakes_somebody() -> None:
    asked = " ".join(text for _, text in expressions())
    unseen = {name.removesuffix("_sum").removesuffix("_count").removesuffix("_bucket") for name in SERIES}
    assert {name for name in unseen if name not in asked} == set()


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_watches_every_process_that_serves() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    job, disks = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    serving = {name for name, service in SERVICES.items() if service.get("command", [""])[0] == "serve"}
    assert (set(found["names"]), found["port"], job["job_name"]) == (serving, 9090, "bianmin")
    (where,) = disks["dns_sd_configs"]
    assert (where["names"], where["port"], disks["job_name"]) == (["node-exporter"], 9100, "disks")
    (label,) = job["relabel_configs"]
    assert label == {"source_labels": ["__meta_dns_name"], "target_label": "role"}
    (gone,) = [rule["expr"] for rule in RULES if rule["alert"] == "RoleGone"]
    assert set(re.findall(r'role="(\w+)"', gone)) == serving
    (unheld,) = [rule["expr"] for rule in RULES if rule["alert"] == "JobUnheld"]
    assert set(re.findall(r'name="(\w+)"', unheld)) == {RELAY, RESOLVER, SEALER}
    mounted = [volume.split(":")[:2] for volume in SERVICES["prometheus"]["volumes"] if volume.startswith("./")]
    assert [target for _, target in mounted if target in config["rule_files"]] == config["rule_files"]


def test_the_disks_that_are_watched_are_those_of_the_databases() -> None:
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["node-exporter"]["volumes"])
    kept = {
        volume.partition(":")[0] for name in ("postgres", "kafka", "prometheus") for volume in SERVICES[name]["volumes"]
    }
    assert {name for name in kept if not name.startswith(".")} == set(mounted)
    (rule,) = [rule["expr"] for rule in RULES if rule["alert"] == "VolumeNearlyFull"]
    (pattern,) = set(re.findall(r'mountpoint=~"([^"]+)"', rule))
    assert all(re.fullmatch(pattern, place) for place in mounted.values())


@pytest.mark.parametrize("name", ["prometheus", "grafana", "balancer"])
def test_mounted_files_exist(name: str) -> None:
    files = [volume.split(":")[0] for volume in SERVICES[name]["volumes"] if volume.startswith("./")]
    assert files
    assert all((FOLDER.parents[2] / file).is_file() for file in files)


def test_grafana_finds_its_source() -> None:
    (source,) = yaml.safe_load((FOLDER / "grafana-datasource.yml").read_text(encoding="utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]
    (provider,) = yaml.safe_load((FOLDER / "grafana-provisioning.yml").read_text(encoding="utf-8"))["providers"]
    assert any(provider["options"]["path"] in volume for volume in SERVICES["grafana"]["volumes"])


def test_the_balancer_passes_bytes_on_to_gateways_that_are_ready() -> None:
    text = (FOLDER / "haproxy.cfg").read_text(encoding="utf-8")
    servers = re.findall(r"server-template \S+ (\d+) (\S+):(\d+) check port (\d+)", text)
    assert [(name, port, check) for _, name, port, check in servers] == [
        ("gateway", "8443", "9090"),
        ("gateway", "9443", "9090"),
    ]
    assert all(int(count) >= SERVICES["gateway"]["deploy"]["replicas"] for count, *_ in servers)
    assert "mode tcp" in text
    assert text.count("option httpchk GET /readyz") == 2
    assert set(re.findall(r"bind :(\d+)", text)) == {port.partition(":")[0] for port in SERVICES["balancer"]["ports"]}
