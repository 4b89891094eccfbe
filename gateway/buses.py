"""Which bus a configuration means."""

import logging

from contracts.clock import Clock
from gateway.bus.embedded import EmbeddedBus
from gateway.bus.notes import BusNotes
from gateway.bus.port import Bus
from gateway.config import Config, KafkaBus, kafka_config
from gateway.flow.screening import Screening
from gateway.flow.task_group import TaskGroup
from gateway.store.port import Store


def build_bus(config: Config, store: Store, clock: Clock, notes: BusNotes, worker: str, *, tasks: TaskGroup) -> Bus:
    """The bus of one process, its loops in tasks. Opens nothing.

    Raises ConfigError naming the key whose file cannot be used.
    """
    prefix = config.bus.topic_prefix
    if not isinstance(config.bus, KafkaBus):
        return EmbeddedBus(prefix, notes)
    from gateway.bus.kafka.bus import KafkaBus as Driver

    # The client repeats itself several times a second while a broker is away; what fails is told by the notes.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    screen, billers = Screening(store, prefix), list(config.billers)
    return Driver(kafka_config(config), screen, clock, notes, worker, tasks=tasks, billers=billers)
