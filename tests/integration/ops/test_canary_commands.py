"""A canary in every argument, file and configuration value of the commands comes out of none of them.

What may appear by right, and is left out here: the number of a voucher that was just credited; paths and key names
where a file or a key is refused; the folder and the station's code a command was given; what `station list` and `show`
are asked for; on the shop's own screen, the account of a payment it made (`bianmin terminal`, when answered).
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import run
from tests.stand.canaries import ACCOUNT, BROADBAND, CANARIES, CARD, LATIN_NAME, NAME, SECRET, TOKEN, leaks
from tests.stand.clerks import who

CODE = "33078200017"
SERIAL = "2026112406H0P4QWR2D3RMF7"
DEPOSIT = {"--voucher": "V1", "--outlet": "370001", "--by": "0001"}
ADD = {"--name": "二站", "--operator-name": "李四", "--terminal": "T1", "--operator": "0001", "--overdraft": "0"}
VALUE = re.compile(r"^(\w+) = (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bureau") / "site"
    assert run(["init", str(folder), "--bureau", NAME, "--operator-name", NAME, "--staff", NAME, LATIN_NAME]) == 0
    return folder


def one_by_one(command: list[str], options: dict[str, str], canary: str) -> Iterator[list[str]]:
    """The command with each option in turn as the canary, then with one argument too many, and an unknown option."""
    words = [word for pair in options.items() for word in pair]
    yield [*command, *words, canary]
    yield [*command, *words, "--nothing", canary]
    yield [*command, *words, f"--nothing={canary}"]
    for name in options:
        yield [*command, *(word for pair in (options | {name: canary}).items() for word in pair)]


def lines_of(canary: str) -> Iterator[list[str]]:
    """Command lines with the canary wherever something can be typed, but those that begin to serve."""
    yield from one_by_one(["station", "deposit", CODE, "1"], DEPOSIT, canary)
    yield from one_by_one(["station", "deposit", CODE, canary], DEPOSIT, canary)
    yield from one_by_one(["station", "add", "460001x"], ADD | {"--reason": "x"}, canary)
    yield from one_by_one(["station", "add", "460001"], ADD | {"--trained-days": canary}, canary)
    yield from one_by_one(["station", "add", "460001"], ADD | {"--low-balance": canary}, canary)
    yield from one_by_one(["station", "suspend", "460009"], {"--reason": "x", "--as": "0001"}, canary)
    yield from (["station", verb, canary, "--reason", canary, "--token", ""] for verb in ("suspend", "resume"))
    yield ["station", "suspend", CODE, "--reason", canary, "--key", canary]
    yield ["station", "resume", CODE, "--reason", canary, "--module", canary]
    yield ["evidence", canary]
    yield ["evidence", SERIAL, canary]
    yield ["audit", canary]
    yield ["db", "check", canary]
    yield ["config", "check", canary]
    yield ["serve", "--role", canary]
    yield ["adapters", "list", canary]
    for number in ("--fee", "--admin-port", "--partner-port", "--listen", "--authority", "--telecom-url", "--station"):
        yield ["init", "/nowhere/at/all", number, canary]


def told(words: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    try:
        code = run(words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    output = capfd.readouterr()
    return code, output.out + output.err


@pytest.mark.parametrize("canary", CANARIES)
def test_no_argument_comes_out(canary: str, made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(made / "bianmin.toml")]
    codes = set()
    for words in lines_of(canary):
        no_config = words[0] in ("init", "sim", "adapters")
        code, output = told(words if no_config else [*words, *config], capfd)
        codes.add(code)
        shown = {canary} if words[0] == "station" and code == 0 and words[1] == "deposit" else set()
        assert set(leaks(output)) <= shown, (words, output)
    assert codes == {0, 1, 2}


@pytest.mark.parametrize("canary", [ACCOUNT, SECRET, NAME])
def test_no_value_of_the_configuration_comes_out(canary: str, made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each value in turn, as text and as something else; keys of files and folders name what they hold by right."""
    text, file = (made / "bianmin.toml").read_text(), made / "canary.toml"
    tried = 0
    for found in VALUE.finditer(text):
        if found[1].endswith("_file") or found[1] == "path":
            continue
        for value in (f'"{canary}"', f'["{canary}"]', f'{{ {found[1]} = "{canary}" }}', canary):
            file.write_text(f"{text[: found.start(2)]}{value}{text[found.end(2) :]}")
            code, output = told(["config", "check", "--config", str(file)], capfd)
            assert leaks(output) == [], (found[0], value, output)
            tried += code == 2
    assert tried > 40
    sections = tomllib.loads(text)
    assert {"bureau", "http", "keys", "store", "bus", "log", "billers"} <= sections.keys()


def test_no_secret_file_comes_out(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every key, certificate and password file of the installation in turn as something else."""
    config = ["--config", str(made / "bianmin.toml")]
    files = [*(made / "keys").iterdir(), *(made / "secrets").iterdir()]
    assert len(files) > 15
    failed = 0
    for file in files:
        kept = file.read_bytes()
        for content in (
            f"{SECRET}{TOKEN}\n",
            f"{SECRET}\n{CARD}\n",
            NAME,
            f"-----BEGIN X-----\n{TOKEN}\n-----END X-----\n",
        ):
            file.write_bytes(content.encode())
            add = ["station", "add", "460002", "--name", "x", "--operator-name", "y", *who(made, 1)]
            for words in (["config", "check"], add):
                code, output = told(
                    [*words, "--out", "/nowhere/at/all", *config] if "add" in words else [*words, *config], capfd
                )
                failed += code != 0
                assert leaks(output) == [], (file.name, output)
        file.write_bytes(kept)
    assert failed > 40


def test_no_word_of_a_terminals_files_comes_out(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Journal, keys, passwords and values of a shop's terminal; its stderr has no account either."""
    plain = (made / "terminal.toml").read_text()
    values = [found for found in VALUE.finditer(plain) if not found[1].endswith("_file")]
    assert values
    for canary in (ACCOUNT, BROADBAND, SECRET, NAME, TOKEN):
        journal = made / "terminal.journal"
        for line in (canary, f'{{"{canary}": 1}}', f'{{"key":"{canary}","seq":1}}', f'{{"v":1,"event":"{canary}"}}'):
            journal.write_text(f"{line}\n{line}\n")
            code, output = told(["terminal", "last", "--config", str(made / "terminal.toml")], capfd)
            assert (code, leaks(output)) == (2, []), output
        journal.unlink()
        for found in values:
            file = made / "canary-terminal.toml"
            file.write_text(f'{plain[: found.start(2)]}"{canary}"{plain[found.end(2) :]}')
            _, output = told(["terminal", "last", "--config", str(file)], capfd)
            assert leaks(output) == [], (found[0], output)


@pytest.mark.parametrize("canary", CANARIES)
def test_no_mistyped_argument_of_a_terminal_comes_out(
    canary: str, made: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refused before anything is sent; in the amount's place stands what was meant as the account."""
    for words in (
        ["pay", "mobile.topup", canary, f"{canary}x", "--yes"],
        ["pay", "mobile.topup", canary, "10", "--param", canary],
        ["pay", "mobile.topup", canary, "10", "--cash", f"{canary}x"],
        ["pay", "mobile.topup", canary, "10", canary],
        ["pay", canary, f"{canary}x", "10", "--yes", "--param", f"{canary}=1"],
        ["status", canary],
        ["cancel", canary, "--reason", canary, "--authorization", canary],
        ["list", "--state", canary],
        ["list", "--limit", canary],
    ):
        code, output = told(["terminal", *words, "--config", str(made / "terminal.toml")], capfd)
        assert (code, leaks(output)) == (2, []), (words, output)
