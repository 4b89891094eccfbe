"""Container files: images pinned by full version, health checks, no secrets, one configuration file."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from adapters.telecom.simulator.cli import options_of as telecom_options
from adapters.tv.simulator.cli import options_of as tv_options
from gateway.cli import bianmin
from gateway.config import ROLES
from gateway.demo.kafka_jars import VERSION as KAFKA_VERSION
from tests.architecture.tree import ROOMS
from tests.stand.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
CONFIG = "/etc/bianmin/bianmin.toml"
FULL_VERSION = re.compile(r":v?\d+\.\d+(\.\d+)?(-[a-z]+)*$")


def compose() -> dict[str, Any]:
    """docker-compose.yml, with YAML merges done."""
    parsed = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(parsed, dict)
    return parsed


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    pairs = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, _, rest in pairs]


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("bianmin-gateway:")]
ONE_SHOT = {
    name
    for service in SERVICES.values()
    for name, how in service.get("depends_on", {}).items()
    if how["condition"] == "service_completed_successfully"
}


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_pinned_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert FULL_VERSION.search(service["image"]), service["image"]
    if name not in ONE_SHOT:
        assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
        assert service["restart"] == "unless-stopped"


def test_the_parts_that_exist_are_there() -> None:
    ours = {"migrate", "topics", "gateway", "worker", "relay", "resolver", "sealer", "telecom", "tv", "auditor"}
    assert set(OURS) == ours
    assert set(SERVICES) == ours | {"postgres", "kafka", "balancer", "prometheus", "grafana", "node-exporter"}
    assert {"migrate", "topics"} == ONE_SHOT
    assert all(SERVICES[name]["deploy"]["replicas"] >= 2 for name in ("gateway", "worker"))


def test_every_role_runs_once_at_least() -> None:
    """The roles of the containers, together, are all there are."""
    commands = [SERVICES[name]["command"] for name in OURS if SERVICES[name]["command"][0] == "serve"]
    assert sorted(command[command.index("--role") + 1] for command in commands) == sorted(set(ROLES) - {"all"})


@pytest.mark.parametrize("name", SERVICES)
def test_references_lead_somewhere(name: str) -> None:
    service, whole = SERVICES[name], compose()
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert set(service.get("secrets", [])) <= set(whole["secrets"])
    named = {volume.partition(":")[0] for volume in service.get("volumes", []) if not volume.startswith(".")}
    assert named <= set(whole["volumes"])
    if mode := service.get("network_mode"):
        assert mode.removeprefix("service:") in SERVICES
        assert "ports" not in service, "a shared network publishes its ports at its owner"


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_configured_by_the_mounted_file(name: str) -> None:
    service = SERVICES[name]
    known = ROOT / "gateway/config.py"
    text = known.read_text(encoding="utf-8") if known.exists() else ""
    for variable in service.get("environment", {}):
        assert variable in text, f"{name}: nothing reads {variable}"
    if CONFIG in " ".join(service["command"]):
        assert f"./var/compose/bianmin.toml:{CONFIG}:ro" in service["volumes"]


def test_a_container_is_given_single_files_and_no_key_that_issues_or_approves() -> None:
    """Whoever breaks into one must not become the bureau, nor two approvers, nor a shop."""
    kept_away = re.compile(r"root.*key|issuing.*key|staff|stations|terminal")
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if not source.startswith("."):
                assert "/" not in source, f"{name}: {volume} is a folder of the machine"
                continue
            assert mode == ["ro"], f"{name}: {volume}"
            assert re.search(r"\.(toml|yml|json|cfg|pem|key|password)$", source), f"{name}: {volume} is no single file"
            assert not kept_away.search(source), f"{name}: {volume}"
            if source.startswith("./var/"):
                assert source.removeprefix("./var/compose/") == target.removeprefix("/etc/bianmin/"), volume


def test_the_words_before_the_first_start_keep_those_keys_away() -> None:
    head = (ROOT / "docker-compose.yml").read_text(encoding="utf-8").partition("\nname:")[0]
    for words in ("keys/root.key.pem", "keys/issuing.key.pem", "keys/staff-*.key.pem", "stations/"):
        assert words in head
    assert [number for number in range(1, 6) if f"#   {number}. " in head] == [1, 2, 3, 4, 5]


def test_the_book_is_audited_every_night(tmp_path: Path) -> None:
    (shell, script), entry = SERVICES["auditor"]["command"], SERVICES["auditor"]["entrypoint"]
    assert (entry, shell, SERVICES["auditor"]["init"]) == (["/bin/sh"], "-c", True)
    assert f"bianmin audit --config {CONFIG}" in script
    begun = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    done = subprocess.run(
        ["/bin/sh", "-c", script.replace("$$", "$")],
        env={"PATH": str(_commands(tmp_path, begun))},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    until_night = 9 * 3600 + 1800
    assert done.stdout.splitlines() == [f"sleep {until_night}", f"audit --config {CONFIG}", f"sleep {until_night}"]


def _commands(folder: Path, now: datetime) -> Path:
    """A folder of commands that only say what they are asked; the second sleep ends the shell that called it."""
    scripts = {
        "date": f"echo {int(now.timestamp())}",
        "sleep": f'echo "sleep $1"; [ -e {folder}/slept ] && kill $PPID; : > {folder}/slept',
        "bianmin": 'echo "$*"; exit 1',
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def test_only_the_public_ports_are_open_to_the_world() -> None:
    opened = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in opened if not port.startswith("127.0.0.1:")] == ["8443:8443", "9443:9443"]
    assert [name for name in OURS if "ports" in SERVICES[name]] == [], "ours are reached through the balancer"


def test_secrets_are_files_outside_the_sources() -> None:
    whole = compose()
    assert all(entry["file"].startswith("./var/") for entry in whole["secrets"].values())
    assert not re.search(r"PASSWORD: |password=", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_postgres_is_the_version_the_tests_run_on(postgres: PostgresServer) -> None:
    version = postgres.run_sql("SHOW server_version")
    assert SERVICES["postgres"]["image"] == f"postgres:{version}-bookworm"


def test_kafka_is_the_version_the_tests_run_on() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    environment = SERVICES["kafka"]["environment"]
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://kafka:9092"


def test_the_options_of_our_commands_exist() -> None:
    """Each command line of ours, put to the command itself."""
    for name in OURS:
        command = SERVICES[name]["command"]
        if "entrypoint" in SERVICES[name]:
            continue
        if command[0] == "sim":
            options, _ = telecom_options(command[2:]) if name == "telecom" else tv_options(command[2:])
            assert (options.host, options.port) == ("0.0.0.0", {"telecom": 8101, "tv": 8102}[name])
            continue
        found = click.Context(bianmin).command
        for word in command:
            if word.startswith("--"):
                assert any(word in parameter.opts for parameter in found.params), (name, word)
            elif isinstance(found, click.Group):
                inner = found.get_command(click.Context(found), word)
                assert inner is not None, (name, word)
                found = inner


def test_dockerfile_pins_its_base_and_drops_root() -> None:
    found = instructions()
    bases = [rest.split()[0] for word, rest in found if word == "FROM"]
    assert bases
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base) for base in bases)
    assert len(set(bases)) == 1
    words = [word for word, _ in found]
    assert dict(found)["USER"] not in {"root", "0"}
    assert words.index("USER") > len(words) - words[::-1].index("FROM") - 1, "USER belongs to the last stage"
    assert set(words) <= {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "LABEL", "USER", "EXPOSE", "STOPSIGNAL"} | {
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }


def test_dockerfile_installs_the_lock_and_every_room() -> None:
    found = instructions()
    runs = " && ".join(rest for word, rest in found if word == "RUN")
    assert "pip install --require-hashes -r requirements.lock" in runs
    assert "pip install --no-deps --no-build-isolation ." in runs
    copied = " ".join(rest for word, rest in found if word == "COPY")
    listed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for room in ROOMS:
        assert f"{room}/ {room}/" in copied
        assert f"!{room}" in listed
    assert "tests" not in copied


def test_image_version_is_the_project_version() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    assert version
    assert {SERVICES[name]["image"] for name in OURS} == {f"bianmin-gateway:{version[1]}"}


def test_health_is_asked_of_the_admin_port() -> None:
    check = dict(instructions())["HEALTHCHECK"]
    assert "http://127.0.0.1:9090/readyz" in check
    for name in ("gateway", "worker", "relay", "resolver", "sealer"):
        assert "http://127.0.0.1:9090/readyz" in SERVICES[name]["healthcheck"]["test"][-1]
    assert CONFIG in dict(instructions())["CMD"]
