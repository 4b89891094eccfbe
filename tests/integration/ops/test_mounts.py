"""What docker-compose.yml gives a container of an installation is enough to serve, and not more."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.app import load_signing
from gateway.cli import run
from gateway.clock import SystemClock
from gateway.config import find_adapters, load_config
from tests.architecture.test_containers import SERVICES

FOREIGN_HERE = {"postgresql.password"}
"""This installation is on SQLite."""


@pytest.mark.parametrize("name", ["gateway", "worker", "relay", "resolver", "sealer"])
async def test_who_serves_finds_all_it_needs_among_the_mounted_files(name: str, tmp_path: Path) -> None:
    made, inside = tmp_path / "made", tmp_path / "etc"
    assert await asyncio.to_thread(run, ["init", str(made)]) == 0
    for volume in SERVICES[name]["volumes"]:
        source, target, _ = volume.split(":")
        file = made / Path(source).relative_to("var/compose")
        if file.name in FOREIGN_HERE:
            continue
        place = inside / Path(target).relative_to("/etc/bianmin")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    config = load_config(inside / "bianmin.toml", find_adapters())
    signing = load_signing(config)
    assert signing.archive is not None
    for partner, section in config.billers.items():
        biller = find_adapters()[partner].build(section, SystemClock())
        await biller.open()
        await biller.close()
    keys = {file.name for file in inside.rglob("*") if file.is_file() and "key" in file.name}
    assert keys == {
        "reply.key.pem",
        "reply-key.password",
        "archive.key.pem",
        "archive-key.password",
        "telecom.key",
        "tv.key",
    }
