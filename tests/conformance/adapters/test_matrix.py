"""Every registered adapter, each of its services, every scenario that its declared facts call for."""

import pytest

from adapters.kit.matrix import chosen
from tests.conformance.adapters.rig import play_on, stages

CASES = [(service, scenario.name) for service, stage in stages().items() for scenario in chosen(stage)]


@pytest.mark.parametrize(("service", "scenario"), CASES, ids=[f"{service}-{name}" for service, name in CASES])
async def test_scenario(service: str, scenario: str) -> None:
    report = await play_on(stages()[service], scenario)
    assert report.passed, "\n".join(report.failures)
