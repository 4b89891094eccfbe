"""Says at the end which scenarios were played for which service, and why the others were not."""

import pytest

from adapters.kit.matrix import coverage
from tests.conformance.adapters.rig import stages


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line per service."""
    terminalreporter.section("failure-timing matrix")
    for stage in stages().values():
        terminalreporter.line(coverage(stage))
