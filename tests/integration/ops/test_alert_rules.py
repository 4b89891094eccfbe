"""The alert rules, put to Prometheus' own tool: who is woken when, and who is not."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
RULES = HERE.parents[2] / "gateway/ops/monitoring/alerts.yml"


def promtool(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Its verdict; skipped where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool on this machine: `apt-get install prometheus`")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)


def test_rules_and_scrape_configuration_are_in_form() -> None:
    for kind, file in (("rules", RULES), ("config", RULES.with_name("prometheus.yml"))):
        more = ["--syntax-only"] if kind == "config" else []
        done = promtool("check", kind, *more, file)
        assert done.returncode == 0, done.stdout + done.stderr


def test_who_is_woken_when(tmp_path: Path) -> None:
    """Annotations are left out: the tool would compare them word for word."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    cases = shutil.copy(HERE / "alert_rules.yml", tmp_path)
    done = promtool("test", "rules", cases)
    assert done.returncode == 0, done.stdout + done.stderr
