"""`bianmin` as people use it: init, station, audit, config, db; clear lines and exit codes, no traceback."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.cli import HELP, bianmin, run
from gateway.config import ConfigError, find_adapters, load_config
from gateway.flow.crash_points import CrashPoints
from gateway.ops.audit import audit_sqlite
from gateway.ops.files import check_files

CODE = "33078200017"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation on SQLite."""
    folder = tmp_path_factory.mktemp("bureau") / "site"
    assert run(["init", str(folder)]) == 0
    return folder


def call(*arguments: str, at: Path | None = None) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of one command line in this process."""
    words = list(arguments) + (["--config", str(at / "bianmin.toml")] if at else [])
    return say(words)


def say(words: Sequence[str]) -> tuple[int, str, str]:
    """Through `run`, so that what it tells users is seen too."""
    holder: dict[str, int] = {}

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def wrapped(words: tuple[str, ...]) -> None:
        holder["code"] = run(words)

    result = CliRunner().invoke(wrapped, ["--", *words], catch_exceptions=False)
    return holder["code"], result.stdout, result.stderr


def test_init_makes_everything_that_serve_needs(made: Path) -> None:
    config = load_config(made / "bianmin.toml", find_adapters())
    check_files(config)
    assert call("config", "check", at=made)[0] == 0
    assert call("db", "check", at=made)[:2] == (0, "equal\n")
    report = audit_sqlite(made / "var/bianmin.db")
    assert report.ok, report.text()
    code, said, _ = call("station", "show", CODE, "--json", at=made)
    assert code == 0
    station = json.loads(said)
    assert station["state"] == "ACTIVE"
    assert {row["service"] for row in station["services"]} == {
        "mobile.topup",
        "mobile.bill",
        "broadband.bill",
        "tv.bill",
    }
    assert [row["terminal_id"] for row in station["terminals"]] == ["T1"]
    assert [row["operator_id"] for row in station["operators"]] == ["0001"]
    assert [row["state"] for row in station["certificates"]] == ["ACTIVE"]


def test_every_secret_is_its_owners_alone(made: Path) -> None:
    secrets = [path for path in made.rglob("*") if path.name.endswith((".key.pem", ".password", ".key", ".db"))]
    assert len(secrets) == 17
    for path in secrets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in made.rglob("*.key.pem"):
        assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_init_overwrites_nothing(made: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    code, _, said = call("init", str(made))
    assert (code, said) == (2, f"bianmin: {made}: it exists; nothing is overwritten\n")
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before
    (tmp_path / "empty").mkdir()
    assert call("init", str(tmp_path / "empty"))[0] == 2
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert call("init", str(tmp_path / "link"))[0] == 2


def test_a_half_made_installation_is_removed(tmp_path: Path) -> None:
    code, _, said = call("init", str(tmp_path / "site"), "--engine", "postgresql", "--host", "127.0.0.1:1")
    assert code == 2
    assert said.startswith("bianmin: ")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--authority", "Capital.example"], "--authority: expected host[:port] in lower case"),
        (["--authority", "x.example:80"], "--authority: expected no :80: the scheme's default port is left out"),
        (["--listen", "0.0.0.0:8443"], "--listen: expected a loopback host while there are no TLS files"),
        (["--listen", "8443"], "--listen: expected host:port"),
        (["--listen", "127.0.0.1:99999"], "--listen: expected host:port"),
        (["--plain-http", "--listen", "Shop:1"], "--listen, which is the authority too unless --authority is given:"),
        (["--engine", "postgresql", "--host", "x"], "--host: expected host:port"),
        (["--engine", "postgresql", "--host", "x:1", "--user", ""], "--database or --user: expected"),
        (["--telecom-url", "ftp://x"], "--telecom-url: expected http(s)://host"),
        (["--bureau", "x" * 65], "--bureau: expected 1 to 64 characters"),
    ],
)
def test_init_names_the_option_that_is_wrong(arguments: list[str], told: str, tmp_path: Path) -> None:
    """Not the key of a file that is gone by the time somebody reads it."""
    code, _, said = call("init", str(tmp_path / "site"), *arguments)
    assert code == 2
    assert f"\nError: {told}" in said
    assert str(tmp_path) not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--station", "abc"],
        ["--terminal", ""],
        ["--fee", "1.234"],
        ["--fee", "-1"],
        ["--tls-cert", __file__],
        ["--engine", "postgresql"],
        ["--host", "x:1"],
        ["--engine", "oracle"],
    ],
)
def test_wrong_use_of_init(arguments: list[str], tmp_path: Path) -> None:
    code, _, said = call("init", str(tmp_path / "site"), *arguments)
    assert code == 2
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_deposits(made: Path) -> None:
    words = ["station", "deposit", CODE, "100.50", "--outlet", "370001", "--by", "0001"]
    assert call(*words, "--voucher", "V-1", at=made)[0] == 0
    code, _, said = call(*words, "--voucher", "V-1", at=made)
    assert (code, said) == (1, f"Error: refused (state-conflict): Voucher V-1 was used for {CODE}. (field voucher)\n")
    words[2] = "99999999"
    assert call(*words, "--voucher", "V-2", at=made)[0] == 1
    words[2] = CODE
    for amount in ("0", "1.234", "１００", "100000000.01", "1e3", "abc"):
        words[3] = amount
        code, _, said = call(*words, "--voucher", "V-3", at=made)
        assert code == 2, amount
        assert "Traceback" not in said
    assert call("station", "deposit", CODE, "1", "--outlet", "370001", "--by", "0001", at=made)[0] == 2, "no voucher"
    _, said, _ = call("station", "list", "--json", at=made)
    assert json.loads(said)[0]["available_fen"] == 10050


def test_audit_says_so_with_its_exit_code(made: Path, tmp_path: Path) -> None:
    code, said, _ = call("audit", "--json", at=made)
    assert code == 0
    report = json.loads(said)
    assert report["ok"]
    assert set(report["checks"][0]) == {"name", "ok", "rows", "violations", "warnings"}
    import sqlite3

    connection = sqlite3.connect(made / "var/bianmin.db")
    spoil = "UPDATE station_balances SET available_fen = available_fen + ? WHERE institution_code = ?"
    connection.execute(spoil, (1, CODE))
    connection.commit()
    code, said, _ = call("audit", at=made)
    connection.execute(spoil, (-1, CODE))
    connection.commit()
    connection.close()
    assert code == 1
    assert "FAIL  running-balance" in said
    assert f"running-balance: {CODE}: available_fen is" in said


def test_evidence_of_nothing(made: Path) -> None:
    assert call("evidence", "2026112406H0P4QWR2D3RMF7", at=made)[0] == 1
    assert call("evidence", "../../etc/passwd", at=made)[0] == 2


def test_what_a_stranger_compares(made: Path) -> None:
    """The root as openssl and verify.sh tell it, and the script that goes into every folder."""
    code, said, _ = call("evidence", "--compare", at=made)
    assert code == 0
    root, script = said.splitlines()
    asked = ["openssl", "x509", "-in", str(made / "keys/root.cert.pem"), "-noout", "-fingerprint", "-sha256"]
    printed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert root == f"root {printed.strip().split('=')[1]}"
    file = files("gateway.ops.evidence").joinpath("verify.sh").read_bytes()
    assert script == f"verify.sh {hashlib.sha256(file).hexdigest()}"
    assert call("evidence", "20261124" + "A" * 16, "--compare", at=made)[0] == 2


def test_adapters() -> None:
    code, said, _ = call("adapters", "show", "telecom", "--json")
    assert code == 0
    assert json.loads(said)["flows"]["mobile.topup"]["amount_min_fen"] == 1000
    assert call("adapters", "list")[1].startswith("telecom\t")
    assert call("adapters", "show", "nobody")[0] == 2
    assert call("sim", "nobody")[0] == 2


def test_errors_are_one_line(tmp_path: Path, made: Path) -> None:
    code, _, said = call("audit", "--config", str(tmp_path / "absent.toml"))
    assert code == 2
    assert said.startswith("bianmin: ")
    assert said.count("\n") == 1
    text = (made / "bianmin.toml").read_text()
    (tmp_path / "bianmin.toml").write_text(text.replace("var/bianmin.db", "var/absent.db"))
    code, _, said = call("audit", at=tmp_path)
    assert code == 2
    assert "no database at" in said
    code, _, said = call("config", "check", at=tmp_path)
    assert (code, said.count("\n")) == (2, 1)
    assert "keys.root_cert_file: expected" in said
    assert call("unknown-command")[0] == 2
    serving = text.replace('"keys/', f'"{made}/keys/').replace('"secrets/', f'"{made}/secrets/')
    (tmp_path / "bianmin.toml").write_text(serving.replace("var/bianmin.db", "absent.db"))
    code, _, said = call("serve", at=tmp_path)
    assert (code, said.count("\n")) == (2, 1)
    assert "no database at" in said
    assert [entry.name for entry in tmp_path.iterdir()] == ["bianmin.toml"], "nothing is left beside it"


def test_a_wrong_password_file_is_named_by_its_key(tmp_path: Path) -> None:
    assert call("init", str(tmp_path / "site"))[0] == 0
    site = tmp_path / "site"
    (site / "secrets/reply-key.password").write_text("geheimes-wort\n")
    code, _, said = call("config", "check", at=site)
    assert code == 2
    assert "keys.reply_key_file: expected" in said
    assert "geheimes-wort" not in said


@pytest.mark.parametrize(
    "armed", ["nope", "call.answered:", "call.answered:0", "call.answered:x", "CALL.ANSWERED", ":1"]
)
def test_a_crash_point_that_does_not_exist(armed: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^environment: BIANMIN_CRASH_AT: expected POINT or POINT:N .* call\.answered,"
    ):
        CrashPoints(armed)


def test_serve_refuses_it_before_anything_is_started(made: Path) -> None:
    words = [
        sys.executable,
        "-c",
        "from gateway.cli import main; main()",
        "serve",
        "--config",
        str(made / "bianmin.toml"),
    ]
    environment = {**os.environ, "BIANMIN_CRASH_AT": "nope"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("bianmin: environment: BIANMIN_CRASH_AT: expected POINT or POINT:N")
    assert not (made / "var" / "bianmin.db.sock").exists()


def test_a_bug_at_the_start_of_serve_is_a_line_of_the_log(made: Path) -> None:
    """Python's own traceback would show whatever the exception's text holds."""
    script = (
        "import sys, gateway.app\nfrom gateway.cli import main\n"
        "def broken(config): raise LookupError('no account 13805791357')\n"
        "gateway.app.load_signing = broken\nsys.argv[1:] = ['serve', '--config', sys.argv[1]]\nmain()"
    )
    words = [sys.executable, "-c", script, str(made / "bianmin.toml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert told["event"] == "process.failed"
    assert told["cause"].startswith("LookupError: no account *** at <string>:3 < gateway/serve.py:")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stauts"], "No such command 'stauts'"),
        (["13805791357"], "No such command '***'"),
        (["init", "x", "--engine", "oracle"], "'--engine': '***' is not one of 'sqlite', 'postgresql'"),
        (["init", "x", "--staff", "甲", "甲"], "--staff: two people"),
        (["init", "x", "--engin", "1"], "No such option '--engin'"),
        (["init", "x", "--KD0012345A"], "No such option '--***'"),
        (["station", "deposit", CODE, "12.345", "--voucher", "V", "--outlet", "O", "--by", "B"], "in yuan: '***'; exp"),
        (["station", "deposit", CODE, "1", "--voucher", "V"], "Missing option '--outlet'"),
    ],
)
def test_a_usage_error_repeats_no_value(words: list[str], told: str) -> None:
    code, _, said = call(*words)
    assert code == 2
    assert told in said


def test_our_own_bugs_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("broken")
    def broken() -> None:
        raise LookupError("a bug")

    monkeypatch.setitem(bianmin.__dict__, "get_command", lambda _ctx, _name: broken)
    with pytest.raises(LookupError):
        run(["broken"])


def test_help_loads_no_command() -> None:
    """`bianmin --help` within its budget: what it loads is counted, not timed."""
    heavy = (
        "aiohttp sqlalchemy alembic cryptography structlog prometheus_client asyncpg zeep httpx msgspec uvloop asyncio"
        " contracts certs adapters sqlite3 gateway.config gateway.store gateway.core"
    ).split()
    script = (
        "import sys\nfrom gateway.cli import run\ncode = run(['--help'])\n"
        "print(code, sorted(set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stderr
    assert done.stdout.startswith("Usage: bianmin")
    for name in HELP:
        assert f"\n  {name}" in done.stdout
    found = [name for name in heavy if f"'{name}'" in loaded]
    assert not found


def test_every_command_loads_and_has_help() -> None:
    context = click.Context(bianmin)
    for name in bianmin.list_commands(context):
        if name == "demo":
            continue  # its room is not built yet
        command = bianmin.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str() or command.help, name
