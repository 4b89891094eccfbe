"""What `init` makes really serves: simulator, gateway, shop, commands beside the running gateway, audit, evidence."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stand.clerks import both, who
from tests.stand.ports import free_port
from tests.stand.windows import never_closed

CODE = "33078200017"
pytestmark = pytest.mark.slow
BIANMIN = [sys.executable, "-c", "from gateway.cli import main; main()"]


def bianmin(*words: str, code: int = 0) -> str:
    """stdout of one command that must end with this code."""
    done = subprocess.run([*BIANMIN, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def running(*words: str, says: str, log: Path) -> Iterator[None]:
    """A command that runs until SIGTERM; waits for what it says once it listens."""
    with log.open("wb") as errors:
        process = subprocess.Popen([*BIANMIN, *words], stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(says), f"{line!r}\n{log.read_text()}"
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait(30) == 0, log.read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("serving") / "site"
    telecom, public, partner = free_port(), free_port(), free_port()
    bianmin(
        *("init", str(folder), "--listen", f"127.0.0.1:{public}", "--partner-port", str(partner)),
        *("--admin-port", "0", "--telecom-url", f"http://127.0.0.1:{telecom}"),
    )
    never_closed(folder / "bianmin.toml")
    notices = f"http://127.0.0.1:{partner}/notices/telecom"
    config, logs = str(folder / "bianmin.toml"), folder.parent
    with (
        running("sim", "telecom", "--port", str(telecom), "--notice-url", notices, says="listening", log=logs / "sim"),
        running("serve", "--config", config, says="serving", log=logs / "serve"),
    ):
        yield folder


def test_a_shops_first_day(site: Path, tmp_path: Path) -> None:
    config, terminal = ("--config", str(site / "bianmin.toml")), ("--config", str(site / "terminal.toml"))
    deposit = ("station", "deposit", CODE, "300", "--voucher", "V1", "--outlet", "370001", "--by", "0001")
    bianmin(*deposit, *config)
    pay = ("terminal", "pay", "mobile.topup")
    paid = json.loads(bianmin(*pay, "13805790001", "100", "--param", "carrier=cmcc", "--yes", "--json", *terminal))
    assert paid["state"] == "SUCCESS"
    bianmin(*pay, "13900000002", "50", "--param", "carrier=cmcc", "--yes", *terminal, code=1)
    balance = json.loads(bianmin("terminal", "balance", "--json", *terminal))
    assert balance["available_fen"] == 30_000 - 10_000 - 100

    bianmin("station", "suspend", CODE, *who(site, 1), *config)
    bianmin(*pay, "13805790002", "10", "--param", "carrier=cmcc", "--yes", *terminal, code=1)
    bianmin("station", "resume", CODE, *who(site, 1), *config)
    both(site, lambda words: bianmin(*words), "station", "add", "460001", "--name", "二站", "--operator-name", "李四")
    other = ("--config", str(site / "stations/460001/terminal.toml"))
    assert json.loads(bianmin("terminal", "balance", "--json", *other))["available_fen"] == 0

    report = json.loads(bianmin("audit", "--json", *config))
    assert report["ok"]
    folder = tmp_path / "evidence"
    bianmin("evidence", paid["gateway_serial"], "--out", str(folder), *config)
    verified = subprocess.run(["sh", folder / "verify.sh"], capture_output=True, text=True, check=False)
    # M11: what the shop asked and was told, what the biller was sent, answered, told, and our answer to that.
    kept = {(one / "kind").read_text() for one in (folder / "records").iterdir()}
    assert kept >= {"request", "signed-reply", "partner-request", "reply", "notice", "partner-answer"}
    # What the shop signed is proven; the biller's answer only when this day is signed.
    assert verified.returncode == 3, verified.stdout + verified.stderr
    assert verified.stdout.splitlines()[-1].startswith("尚未证明 NOT PROVEN YET")


def test_its_log_shows_no_account(site: Path) -> None:
    """The accounts of the first day's payments, the telecom secret and the passwords, in what `serve` wrote."""
    written = (site.parent / "serve").read_text()
    assert "pay.ended" in written
    secrets = [path.read_text().strip() for path in (site / "secrets").iterdir()]
    for canary in ["13805790001", "13900000002", "13805790002", *secrets]:
        assert canary not in written
    for line in written.splitlines():
        assert json.loads(line)["event"]


def test_a_second_gateway_on_the_file_is_refused(site: Path) -> None:
    done = subprocess.run(
        [*BIANMIN, "serve", "--config", str(site / "bianmin.toml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is served already" in done.stderr
    assert done.stderr.count("\n") == 1
    assert os.path.exists(site / "var/bianmin.db.sock")
