"""`bianmin station add`: the shop's files and the book together, by two people; nothing is left of what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from certs.keys import PemSigner
from gateway.cli import run
from gateway.config import find_adapters, load_config
from gateway.ops.enrol import Applicant, load_issuing
from gateway.ops.register import register
from gateway.ops.shared import Shared
from gateway.store.port import StoreError
from tests.integration.certs.desk import say
from tests.stand.clerks import who

OWN = ("keys/staff-1.cert.pem", "keys/staff-1.key.pem", "secrets/staff-1-key.password")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation on SQLite."""
    folder = tmp_path_factory.mktemp("bureau") / "site"
    assert run(["init", str(folder)]) == 0
    return folder


def call(*arguments: str, at: Path) -> tuple[int, str, str]:
    return say([*arguments, "--config", str(at / "bianmin.toml")])


def test_a_station_more(made: Path) -> None:
    """JOIN-16, M12: prepared with its files by one person, there when another approves; nothing stays of a refusal."""
    words = [
        "station",
        "add",
        "460001",
        "--name",
        "二站",
        "--operator-name",
        "李四",
        "--overdraft",
        "50",
        *who(made, 1),
    ]
    code, prepared, said = call(*words, at=made)
    assert code == 0, said
    shop = made / "stations" / "460001"
    names = {"station.key.pem", "station-key.password", "station.cert.pem", "terminal.toml"}
    assert {path.name for path in shop.iterdir()} == names | {"issuing.cert.pem", "root.cert.pem"}
    assert call("station", "show", "460001", at=made)[0] == 1, "it waits for another person"
    plan = prepared.split()[-1]
    assert call("ops", "approve", plan, *who(made, 1), at=made)[0] == 1
    assert call("ops", "approve", plan, *who(made, 2), at=made)[0] == 0
    code, _, said = call(*words, "--out", str(made / "again"), at=made)
    assert (code, said) == (1, "Error: refused (state-conflict): Station 460001 exists.\n")
    assert not (made / "again").exists()
    assert call(*words, at=made)[0] == 2, "the folder exists"
    unsold = [*words, "--service", "moon.dust", "--out", str(made / "moon")]
    unsold[2] = "460002"
    assert call(*unsold, at=made)[0] == 1
    assert not (made / "moon").exists()
    _, said, _ = call("station", "show", "460001", "--json", at=made)
    shown = json.loads(said)
    assert (shown["overdraft_limit_fen"], shown["certificates"][0]["state"]) == (5000, "ACTIVE")


class FailingDesk:
    """A book whose commit fails."""

    def __init__(self, error: StoreError) -> None:
        self.error = error

    async def run(self, item: object) -> object:
        raise self.error

    async def look(self, item: object) -> object:
        raise self.error

    async def snapshot(self, use: object) -> Any:
        raise self.error


@pytest.mark.parametrize("in_doubt", [False, True])
async def test_files_go_when_the_book_refuses_and_stay_in_doubt(in_doubt: bool, made: Path, tmp_path: Path) -> None:
    """A station that may be registered must not lose its only key."""
    config = load_config(made / "bianmin.toml", find_adapters())
    applicant = Applicant(
        institution_code="460008", name="八站", terminal_id="T1", operator_id="0001", operator_name="赵六"
    )
    with pytest.raises(StoreError):
        await register(
            FailingDesk(StoreError("down", in_doubt=in_doubt)),
            config,
            applicant,
            load_issuing(config),
            signer=PemSigner.load(*(made / name for name in OWN)),
            fields={"services": "mobile.topup", "trained_days": "1"},
            who={"reason": "x"},
            shared=Shared(),
            folder=tmp_path / "shop",
        )
    assert (tmp_path / "shop").exists() == in_doubt
    assert len(list(tmp_path.iterdir())) == int(in_doubt)
