"""What every shell of the flow is built from; made once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass

from contracts.clock import Clock
from gateway.core.env import Env
from gateway.flow.crash_points import CrashPoints
from gateway.flow.notes import Notes
from gateway.flow.task_group import TaskGroup
from gateway.store.port import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """worker: this process by name. entropy: 64 fresh random bits. note: logs and metrics of the flow."""

    store: Store
    env: Env
    clock: Clock
    entropy: Callable[[], int]
    crash: CrashPoints
    tasks: TaskGroup
    note: Notes
    worker: str
