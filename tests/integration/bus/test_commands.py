"""`bianmin bus init` and `check` on topics that are good, missing, different, and on brokers that are away."""

import asyncio
import json
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gateway.cli import run
from tests.integration.bus.parts import set_bus
from tests.integration.ops.test_commands import call
from tests.stand.kafka import fresh_prefix
from tests.stand.ports import free_port

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bureau") / "site"
    assert run(["init", str(folder)]) == 0
    return folder


def use(site: Path, bootstrap: str, prefix: str, *rest: str) -> None:
    lines = rest or ("replication = 1", "min_insync_replicas = 1")
    set_bus(
        site / "bianmin.toml", 'driver = "kafka"', f'bootstrap = ["{bootstrap}"]', f'topic_prefix = "{prefix}"', *lines
    )


def test_missing_then_made_then_good(kafka: str, site: Path) -> None:
    prefix = fresh_prefix()
    use(site, kafka, prefix)
    names = [f"{prefix}.request.telecom", f"{prefix}.request.tv", f"{prefix}.result", f"{prefix}.dead-letter"]
    code, said, _ = call("bus", "check", at=site)
    assert (code, said) == (1, "".join(f"{name}: missing\n" for name in names))
    code, said, _ = call("bus", "init", at=site)
    assert (code, said) == (0, "".join(f"{name}: created\n" for name in names))
    assert call("bus", "check", at=site)[:2] == (0, "".join(f"{name}: ok\n" for name in names))
    assert call("bus", "init", at=site)[:2] == (0, "".join(f"{name}: ok\n" for name in names))
    code, said, _ = call("bus", "check", "--json", at=site)
    assert (code, json.loads(said)) == (
        0,
        {"ok": True, "topics": [{"name": name, "ok": True, "state": "exists", "differences": []} for name in names]},
    )


def test_a_topic_that_differs_is_told_and_left_alone(kafka: str, site: Path) -> None:
    prefix = fresh_prefix()
    use(site, kafka, prefix)
    topic = f"{prefix}.request.telecom"

    async def by_hand() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(topic, 2, 1, topic_configs={"cleanup.policy": "compact"})])
        await admin.close()

    asyncio.run(by_hand())
    told = [call("bus", command, at=site)[:2] for command in ("init", "check")]
    for code, said in told:
        assert code == 1
        line = next(line for line in said.splitlines() if line.startswith(topic))
        assert "partitions 2, expected 12" in line
        assert "cleanup.policy compact, expected delete" in line
        assert "compression.type producer, expected uncompressed" in line
        assert "retention.ms 604800000, expected 259200000" in line
    assert f"{prefix}.result: created" in told[0][1], "the others are made"
    assert f"{prefix}.result: ok" in told[1][1]
    found = json.loads(call("bus", "check", "--json", at=site)[1])
    assert [each["ok"] for each in found["topics"]] == [False, True, True, True]


def test_brokers_that_cannot_do_it_or_are_away(kafka: str, site: Path) -> None:
    use(site, kafka, fresh_prefix(), "replication = 3")
    code, said, wrong = call("bus", "init", at=site)
    assert (code, said) == (1, "")
    assert "cannot be made" in wrong
    assert "eplication" in wrong
    use(site, f"127.0.0.1:{free_port()}", fresh_prefix())
    for command in ("init", "check"):
        code, said, wrong = call("bus", command, at=site)
        assert (code, said) == (1, "")
        assert "no broker of 127.0.0.1:" in wrong.splitlines()[-1]
        code, said, _ = call("bus", command, "--json", at=site)
        assert (code, json.loads(said)["ok"]) == (1, False)


def test_wrong_configurations_are_one_line(site: Path) -> None:
    use(site, "127.0.0.1:1", "x", "user = 'u'", "password_file = 'absent'")
    code, _, wrong = call("bus", "check", at=site)
    assert (code, wrong.count("\n")) == (2, 1)
    assert "bus.password_file: expected a file" in wrong
    assert call("config", "check", at=site)[0] == 2
    set_bus(site / "bianmin.toml", 'driver = "embedded"')
    code, _, wrong = call("bus", "check", at=site)
    assert code == 2
    assert "bus.driver: expected kafka" in wrong
