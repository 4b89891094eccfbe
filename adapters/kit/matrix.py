"""The failure-timing matrix: every scenario, and which of them a service must pass (design s5).

A scenario is skipped by declared facts of the manifest and by nothing else: a service that cannot reverse has no
reversal to lose. What a simulator cannot show is a gap of the simulator, and fails.
"""

from collections.abc import Mapping

from adapters.kit import matrix_notices, matrix_pay, matrix_undo
from adapters.kit.scenario import Scenario
from adapters.kit.stage import Need, Stage

MATRIX: Mapping[str, Scenario] = {
    scenario.name: scenario
    for part in (
        matrix_pay.PLAIN,
        matrix_pay.DOUBTED,
        matrix_pay.QUESTIONS,
        matrix_undo.REVERSALS,
        matrix_undo.CANCELS,
        matrix_notices.NOTICES,
        matrix_notices.BAD_NOTICES,
        matrix_notices.AGAINST,
    )
    for scenario in part
}
"""Every scenario by its name."""


def chosen(stage: Stage) -> tuple[Scenario, ...]:
    """The scenarios this service must pass, in the order of the matrix."""
    declared = stage.declared()
    return tuple(scenario for scenario in MATRIX.values() if scenario.applies(declared))


def skipped(stage: Stage) -> Mapping[str, frozenset[Need]]:
    """The scenarios this service need not pass, each with the facts it does not declare."""
    declared = stage.declared()
    return {name: scenario.needs - declared for name, scenario in MATRIX.items() if not scenario.applies(declared)}


def coverage(stage: Stage) -> str:
    """Which scenarios this service plays and which it need not, as a line of text with the facts it lacks."""
    left_out = skipped(stage)
    lacking = sorted({need for needs in left_out.values() for need in needs})
    why = f"; {len(left_out)} left out, it does not declare: {', '.join(lacking)}" if left_out else ""
    return f"{stage.service}: {len(chosen(stage))} of {len(MATRIX)} scenarios{why}"
