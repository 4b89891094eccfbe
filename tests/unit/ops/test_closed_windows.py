"""An installation's own windows of maintenance, in place of those that the biller's document names."""

from datetime import time
from pathlib import Path

import pytest

from gateway.cli import run
from gateway.config import ConfigError, build_env, find_adapters, load_config
from tests.stand.windows import never_closed


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("closed") / "site"
    assert run(["init", str(folder)]) == 0
    return folder / "bianmin.toml"


def with_text(site: Path, text: str) -> Path:
    file = site.with_name("other.toml")
    file.write_text(site.read_text(encoding="utf-8") + text, encoding="utf-8")
    return file


def windows_of(file: Path) -> set[tuple[tuple[time, time], ...]]:
    adapters = find_adapters()
    env = build_env(load_config(file, adapters), adapters)
    return {facts.closed_local for facts in env.manifests["telecom"].flows.values()}


def test_the_documents_windows_are_the_default(site: Path) -> None:
    assert windows_of(site) == {find_adapters()["telecom"].manifest.flows["mobile.topup"].closed_local} != {()}


def test_others_take_their_place_and_none_is_none(site: Path) -> None:
    moved = with_text(site, '\n[closed]\ntelecom = ["01:00-01:30", "12:05-12:06"]\n')
    assert windows_of(moved) == {((time(1), time(1, 30)), (time(12, 5), time(12, 6)))}
    open_ = with_text(site, "")
    never_closed(open_)
    assert windows_of(open_) == {()}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('telecom = ["23:30-00:30"]', "closed.telecom"),
        ('telecom = ["2:00-3:00"]', "closed.telecom"),
        ('telecom = ["02:00-02:00"]', "closed.telecom"),
        ('telecom = ["24:00-25:00"]', "closed.telecom"),
        ("acme = []", "closed.acme"),
        ('telecom = "02:00-02:30"', "closed[...]"),
    ],
)
def test_what_is_no_window_is_refused_by_name(site: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        load_config(with_text(site, f"\n[closed]\n{text}\n"), find_adapters())
    assert wrong.value.key.startswith(key)
