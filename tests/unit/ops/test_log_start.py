"""What the logger costs at start."""

import subprocess
import sys

CODE = """
import sys
import gateway.log, structlog
assert "rich" not in sys.modules, "all of rich, for tracebacks that are never drawn"
import rich.table
assert sys.modules["rich"] is not None
gateway.log.configure("info")
gateway.log.logger().info("serve.started", cause="now")
"""


def test_rich_is_not_loaded_for_it_and_can_be_later() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert '"event":"serve.started"' in done.stderr
