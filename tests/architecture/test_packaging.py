"""What is shipped: the wheel holds the rooms and their data, the locks pin everything, nothing names an index."""

import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.tree import ROOMS

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def canonical(requirement: str) -> str:
    """The normalised name of a requirement: `SQLAlchemy[asyncio]>=2` is sqlalchemy."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def locked(lock: str) -> dict[str, str]:
    """Name → the lock's block about it: its pin, marker and hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    return {canonical(block): block for block in blocks if PIN.match(block)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline by the build tools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(target)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return target


def run_installed(installed: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code that sees the installed wheel and the libraries, but not this folder: -S keeps editable installs out."""
    paths = [str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    text = f"import sys; sys.path[:0] = {paths!r}\n{code}"
    command = [sys.executable, "-I", "-S", "-c", text]
    return subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False)


def test_rooms_are_shipped_and_tests_are_not(installed: Path) -> None:
    done = run_installed(installed, "import contracts.money; print(contracts.money.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(installed), done.stderr
    done = run_installed(installed, "import tests")
    assert "ModuleNotFoundError: No module named 'tests'" in done.stderr


def test_wheel_holds_every_source_and_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kinds = {".py", ".toml", ".wsdl", ".json", ".sql", ".html", ".css", ".js"}
    ours = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in kinds and "__pycache__" not in path.parts
    }
    assert ours - names == set()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} <= set(ROOMS)
    assert {name.rpartition("/")[2] for name in ours} >= {"money.py"}


def test_wheel_knows_its_command_and_adapters(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        text = archive.read(path).decode()
    assert "bianmin = gateway.cli:main" in text
    assert "telecom = adapters.telecom:ADAPTER" in text


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_index_and_hashes_everything(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*-|@ |index|find-links|trusted", text.replace("    --hash=", ""), re.MULTILINE)
    blocks = locked(lock)
    assert len(blocks) == len(PIN.findall(text)) > 30
    for name, block in blocks.items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), f"{lock}: {name} has no hash"


def test_declared_dependencies_are_locked() -> None:
    declared = project()
    groups = declared["dependency-groups"]
    run_time = [canonical(line) for line in declared["project"]["dependencies"] + groups["build"]]
    assert set(run_time) - set(locked(LOCKS[0])) == set()
    assert {*run_time, *map(canonical, groups["dev"])} - set(locked(LOCKS[1])) == set()


def test_locks_agree_and_no_test_tool_reaches_production() -> None:
    run_time, dev = locked(LOCKS[0]), locked(LOCKS[1])
    pins = [{name: PIN.match(block) for name, block in lock.items()} for lock in (run_time, dev)]
    for name, pin in pins[0].items():
        other = pins[1].get(name)
        assert pin
        assert other
        assert pin["version"] == other["version"], name
    assert {canonical(line) for line in project()["dependency-groups"]["dev"]} & set(run_time) == set()


def test_floors_are_not_above_the_lock() -> None:
    """A floor that was raised without a new lock would install something else than was tried."""
    versions = {
        name: tuple(re.findall(r"\d+", block.split("==")[1].split()[0])) for name, block in locked(LOCKS[1]).items()
    }
    declared = project()
    for line in declared["project"]["dependencies"] + declared["dependency-groups"]["dev"]:
        floor = tuple(map(int, re.findall(r"\d+", re.split(r"[=>]=", line)[1])))
        assert tuple(map(int, versions[canonical(line)])) >= floor, line


def test_continuous_integration_runs_what_a_person_runs() -> None:
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "exec make test"
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
